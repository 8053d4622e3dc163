"""The rows of one mixture that methods learn from, and those that they are measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.orientation import Mixture

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """What a user would have: columns, and where they say so the group of each row or that rows follow in time.

    Attributes
    ----------
    X : (n, d)
    groups : (n,) int, or None
    ordered : bool
    """

    X: Floats
    groups: NDArray[np.int64] | None = None
    ordered: bool = False


def halves(mixture: Mixture) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows to learn from and rows to measure on, as many of each.

    A time series is cut in the middle; of a grouped set, each group's first half learns, since its rows are
    independent; other rows are independent as well, and the first half learns.
    """
    at = np.arange(len(mixture.X))
    if mixture.groups is None:
        learns = at < len(at) // 2
    else:
        starts = np.searchsorted(mixture.groups, mixture.groups)
        sizes = np.bincount(mixture.groups)[mixture.groups]
        learns = at - starts < sizes // 2
    return at[learns], at[~learns]


def select(mixture: Mixture, at: NDArray[np.intp]) -> Rows:
    """Some rows of a mixture, without its sources."""
    groups = None if mixture.groups is None else mixture.groups[at]
    return Rows(mixture.X[at], groups, mixture.ordered)
