"""`latentflow trajectory-report`: the geometry of the paths between rows and latents."""

from __future__ import annotations

import click

from latentflow.analysis.trajectory_report import ROWS, TrajectoryReport, trajectory_report
from latentflow.report import numbers
from latentflow.report.trajectory_page import write_trajectories

from . import options
from .opening import Job, with_job
from .output import count, field, provenance
from .pages import Page
from .progress import busy

PAGE = Page(".trajectories.html")


@click.command("trajectory-report")
@options.data
@options.model("DATA")
@PAGE
@options.key
@options.missing
@click.option(
    "--rows",
    type=click.IntRange(min=20),
    default=ROWS,
    show_default=True,
    help="Trajectories to follow, and training and held-out rows to look at; denoising losses take eight times as many "
    "rows.",
)
@options.device
@options.seed("the latents that are followed, the noise and the bootstrap")
@with_job
def command(job: Job, rows: int) -> None:
    """Follow latents on their way to rows of DATA, and say what their trajectories look like.

    How straight, flat and fast they are and where they bend; how far the learned score is from that of the training
    rows themselves, on training and on held-out rows, which shows what was learned by heart; and how samples converge
    with the number of steps. One self-contained HTML page is written, and the same figures as JSON.
    """
    model, table = job.model, job.table
    page, figures = PAGE.places(job)
    with busy("following trajectories", quiet=job.telling.silent):
        report = trajectory_report(model, table, rows=rows, missing=job.missing, seed=job.seed)
        facts = provenance(model_hash=model.hash, file=str(job.data), seed=job.seed)
        write_trajectories(report, page, figures, subject=job.data.name, facts=facts)
    lines = [*_lines(report), field("report", str(page)), field("figures", str(figures))]
    job.telling(lines, {**job.about(output=page, json_output=figures), "result": report.to_dict()})


def _lines(report: TrajectoryReport) -> list[str]:
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
