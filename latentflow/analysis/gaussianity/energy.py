"""The energy distance of rows to N(0, I) (Székely & Rizzo 2005), without bias and with its null."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln, hyp1f1

from latentflow.analysis.dependence.shifts import surprise

CHUNK_ROWS = 1_000
REFERENCE_ROWS = 1_500


def energy_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """h(x, y) = E‖x − Z‖ + E‖y − Z‖ − E‖Z − Z′‖ − ‖x − y‖ for rows (n, d) and (m, d): (n, m).

    Z, Z′ are independent and N(0, I). E h over independent rows x, y is the squared energy distance of their
    distribution to N(0, I); for rows that are N(0, I), E h(x, ·) = 0 at every x.
    """
    own, other = (x**2).sum(axis=1), (y**2).sum(axis=1)
    squared = own[:, None] + other[None, :] - 2.0 * (x @ y.T)
    distances = np.sqrt(np.maximum(squared, 0.0))
    d = x.shape[1]
    return mean_distance(own, d)[:, None] + mean_distance(other, d)[None, :] - _between(d) - distances


def mean_distance(squared_norms: np.ndarray, d: int) -> np.ndarray:
    """E‖x − Z‖ for rows with these ‖x‖² (n,), Z ~ N(0, I) in d dimensions: the mean of a non-central χ."""
    central = np.sqrt(2.0) * np.exp(gammaln(0.5 * (d + 1)) - gammaln(0.5 * d))
    return np.asarray(central * hyp1f1(-0.5, 0.5 * d, -0.5 * np.asarray(squared_norms)))


def block_energy(z: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Sums of the kernel over the pairs of rows of every two blocks: (blocks, blocks).

    Parameters
    ----------
    z : ndarray (n, d)
    numbers : ndarray (n,) of int
        The block of each row, ascending from 0 without gaps.
    """
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    sums = np.empty((len(starts), len(starts)))
    ends = np.append(starts[1:], len(z))
    for a, (start, end) in enumerate(zip(starts, ends, strict=True)):
        sums[a] = np.add.reduceat(energy_kernel(z[start:end], z).sum(axis=0), starts)
    return sums


def unbiased_energy(z: np.ndarray) -> float:
    """Squared energy distance of rows (n, d) to N(0, I): the mean of the kernel over pairs of different rows."""
    n, d = z.shape
    total = 0.0
    for start in range(0, n, CHUNK_ROWS):
        part = z[start : start + CHUNK_ROWS]
        total += float(energy_kernel(part, z[start:]).sum())
        total += float(energy_kernel(z[start + CHUNK_ROWS :], part).sum()) if start + CHUNK_ROWS < n else 0.0
    own = 2.0 * float(mean_distance((z**2).sum(axis=1), d).sum()) - n * _between(d)
    return (total - own) / (n * (n - 1))


def energy_p_value(squared_distance: float, n: int, d: int) -> float:
    """P-value of :func:`unbiased_energy` of n independent rows of N(0, I).

    n times it is a weighted sum of centred χ²(1) variables, whose sums of squared and cubed weights are means
    of products of the kernel over pairs and triples of draws; a shifted, scaled χ² is matched to these.
    """
    second, third = _weights(d)
    total = squared_distance * np.sqrt(n * (n - 1.0))
    zero = np.zeros(1)
    return float(np.exp(-surprise(np.array([total]), zero, np.array([second]), np.array([third])))[0])


def _between(d: int) -> float:
    """E‖Z − Z′‖."""
    return 2.0 * float(np.exp(gammaln(0.5 * (d + 1)) - gammaln(0.5 * d)))


@lru_cache(maxsize=16)
def _weights(d: int) -> tuple[float, float]:
    """Σλ² and Σλ³ over the eigenvalues λ of the kernel under N(0, I), without bias; the same at every call."""
    n = REFERENCE_ROWS
    draws = np.random.default_rng([29, d]).standard_normal((n, d))
    kernel = energy_kernel(draws, draws)
    np.fill_diagonal(kernel, 0.0)
    squared = kernel @ kernel
    second = float(np.trace(squared)) / (n * (n - 1))
    third = float((squared * kernel).sum()) / (n * (n - 1) * (n - 2))
    return second, third
