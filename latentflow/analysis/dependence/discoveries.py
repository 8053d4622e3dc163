"""How many pairs are dependent once the number of pairs looked at is allowed for: false discovery rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from scipy.stats import false_discovery_control

from latentflow.statistics.records import Result

RATE = 0.05


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
