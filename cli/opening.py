"""A model, and the table that a command puts through it, opened in the same way by every command."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from latentflow.data.tables import Table, open_table
from latentflow.errors import DataError
from latentflow.model.fitted_flow import FittedFlow

from .naming import find_key, find_model


class Opened(NamedTuple):
    """A model, the file that it lies in, and a table of its columns."""

    model: FittedFlow
    path: Path
    table: Table


def open_model(
    data: Path, given: Path | None, *, device: str, dtype: str = "float64"
) -> tuple[FittedFlow, Path]:
    """The model named, or the one beside `data`, and the file that it lies in.

    Raises
    ------
    ModelFileError
        If there is no such file, or it is damaged.
    """
    path = find_model(given, data)
    return FittedFlow.load(path, device=device, dtype=dtype), path


def open_model_and_table(
    data: Path,
    given: Path | None,
    *,
    key: str | None,
    columns: tuple[str, ...] | None,
    device: str,
    dtype: str = "float64",
) -> Opened:
    """The same with the table in `data`: its columns are those of the model where none are named.

    Raises
    ------
    ModelFileError
        If there is no such model file, or it is damaged.
    DataError
        If the table cannot be opened, or has another number of columns than the model.
    """
    model, path = open_model(data, given, device=device, dtype=dtype)
    table = open_table(data, key=find_key(key, data, model.record), columns=columns or model.columns)
    if len(table.columns) != len(model.columns):
        raise DataError(f"--columns names {len(table.columns)} columns, the model has {len(model.columns)}")
    return Opened(model, path, table)
