"""The most dependent pairs point by point, in each representation's own units."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from latentflow.analysis.measures import PAIRS_SHOWN
from latentflow.analysis.results import IndependenceResult
from latentflow.report import numbers
from latentflow.report.drawing import PALETTE, axes_in, printable, styled, title
from latentflow.report.maps import MAPS

INNER_SPANS = 3.0  # times the span of the inner 98 % of the points: a frame that would be wider is cut to it
NAME_CHARACTERS = 24


def pair_scatters(
    result: IndependenceResult, names: Sequence[str] = MAPS, limit: int = PAIRS_SHOWN
) -> Figure:
    """The ``limit`` most dependent pairs of each representation, one representation a column, worst on top.

    Parameters
    ----------
    result : IndependenceResult
    names : sequence of str
        Keys of ``result.samples``; those that it lacks are left out.
    limit : int

    Returns
    -------
    Figure
        Points are evaluated rows. Every representation has pairs of its own: the columns of the table, its
        components, the latents.
    """
    shown = [name for name in names if name in result.samples and name in result.pairwise]
    pairs = {name: result.pairwise[name].strongest(limit) for name in shown}
    down = max([1, *map(len, pairs.values())])
    figure = Figure(figsize=(2.6 * max(1, len(shown)), 2.6 * down), layout="constrained")
    panels = figure.subplots(down, max(1, len(shown)), squeeze=False)
    for column, name in zip(panels.T, shown, strict=False):
        for axes in column[len(pairs[name]) :]:
            axes.set_visible(False)
        for axes, pair in zip(column, pairs[name], strict=False):
            _draw_pair(styled(axes, 8.0), result, name, pair)
            label = result.pairwise[name].label
            axes.set_title(f"{printable(label)}: {_nats(result, name, pair)}", parse_math=False, **title())
    if not shown:
        panels[0, 0].set_visible(False)
    return figure


def pair_scatter(result: IndependenceResult, name: str, rank: int = 0) -> Figure:
    """The pair of rank ``rank`` (0 is the most dependent) of one representation, on its own."""
    figure = Figure(figsize=(2.5, 2.4), layout="constrained")
    pair = result.pairwise[name].strongest(rank + 1)[rank]
    _draw_pair(axes_in(figure, size=8.5), result, name, pair)
    return figure


def pair_title(result: IndependenceResult, name: str, rank: int = 0) -> str:
    """What :func:`pair_scatter` shows: the two names and their dependence."""
    pair = result.pairwise[name].strongest(rank + 1)[rank]
    first, second = (result.pairwise[name].columns[index] for index in pair)
    return f"{first} and {second}, {_nats(result, name, pair)}"


def pair_dependence(result: IndependenceResult, name: str, rank: int = 0) -> str:
    """How dependent the pair of :func:`pair_scatter` is, with its unit."""
    return _nats(result, name, result.pairwise[name].strongest(rank + 1)[rank])


def framed(values: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Bounds of a frame for ``values`` and the values moved to its edge where they lie beyond it.

    The frame holds everything, unless a few far values would squeeze the others together: then it reaches
    ``INNER_SPANS`` spans of the inner 98 % from their middle.
    """
    values = np.asarray(values, dtype=float)
    low, high = (float(bound) for bound in np.quantile(values, [0.01, 0.99]))
    span = high - low
    least, most = float(values.min()), float(values.max())
    if span <= 0:
        span = max(most - least, abs(most) * 1e-3, 1e-12)
    middle = 0.5 * (low + high)
    least, most = max(least, middle - INNER_SPANS / 2 * span), min(most, middle + INNER_SPANS / 2 * span)
    margin = 0.04 * max(most - least, span * 0.1)
    return least - margin, most + margin, np.clip(values, least, most)


def _draw_pair(axes: Axes, result: IndependenceResult, name: str, pair: tuple[int, int]) -> None:
    values = np.asarray(result.samples[name], dtype=float)
    names = [result.pairwise[name].columns[index] for index in pair]
    left, right, x = framed(values[:, pair[0]])
    bottom, top, y = framed(values[:, pair[1]])
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    colour = PALETTE["accent"] if name == "latents" else PALETTE["muted"]
    axes.add_patch(_points(x, y, colour, right - left))
    axes.set_xlabel(printable(names[0], NAME_CHARACTERS), parse_math=False)
    axes.set_ylabel(printable(names[1], NAME_CHARACTERS), parse_math=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
        axis.set_major_formatter(FuncFormatter(_tick))


def _points(x: np.ndarray, y: np.ndarray, colour: str, width: float) -> PathPatch:
    """Round dots as one path of very short strokes: a tenth of the size of as many markers."""
    ends = np.stack([np.stack([x, y], axis=1), np.stack([x + 1e-3 * width, y], axis=1)], axis=1)
    codes = np.tile([Path.MOVETO, Path.LINETO], len(x))
    path = Path(ends.reshape(-1, 2), codes)
    path.should_simplify = False
    return PathPatch(
        path, fill=False, edgecolor=colour, linewidth=2.2, alpha=0.6, capstyle="round", clip_on=False
    )


def _tick(value: float, _: int) -> str:
    """A short tick: plain where it is, in thousands of powers of ten where it is not."""
    if value and not 1e-3 <= abs(value) < 1e5:
        exponent = math.floor(math.log10(abs(value)))
        return f"{value / 10.0**exponent:.3g}·{numbers.power_of_ten(exponent)}".replace("-", numbers.MINUS)
    return f"{value:.6g}".replace("-", numbers.MINUS)


def _nats(result: IndependenceResult, name: str, pair: tuple[int, int]) -> str:
    return f"{numbers.nats(float(result.pairwise[name].nats[pair]))} nats"
