"""Heat maps over the pairs of columns: dependence in nats, and the correlation of magnitudes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from latentflow.analysis.results import IndependenceResult
from latentflow.report import numbers
from latentflow.report.drawing import PALETTE, printable, short_names, styled, title

# Single hue, lightness falling all the way: it survives greyscale printing and colour blindness.
NATS_MAP = LinearSegmentedColormap.from_list(
    "nats", ["#f4f7fa", "#cfe0f0", "#8ab6dc", "#3f80bf", "#1c4f8f", "#0d2a52"], N=256
)
# Orange below zero and blue above it, which colour-blind readers tell apart; pale at zero.
SIGNED_MAP = LinearSegmentedColormap.from_list(
    "signed", ["#6b3200", "#b8620f", "#efc08a", "#f6f6f4", "#9cc3e4", "#2f74b5", "#0d2a52"], N=256
)
DIAGONAL = "#d5dae0"
MAPS = ("raw", "fastica", "latents")  # the representations that are drawn; the others are in the tables
TICKS_UP_TO = 24  # columns that get a name along the axes of a heat map
VALUES_UP_TO = 6  # columns up to which the cells of a heat map carry their value
FLOOR_NATS = 0.01  # a colour scale ends here at the lowest: below it all is noise at any usual number of rows
FLOOR_CORRELATION = 0.1
WIDTH, GAP, SQUARE = 3.5, 0.12, 2.4  # inches
BAR = 0.88  # inches at the right for the colour bar with its gap, ticks and name


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
        pairwise = result.pairwise[name]
        image = _draw_map(axes, pairwise.nats, pairwise.columns, NATS_MAP, norm, SQUARE)
        axes.set_title(printable(pairwise.label), parse_math=False, **title())
    if image is not None:
        _nats_bar(figure, image, norm, ax=list(panels), shrink=0.75)
    return figure


def pairwise_map(result: IndependenceResult, name: str, scale: Sequence[str] = MAPS) -> Figure:
    """One panel of :func:`pairwise_maps` on its own, with the colour scale that all of ``scale`` share.

    The panels of a result have the same width and the same square in the same place, so that they line up.
    """
    shown = [key for key in scale if key in result.pairwise]
    names = [result.pairwise[key].columns for key in shown]
    pairwise = result.pairwise[name]
    figure, axes, bar, square = _single(pairwise.columns, names or [pairwise.columns])
    norm = _nats_norm(result, shown)
    image = _draw_map(axes, pairwise.nats, pairwise.columns, NATS_MAP, norm, square)
    _nats_bar(figure, image, norm, cax=bar)
    return figure


def magnitude_map(result: IndependenceResult, name: str, scale: Sequence[str] = MAPS) -> Figure:
    """Spearman correlation of the magnitudes |yᵢ − median| of every pair of columns of one representation.

    Parameters
    ----------
    result : IndependenceResult
    name : str
        Key of ``result.magnitudes``.
    scale : sequence of str
        The representations that share the colour scale, which is symmetric about zero.
    """
    shown = [key for key in scale if key in result.magnitudes]
    names = [result.magnitudes[key].columns for key in shown]
    record = result.magnitudes[name]
    figure, axes, bar, square = _single(record.columns, names or [record.columns])
    top = max([FLOOR_CORRELATION, *(abs(float(result.magnitudes[key].max_abs)) for key in (*shown, name))])
    norm = Normalize(-top, top)
    image = _draw_map(axes, record.correlation, record.columns, SIGNED_MAP, norm, square)
    ticks = [-top, -top / 2, 0.0, top / 2, top]
    _bar(figure, image, ticks, [numbers.fixed(tick, 2) for tick in ticks], "correlation of |·|", cax=bar)
    return figure


def _single(columns: Sequence[str], beside: Sequence[Sequence[str]]) -> tuple[Figure, Axes, Axes, float]:
    """A figure with one square for a map and a narrow place for its bar, lined up with the maps beside it."""
    left = max(_label_room(names) for names in beside)
    below = _label_room(columns)
    square = min(SQUARE, WIDTH - left - BAR)
    height = below + square + GAP
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((left / WIDTH, below / height, square / WIDTH, square / height))
    bar_left = (left + square + GAP) / WIDTH
    bar = figure.add_axes((bar_left, below / height, GAP / WIDTH, square / height))
    return figure, axes, bar, square


def _nats_norm(result: IndependenceResult, names: Sequence[str]) -> PowerNorm:
    top = max((result.pairwise[name].max_nats for name in names), default=FLOOR_NATS)
    return PowerNorm(0.5, vmin=0.0, vmax=max(top, FLOOR_NATS))


def _map_labels(columns: Sequence[str]) -> list[str]:
    return [] if len(columns) > TICKS_UP_TO else short_names(columns)


def _label_room(columns: Sequence[str]) -> float:
    """Inches that the names along an axis of a heat map need."""
    longest = max((len(label) for label in _map_labels(columns)), default=0)
    return 0.12 + 0.076 * longest if longest else 0.3


def _draw_map(
    axes: Axes, matrix: np.ndarray, columns: Sequence[str], colours: Colormap, norm: Normalize, size: float
) -> AxesImage:
    """One matrix as a square of ``size`` inches, with names and values as far as they can be read."""
    styled(axes, 9.0)
    values = np.array(matrix, dtype=float)
    np.fill_diagonal(values, np.nan)
    image = axes.imshow(values, cmap=colours.with_extremes(bad=DIAGONAL), norm=norm, interpolation="nearest")
    places = range(len(columns))
    labels = _map_labels(columns)
    letters = min(9.0, max(5.5, 0.8 * 72 * size / max(1, len(labels))))
    if labels:
        axes.set_xticks(places, labels, rotation=90, fontsize=letters, parse_math=False)
        axes.set_yticks(places, labels, fontsize=letters, parse_math=False)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"{len(columns)} columns", fontsize=9.0)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(PALETTE["line"])
    if len(columns) <= VALUES_UP_TO:
        _write_values(axes, values, norm, letters=min(7.0, 0.27 * 72 * size / len(columns)))
    return image


def _write_values(axes: Axes, values: np.ndarray, norm: Normalize, letters: float) -> None:
    low = float(norm.vmin or 0.0)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            size = abs(value)
            text = "0" if size < 0.0005 else numbers.fixed(value, 3 if size < 0.1 and low == 0 else 2)
            depth = abs(2 * norm(value) - 1) if low < 0 else norm(value)
            colour = "#ffffff" if depth > 0.55 else PALETTE["ink"]
            axes.text(column, row, text, ha="center", va="center", fontsize=letters, color=colour)


def _nats_bar(figure: Figure, image: AxesImage, norm: Normalize, **where: Any) -> None:
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
    _bar(figure, image, ticks, [f"{tick:.2g}" for tick in ticks], "dependence (nats)", **where)


def _bar(
    figure: Figure, image: AxesImage, ticks: Sequence[float], labels: Sequence[str], name: str, **where: Any
) -> None:
    bar = figure.colorbar(image, **where)
    bar.set_ticks(list(ticks), labels=list(labels))
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=8.5, color=PALETTE["muted"], labelcolor=PALETTE["ink"], length=2)
    bar.set_label(name, fontsize=9, color=PALETTE["ink"])
    bar.outline.set_visible(False)
