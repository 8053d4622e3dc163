"""`latentflow independence-report`: measure how independent the latents are, next to FastICA."""

from __future__ import annotations

from dataclasses import replace

import click

from latentflow.analysis.independence import independence_report
from latentflow.report.independence_page import write_report
from latentflow.report.summary import summary_lines

from . import options
from .opening import Job, with_job
from .pages import Page
from .progress import busy

PAGE = Page(".independence.html")


@click.command("independence-report")
@options.data
@options.model("DATA")
@PAGE
@options.table
@options.rows
@options.n_boot
@click.option(
    "--sources",
    metavar="KEY",
    help="Key in DATA of the true sources, where they are known: one row for each row of the table. Every "
    "representation is then matched with them.",
)
@click.option(
    "--peer",
    "peers",
    type=click.Choice(["picard", "spline-flow"]),
    multiple=True,
    help="A further baseline, may be repeated; needs pip install '.[peers]'.",
)
@options.device
@options.seed("the bootstrap and of FastICA")
@with_job
def command(job: Job, rows: str, n_boot: int, sources: str | None, peers: tuple[str, ...]) -> None:
    """Measure how independent the latents of DATA are, next to raw columns, PCA whitening and FastICA.

    On the file that the model was fitted on, exactly the rows that the fit held out are judged, on another
    one all rows. One self-contained HTML page is written, and the same figures as JSON.
    """
    model, table = job.model, job.table
    page, figures = PAGE.places(job)
    with busy("measuring independence", quiet=job.telling.silent):
        result = independence_report(
            model,
            table,
            rows=rows,
            missing=job.missing,
            sources=sources,
            peers=[peer.replace("-", "_") for peer in peers],
            n_boot=n_boot,
            seed=job.seed,
        )
        named = {} if job.given_model is None else {"model": str(job.given_model)}
        told = {"model_file": str(job.model_path), "options": {**result.provenance["options"], **named}}
        result = replace(result, provenance={**result.provenance, **told})
        write_report(result, page, figures)
    lines = [*summary_lines(result), f"{'report':<20} {page}", f"{'figures':<20} {figures}"]
    job.telling(lines, {"output": str(page), "json_output": str(figures), "result": result.to_dict()})
