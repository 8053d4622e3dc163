"""The rows of a table that a command works on: all of them, or those without a missing value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from latentflow.data.tables import Table
from latentflow.errors import DataError

from .output import count

Blocks = Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]


def complete_rows(table: Table, missing: str) -> Blocks:
    """Blocks of rows, each with the positions of its rows in the table.

    Raises
    ------
    DataError
        At a missing or infinite value unless `missing` is "drop": how many there are in each column.
    """
    if missing == "drop":
        yield from table.iter_complete()
        return
    start = 0
    for block in table.chunks():
        if not np.isfinite(block).all():
            raise refusal(table)
        yield np.arange(start, start + len(block)), block
        start += len(block)


def refusal(table: Table) -> DataError:
    """The error for a table with missing values, which counts them in each column."""
    counts = table.missing_counts()
    listed = ", ".join(f"'{name}' {number}" for name, number in list(counts.items())[:10])
    more = f" and {len(counts) - 10} more columns" if len(counts) > 10 else ""
    total = count(sum(counts.values()), "missing or infinite value")
    return DataError(f"{table.path}: {total}: {listed}{more}; leave those rows out with --missing drop")
