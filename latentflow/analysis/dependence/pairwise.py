"""Pairwise dependence of all columns from one matrix product of Hermite functions of their ranks.

For two columns with orthonormal functions h_k of each, ρ_kl = E[h_k(x) h_l(y)] vanish for all k, l if and (in
the limit of many functions) only if they are independent, and ½ Σρ² is their mutual information to leading
order. Only ranks enter, so that all representations share one null and no monotone change of a column
matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.stats import false_discovery_control, norm

from latentflow.analysis.dependence.hermite import (
    DEGREES,
    SIMULATED_BELOW,
    hermite_functions,
    null_p_values,
    pair_sums,
)
from latentflow.analysis.dependence.shifts import shift_p_values, shift_variances
from latentflow.analysis.measures import PairwiseDependence
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result

RATE = 0.05  # of false discoveries


@dataclass(frozen=True)
class Discoveries(Result):
    """Pairs of one representation found dependent at a false discovery rate of 5 %."""

    n_bh: Annotated[
        int,
        "By Benjamini & Hochberg (1995): valid where the tests of the pairs depend on each other positively, and in "
        "practice for screening all pairs.",
    ]
    n_by: Annotated[
        int, "By Benjamini & Yekutieli (2001): valid however the tests depend on each other, hence fewer."
    ]
    n_pairs: Annotated[int, "Pairs tested, d (d − 1)/2."]


@dataclass(frozen=True)
class _Moments:
    """Cross-moments of all functions of all columns and what they are worth under independence."""

    functions: np.ndarray  # (4 d, n)
    cross: np.ndarray  # (4 d, 4 d)
    variances: np.ndarray  # (4 d, 4 d), of each cross-moment under independence
    effect: np.ndarray  # (d, d) ½(Σρ² − its null mean), nats, not floored
    counts: np.ndarray  # (d, d) number of cross-moments of each pair


def pairwise_dependence(
    values: np.ndarray,
    name: str,
    *,
    label: str = "",
    columns: Sequence[str] = (),
    block: int | None = None,
) -> PairwiseDependence:
    """Screen all pairs of columns for dependence.

    Parameters
    ----------
    values : ndarray (n, d)
        One representation of the rows, finite.
    name, label : str
        Its key and what a reader is told.
    columns : sequence of str
        Names of the d columns; numbered when absent.
    block : int or None
        Not None for autocorrelated rows in their original order: the null then is that of circular shifts of
        the columns, and intervals use blocks of that many rows.

    Returns
    -------
    PairwiseDependence
        Effect sizes in nats, statistics (n − 1) Σρ² and p-values per pair, and a lower bound on the total
        correlation from a spanning tree of pairs. See there for the fields.

    Notes
    -----
    Null of independent rows: χ² with 16 degrees of freedom from 10 000 rows on, below that simulated
    pairs at the same n, continued as an exponential beyond the 0.03 % level.
    """
    n, d = values.shape
    moments = _moments(values, shifts=block is not None)
    squares = moments.cross**2
    statistic = (n - 1) * pair_sums(squares)
    if block is not None:
        p_value, null = shift_p_values(moments.functions, squares, moments.variances), "circular shifts"
    else:
        p_value = null_p_values(statistic, moments.counts, n)
        null = "simulated" if n < SIMULATED_BELOW else "chi2"
    np.fill_diagonal(statistic, 0.0)
    np.fill_diagonal(p_value, 1.0)
    nats = np.maximum(moments.effect, 0.0)
    np.fill_diagonal(nats, 0.0)
    upper = np.triu_indices(d, 1)
    pairs = len(upper[0])
    # before the floor, so that a pair is named where all of them are at zero
    worst = int(np.argmax(moments.effect[upper])) if pairs else None
    i, j = (0, 0) if worst is None else (int(upper[0][worst]), int(upper[1][worst]))
    return PairwiseDependence(
        name=name,
        label=label or name,
        columns=tuple(columns) or tuple(f"{name}{i:02d}" for i in range(d)),
        nats=nats,
        statistic=statistic,
        p_value=p_value,
        max_nats=float(nats[i, j]),
        max_pair=(i, j),
        max_p_adjusted=float(min(1.0, p_value[upper].min() * pairs)) if pairs else 1.0,
        mean_nats=float(moments.effect[upper].mean()) if pairs else 0.0,
        tree=spanning_tree_bound(values, block=block),
        n_rows=n,
        null=null,
    )


def discoveries(p_value: np.ndarray) -> Discoveries:
    """Count the dependent pairs in a symmetric matrix (d, d) of unadjusted p-values of pairs.

    The diagonal is not looked at.

    >>> discoveries(np.array([[1.0, 0.001, 0.5], [0.001, 1.0, 0.6], [0.5, 0.6, 1.0]]))
    Discoveries(n_bh=1, n_by=1, n_pairs=3)
    """
    p = p_value[np.triu_indices(len(p_value), 1)]
    return Discoveries(
        n_bh=int((adjusted(p, "bh") <= RATE).sum()),
        n_by=int((adjusted(p, "by") <= RATE).sum()),
        n_pairs=len(p),
    )


def adjusted(p_values: np.ndarray, method: Literal["bh", "by"]) -> np.ndarray:
    """P-values (m,) adjusted so that those below q are discoveries at a false discovery rate of q.

    Parameters
    ----------
    p_values : ndarray (m,)
        All p-values of the family, none left out; m may be 0.
    method : {"bh", "by"}
        Benjamini–Hochberg, or Benjamini–Yekutieli (larger by the factor Σ_{i ≤ m} 1/i).
    """
    if not len(p_values):
        return np.empty(0)
    return np.asarray(false_discovery_control(p_values, method=method))


def spanning_tree_bound(values: np.ndarray, *, block: int | None = None) -> Interval:
    """Lower bound on the total correlation of (n, d) from pairs alone, nats, with a 95 % interval.

    Total correlation is at least the sum of mutual informations over any tree of pairs (Chow & Liu 1968). The
    tree is chosen on one half of the rows and summed on the other, both ways, so that choosing does not
    inflate the sum: it is zero on average under independence. Each term is ½ Σρ², which stands for the mutual
    information where dependence is weak and reads high where it is strong.
    """
    n, d = values.shape
    if d < 2 or n < 8:
        return Interval(0.0, 0.0, 0.0)
    # Neighbouring rows of a series would carry the choice over from one half to the other.
    halves = [values[: n // 2], values[n // 2 :]] if block is not None else [values[::2], values[1::2]]
    moments = [_moments(half, shifts=block is not None) for half in halves]
    estimates, variances = [], []
    for chooser, judge in ((moments[0], moments[1]), (moments[1], moments[0])):
        edges = _heaviest_tree(chooser.effect)
        estimates.append(float(judge.effect[edges].sum()))
        variances.append(_tree_variance(judge, edges, block))
    estimate = float(np.mean(estimates))
    reach = float(norm.isf(0.025) * np.sqrt(np.mean(variances) / 2.0))
    return Interval(estimate, estimate - reach, estimate + reach)


def _moments(values: np.ndarray, *, shifts: bool) -> _Moments:
    n = len(values)
    functions, count = hermite_functions(values)
    cross = functions @ functions.T / n
    present = (np.diag(cross) > 0.5).astype(np.float64)
    independent = np.outer(present, present) / (n - 1)
    variances = shift_variances(functions, cross**2) if shifts else independent
    effect = 0.5 * (pair_sums(cross**2) - pair_sums(variances))
    return _Moments(functions, cross, variances, effect, np.outer(count, count))


def _heaviest_tree(effect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column indices of the d − 1 edges of the maximum spanning tree of (d, d) effect sizes."""
    # Sparse graphs read a zero as no edge, so weights are shifted to be positive; a tree's choice is
    # unaffected.
    cost = effect.max() - effect + 1.0
    tree = minimum_spanning_tree(np.triu(cost, 1)).tocoo()
    return tree.row, tree.col


def _tree_variance(moments: _Moments, edges: tuple[np.ndarray, np.ndarray], block: int | None) -> float:
    """Variance of Σ_edges ½ Σρ²: that of independent columns plus, where ρ ≠ 0, the delta method's term."""
    n = moments.functions.shape[1]
    influence = np.zeros(n)
    null = 0.0
    for i, j in zip(*edges, strict=True):
        at_i = slice(DEGREES * i, DEGREES * (i + 1))
        at_j = slice(DEGREES * j, DEGREES * (j + 1))
        products = (moments.cross[at_j, at_i] @ moments.functions[at_i]) * moments.functions[at_j]
        influence += products.sum(axis=0)
        null += 0.5 * float((moments.variances[at_i, at_j] ** 2).sum())
    influence -= influence.mean()
    width = block or 1
    usable = n - n % width
    delta = float(influence[:usable].reshape(-1, width).mean(axis=1).var()) * width / n
    # Estimated ρ are not zero under independence either: their share of the delta term is twice the null
    # variance.
    return null + max(0.0, delta - 2.0 * null)
