"""One function per figure of the independence report, each from the result alone, each a new ``Figure``.

No pyplot and no global state: ``ledger_chart(result).savefig("ledger.pdf")`` works in a script, a server or a
notebook. Figures are transparent and sized to be read at their natural size on a phone. Dependence and total
correlation are in nats, and the axes say so.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from latentflow.analysis.results import Gaussianity, IndependenceResult
from latentflow.report import numbers
from latentflow.report.drawing import PALETTE, axes_in, curve, legend, printable, styled, thinned, title
from latentflow.report.maps import FLOOR_NATS, MAPS, magnitude_map, pairwise_map, pairwise_maps
from latentflow.report.scatter import pair_scatter, pair_scatters

__all__ = [
    "FLOOR_NATS",
    "MAPS",
    "ledger_chart",
    "magnitude_map",
    "overfit_chart",
    "pair_scatter",
    "pair_scatters",
    "pairwise_map",
    "pairwise_maps",
    "quantile_plot",
    "quantile_plots",
    "round_trip_histogram",
    "training_curve",
    "worst_latents",
]

QUANTILE_PANELS = 8


def ledger_chart(result: IndependenceResult) -> Figure:
    """Total correlation that each representation removed relative to the raw columns, nats, with intervals.

    Parameters
    ----------
    result : IndependenceResult

    Returns
    -------
    Figure
        One horizontal bar per entry of the ledger, its figures written beside its name.
    """
    entries = result.ledger.entries
    figure = Figure(figsize=(4.5, 0.58 * len(entries) + 0.7), layout="constrained")
    axes = axes_in(figure)
    places = np.arange(len(entries))
    measured = [place for place in places if entries[place].name != result.ledger.reference]
    estimates = np.array([entry.removed.estimate for entry in entries])
    low = estimates - [entry.removed.low for entry in entries]
    high = [entry.removed.high for entry in entries] - estimates
    reach = np.maximum(0.0, [low, high])[:, measured]  # a bootstrap interval need not hold its estimate
    colours = [PALETTE["accent" if entry.name == "latents" else "second"] for entry in entries]
    axes.barh(places, estimates, height=0.55, color=colours)
    axes.errorbar(
        estimates[measured],
        places[measured],
        xerr=reach,
        fmt="none",
        ecolor=PALETTE["ink"],
        elinewidth=1.4,
        capsize=4,
    )
    axes.axvline(0.0, color=PALETTE["muted"], linewidth=1.0)
    texts = [
        "reference" if entry.name == result.ledger.reference else numbers.with_bounds(entry.removed)
        for entry in entries
    ]
    labels = [f"{printable(entry.label)}\n{text}" for entry, text in zip(entries, texts, strict=True)]
    axes.set_yticks(places, labels, parse_math=False)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelcolor=PALETTE["ink"])
    axes.set_xlabel("total correlation removed (nats)")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="x", color=PALETTE["line"], linewidth=0.6)
    axes.spines["left"].set_visible(False)
    return figure


def quantile_plots(result: IndependenceResult, limit: int = QUANTILE_PANELS) -> Figure:
    """Normal quantile plots of the latents as small multiples: all of them, or the ``limit`` worst.

    The band holds 95 % of such quantiles, point by point, under N(0, 1).
    """
    chosen = worst_latents(result, limit)
    across = min(4, len(chosen))
    down = math.ceil(len(chosen) / across)
    figure = Figure(figsize=(2.1 * across, 2.2 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, index in zip(panels, chosen, strict=False):
        _draw_quantiles(axes, result.gaussianity, index)
        axes.set_title(printable(result.gaussianity.latents[index].name), parse_math=False, **title())
    for axes in panels[len(chosen) :]:
        axes.set_visible(False)
    return figure


def quantile_plot(result: IndependenceResult, index: int) -> Figure:
    """The normal quantile plot of latent number ``index``, a panel of :func:`quantile_plots` on its own."""
    figure = Figure(figsize=(1.85, 1.8), layout="constrained")
    _draw_quantiles(axes_in(figure, size=8.0), result.gaussianity, index)
    return figure


def training_curve(result: IndependenceResult) -> Figure:
    """Training and validation loss of the denoiser by step; the lowest validation loss is marked."""
    figure = Figure(figsize=(4.5, 2.8), layout="constrained")
    axes = axes_in(figure)
    train = curve(result.history, "train_loss")
    validation = curve(result.history, "validation_loss")
    dashes = (0, (4, 1.5))
    axes.plot(*thinned(*train), color=PALETTE["second"], linewidth=1.2, linestyle=dashes, label="training")
    axes.plot(*validation, color=PALETTE["accent"], linewidth=1.8, label="validation")
    if validation[1].size:
        best = int(np.argmin(validation[1]))
        lowest = (validation[0][best], validation[1][best])
        axes.plot(*lowest, "o", color=PALETTE["accent"], markersize=5, label="best")
    losses = np.concatenate([train[1], validation[1]])
    if losses.size and losses.min() > 0 and losses.max() > 10 * np.median(losses):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("training step")
    axes.set_ylabel("denoising loss (no unit)")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.count(value)))
    axes.grid(color=PALETTE["line"], linewidth=0.6)
    legend(axes)
    return figure


def overfit_chart(result: IndependenceResult) -> Figure:
    """−log p on training rows and on the evaluated rows side by side, nats, with their 95 % intervals.

    Parameters
    ----------
    result : IndependenceResult
        Its ``neg_log_prob_train`` may be missing: then the evaluated rows stand alone.
    """
    evaluated = "held-out rows" if result.rows.which == "held out" else "these rows"
    shown = [
        ("training rows", result.neg_log_prob_train, "second"),
        (evaluated, result.neg_log_prob, "accent"),
    ]
    figure = Figure(figsize=(4.5, 1.7), layout="constrained")
    axes = axes_in(figure)
    labels = []
    for place, (label, interval, colour) in enumerate(shown):
        labels.append(f"{label}\n{numbers.with_bounds(interval)}")
        if interval is not None:
            ends = [interval.low, interval.high]
            axes.plot(ends, [place, place], color=PALETTE[colour], linewidth=5, solid_capstyle="butt")
            axes.plot(interval.estimate, place, "o", color=PALETTE["ink"], markersize=6)
    axes.set_yticks(range(len(shown)), labels)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=PALETTE["ink"])
    axes.set_xlabel("−log p (nats), lower is better")
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", numbers.MINUS)))
    axes.grid(axis="x", color=PALETTE["line"], linewidth=0.6)
    axes.spines["left"].set_visible(False)
    return figure


def round_trip_histogram(result: IndependenceResult) -> Figure:
    """Rows by their largest round-trip error, in standard deviations of the column, on a logarithmic axis.

    Rows that came back without any error stand in a bar of their own at the left.
    """
    figure = Figure(figsize=(4.5, 2.8), layout="constrained")
    axes = axes_in(figure)
    histogram = result.round_trip.histogram
    edges, counts = np.asarray(histogram.edges, dtype=float), np.asarray(histogram.counts, dtype=float)
    places: dict[float, str] = {}
    left, span = 0.0, 1.0
    if edges.size > 1 and counts.sum() > 0:
        axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=PALETTE["accent"])
        powers = range(math.ceil(edges[0]), math.floor(edges[-1]) + 1)
        places = {float(power): numbers.power_of_ten(power) for power in powers[:: len(powers) // 7 + 1]}
        span = float(edges[-1] - edges[0])
        left = float(edges[0]) - 0.16 * span
    if histogram.exact:
        width = 0.08 * span
        axes.bar(left, histogram.exact, width=width, color=PALETTE["second"], hatch="//", edgecolor="none")
        places[left] = "exact"
        axes.set_xlim(left - 2 * width, edges[-1] + width if counts.sum() else left + 2 * width)
    axes.set_xticks(list(places), list(places.values()))
    axes.set_xlabel("largest error in a row (standard deviations of its column)")
    axes.set_ylabel("rows")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.count(value)))
    axes.grid(axis="y", color=PALETTE["line"], linewidth=0.6)
    return figure


def worst_latents(result: IndependenceResult, limit: int) -> list[int]:
    """Indices of the ``limit`` latents farthest from normal (Anderson–Darling); of all in their own order."""
    latents = result.gaussianity.latents
    if len(latents) <= limit:
        return list(range(len(latents)))
    return sorted(range(len(latents)), key=lambda index: -latents[index].anderson_darling)[:limit]


def _draw_quantiles(axes: Axes, gaussianity: Gaussianity, index: int) -> None:
    styled(axes, 8.0)
    normal = np.asarray(gaussianity.normal_quantiles, dtype=float)
    latent = np.asarray(gaussianity.quantiles, dtype=float)[index]
    band = np.asarray(gaussianity.quantile_band, dtype=float)
    reach = 1.05 * min(8.0, max(float(np.abs(normal).max()), float(np.abs(latent).max())))
    axes.fill_between(normal, normal - band, normal + band, color=PALETTE["band"], linewidth=0)
    axes.plot([-reach, reach], [-reach, reach], color=PALETTE["muted"], linewidth=0.8)
    axes.plot(normal, latent, ".", color=PALETTE["accent"], markersize=3.2)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    ticks = [-2, 0, 2] if reach < 5 else [-5, 0, 5]
    axes.set_xticks(ticks, [numbers.fixed(tick, 0) for tick in ticks])
    axes.set_yticks(ticks, [numbers.fixed(tick, 0) for tick in ticks])
    axes.set_xlabel("normal quantile", labelpad=1)
    axes.set_ylabel("latent quantile", labelpad=1)
