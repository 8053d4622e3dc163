"""What all figures share: colours, axes, names short enough for a tick, curves thin enough for a drawing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# The page replaces these by its own custom properties of the same name (--fig-ink, …).
PALETTE = {
    "ink": "#1d2733",
    "muted": "#5b6876",
    "line": "#c9d1da",
    "accent": "#1b5fae",
    "second": "#97a3b1",
    "band": "#dbe6f3",
}
CURVE_POINTS = 400
LABEL_CHARACTERS = 14


def axes_in(figure: Figure, size: float = 9.5) -> Axes:
    """The only axes of a figure, styled."""
    return styled(figure.add_subplot(), size)


def styled(axes: Axes, size: float) -> Axes:
    """Axes with two quiet spines, in the named colours, with labels of ``size`` points."""
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALETTE["muted"])
    axes.tick_params(labelsize=size, colors=PALETTE["muted"], labelcolor=PALETTE["ink"])
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_fontsize(size)
        axis.label.set_color(PALETTE["ink"])
    return axes


def title() -> dict[str, Any]:
    """How the title of a panel is set."""
    return {"fontsize": 9.5, "color": PALETTE["ink"]}


def legend(axes: Axes) -> None:
    """A legend without a frame, where anything has a label."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9.5, labelcolor=PALETTE["ink"])


def thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve, or its means over equal runs where it has more points than a drawing can show."""
    run = math.ceil(values.size / CURVE_POINTS)
    if run <= 1:
        return steps, values
    starts = np.arange(0, values.size, run)
    lengths = np.diff(np.append(starts, values.size))
    return np.add.reduceat(steps, starts) / lengths, np.add.reduceat(values, starts) / lengths


def curve(history: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one recorded loss, without the steps at which it was not measured."""
    values = np.array([np.nan if value is None else value for value in history.get(name, ())], dtype=float)
    steps = np.array(history.get("step", ()), dtype=float)
    if steps.size != values.size:
        steps = np.arange(1.0, values.size + 1)
    measured = np.isfinite(values)
    return steps[measured], values[measured]


def printable(text: str, limit: int | None = None) -> str:
    """``text`` without control characters, and no longer than ``limit`` characters."""
    clean = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return clean if limit is None or len(clean) <= limit else clean[: limit - 1].rstrip() + "…"


def short_names(names: Sequence[str], limit: int = LABEL_CHARACTERS) -> list[str]:
    """Names cut to ``limit`` characters at the end; in the middle or numbered where two would read the same.

    >>> short_names(["Turbine sensor 1", "Turbine sensor 2"], limit=12)
    ['Turbine…or 1', 'Turbine…or 2']
    """
    clean = [printable(name) for name in names]
    ends = [printable(name, limit) for name in clean]
    tail = (limit - 1) // 2 - 1
    middles = [name if len(name) <= limit else f"{name[: limit - tail - 1]}…{name[-tail:]}" for name in clean]
    for shortened in (ends, middles):
        if len(set(shortened)) == len(names):
            return shortened
    twice = {name for name, times in Counter(ends).items() if times > 1}
    return [
        printable(f"{index} {name}", limit) if short in twice else short
        for index, (name, short) in enumerate(zip(clean, ends, strict=True))
    ]
