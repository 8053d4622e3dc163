"""`latentflow info`: say what a model or a data file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import h5py

from latentflow.data.tables import open_table
from latentflow.errors import DataError
from latentflow.model.fitted_flow import FittedFlow
from latentflow.report.terminal.model import model_lines
from latentflow.report.terminal.words import count, field, names

from . import options
from .output import Telling

# The first bytes of a safetensors file are the length of its JSON header, which then begins.
_HEADER_AT = 8


@click.command("info")
@click.argument("file", type=options.FILE)
@options.key
@options.telling
def command(file: Path, key: str | None, telling: Telling) -> None:
    """Say what FILE holds: a model, or a table that `latentflow fit` can take."""
    result, lines = _of_model(file) if _is_model(file) else _of_data(file, key)
    telling(lines, {"file": str(file), **result})


def _is_model(file: Path) -> bool:
    if file.suffix == ".safetensors":
        return True
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(_HEADER_AT + 1)[_HEADER_AT:] == b"{"


def _of_model(file: Path) -> tuple[dict[str, Any], list[str]]:
    model = FittedFlow.load(file, device="cpu")
    record, size = model.record, file.stat().st_size
    source = record.get("file") or "a table in memory"
    where = f" ({record['key']})" if record.get("key") else ""
    lines = [
        f"{file}: a model of latentflow {record['version']}, {size / 1e6:.1f} MB",
        field("hash", model.hash),
        field("fitted on", f"{source}{where}, {count(record['n_rows'], 'row')}"),
        *model_lines(model),
        field("flow", _flow(model)),
        *(field("warning", warning) for warning in record["warnings"]),
    ]
    result = {
        "kind": "model",
        "hash": model.hash,
        "size_bytes": size,
        "columns": list(model.columns),
        "latents": list(model.latent_names),
        "treatments": [treatment.to_dict() for treatment in model.preprocessor.treatments],
        "record": record,
    }
    return result, lines


def _flow(model: FittedFlow) -> str:
    """Solver and grid, and the error of latents and how far two log|det| are apart, where that was measured."""
    if model.ode is None:
        return "the identity: the base is the whole map"
    grid = model.record.get("grid")
    facts = f"{len(model.sigmas) - 1} steps of {model.solver}, "
    if model.blend_weights is not None:
        facts += "orders blended, "
    if grid and grid.get("steps_frozen_from"):
        facts += f"frozen from {grid['steps_frozen_from']}, "
    facts += f"noise {model.sigmas[0]:g} to {model.sigmas[-1]:g}"
    if grid:
        facts += f", mean error of a latent {grid['mean_error']:.0e}"
        if grid.get("log_det_gap") is not None:
            facts += f", log|det| of steps and of flow {grid['log_det_gap']:.0e} nats apart"
    return facts


def _of_data(file: Path, key: str | None) -> tuple[dict[str, Any], list[str]]:
    inside = _inside(file) if file.is_file() and h5py.is_hdf5(file) else []
    try:
        table = open_table(file, key=key)
    except DataError as refused:
        if not inside:
            raise
        lines = [f"{file}: no table to take as it is", field("reason", str(refused)), *_listed(inside)]
        return {"kind": "data", "contents": inside, "table": None, "reason": str(refused)}, lines
    shape = [table.n_rows, *(table.sample_shape or (len(table.columns),))]
    missing = table.missing_counts()
    described = {
        "key": table.key,
        "shape": shape,
        "dtype": str(table.dtype),
        "columns": list(table.columns),
        "missing": missing,
    }
    lines = [
        f"{file}: {count(table.n_rows, 'row')}, {count(len(table.columns), 'column')} of {table.dtype}"
        + (f", in {table.key}" if table.key else ""),
        field("columns", names(table.columns)),
    ]
    if table.sample_shape:
        lines.append(field("samples", f"of shape {' x '.join(map(str, table.sample_shape))}"))
    if missing:
        listed = [f"{name} {number}" for name, number in missing.items()]
        lines.append(field("missing", names(listed)))
    return {"kind": "data", "contents": inside, "table": described}, [*lines, *_listed(inside)]


def _inside(file: Path) -> list[dict[str, Any]]:
    """Every array in an HDF5 file: its key, shape and type, and its column names where it has them."""
    arrays: list[dict[str, Any]] = []

    def visit(key: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape:
            arrays.append({"key": key, "shape": list(item.shape), "dtype": str(item.dtype)})

    with h5py.File(file) as opened:
        opened.visititems(visit)
    return arrays


def _listed(inside: list[dict[str, Any]]) -> list[str]:
    lines = [f"{item['key']}  {' x '.join(map(str, item['shape']))}  {item['dtype']}" for item in inside]
    return [field("" if i else "inside", line) for i, line in enumerate(lines)]
