"""All drawings of the page as markup, by section, with the words that stand under and for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup
from matplotlib.figure import Figure

from latentflow.analysis.results import IndependenceResult
from latentflow.analysis.samples import worst_pairs
from latentflow.report import captions, figures
from latentflow.report.drawing import curve, printable
from latentflow.report.scatter import pair_dependence
from latentflow.report.svg import default_style, inline_svg


@dataclass(frozen=True)
class Drawing:
    """One figure as markup, with what stands under it."""

    caption: str
    svg: Markup


@dataclass(frozen=True)
class Drawings:
    """The figures of the page by section; a section without anything to draw is empty."""

    ledger: list[Drawing]
    quantiles: list[Drawing]
    round_trip: list[Drawing]
    maps: list[Drawing] = field(default_factory=list)
    scatters: dict[str, list[Drawing]] = field(default_factory=dict)
    magnitudes: list[Drawing] = field(default_factory=list)
    training: list[Drawing] = field(default_factory=list)
    overfit: list[Drawing] = field(default_factory=list)


def draw_all(result: IndependenceResult) -> Drawings:
    """Every figure of the page, whatever the user's matplotlib settings are."""
    with default_style():
        return Drawings(
            ledger=[_drawing("ledger", figures.ledger_chart(result), captions.ledger(result))],
            quantiles=[
                _quantiles(result, index) for index in figures.worst_latents(result, figures.QUANTILE_PANELS)
            ],
            round_trip=[
                _drawing(
                    "round-trip", figures.round_trip_histogram(result), captions.round_trip_histogram(result)
                )
            ],
            maps=[_map(result, name) for name in drawn_maps(result)],
            scatters=_scatters(result),
            magnitudes=[
                _magnitudes(result, name) for name in drawn_maps(result) if name in result.magnitudes
            ],
            training=_training(result),
            overfit=_overfit(result),
        )


def drawn_maps(result: IndependenceResult) -> list[str]:
    """The representations whose pairs are drawn; none where there is but one coordinate."""
    several = len(result.pairwise["latents"].columns) > 1
    return [name for name in figures.MAPS if name in result.pairwise and several]


def _drawing(name: str, figure: Figure, alt: str, caption: str = "", *, themed: bool = True) -> Drawing:
    svg = inline_svg(figure, f"figure-{name}", printable(alt), themed=themed)
    return Drawing(caption, Markup(svg))


def _map(result: IndependenceResult, name: str) -> Drawing:
    figure, alt = figures.pairwise_map(result, name), captions.pairwise_map(result.pairwise[name])
    # A colour scale is not the page's to choose: the whole drawing is inverted on a dark screen.
    return _drawing(f"map-{name}", figure, alt, result.pairwise[name].label, themed=False)


def _magnitudes(result: IndependenceResult, name: str) -> Drawing:
    figure, alt = figures.magnitude_map(result, name), captions.magnitude_map(result.magnitudes[name])
    return _drawing(f"magnitudes-{name}", figure, alt, result.magnitudes[name].label, themed=False)


def _scatters(result: IndependenceResult) -> dict[str, list[Drawing]]:
    shown = [name for name in drawn_maps(result) if name in result.samples]
    return {
        name: [_scatter(result, name, rank) for rank in range(len(worst_pairs(result.pairwise[name])))]
        for name in shown
    }


def _scatter(result: IndependenceResult, name: str, rank: int) -> Drawing:
    figure, alt = figures.pair_scatter(result, name, rank), captions.pair_scatter(result, name, rank)
    # The axes bear the names, and captions of one line keep the panels level.
    words = f"{'Next' if rank else 'Strongest pair'}: {pair_dependence(result, name, rank)}"
    return _drawing(f"pair-{name}-{rank}", figure, alt, words)


def _quantiles(result: IndependenceResult, index: int) -> Drawing:
    latent = result.gaussianity.latents[index]
    figure, alt = figures.quantile_plot(result, index), captions.quantile_plot(latent)
    return _drawing(f"quantiles-{index}", figure, alt, latent.name)


def _training(result: IndependenceResult) -> list[Drawing]:
    if not any(curve(result.history, name)[0].size for name in ("train_loss", "validation_loss")):
        return []
    return [_drawing("training", figures.training_curve(result), captions.training_curve(result))]


def _overfit(result: IndependenceResult) -> list[Drawing]:
    if result.neg_log_prob_train is None:
        return []
    return [_drawing("overfit", figures.overfit_chart(result), captions.overfit(result))]
