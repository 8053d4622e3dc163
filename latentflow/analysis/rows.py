"""Which rows of a table an analysis may stand on: those that the model's fit held out, or all rows of another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latentflow.data.splits import HELD_OUT, TRAIN
from latentflow.data.tables import Table
from latentflow.errors import DataError
from latentflow.model.tables import is_table_of_fit
from latentflow.statistics.thinning import thin

MOST_ROWS = 50_000
MOST_TRAINING_ROWS = 200_000
FEWEST_ROWS = 10


@dataclass(frozen=True)
class Choice:
    """Rows to evaluate and rows to fit baselines on.

    Attributes
    ----------
    which : str
        ``held out`` or ``all``.
    evaluate, train : ndarray of int
        Row numbers in the table, ascending.
    same_table : bool
        Whether this is the table the model was fitted on.
    thinned : int
        How many rows could have been evaluated, where that is more than ``evaluate`` holds; else 0.
    """

    which: str
    evaluate: np.ndarray
    train: np.ndarray
    same_table: bool
    thinned: int

    @property
    def in_sample(self) -> bool:
        """Whether baselines are fitted on the very rows they are judged on."""
        return self.train is self.evaluate


def choose_rows(model: Any, table: Any, rows: str = "auto") -> Choice:
    """Choose rows: ``auto`` or ``held_out`` or ``all``.

    Raises
    ------
    DataError
        Unknown ``rows``; held-out rows asked for where there are none; too few rows to say anything.
    """
    if rows not in ("auto", "held_out", "all"):
        raise DataError(f"rows must be 'auto', 'held_out' or 'all', not {rows!r}")
    roles = np.asarray(model.roles)
    same = is_table_of_fit(model, table)
    name = _name(table)
    if rows == "held_out" and not same:
        raise DataError(
            f"{name} is not the table this model was fitted on, so no row of it is on record as held out"
        )
    if same and rows != "all":
        evaluate, train = np.flatnonzero(roles == HELD_OUT), np.flatnonzero(roles == TRAIN)
        if len(evaluate) == 0:
            raise DataError(
                f"the model was fitted on every row of {name}, and training rows cannot show independence; "
                "fit again with held-out rows (--held-out 0.2), or give a table of new rows"
            )
        which = "held out"
    else:
        evaluate = np.arange(table.n_rows)
        train = np.flatnonzero(roles == TRAIN) if same else evaluate
        which = "all"
    if len(evaluate) < FEWEST_ROWS:
        raise DataError(f"{name} has {len(evaluate)} rows to evaluate; at least {FEWEST_ROWS} are needed")
    kept = thin(evaluate, MOST_ROWS)
    in_sample = train is evaluate
    train = kept if in_sample else thin(train, MOST_TRAINING_ROWS)
    return Choice(which, kept, train, same, len(evaluate) if len(kept) < len(evaluate) else 0)


def read_complete(table: Table, index: np.ndarray, missing: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows (m, D) at these positions and their positions (m,); those with missing values dropped or refused."""
    if missing not in ("error", "drop"):
        raise DataError(f"missing must be 'error' or 'drop', not {missing!r}")
    values = table.read_rows(index)
    complete = np.isfinite(values).all(axis=1)
    if complete.all():
        return values, index
    if missing == "error":
        table.refuse_missing()
    if complete.sum() < FEWEST_ROWS:
        raise DataError(
            f"{table.path or 'the table'} has {complete.sum()} complete rows; {FEWEST_ROWS} are needed"
        )
    return values[complete], index[complete]


def _name(table: Any) -> str:
    path = getattr(table, "path", None)
    return "the table" if path is None else str(path)
