"""What each figure shows, in words: the text that stands in for it where it is not seen."""

from __future__ import annotations

from latentflow.analysis.dependence.magnitudes import Magnitudes
from latentflow.analysis.results import IndependenceResult, LatentGaussianity, PairwiseDependence
from latentflow.report import numbers
from latentflow.report.drawing import curve
from latentflow.report.scatter import pair_title


def ledger(result: IndependenceResult) -> str:
    """Of :func:`~latentflow.report.figures.ledger_chart`."""
    parts = [
        f"{entry.label} {numbers.with_bounds(entry.removed)}"
        for entry in result.ledger.entries
        if entry.name != result.ledger.reference
    ]
    reference = result.ledger.entry(result.ledger.reference).label
    return f"Bar chart of total correlation removed relative to {reference}, nats: {'; '.join(parts)}."


def pairwise_map(pairwise: PairwiseDependence) -> str:
    """Of :func:`~latentflow.report.figures.pairwise_map`."""
    first, second = (pairwise.columns[index] for index in pairwise.max_pair)
    return (
        f"Heat map, {pairwise.label}: dependence of every pair of {len(pairwise.columns)} columns, "
        f"at most {numbers.nats(pairwise.max_nats)} nats, between {first} and {second}; "
        f"on average {numbers.nats(pairwise.mean_nats)} nats."
    )


def magnitude_map(magnitudes: Magnitudes) -> str:
    """Of :func:`~latentflow.report.figures.magnitude_map`."""
    first, second = (magnitudes.columns[index] for index in magnitudes.max_pair)
    value = float(magnitudes.correlation[magnitudes.max_pair])
    return (
        f"Heat map, {magnitudes.label}: rank correlation of the magnitudes of every pair of "
        f"{len(magnitudes.columns)} columns, strongest {numbers.fixed(value, 3)} between {first} and {second}."
    )


def pair_scatter(result: IndependenceResult, name: str, rank: int) -> str:
    """Of :func:`~latentflow.report.figures.pair_scatter`."""
    points = numbers.count(len(result.samples[name]))
    label = result.pairwise[name].label
    return f"Scatter plot, {label}, {points} rows: {pair_title(result, name, rank)}."


def overfit(result: IndependenceResult) -> str:
    """Of :func:`~latentflow.report.figures.overfit_chart`."""
    evaluated = "held-out rows" if result.rows.which == "held out" else "the evaluated rows"
    return (
        f"Intervals of −log p in nats: {numbers.with_bounds(result.neg_log_prob_train)} on training rows, "
        f"{numbers.with_bounds(result.neg_log_prob)} on {evaluated}."
    )


def quantile_plot(latent: LatentGaussianity) -> str:
    """Of :func:`~latentflow.report.figures.quantile_plot`."""
    return (
        f"Normal quantile plot of {latent.name}: standard deviation {numbers.fixed(latent.std, 3)}, "
        f"skewness {numbers.fixed(latent.skewness, 3)}, "
        f"excess kurtosis {numbers.fixed(latent.excess_kurtosis, 3)}."
    )


def training_curve(result: IndependenceResult) -> str:
    """Of :func:`~latentflow.report.figures.training_curve`."""
    parts = []
    for name, label in (("train_loss", "training"), ("validation_loss", "validation")):
        steps, losses = curve(result.history, name)
        if losses.size:
            best = int(losses.argmin())
            parts.append(
                f"{label} loss from {losses[0]:.4g} to {losses[-1]:.4g}, "
                f"lowest {losses[best]:.4g} at step {numbers.count(steps[best])}"
            )
    return f"Line chart of the denoising loss by training step: {'; '.join(parts)}."


def round_trip_histogram(result: IndependenceResult) -> str:
    """Of :func:`~latentflow.report.figures.round_trip_histogram`."""
    trip = result.round_trip
    return (
        f"Histogram of the largest round-trip error of each of {numbers.count(trip.n)} rows, in standard "
        f"deviations of its column: median {numbers.small(trip.data_q50)}, "
        f"99 % below {numbers.small(trip.data_q99)}, maximum {numbers.small(trip.data_max)}; "
        f"{numbers.percent(trip.exact_rows)} restored bit by bit."
    )
