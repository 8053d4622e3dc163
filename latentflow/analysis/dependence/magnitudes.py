"""Columns whose magnitudes move together: dependence that linear correlation does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

from latentflow.analysis.dependence.shifts import shift_variances
from latentflow.statistics.records import Result


@dataclass(frozen=True)
class Magnitudes(Result):
    """Correlation of the magnitudes of the columns of one representation."""

    name: Annotated[str, "The representation."]
    label: str
    columns: Annotated[tuple[str, ...], "length d: Names along both axes."]
    correlation: Annotated[
        np.ndarray,
        "(d, d): Spearman correlation of |z_i − median_i|, −1 … 1. Symmetric, diagonal one; zero where a column does "
        "not vary.",
    ]
    max_abs: Annotated[
        float, "The largest |correlation| off the diagonal and its pair (i < j). 0.0 and (0, 0) where d = 1."
    ]
    max_pair: tuple[int, int]
    p_value: Annotated[
        float,
        "Of no dependence of magnitudes in any pair: that of the most significant pair, Bonferroni-adjusted over "
        "pairs.",
    ]
    n_rows: Annotated[int, "Rows used."]


def magnitudes(
    values: np.ndarray,
    name: str,
    *,
    label: str = "",
    columns: Sequence[str] = (),
    block: int | None = None,
) -> Magnitudes:
    """Correlate the magnitudes of all columns, pair by pair.

    Parameters
    ----------
    values : ndarray (n, d)
        One representation of the rows, finite; n ≥ 4.
    name, label : str
        Its key and what a reader is told.
    columns : sequence of str
        Names of the d columns; numbered when absent.
    block : int or None
        Not None for autocorrelated rows in their original order: each correlation is then judged by its
        variance over all circular shifts of one column against the other.

    Returns
    -------
    Magnitudes

    Notes
    -----
    Ranks make the null of independent rows the same for every pair. A correlation r is judged by
    r √((m − 2)/(1 − r²)) against Student's t with m − 2 degrees of freedom; m = n for independent rows, and
    for shifted columns 1 + 1/v at a variance v over shifts, the number of independent rows with that variance.
    """
    n, d = values.shape
    scores = _standard_ranks(np.abs(values - np.median(values, axis=0)))
    correlation = scores @ scores.T / n
    rows = np.full((d, d), float(n))
    if block is not None:
        rows = 1.0 + 1.0 / np.maximum(shift_variances(scores, correlation**2), 1.0 / n)
    p_value = _p_values(correlation, rows)
    np.fill_diagonal(correlation, 1.0)
    upper = np.triu_indices(d, 1)
    pairs = len(upper[0])
    sizes = np.triu(np.abs(correlation), 1)
    worst = np.unravel_index(int(np.argmax(sizes)), sizes.shape)
    return Magnitudes(
        name=name,
        label=label or name,
        columns=tuple(columns) or tuple(f"{name}{i:02d}" for i in range(d)),
        correlation=correlation,
        max_abs=float(sizes[worst]),
        max_pair=(int(worst[0]), int(worst[1])),
        p_value=float(min(1.0, p_value[upper].min() * pairs)) if pairs else 1.0,
        n_rows=n,
    )


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of each column of (n, d) with mean 0 and mean square 1, as (d, n); zeros for a constant one."""
    ranks = np.stack([rankdata(column) for column in values.T]) - 0.5 * (len(values) + 1)
    size = np.sqrt((ranks**2).mean(axis=1, keepdims=True))
    return np.asarray(ranks / np.where(size > 0.0, size, 1.0))


def _p_values(correlation: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Two-sided p-values of correlations as of that many independent rows, elementwise."""
    degrees = np.maximum(rows - 2.0, 1.0)
    unexplained = np.maximum(1.0 - correlation**2, 1e-300)
    return np.asarray(2.0 * student.sf(np.abs(correlation) * np.sqrt(degrees / unexplained), degrees))
