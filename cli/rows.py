"""The rows of a table that a command works on: all of them, or those without a missing value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from latentflow.data.tables import Table

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
            table.refuse_missing()
        yield np.arange(start, start + len(block)), block
        start += len(block)
