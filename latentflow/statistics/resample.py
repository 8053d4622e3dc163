"""Bootstrap intervals of means of per-row terms, by rows or by blocks of rows, without copying the terms."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from latentflow.statistics.interval import Interval

CONFIDENCE_LEVEL = 0.95
CHUNK_NUMBERS = 4_000_000  # floats held at a time: 32 MB


def bootstrap_means(
    terms: np.ndarray, rng: np.random.Generator, n_boot: int = 1000, block: int | None = None
) -> np.ndarray:
    """Bootstrap draws of the means of per-row terms, all columns resampled by the same rows.

    Parameters
    ----------
    terms : ndarray (n, q)
        Terms of q quantities on the same rows.
    rng : numpy Generator
    n_boot : int
        Number of draws.
    block : int or None
        Resample circular blocks of this many consecutive rows (Politis & Romano 1992) rather than single
        rows.

    Returns
    -------
    ndarray (n_boot, q)
        Draws of the mean.
    """
    n, q = terms.shape
    if block is not None and block > 1:
        return _block_means(terms, rng, n_boot, block)
    centre = terms.mean(axis=0)
    centred = terms - centre
    draws = np.empty((n_boot, q))
    step = max(1, CHUNK_NUMBERS // n)
    for start in range(0, n_boot, step):
        stop = min(start + step, n_boot)
        counts = np.empty((stop - start, n))
        for row in counts:
            row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
        draws[start:stop] = counts @ centred / n
    return draws + centre


def intervals(
    terms: np.ndarray, rng: np.random.Generator, n_boot: int = 1000, block: int | None = None
) -> list[Interval]:
    """Means of the columns of (n, q) with percentile 95 % intervals from one paired bootstrap.

    With blocks the intervals are widened by Student's t at the number of blocks, which a bootstrap of few
    blocks lacks.
    """
    draws = bootstrap_means(terms, rng, n_boot, block)
    tail = 50.0 * (1.0 - CONFIDENCE_LEVEL)
    low, high = np.percentile(draws, [tail, 100.0 - tail], axis=0)
    means = terms.mean(axis=0)
    if block is not None and block > 1:
        widen = student.isf(tail / 100.0, max(len(terms) // block - 1, 1)) / norm.isf(tail / 100.0)
        low, high = means - widen * (means - low), means + widen * (high - means)
    return [Interval(float(m), float(a), float(b)) for m, a, b in zip(means, low, high, strict=True)]


def variance_of_mean(terms: np.ndarray, width: int) -> float:
    """Variance of the mean of terms (n,), from the means of their blocks of ``width``; infinite with less than two."""
    usable = len(terms) - len(terms) % width
    means = terms[:usable].reshape(-1, width).mean(axis=1)
    return float(means.var(ddof=1)) / len(means) if len(means) > 1 else float("inf")


def _block_means(terms: np.ndarray, rng: np.random.Generator, n_boot: int, block: int) -> np.ndarray:
    n, q = terms.shape
    total = np.concatenate([np.zeros((1, q)), np.cumsum(np.concatenate([terms, terms[:block]]), axis=0)])
    sums = total[block : block + n] - total[:n]
    per_draw = -(-n // block)
    draws = np.empty((n_boot, q))
    step = max(1, CHUNK_NUMBERS // (per_draw * q))
    for start in range(0, n_boot, step):
        stop = min(start + step, n_boot)
        starts = rng.integers(0, n, (stop - start, per_draw))
        draws[start:stop] = sums[starts].mean(axis=1) / block
    return draws
