"""The true sources of the evaluated rows, where the user knows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentflow.data.tables import Table, open_table
from latentflow.errors import DataError


def read_sources(sources: Any, table: Table, index: np.ndarray) -> np.ndarray:
    """The sources (n, m) of the rows at these positions of the table.

    Parameters
    ----------
    sources : str or array (n_table, m)
        A key of the table's own file, or the sources themselves, one row for each row of the table.
    table : Table
    index : ndarray (n,) of int

    Raises
    ------
    DataError
        The file or the key is not there, the numbers of rows differ, or values are missing.
    """
    if isinstance(sources, str):
        if table.path is None:
            raise DataError("sources by key need a table that is a file; give the sources as an array")
        truth = open_table(table.path, key=sources)
        if truth.n_rows != table.n_rows:
            raise DataError(
                f"{table.path}: '{sources}' has {truth.n_rows} rows and the table {table.n_rows}; sources need one "
                "row for each row of the table"
            )
        values = truth.read_rows(index)
    else:
        known = np.asarray(sources, dtype=np.float64)
        if known.ndim == 1:
            known = known[:, None]
        if known.ndim != 2 or len(known) != table.n_rows:
            raise DataError(
                f"the sources have shape {known.shape} and the table has {table.n_rows} rows; sources need one row "
                "for each row of the table"
            )
        values = known[index]
    if not np.isfinite(values).all():
        raise DataError(f"{(~np.isfinite(values)).sum()} values of the sources are missing or infinite")
    return values
