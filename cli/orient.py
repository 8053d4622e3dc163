"""`latentflow orient`: turn the latents of a fitted model anew, without training."""

from __future__ import annotations

import click

from latentflow.model.orient import orient_table
from latentflow.report.terminal.model import axis_lines, orientation_lines

from . import options
from .naming import MODEL_SUFFIX
from .opening import Job, with_job
from .progress import busy


@click.command("orient")
@options.data
@options.model("DATA")
@options.output("the model file itself")
@options.key
@options.columns("those of the model")
@options.orientation
@options.groups
@options.time
@options.time_order
@options.device
@with_job
def command(job: Job, orientation: str, groups: str | None, time: str | None, time_order: bool) -> None:
    """Turn the latents of the model of DATA by another rule, without training.

    DATA is the table of the fit, or another one of the same columns. The density stays as it is; latents that were
    encoded before belong to the old axes, and are to be encoded again. The columns of groups and times that the model
    was told of before are read again where none are named, but not --time-order. The model file is replaced, or a new
    one written with --output.
    """
    model, table = job.model, job.table
    output = job.model_path if job.output is None else job.output_beside(MODEL_SUFFIX)
    with busy("orienting", quiet=job.telling.silent):
        turned = orient_table(
            model, table, orientation=orientation, groups=groups, time=time, time_order=time_order
        )
    turned.save(output)
    chosen = turned.orientation
    result = {
        "output": str(output),
        "model_hash": turned.hash,
        "method": chosen.method,
        "asked": chosen.asked,
        "reason": chosen.reason,
        "converged": chosen.converged,
        "angle_error": chosen.standard_errors.tolist(),
        "latents": list(turned.latent_names),
    }
    lines = [str(output), *orientation_lines(turned), *axis_lines(turned)]
    job.telling(lines, result)
