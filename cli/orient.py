"""`latentflow orient`: turn the latents of a fitted model anew, without training."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from latentflow.data.tables import open_table
from latentflow.errors import DataError
from latentflow.fitting import beside_rows
from latentflow.model import FittedFlow
from latentflow.orienting import orient

from . import options
from .description import axis_lines, orientation_lines
from .naming import check_output, find_key, find_model
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
    encoded before belong to the old axes, and are to be encoded again. Groups and times that the fit was given must be
    given again. The model file is replaced, or a new one written with --output.
    """
    model_path = find_model(model_path, data)
    model = FittedFlow.load(model_path, device=device)
    table = open_table(data, key=find_key(key, data, model.record), columns=columns or model.columns)
    if output is not None:
        check_output(output, data, model_path)
    values = table.read()
    complete = np.isfinite(values).all(axis=1)
    if not complete.all() and model.record.get("missing") != "drop":
        table.refuse_missing()
    if not complete.any():
        raise DataError(f"{data} has no row without missing values")
    same = len(model.roles) == len(values) and model.record.get("fingerprint") == table.fingerprint()
    labels, when = beside_rows(table, groups), beside_rows(table, time)
    if when is None and time_order and not complete.all():
        when = np.arange(len(values))  # rows left out leave gaps
    with busy("orienting", quiet=quiet or as_json):
        turned = orient(
            model,
            values[complete],
            orientation=orientation,
            groups=None if labels is None else labels[complete],
            time=None if when is None else when[complete],
            time_order=time_order,
            roles=model.roles[complete] if same else np.zeros(int(complete.sum()), np.uint8),
        )
    turned.record = {**turned.record, "groups": groups, "time": time}
    turned.record["settings"] = {
        **turned.record.get("settings", {}),
        "orientation": orientation,
        "time_order": time_order,
    }
    output = output or model_path
    turned.save(output)
    found = turned.orientation
    result = {
        "command": "orient",
        "output": str(output),
        "model_hash": turned.hash,
        "method": found.method,
        "asked": found.asked,
        "reason": found.reason,
        "converged": found.converged,
        "angle_error": found.angle_error.tolist(),
        "latents": list(turned.latent_names),
    }
    lines = [str(output), *orientation_lines(turned), *axis_lines(turned)]
    tell(lines, result, as_json=as_json, quiet=quiet)
