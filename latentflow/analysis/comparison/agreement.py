"""How far several encodings of the same rows agree, coordinate by coordinate and as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from latentflow.statistics.records import Result

STABLE, FAIRLY_STABLE = 0.95, 0.8  # matched |Spearman correlation| between two runs


@dataclass(frozen=True)
class CoordinateAgreement(Result):
    """One coordinate of the first run and its counterparts in the others."""

    name: Annotated[str, "Its name."]
    median: Annotated[
        float, "|Spearman correlation| of the counterparts, median and minimum over all pairs of runs."
    ]
    lowest: float
    words: Annotated[
        str, "By the median: ``stable`` (from 0.95), ``fairly stable`` (from 0.8) or ``unstable``."
    ]


@dataclass(frozen=True)
class Agreement(Result):
    """Several runs of one method on the same rows."""

    label: Annotated[str, "The method, in words."]
    coordinates: Annotated[tuple[CoordinateAgreement, ...], "In the order of the first run."]
    mean: Annotated[float, "Mean of the medians."]
    distance: Annotated[
        float,
        "Encoding distance: the root mean square over rows of ‖a − b‖₂ between two runs, after the signed permutation "
        "that makes it smallest; median over pairs of runs.",
    ]
    distance_rotated: Annotated[
        float,
        "The same after the best rotation (orthogonal Procrustes): what is left of it once the runs need not agree on "
        "axes. Far below ``distance``, the runs agree on the map and not on its orientation.",
    ]
    reference: Annotated[
        float, "√(2 d): the distance between two codes that have nothing to do with each other."
    ]
    n_runs: Annotated[int, "Runs compared."]


def agreement(codes: Sequence[np.ndarray], names: Sequence[str], label: str) -> Agreement:
    """Compare runs that encoded the same rows.

    Parameters
    ----------
    codes : sequence of ndarray (n, d)
        At least two.
    names : sequence of str, length d
        Of the coordinates of the first run, with which those of every other run are matched by |Spearman correlation|
        (Kuhn 1955).
    label : str

    Returns
    -------
    Agreement

    Notes
    -----
    A distance between the codes of two models is how Song et al. (2021, arXiv 2011.13456, appendix D.5) measured that
    an encoding is uniquely identifiable; here axes may also come in another order and with other signs.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).standard_normal((200, 2))
    >>> found = agreement([z, -z[:, ::-1]], ["a", "b"], "turned")
    >>> round(found.mean, 6), round(found.distance, 6), found.reference
    (1.0, 0.0, 2.0)
    """
    ranks = [_standardised(rankdata(code, axis=0)) for code in codes]
    order = [_counterparts(ranks[0], other) for other in ranks]
    ordered = [run[:, columns] for run, columns in zip(ranks, order, strict=True)]
    pairs = list(combinations(range(len(codes)), 2))
    matched = np.array([np.abs((ordered[a] * ordered[b]).mean(axis=0)) for a, b in pairs])
    medians, lowest = np.median(matched, axis=0), matched.min(axis=0)
    return Agreement(
        label=label,
        coordinates=tuple(
            CoordinateAgreement(str(name), float(median), float(low), _words(float(median)))
            for name, median, low in zip(names, medians, lowest, strict=True)
        ),
        mean=float(medians.mean()),
        distance=float(np.median([permuted_distance(codes[a], codes[b]) for a, b in pairs])),
        distance_rotated=float(np.median([rotated_distance(codes[a], codes[b]) for a, b in pairs])),
        reference=float(np.sqrt(2 * codes[0].shape[1])),
        n_runs=len(codes),
    )


def permuted_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square over rows of ‖a P − b‖₂ for the best signed permutation P of the columns of (n, d)."""
    products = a.T @ b
    own, other = linear_sum_assignment(-np.abs(products))
    return _distance(a, b, float(np.abs(products[own, other]).sum()))


def rotated_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square over rows of ‖a R − b‖₂ for the best orthogonal R (Schönemann 1966), of (n, d)."""
    return _distance(a, b, float(np.linalg.svd(a.T @ b, compute_uv=False).sum()))


def _distance(a: np.ndarray, b: np.ndarray, overlap: float) -> float:
    squared = float((a**2).sum() + (b**2).sum()) - 2.0 * overlap
    return float(np.sqrt(max(squared, 0.0) / len(a)))


def _counterparts(first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The column of the other run matched with each column of the first, of standardised ranks (n, d)."""
    own, matched = linear_sum_assignment(-np.abs(first.T @ other))
    return np.asarray(matched[np.argsort(own)])


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    return np.asarray(centred / np.maximum(centred.std(axis=0), np.finfo(float).tiny))


def _words(correlation: float) -> str:
    if correlation >= STABLE:
        return "stable"
    return "fairly stable" if correlation >= FAIRLY_STABLE else "unstable"
