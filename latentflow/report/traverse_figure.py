"""Drawings of a traverse: how the columns, or the picture that they make up, change as one latent runs."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from latentflow.analysis.comparison.traverse import Traverse
from latentflow.report.drawing import PALETTE, axes_in, short_names
from latentflow.report.svg import default_style

COLUMNS_DRAWN = 4  # of one latent
_WIDTH, _HEIGHT = 3.7, 2.5  # inches
_STYLES = (("accent", "-", 2.2), ("ink", "-", 1.3), ("ink", "--", 1.3), ("muted", ":", 1.6))
_APART = 0.085  # of the height of the axes between the middles of two labels


def is_picture(traverse: Traverse) -> bool:
    """Whether a sample of the table is an image: two axes that are longer than one."""
    return len(picture_shape(traverse)) == 2


def picture_shape(traverse: Traverse) -> tuple[int, ...]:
    """The shape of a sample without its axes of length one; empty for a table of columns."""
    return tuple(size for size in traverse.sample_shape or () if size > 1)


def traverse_figure(traverse: Traverse, latent: int) -> Figure:
    """The columns that a latent moves most, or the images at both ends, in the middle, and how they differ."""
    with default_style():
        return _images(traverse, latent) if is_picture(traverse) else _lines(traverse, latent)


def _lines(traverse: Traverse, latent: int) -> Figure:
    figure = Figure(figsize=(_WIDTH, _HEIGHT))
    axes = axes_in(figure, 8.5)
    figure.subplots_adjust(left=0.14, right=0.68, bottom=0.19, top=0.96)
    shown = traverse.strongest(latent, COLUMNS_DRAWN)
    middle = int(np.argmin(np.abs(traverse.t)))
    ends: list[float] = []
    axes.axhline(0, color=PALETTE["line"], linewidth=0.8, zorder=0)
    for column, (colour, style, width) in zip(shown, _STYLES, strict=False):
        values = traverse.values[latent, :, column]
        y = (values - values[middle]) / traverse.spread[column]
        axes.plot(traverse.t, y, style, color=PALETTE[colour], linewidth=width)
        ends.append(float(y[-1]))
    axes.set_xlim(traverse.t[0], traverse.t[-1])
    low, high = axes.get_ylim()
    # a latent that moves nothing much shall look like one
    middle_y, reach = (low + high) / 2, max(high - low, 0.5) / 2
    axes.set_ylim(middle_y - reach, middle_y + reach)
    axes.set_xlabel(traverse.latent_names[latent])
    axes.set_ylabel("change, standard deviations")
    _label(axes, short_names([traverse.columns[column] for column in shown]), ends)
    return figure


def _label(axes: Axes, names: list[str], ends: list[float]) -> None:
    """Names beside the ends of their lines, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    places = np.clip((np.array(ends) - low) / (high - low), 0.03, 0.97)
    order = np.argsort(places, kind="stable")
    spaced = places[order]
    for i in range(1, len(spaced)):
        spaced[i] = max(spaced[i], spaced[i - 1] + _APART)
    spaced -= max(0.0, (spaced[-1] - 1.0)) if len(spaced) else 0.0
    for place, index in zip(spaced, order, strict=True):
        colour = PALETTE[_STYLES[index][0]]
        axes.annotate(
            names[index],
            (1.03, place),
            xycoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=colour,
            annotation_clip=False,
        )


def _images(traverse: Traverse, latent: int) -> Figure:
    """Images at the smallest, the middle and the largest value in one scale, and largest less smallest in its own."""
    height, width = picture_shape(traverse)
    size = _WIDTH / 4 * min(height / width, 3.0)
    figure = Figure(figsize=(_WIDTH, size + 0.25))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=size / (size + 0.25), wspace=0.06)
    samples = traverse.values[latent].reshape(len(traverse.t), height, width)
    low, high = float(traverse.values.min()), float(traverse.values.max())
    at = (0, int(np.argmin(np.abs(traverse.t))), len(traverse.t) - 1)
    for place, axes in zip(at, figure.subplots(1, 4)[:3], strict=True):
        axes.imshow(samples[place], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        _bare(axes, f"{traverse.t[place]:g}".replace("-", "\N{MINUS SIGN}"))
    axes, difference = figure.axes[3], samples[-1] - samples[0]
    bound = float(np.abs(difference).max()) or 1.0
    axes.imshow(difference, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
    _bare(axes, "difference")
    return figure


def _bare(axes: Axes, title: str) -> None:
    axes.set_axis_off()
    axes.set_title(title, fontsize=8.5, color=PALETTE["ink"])
