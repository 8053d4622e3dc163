"""`latentflow stability`: fit again with other seeds and sizes, and say how far the latents agree."""

from __future__ import annotations

import json

import click

from latentflow.analysis.comparison.stability import expected_seconds, stability
from latentflow.data.atomic import write_whole
from latentflow.report.terminal.stability import stability_lines
from latentflow.report.terminal.words import count, seconds

from . import options
from .opening import Job, with_job
from .progress import FitProgress

OUTPUT_SUFFIX = ".stability.json"


@click.command("stability")
@options.data
@options.model("DATA")
@options.output(f"DATA with the ending {OUTPUT_SUFFIX}")
@options.table
@click.option(
    "--runs",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Fits in all, counting the model that there is.",
)
@options.setting(
    "preset", default=None, shown="as for the model", help="How much to spend on each further fit."
)
@options.groups
@options.time
@options.time_order
@options.n_boot
@options.device
@options.seed("the first further fit (the others count on from it), of FastICA and of the bootstrap")
@with_job
def command(
    job: Job,
    runs: int,
    preset: str | None,
    groups: str | None,
    time: str | None,
    time_order: bool,
    n_boot: int,
) -> None:
    """Fit DATA again with other seeds and network sizes, and say how far the latents agree.

    All fits train on the same rows and are compared on the rows that the model has held out: by the rank correlation
    of each latent with its counterparts, and by the distance between the latents of a row in two fits, before and
    after the best rotation. Only the distance before is large where fits agree on the map but not on its axes. FastICA
    is run as often beside it. The figures are written as JSON. The columns of groups and times that the model was told
    of are read again where none are named.
    """
    model, table = job.model, job.table
    output = job.output_beside(OUTPUT_SUFFIX)
    if not job.telling.silent:
        spent = seconds(expected_seconds(model, runs, preset))
        click.echo(f"{count(runs - 1, 'further fit')}: about {spent} of training", err=True)
    with FitProgress(quiet=job.telling.silent) as progress:
        result = stability(
            model,
            table,
            runs=runs,
            preset=preset,
            missing=job.missing,
            groups=groups,
            time=time,
            time_order=time_order,
            device=job.device,
            n_boot=n_boot,
            seed=job.seed,
            progress=progress,
        )
    document = {"command": "stability", **job.about(), "output": str(output), "result": result.to_dict()}
    write_whole({output: json.dumps(document, allow_nan=False, ensure_ascii=False)})
    job.telling([*stability_lines(result), str(output)], document)
