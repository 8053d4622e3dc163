"""Uniform numbers that depend on a row's own values and a seed, on nothing else.

Dequantisation needs a number in [0, 1) for every tied value. Drawing it from a hash of the row makes it
deterministic: the same row gets the same number, whichever rows share its batch and wherever it stands in the
table. The mixing function is the finaliser of splitmix64 (Steele, Lea & Flood 2014, "Fast splittable
pseudorandom number generators", section 5): a bijection on 64-bit words in which every input bit reaches
every output bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15


def _word(value: int) -> np.uint64:
    return np.uint64(value % 2**64)


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of splitmix64, in place."""
    word ^= word >> np.uint64(30)
    word *= np.uint64(0xBF58476D1CE4E5B9)
    word ^= word >> np.uint64(27)
    word *= np.uint64(0x94D049BB133111EB)
    word ^= word >> np.uint64(31)
    return word


def hashed_uniforms(X: NDArray[np.float64], seed: int, columns: Sequence[int]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for some columns of a table, by its rows.

    Parameters
    ----------
    X : (n, D) float64
        Rows; -0.0 counts as 0.0.
    seed : int
    columns : sequence of k int
        Positions of the columns in the table.

    Returns
    -------
    (n, k) float64
    """
    state = _mix(np.full(len(X), _word(seed * _GOLDEN + 1)))
    for j in range(X.shape[1]):
        bits = (X[:, j] + 0.0).view(np.uint64)  # + 0.0 turns -0.0 into 0.0
        state ^= _mix(bits + _word((j + 1) * _GOLDEN))
        state = _mix(state * _word(_GOLDEN))
    uniforms = np.empty((len(X), len(columns)))
    for i, j in enumerate(columns):
        word = _mix(state + _word((j + 1) * 0xD1342543DE82EF95))
        uniforms[:, i] = (word >> np.uint64(11)) * 2.0**-53
    return uniforms
