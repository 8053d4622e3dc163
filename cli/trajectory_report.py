"""`latentflow trajectory-report`: the geometry of the paths between rows and latents."""

from __future__ import annotations

import click

from latentflow.analysis.trajectory_report import DEFAULT_ROWS, trajectory_report
from latentflow.report.terminal.trajectory import trajectory_lines
from latentflow.report.terminal.words import field
from latentflow.report.trajectory_page import write_trajectories

from . import options
from .opening import Job, with_job
from .output import provenance
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
    default=DEFAULT_ROWS,
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
    lines = [*trajectory_lines(report), field("report", str(page)), field("figures", str(figures))]
    job.telling(lines, {**job.about(output=page, json_output=figures), "result": report.to_dict()})
