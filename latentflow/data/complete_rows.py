"""The rows of a table without missing values, and what is known of each beside its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentflow.data.tables import Table
from latentflow.errors import DataError


@dataclass(frozen=True)
class CompleteRows:
    """The m of n rows of a table in which every value is there.

    Attributes
    ----------
    values : ndarray, shape (m, D)
    complete : ndarray of bool, shape (n,)
        Which rows of the table they are.
    groups, time : ndarray, shape (m,), or None
    """

    values: NDArray[np.float64]
    complete: NDArray[np.bool_]
    groups: NDArray[Any] | None
    time: NDArray[Any] | None


def complete_rows(
    table: Table,
    *,
    missing: str = "error",
    groups: str | ArrayLike | None = None,
    time: str | ArrayLike | None = None,
    time_order: bool = False,
) -> CompleteRows:
    """Read a table without its rows that have a missing or infinite value.

    Parameters
    ----------
    table : Table
    missing : {"error", "drop"}
        Whether such rows are refused or left out.
    groups, time : str or array_like, shape (n,), optional
        As for :func:`beside_rows`.
    time_order : bool
        Rows follow each other at equal steps. Where some are left out, the places of the others are their times.

    Raises
    ------
    DataError
        If values are missing and may not be, with a count for each column, or no row is complete; if there is not one
        label or time for each row.
    """
    values = table.read()
    complete = np.asarray(np.isfinite(values).all(axis=1))
    if not complete.all() and missing != "drop":
        table.refuse_missing()
    if not complete.any():
        raise DataError(f"{table.path or 'the table'} has no row without missing values")
    labels, when = beside_rows(table, groups), beside_rows(table, time)
    if when is None and time_order and not complete.all():
        when = np.arange(len(values))
    labels, when = (each if each is None else each[complete] for each in (labels, when))
    return CompleteRows(values[complete], complete, labels, when)


def beside_rows(table: Table, given: str | ArrayLike | None) -> NDArray[Any] | None:
    """What goes with each row of a table, shape (n,): a column or dataset of its file by name, or values as given.

    Raises
    ------
    DataError
        If there is no column of that name, or not one value for each row.
    """
    if given is None:
        return None
    values = table.carried((given,))[given] if isinstance(given, str) else np.asarray(given)
    if values.shape != (table.n_rows,):
        what = f"'{given}'" if isinstance(given, str) else "groups or time"
        raise DataError(
            f"{what} must hold one value for each of {table.n_rows} rows, not shape {values.shape}"
        )
    return values
