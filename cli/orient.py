"""`latentflow orient`: turn the latents of a fitted model anew, without training."""

from __future__ import annotations

from pathlib import Path

import click

from latentflow.model.orient import orient_table

from . import options
from .description import axis_lines, orientation_lines
from .naming import check_output
from .opening import open_model_and_table
from .output import tell
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
@options.as_json
@options.quiet
def command(
    data: Path,
    model_path: Path | None,
    output: Path | None,
    key: str | None,
    columns: tuple[str, ...] | None,
    orientation: str,
    groups: str | None,
    time: str | None,
    time_order: bool,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn the latents of the model of DATA by another rule, without training.

    DATA is the table of the fit, or another one of the same columns. The density stays as it is; latents that were
    encoded before belong to the old axes, and are to be encoded again. The columns of groups and times that the model
    was told of before are read again where none are named, but not --time-order. The model file is replaced, or a new
    one written with --output.
    """
    model, model_path, table = open_model_and_table(data, model_path, key=key, columns=columns, device=device)
    if output is not None:
        check_output(output, data, model_path)
    with busy("orienting", quiet=quiet or as_json):
        turned = orient_table(
            model, table, orientation=orientation, groups=groups, time=time, time_order=time_order
        )
    output = output or model_path
    turned.save(output)
    chosen = turned.orientation
    result = {
        "command": "orient",
        "output": str(output),
        "model_hash": turned.hash,
        "method": chosen.method,
        "asked": chosen.asked,
        "reason": chosen.reason,
        "converged": chosen.converged,
        "angle_error": chosen.angle_error.tolist(),
        "latents": list(turned.latent_names),
    }
    lines = [str(output), *orientation_lines(turned), *axis_lines(turned)]
    tell(lines, result, as_json=as_json, quiet=quiet)
