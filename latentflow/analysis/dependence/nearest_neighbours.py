"""Mutual information of two columns from nearest neighbours (Kraskov, Stögbauer & Grassberger 2004).

Not scikit-learn's ``mutual_info_regression``, which cuts the estimate at zero, so that it is biased under independence,
adds noise of its own, and takes 2.4 times as long at 10 000 rows.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma
from scipy.stats import t as student

from latentflow.statistics.interval import Interval

NEIGHBOURS = 5
FEWEST_AND_MOST_PARTS = (4, 10)
ROWS_PER_PART = 75
_STRICTLY = 1.0 - 1e-9  # a neighbour at the very radius stays outside it, whatever rounding does


def mutual_information(x: np.ndarray, y: np.ndarray, *, block: int | None = None) -> Interval:
    """Mutual information of two columns, nats, with a 95 % interval.

    Parameters
    ----------
    x, y : ndarray (n,)
        Finite and without ties, n ≥ 40. Mutual information does not change under monotone maps of either
        column, and normal scores suit the estimator.
    block : int or None
        Not None for autocorrelated rows in their original order.

    Notes
    -----
    The first algorithm of the paper (eq. 8) with five neighbours, nearly free of bias under independence, and
    low where dependence is so strong that the density varies over a neighbourhood: an all but functional
    relation reads as finite. The interval states sampling error only: its variance comes from that over four
    to ten parts of the rows, of neighbours where rows are autocorrelated, since the terms of single rows
    depend on each other (Holmes & Nemenman 2019).
    """
    estimate = nearest_neighbour_information(x, y)
    n = len(x)
    number = int(np.clip(n // ROWS_PER_PART, *FEWEST_AND_MOST_PARTS))
    rows = np.arange(n)
    parts = np.array_split(rows, number) if block is not None else [rows[p::number] for p in range(number)]
    spread = float(np.std([nearest_neighbour_information(x[part], y[part]) for part in parts], ddof=1))
    reach = float(student.isf(0.025, number - 1)) * spread / number**0.5
    return Interval(estimate, estimate - reach, estimate + reach)


def nearest_neighbour_information(x: np.ndarray, y: np.ndarray) -> float:
    """Mean of ψ(k) + ψ(n) − ψ(n_x + 1) − ψ(n_y + 1) over the rows of two columns (n,), nats.

    n_x is the number of other rows closer in x than the k-th neighbour is in the plane (maximum norm).
    """
    n = len(x)
    nearest = min(NEIGHBOURS, n - 1)
    points = np.stack([x, y], axis=1)
    radius = _STRICTLY * cKDTree(points).query(points, k=nearest + 1, p=np.inf)[0][:, -1]
    counts = digamma(_within(x, radius)) + digamma(_within(y, radius))
    return float(digamma(nearest) + digamma(n) - counts.mean())


def _within(column: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Rows at most ``radius`` away from each value (n,), itself counted."""
    ordered = np.sort(column)
    high = np.searchsorted(ordered, column + radius, side="right")
    return np.asarray(high - np.searchsorted(ordered, column - radius, side="left"))
