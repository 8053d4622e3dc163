"""What the trajectories of a model look like, in lines."""

from __future__ import annotations

from latentflow.analysis.trajectory_report import TrajectoryReport
from latentflow.report import numbers
from latentflow.report.terminal.words import count, field


def trajectory_lines(report: TrajectoryReport) -> list[str]:
    """How straight and flat the trajectories are, what the score knows by heart, and how samples converge."""
    shape = report.shape
    flat = f"{numbers.percent(float(shape.components[-1]))} of the variance along one in three dimensions"
    bend = f"{numbers.percent(float(shape.bend_components[-1]))} of its bend in two"
    lines = [
        f"{shape.n_rows} trajectories from σ = {shape.sigmas[0]:.3g} to {shape.sigmas[-1]:.3g}",
        field(
            "straight",
            f"at most {numbers.with_bounds(shape.chord_deviation)} of the chord away from it, on average",
        ),
        field("end", f"seen nearer by the denoiser at {_share(shape.denoising_nearer_overall.estimate)}"),
        field(
            "curvature",
            f"{numbers.with_bounds(shape.total_turning)} radians in all; tied to the denoising trajectory within "
            f"{numbers.small(shape.tie_gap)}",
        ),
        field("flat", f"{flat}, {bend}"),
    ]
    if report.deviation is not None:
        memorised = report.deviation.memorised
        surely = "" if memorised.excludes() else ", which may be chance"
        lines.append(
            field(
                "memory",
                f"training rows are {numbers.with_bounds(memorised)} nats better known than held-out ones{surely}",
            )
        )
    error = report.convergence[-1]
    lines.append(
        field(
            "samples",
            f"{count(error.steps, 'Euler step')} leave {numbers.small(error.error)}; energy distance "
            f"{numbers.with_bounds(error.energy)}",
        )
    )
    return [*lines, *(f"note: {note}" for note in report.notes)]


def _share(value: float) -> str:
    return f"{numbers.percent(value)} of trajectories and noise levels"
