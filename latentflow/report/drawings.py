"""The drawings of the independence report as markup, with the words that stand under them and in for them.

Each function takes a result; what a result has nothing for is empty.
"""

from __future__ import annotations

from latentflow.analysis.results import IndependenceResult
from latentflow.report import figures, numbers
from latentflow.report.drawing import curve
from latentflow.report.page import Drawing, drawing
from latentflow.report.scatter import pair_dependence, pair_title


def drawn_maps(result: IndependenceResult) -> list[str]:
    """The representations whose pairs are drawn; none where there is but one coordinate."""
    several = len(result.pairwise["latents"].columns) > 1
    return [name for name in figures.MAPS if name in result.pairwise and several]


def ledger(result: IndependenceResult) -> list[Drawing]:
    """Total correlation removed by each representation."""
    return [drawing("figure-ledger", figures.ledger_chart(result), ledger_in_words(result))]


def ledger_in_words(result: IndependenceResult) -> str:
    """What :func:`~latentflow.report.figures.ledger_chart` shows."""
    parts = [
        f"{entry.label} {numbers.with_bounds(entry.removed)}"
        for entry in result.ledger.entries
        if entry.name != result.ledger.reference
    ]
    reference = result.ledger.entry(result.ledger.reference).label
    return f"Bar chart of total correlation removed relative to {reference}, nats: {'; '.join(parts)}."


def maps(result: IndependenceResult) -> list[Drawing]:
    """Dependence of all pairs, one map for each representation."""
    drawn = []
    for name in drawn_maps(result):
        pairs = result.pairwise[name]
        first, second = (pairs.columns[index] for index in pairs.max_pair)
        alt = (
            f"Heat map, {pairs.label}: dependence of every pair of {len(pairs.columns)} columns, "
            f"at most {numbers.nats(pairs.max_nats)} nats, between {first} and {second}; "
            f"on average {numbers.nats(pairs.mean_nats)} nats."
        )
        figure = figures.pairwise_map(result, name)
        # A colour scale is not the page's to choose: the whole drawing is inverted on a dark screen.
        drawn.append(drawing(f"figure-map-{name}", figure, alt, pairs.label, themed=False))
    return drawn


def magnitudes(result: IndependenceResult) -> list[Drawing]:
    """Correlation of magnitudes of all pairs, one map for each representation."""
    drawn = []
    for name in drawn_maps(result):
        if (record := result.magnitudes.get(name)) is None:
            continue
        first, second = (record.columns[index] for index in record.max_pair)
        strongest = numbers.fixed(float(record.correlation[record.max_pair]), 3)
        alt = (
            f"Heat map, {record.label}: rank correlation of the magnitudes of every pair of "
            f"{len(record.columns)} columns, strongest {strongest} between {first} and {second}."
        )
        figure = figures.magnitude_map(result, name)
        drawn.append(drawing(f"figure-magnitudes-{name}", figure, alt, record.label, themed=False))
    return drawn


def scatters(result: IndependenceResult) -> dict[str, list[Drawing]]:
    """The most dependent pairs point by point, by representation."""
    return {
        name: [_scatter(result, name, rank) for rank in range(len(result.pairwise[name].strongest()))]
        for name in drawn_maps(result)
        if name in result.samples
    }


def _scatter(result: IndependenceResult, name: str, rank: int) -> Drawing:
    rows = numbers.count(len(result.samples[name]))
    alt = f"Scatter plot, {result.pairwise[name].label}, {rows} rows: {pair_title(result, name, rank)}."
    # The axes bear the names, and captions of one line keep the panels level.
    caption = f"{'Next' if rank else 'Strongest pair'}: {pair_dependence(result, name, rank)}"
    return drawing(f"figure-pair-{name}-{rank}", figures.pair_scatter(result, name, rank), alt, caption)


def quantiles(result: IndependenceResult) -> list[Drawing]:
    """Normal quantile plots of the latents, or of those farthest from normal."""
    drawn = []
    for index in figures.worst_latents(result, figures.QUANTILE_PANELS):
        latent = result.gaussianity.latents[index]
        alt = (
            f"Normal quantile plot of {latent.name}: standard deviation {numbers.fixed(latent.std, 3)}, "
            f"skewness {numbers.fixed(latent.skewness, 3)}, "
            f"excess kurtosis {numbers.fixed(latent.excess_kurtosis, 3)}."
        )
        figure = figures.quantile_plot(result, index)
        drawn.append(drawing(f"figure-quantiles-{index}", figure, alt, latent.name))
    return drawn


def round_trip(result: IndependenceResult) -> list[Drawing]:
    """Errors of going there and back."""
    trip = result.round_trip
    alt = (
        f"Histogram of the largest round-trip error of each of {numbers.count(trip.n)} rows, in standard "
        f"deviations of its column: median {numbers.small(trip.data_q50)}, "
        f"99 % below {numbers.small(trip.data_q99)}, maximum {numbers.small(trip.data_max)}; "
        f"{numbers.percent(trip.exact_rows)} restored bit by bit."
    )
    return [drawing("figure-round-trip", figures.round_trip_histogram(result), alt)]


def training(result: IndependenceResult) -> list[Drawing]:
    """The losses by step, where they were recorded."""
    parts = []
    for name, label in (("train_loss", "training"), ("validation_loss", "validation")):
        steps, losses = curve(result.history, name)
        if losses.size:
            best = int(losses.argmin())
            parts.append(
                f"{label} loss from {losses[0]:.4g} to {losses[-1]:.4g}, "
                f"lowest {losses[best]:.4g} at step {numbers.count(steps[best])}"
            )
    if not parts:
        return []
    alt = f"Line chart of the denoising loss by training step: {'; '.join(parts)}."
    return [drawing("figure-training", figures.training_curve(result), alt)]


def overfit(result: IndependenceResult) -> list[Drawing]:
    """−log p of training rows beside that of the evaluated ones, where the former is known."""
    if result.neg_log_prob_train is None:
        return []
    evaluated = "held-out rows" if result.rows.which == "held out" else "the evaluated rows"
    alt = (
        f"Intervals of −log p in nats: {numbers.with_bounds(result.neg_log_prob_train)} on training rows, "
        f"{numbers.with_bounds(result.neg_log_prob)} on {evaluated}."
    )
    return [drawing("figure-overfit", figures.overfit_chart(result), alt)]
