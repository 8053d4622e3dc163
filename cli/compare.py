"""`latentflow compare`: latents against FastICA's components, or the user's own, in one table."""

from __future__ import annotations

from pathlib import Path

import click

from latentflow.analysis.comparison.comparison import compare
from latentflow.report.terminal.comparison import comparison_lines

from . import options
from .opening import Job, with_job
from .progress import busy


@click.command("compare")
@options.data
@options.model("DATA")
@options.key
@options.columns("those of the model")
@options.missing
@click.option(
    "--components",
    type=options.FILE,
    help="A file of your own components to compare with: one column each, nothing else in it, and one row for each "
    "row of DATA.  "
    "[default: FastICA, fitted on the training rows]",
)
@click.option(
    "--components-key", metavar="NAME", help="The data set or group inside an HDF5 file of components."
)
@options.rows
@options.n_boot
@options.device
@options.seed("the bootstrap and of FastICA")
@with_job
def command(job: Job, components: Path | None, components_key: str | None, rows: str, n_boot: int) -> None:
    """Compare the latents of DATA with FastICA's components, matched one to one.

    For each latent: its component, their correlations, the share of the variance of DATA that each of the two
    explains, lower bounds in nats on how much all other latents tell of it and all other components of its component,
    and the difference of these two bounds.
    """
    model, table = job.model, job.table
    with busy("comparing", quiet=job.telling.silent):
        result = compare(
            model,
            table,
            components=components,
            components_key=components_key,
            rows=rows.replace("-", "_"),
            missing=job.missing,
            n_boot=n_boot,
            seed=job.seed,
        )
    job.telling(comparison_lines(result), {**job.about(), "result": result.to_dict()})
