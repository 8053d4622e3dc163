"""The table that goes with a model: its columns, in the order of the model, and whether the model was fitted on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from latentflow.data.tables import Table, as_table, open_table
from latentflow.errors import DataError


def open_for(model: Any, X: Any, *, key: str | None = None, columns: Sequence[str] | None = None) -> Table:
    """``X`` as a table of the model's columns, in the model's order.

    Parameters
    ----------
    model : FittedFlow
    X : path, Table, DataFrame or array, shape (n, D)
    key : str, optional
        The data set or group, where ``X`` is an HDF5 file. By default that of the fit in a file of the same name, and
        in another one the only table that there is, or else the one that lies where that of the fit lay.
    columns : sequence of str, optional
        What the columns of the model are called in a file, where that is not what the model calls them.

    Raises
    ------
    DataError
        If ``X`` is no table, cannot be opened, or has not the columns of the model.
    """
    names = tuple(str(name) for name in model.columns)
    if isinstance(X, str | os.PathLike):
        table = _open_file(model.record, Path(X), key, columns or names)
        if len(table.columns) != len(names):
            raise DataError(f"--columns names {len(table.columns)} columns, the model has {len(names)}")
        return table
    if isinstance(X, Table):
        table = X
    elif hasattr(X, "columns"):
        table = as_table(X, names)
    else:
        values = np.asarray(X)
        if values.ndim == 0:
            raise DataError("a single value is not a table; give rows by columns, or the path of a file")
        wide = int(np.prod(values.shape[1:]))
        if wide != len(names):
            raise DataError(f"the model was fitted on {len(names)} columns, and this array has {wide}")
        table = as_table(values.reshape(len(values), wide), names)
    if tuple(table.columns) != names:
        absent = [name for name in names if name not in table.columns]
        what = (
            f"column '{absent[0]}' of the model is not in it"
            if absent
            else "its columns differ from the model's"
        )
        raise DataError(f"{table.path or 'the table'} does not fit this model: {what}; choose with --columns")
    return table


def _open_file(record: dict[str, Any], path: Path, key: str | None, columns: Sequence[str]) -> Table:
    fitted = record.get("key") or None
    if key is None and record.get("file") == path.name:
        key = fitted
    try:
        return open_table(path, key=key, columns=columns)
    except DataError:
        if key is None and fitted is not None:
            with suppress(DataError):
                return open_table(path, key=fitted, columns=columns)
        raise


def is_table_of_fit(model: Any, table: Table) -> bool:
    """Whether the model was fitted on this very table, so that its roles are those of the table's rows."""
    return len(model.roles) == table.n_rows and table.fingerprint() == model.record.get("fingerprint")
