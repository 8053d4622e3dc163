"""Drawings of the geometry of trajectories, each from the finished record, each a new ``Figure``."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from latentflow.analysis.trajectory_report import TrajectoryReport
from latentflow.geometry.score_deviation import DeviationLevel
from latentflow.geometry.shape import Band, TrajectoryShape
from latentflow.report.drawing import PALETTE, axes_in, legend
from latentflow.report.numbers import power_of_ten
from latentflow.statistics.interval import Interval

SIZE = (4.6, 2.9)  # inches
SIGMA = "noise level σ  (sampling runs to the left)"


def chord_figure(report: TrajectoryReport) -> Figure:
    """Distance to the chord by σ, as a share of its length."""
    figure, axes = _by_sigma()
    _band(axes, report.shape.sigmas, report.shape.deviation, "accent", "distance to the chord ÷ its length")
    axes.set_ylabel("distance to chord ÷ length")
    axes.set_ylim(bottom=0)
    return figure


def distance_figure(report: TrajectoryReport) -> Figure:
    """How far both trajectories are from where they end, by σ, up to where the end itself is in doubt."""
    figure, axes = _by_sigma()
    shape = report.shape
    for band, colour, label in (
        (shape.sampling_distance, "second", "sampling x(σ)"),
        (shape.denoising_distance, "accent", "denoising D(x(σ); σ)"),
    ):
        _band(axes, shape.sigmas[:-1], _cut(band), colour, label)
    _log(axes, "y")
    axes.set_ylabel("distance to the end ÷ √d")
    legend(axes)
    return figure


def turning_figure(report: TrajectoryReport) -> Figure:
    """Angle by which the direction turns per unit of log σ."""
    figure, axes = _by_sigma()
    _band(axes, report.shape.sigmas, report.shape.turning, "accent", "turning")
    axes.set_ylabel("radians per unit of log σ")
    axes.set_ylim(bottom=0)
    return figure


def speed_figure(report: TrajectoryReport) -> Figure:
    """Speed of both states, by σ."""
    figure, axes = _by_sigma()
    shape = report.shape
    for band, colour, label in (
        (shape.speed, "second", "‖dx/dσ‖/√d"),
        (shape.variance_preserving_speed, "accent", "‖dy/d log σ‖/√d"),
    ):
        _band(axes, shape.sigmas, band, colour, label)
    axes.set_ylabel("speed")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def deviation_figure(report: TrajectoryReport) -> Figure:
    """Score deviation on training and on held-out rows, by σ."""
    figure, axes = _by_sigma()
    levels = _levels(report)
    sigmas = [level.sigma for level in levels]
    _line(axes, sigmas, [level.deviation_train for level in levels], "second", "training rows")
    _line(axes, sigmas, [level.deviation_held_out for level in levels], "accent", "held-out rows")
    _log(axes, "y")
    axes.set_ylabel("‖D − empirical D‖²/d")
    legend(axes)
    return figure


def memorisation_figure(report: TrajectoryReport) -> Figure:
    """Held-out less training loss as a share, of the model and of rows learned by heart."""
    figure, axes = _by_sigma()
    levels = _levels(report)
    sigmas = [level.sigma for level in levels]
    by_heart = [1 - level.empirical_loss_train / level.empirical_loss_held_out for level in levels]
    axes.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    axes.plot(sigmas, by_heart, "--", color=PALETTE["muted"], linewidth=1.3, label="rows learned by heart")
    _line(axes, sigmas, [level.memorisation for level in levels], "accent", "this model")
    axes.set_ylabel("1 − training ÷ held-out loss")
    axes.set_ylim(top=1.05)
    legend(axes)
    return figure


def convergence_figure(report: TrajectoryReport) -> Figure:
    """Energy distance beyond that of converged samples, and their distance from these, by number of steps."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = axes_in(figure)
    steps = [each.steps for each in report.convergence]
    _line(axes, steps, [each.excess for each in report.convergence], "accent", "energy distance, excess")
    axes.plot(
        steps,
        [each.error for each in report.convergence],
        "s--",
        color=PALETTE["muted"],
        markersize=4,
        linewidth=1.3,
        label="error of a sample ÷ √d",
    )
    axes.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xticks(steps, [str(count) for count in steps])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.set_xlabel("Euler steps")
    axes.set_ylabel("whitened units")
    legend(axes)
    return figure


def examples(shape: TrajectoryShape) -> tuple[tuple[float, float, float, float], ...]:
    """σ, both median distances to the end, and the share with the denoiser nearer: a few levels, largest first."""
    at = np.linspace(0, len(shape.sigmas) - 1, 9).astype(int)
    return tuple(
        (
            float(shape.sigmas[i]),
            float(shape.sampling_distance.median[i]),
            float(shape.denoising_distance.median[i]),
            float(shape.denoising_nearer[i]),
        )
        for i in at[:-1]
    )


#: The drawings of a report by name, with what they show in words.
FIGURES: dict[str, tuple[Callable[[TrajectoryReport], Figure], str]] = {
    "chord": (chord_figure, "Distance of sampling trajectories to their chord by noise level"),
    "distance": (
        distance_figure,
        "Distance of sampling and denoising trajectories to the end by noise level",
    ),
    "turning": (turning_figure, "Angle turned per unit of log noise level"),
    "speed": (speed_figure, "Speed along the trajectories by noise level"),
    "deviation": (deviation_figure, "Distance between learned and empirical denoiser by noise level"),
    "memorisation": (memorisation_figure, "Gap between training and held-out loss by noise level"),
    "convergence": (convergence_figure, "Energy distance and error of samples by number of Euler steps"),
}


def _levels(report: TrajectoryReport) -> tuple[DeviationLevel, ...]:
    return report.deviation.levels if report.deviation is not None else ()


def _by_sigma() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = axes_in(figure)
    _log(axes, "x")
    axes.set_xlabel(SIGMA)
    return figure, axes


def _log(axes: Axes, which: str) -> None:
    """A logarithmic axis with plain numbers at its decades."""
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(10))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _decade(value)))
    axis.set_minor_formatter(NullFormatter())


def _decade(value: float) -> str:
    """0.001 to 100 as they are, others as powers of ten."""
    exponent = round(math.log10(value))
    return f"{value:g}" if -4 < exponent < 3 else power_of_ten(exponent)


def _band(axes: Axes, sigmas: np.ndarray, band: Band, colour: str, label: str) -> None:
    """The median with its 5 % to 95 % band."""
    shade = PALETTE["band" if colour == "accent" else "line"]
    axes.fill_between(sigmas, band.low, band.high, color=shade, linewidth=0, alpha=0.7)
    axes.plot(sigmas, band.median, color=PALETTE[colour], linewidth=1.8, label=label)


def _line(axes: Axes, x: list[float] | list[int], values: list[Interval], colour: str, label: str) -> None:
    """Estimates with their intervals."""
    y = np.array([value.estimate for value in values])
    reach = [y - [value.low for value in values], [value.high for value in values] - y]
    axes.errorbar(
        x,
        y,
        yerr=np.maximum(0.0, reach),
        fmt="o-",
        color=PALETTE[colour],
        markersize=4,
        linewidth=1.6,
        elinewidth=1.0,
        capsize=2.5,
        label=label,
    )


def _cut(band: Band) -> Band:
    """Without the last level, where the distance to the end is zero."""
    return Band(band.low[:-1], band.median[:-1], band.high[:-1])
