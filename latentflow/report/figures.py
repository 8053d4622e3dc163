"""One function per figure of the independence report, each from the result alone, each a new ``Figure``.

No pyplot and no global state: ``ledger_chart(result).savefig("ledger.pdf")`` works in a script, a server or a
notebook. Figures are transparent and sized to be read at their natural size on a phone. Dependence and total
correlation are in nats, and the axes say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator

from latentflow.analysis.results import Gaussianity, IndependenceResult, PairwiseDependence
from latentflow.report import numbers
from latentflow.report.drawing import (
    PALETTE,
    axes_in,
    curve,
    legend,
    printable,
    short_names,
    styled,
    thinned,
    title,
)

# Single hue, lightness falling all the way: it survives greyscale printing and colour blindness.
NATS_MAP = LinearSegmentedColormap.from_list(
    "nats", ["#f4f7fa", "#cfe0f0", "#8ab6dc", "#3f80bf", "#1c4f8f", "#0d2a52"], N=256
)
DIAGONAL = "#d5dae0"
MAPS = ("raw", "fastica", "latents")  # the representations that are drawn; PCA is in the tables
TICKS_UP_TO = 24  # columns that get a name along the axes of a heat map
VALUES_UP_TO = 6  # columns up to which the cells of a heat map carry their value
QUANTILE_PANELS = 8
FLOOR_NATS = 0.01  # a colour scale ends here at the lowest: below it all is noise at any usual number of rows


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


def pairwise_maps(result: IndependenceResult, names: Sequence[str] = MAPS) -> Figure:
    """Dependence of every pair of columns, side by side for several representations on one colour scale.

    Parameters
    ----------
    result : IndependenceResult
    names : sequence of str
        Keys of ``result.pairwise``; those that it lacks are left out.

    Returns
    -------
    Figure
        One map per name and one colour bar in nats; the scale is the square root, so that colour follows the
        equivalent correlation √(2 · nats) of a weak dependence.
    """
    shown = [name for name in names if name in result.pairwise]
    figure = Figure(figsize=(3.1 * len(shown) + 0.8, 3.6), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    norm = _nats_norm(result, shown)
    image = None
    for axes, name in zip(panels, shown, strict=True):
        image = _draw_map(axes, result.pairwise[name], norm, size=2.4)
        axes.set_title(printable(result.pairwise[name].label), parse_math=False, **title())
    if image is not None:
        _colour_bar(figure, image, norm, ax=list(panels), shrink=0.75)
    return figure


def pairwise_map(result: IndependenceResult, name: str, scale: Sequence[str] = MAPS) -> Figure:
    """One panel of :func:`pairwise_maps` on its own, with the colour scale that all of ``scale`` share.

    The panels of a result have the same width and the same square in the same place, so that they line up.
    """
    shown = [key for key in scale if key in result.pairwise]
    pairwise = result.pairwise[name]
    width, gap = 3.5, 0.12
    left = max((_label_room(result.pairwise[key]) for key in shown), default=_label_room(pairwise))
    below = _label_room(pairwise)
    square = min(2.4, width - left - 0.75)
    height = below + square + gap
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, below / height, square / width, square / height))
    norm = _nats_norm(result, shown)
    image = _draw_map(axes, pairwise, norm, size=square)
    bar_left = (left + square + gap) / width
    bar = figure.add_axes((bar_left, below / height, gap / width, square / height))
    _colour_bar(figure, image, norm, cax=bar)
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


def _nats_norm(result: IndependenceResult, names: Sequence[str]) -> PowerNorm:
    top = max((result.pairwise[name].max_nats for name in names), default=FLOOR_NATS)
    return PowerNorm(0.5, vmin=0.0, vmax=max(top, FLOOR_NATS))


def _map_labels(pairwise: PairwiseDependence) -> list[str]:
    if len(pairwise.columns) > TICKS_UP_TO:
        return []
    return short_names(pairwise.columns)


def _label_room(pairwise: PairwiseDependence) -> float:
    """Inches that the names along an axis of a heat map need."""
    longest = max((len(label) for label in _map_labels(pairwise)), default=0)
    return 0.12 + 0.076 * longest if longest else 0.3


def _draw_map(axes: Axes, pairwise: PairwiseDependence, norm: Normalize, size: float) -> AxesImage:
    styled(axes, 9.0)
    values = np.array(pairwise.nats, dtype=float)
    np.fill_diagonal(values, np.nan)
    colours = NATS_MAP.with_extremes(bad=DIAGONAL)
    image = axes.imshow(values, cmap=colours, norm=norm, interpolation="nearest")
    places = range(len(pairwise.columns))
    labels = _map_labels(pairwise)
    letters = min(9.0, max(5.5, 0.8 * 72 * size / max(1, len(labels))))
    if labels:
        axes.set_xticks(places, labels, rotation=90, fontsize=letters, parse_math=False)
        axes.set_yticks(places, labels, fontsize=letters, parse_math=False)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"{len(pairwise.columns)} columns", fontsize=9.0)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(PALETTE["line"])
    if len(pairwise.columns) <= VALUES_UP_TO:
        _write_values(axes, values, norm)
    return image


def _write_values(axes: Axes, values: np.ndarray, norm: Normalize) -> None:
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = "0" if value < 0.0005 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
            colour = "#ffffff" if norm(value) > 0.55 else PALETTE["ink"]
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)


def _colour_bar(figure: Figure, image: AxesImage, norm: Normalize, **where: Any) -> None:
    """A colour bar in nats, its ticks far enough apart on the square-root scale to be read."""
    top = float(norm.vmax or FLOOR_NATS)
    ticks = [top]
    for power in range(2, -5, -1):
        for digit in (3, 1):
            value = digit * 10.0**power
            if value < top and math.sqrt(ticks[-1]) - math.sqrt(value) > 0.15 * math.sqrt(top):
                ticks.append(value)
    # Zero takes the place of a tick too near to it.
    ticks = [tick for tick in ticks if math.sqrt(tick) > 0.12 * math.sqrt(top)] + [0.0]
    bar = figure.colorbar(image, **where)
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=8.5, color=PALETTE["muted"], labelcolor=PALETTE["ink"], length=2)
    bar.set_label("dependence (nats)", fontsize=9, color=PALETTE["ink"])
    bar.outline.set_visible(False)


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
