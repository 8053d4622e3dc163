"""The drawings of the independence report as markup, with the words that stand under and for them.

Each function takes a result; what a result has nothing for is empty.
"""

from __future__ import annotations

from latentflow.analysis.results import IndependenceResult
from latentflow.analysis.samples import worst_pairs
from latentflow.report import captions, figures
from latentflow.report.drawing import curve
from latentflow.report.page import Drawing, drawing
from latentflow.report.scatter import pair_dependence


def drawn_maps(result: IndependenceResult) -> list[str]:
    """The representations whose pairs are drawn; none where there is but one coordinate."""
    several = len(result.pairwise["latents"].columns) > 1
    return [name for name in figures.MAPS if name in result.pairwise and several]


def ledger(result: IndependenceResult) -> list[Drawing]:
    """Total correlation removed by each representation."""
    return [drawing("figure-ledger", figures.ledger_chart(result), captions.ledger(result))]


def maps(result: IndependenceResult) -> list[Drawing]:
    """Dependence of all pairs, one map for each representation."""
    # A colour scale is not the page's to choose: the whole drawing is inverted on a dark screen.
    return [
        drawing(
            f"figure-map-{name}",
            figures.pairwise_map(result, name),
            captions.pairwise_map(result.pairwise[name]),
            result.pairwise[name].label,
            themed=False,
        )
        for name in drawn_maps(result)
    ]


def magnitudes(result: IndependenceResult) -> list[Drawing]:
    """Correlation of magnitudes of all pairs, one map for each representation."""
    return [
        drawing(
            f"figure-magnitudes-{name}",
            figures.magnitude_map(result, name),
            captions.magnitude_map(result.magnitudes[name]),
            result.magnitudes[name].label,
            themed=False,
        )
        for name in drawn_maps(result)
        if name in result.magnitudes
    ]


def scatters(result: IndependenceResult) -> dict[str, list[Drawing]]:
    """The most dependent pairs point by point, by representation."""
    return {
        name: [_scatter(result, name, rank) for rank in range(len(worst_pairs(result.pairwise[name])))]
        for name in drawn_maps(result)
        if name in result.samples
    }


def _scatter(result: IndependenceResult, name: str, rank: int) -> Drawing:
    figure, alt = figures.pair_scatter(result, name, rank), captions.pair_scatter(result, name, rank)
    # The axes bear the names, and captions of one line keep the panels level.
    words = f"{'Next' if rank else 'Strongest pair'}: {pair_dependence(result, name, rank)}"
    return drawing(f"figure-pair-{name}-{rank}", figure, alt, words)


def quantiles(result: IndependenceResult) -> list[Drawing]:
    """Normal quantile plots of the latents, or of those farthest from normal."""
    return [
        drawing(
            f"figure-quantiles-{index}",
            figures.quantile_plot(result, index),
            captions.quantile_plot(result.gaussianity.latents[index]),
            result.gaussianity.latents[index].name,
        )
        for index in figures.worst_latents(result, figures.QUANTILE_PANELS)
    ]


def round_trip(result: IndependenceResult) -> list[Drawing]:
    """Errors of going there and back."""
    alt = captions.round_trip_histogram(result)
    return [drawing("figure-round-trip", figures.round_trip_histogram(result), alt)]


def training(result: IndependenceResult) -> list[Drawing]:
    """The losses by step, where they were recorded."""
    if not any(curve(result.history, name)[0].size for name in ("train_loss", "validation_loss")):
        return []
    return [drawing("figure-training", figures.training_curve(result), captions.training_curve(result))]


def overfit(result: IndependenceResult) -> list[Drawing]:
    """−log p of training rows beside that of the evaluated ones, where the former is known."""
    if result.neg_log_prob_train is None:
        return []
    return [drawing("figure-overfit", figures.overfit_chart(result), captions.overfit(result))]
