"""Uniform numbers that depend on a row's own values and a seed, on nothing else.

Dequantisation needs a number in [0, 1) for every tied value. Drawing it from a hash of the row makes it
deterministic: the same row gets the same number, whichever rows share its batch and wherever it stands in the
table. The mixing function is the finaliser of splitmix64 (Steele, Lea & Flood 2014, "Fast splittable
pseudorandom number generators", section 5): a bijection on 64-bit words in which every input bit reaches
every output bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of splitmix64, in place."""
    word ^= word >> np.uint64(30)
    word *= np.uint64(0xBF58476D1CE4E5B9)
    word ^= word >> np.uint64(27)
    word *= np.uint64(0x94D049BB133111EB)
    word ^= word >> np.uint64(31)
    return word


def hash_rows(X: NDArray[np.float64], seed: int) -> NDArray[np.uint64]:
    """Hash every row of a table together with a seed.

    Parameters
    ----------
    X : (n, D) float64
        Rows; -0.0 counts as 0.0.
    seed : int

    Returns
    -------
    (n,) uint64
    """
    state = np.full(len(X), (seed * _GOLDEN + 1) & _MASK, dtype=np.uint64)
    _mix(state)
    for j in range(X.shape[1]):
        bits = (X[:, j] + 0.0).view(np.uint64)  # + 0.0 turns -0.0 into 0.0
        bits += np.uint64(((j + 1) * _GOLDEN) & _MASK)
        state ^= _mix(bits)
        state *= np.uint64(_GOLDEN)
        _mix(state)
    return state


def column_uniforms(state: NDArray[np.uint64], column: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for one column, given the hashes of the rows.

    Parameters
    ----------
    state : (n,) uint64
        From `hash_rows`.
    column : int
        Position of the column in the table.

    Returns
    -------
    (n,) float64
    """
    word = _mix(state + np.uint64(((column + 1) * 0xD1342543DE82EF95) & _MASK))
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53
