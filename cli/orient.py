"""`latentflow orient`: turn the latents of a fitted model anew, without training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from latentflow.data.complete_rows import beside_rows, complete_rows
from latentflow.data.tables import Table
from latentflow.errors import DataError
from latentflow.model.orient import orient

from . import options
from .description import axis_lines, orientation_lines
from .naming import check_output
from .opening import open_model_and_table
from .output import tell, warn
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
    same = len(model.roles) == table.n_rows and model.record.get("fingerprint") == table.fingerprint()
    groups, time = _told_before(model.record, table, orientation, groups, time, time_order)
    missing = model.record.get("missing", "error")
    rows = complete_rows(table, missing=missing, groups=groups, time=time, time_order=time_order)
    with busy("orienting", quiet=quiet or as_json):
        turned = orient(
            model,
            rows.values,
            orientation=orientation,
            groups=rows.groups,
            time=rows.time,
            time_order=time_order,
            roles=model.roles[rows.complete] if same else np.zeros(len(rows.values), np.uint8),
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


def _told_before(
    record: Mapping[str, Any],
    table: Table,
    orientation: str,
    groups: str | None,
    time: str | None,
    time_order: bool,
) -> tuple[str | None, str | None]:
    """The columns of groups and times: those named now, else those that the model was told of before.

    With auto, whatever is named now stands alone: a time remembered would outvote groups that were just given.
    """
    if orientation == "auto" and (groups or time or time_order):
        return groups, time
    groups = groups or _still_there(table, record.get("groups"), orientation)
    if not time_order:  # equal steps, as just said
        time = time or _still_there(table, record.get("time"), orientation)
    return groups, time


def _still_there(table: Table, column: str | None, orientation: str) -> str | None:
    """A column that was read before, or None with a warning where this table has none of that name.

    Raises
    ------
    DataError
        If it is not there, and is what the orientation goes by.
    """
    if column is None:
        return None
    try:
        beside_rows(table, column)
    except DataError as missing:
        if orientation in ("groups", "temporal"):
            raise
        warn([f"{missing}; orienting without it"])
        return None
    return column
