"""Pictures of error by evaluations; they compute nothing."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Solver → colour and line style, on the blended grid.
SOLVERS = {
    "heun": ("#9a9a9a", "-"),
    "rk4": ("#9a9a9a", "--"),
    "dp5": ("#9a9a9a", ":"),
    "dpm-solver-2": ("#c98bdb", "--"),
    "dpm-solver++2m": ("#8c2d8c", "-"),
    "dpm-solver++3m": ("#8c2d8c", "--"),
    "deis3": ("#8c2d8c", ":"),
    "unipc3": ("#c98bdb", "-"),
    "ab4": ("#2a7f3b", "--"),
    "eab4": ("#2a7f3b", "-"),
    "pec3": ("#0b6e99", "--"),
    "pec4": ("#0b6e99", "-"),
    "pec5": ("#0b6e99", ":"),
}
GRIDS = {"Karras": "#e08a4f", "programme": "#8c2d8c", "log-uniform": "#2a7f3b", "blended": "#0b6e99"}
CALIBRATED, DOPRI5 = "#1b1b1b", "#d1332e"
#: Evaluations and mean errors to reach.
TARGETS = ((20, 1e-3), (36, 1e-4))


def errors_figure(sets: dict[str, Any]) -> Figure:
    """A panel a set: solvers on the blended grid, calibrated grids, and dopri5 in σ."""
    drawing, panels = _panels(sets)
    for axes, (name, known) in zip(panels, sets.items(), strict=False):
        for solver, (colour, style) in SOLVERS.items():
            _line(
                axes, known["wide"]["lines"], solver, "blended", label=solver, color=colour, linestyle=style
            )
        _beside(axes, known)
        axes.set_title(f"{name}, blended grid")
    return _with_legend(drawing, panels, len(sets))


def grids_figure(sets: dict[str, Any]) -> Figure:
    """A panel a set: the predictor-corrector of order four by grid."""
    drawing, panels = _panels(sets)
    for axes, (name, known) in zip(panels, sets.items(), strict=False):
        for grid, colour in GRIDS.items():
            _line(
                axes,
                known["wide"]["lines"],
                "pec4",
                grid,
                label=f"pec4, {grid}",
                color=colour,
                marker="o",
                ms=3,
            )
        _beside(axes, known)
        axes.set_title(f"{name}, pec4")
    return _with_legend(drawing, panels, len(sets))


def _panels(sets: dict[str, Any]) -> tuple[Figure, list[Axes]]:
    rows = -(-(len(sets) + 1) // 3)
    drawing = Figure(figsize=(13, 4.2 * rows), layout="constrained")
    return drawing, list(drawing.subplots(rows, 3, squeeze=False).ravel())


def _beside(axes: Axes, known: dict[str, Any]) -> None:
    """Calibrated grids, dopri5 in σ and the targets."""
    found = [*known.get("calibrated", []), *next(iter(known["targets"].values()))]
    found.sort(key=lambda line: line["evaluations"])
    axes.plot(
        [line["evaluations"] for line in found],
        [line.get("wide", line)["mean"] for line in found],
        color=CALIBRATED,
        marker="D",
        ms=4,
        linewidth=2,
        label="calibrated, orders blended",
    )
    other = [a for a in known.get("adaptive", []) if (a["solver"], a["axis"]) == ("dopri5", "sigma")]
    axes.plot(
        [a["evaluations"] for a in other],
        [a["mean"] for a in other],
        color=DOPRI5,
        marker="s",
        ms=4,
        label="dopri5 in σ",
    )
    for evaluations, error in TARGETS:
        axes.plot(evaluations, error, marker="*", color="#e0b000", ms=13, linestyle="none", zorder=5)
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(9, 130),
        ylim=(3e-6, 1),
        xlabel="evaluations",
        ylabel="mean ‖z − z*‖",
    )
    axes.set_xticks([10, 20, 36, 64, 100], labels=["10", "20", "36", "64", "100"])
    axes.minorticks_off()
    axes.grid(color="0.9")


def _line(axes: Axes, lines: list[dict[str, Any]], solver: str, grid: str, **style: Any) -> None:
    found = [
        line
        for line in lines
        if (line["solver"], line["grid"]) == (solver, grid) and line["mean"] is not None
    ]
    axes.plot([line["evaluations"] for line in found], [line["mean"] for line in found], **style)


def _with_legend(drawing: Figure, panels: list[Axes], used: int) -> Figure:
    """The legend takes the first panel that no set needs."""
    handles, labels = panels[0].get_legend_handles_labels()
    for axes in panels[used:]:
        axes.axis("off")
    panels[used].legend(handles, labels, loc="center", ncols=2, frameon=False, title="★ to reach")
    return drawing
