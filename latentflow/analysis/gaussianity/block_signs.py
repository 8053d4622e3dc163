"""The null of a Gaussianity test for autocorrelated rows: whole blocks of rows change sign at random.

Such tests measure how far means over the rows are from what N(0, I) gives: of indicators at many levels, or
of a kernel. Under the null their sums over blocks are nearly independent with mean zero, so that changing the
sign of whole blocks leaves the distribution of the total as it is, while autocorrelation within blocks is
kept (the dependent wild bootstrap, Shao 2010, with blocks and Rademacher signs). Unlike resampled blocks,
signed ones do not spend a degree of freedom on the mean, which counts where blocks are few.

On single columns of Gaussian AR(1) rows (φ = 0.5, 0.9, 0.97; 1 500 and 5 000 of them; 400 series each)
Anderson–Darling at the 5 % level rejects in 4 … 7.5 % of series, 5.8 % on average, and the radius test in 5 … 8 %;
with the effective number of rows in its place, Anderson–Darling rejects in 1.5 … 3.8 %. Blocks fewer than 12
reject too often, and the effective number of rows is better.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from latentflow.analysis.dependence.hermite import empirical_p_values

INFLATIONS_PER_BLOCK = 4.0
AMPLE_INFLATIONS = 12.0  # a block of 4 leaves 12 % of an AR(1)'s variance out, one of 12 only 4 %
AMPLE_BLOCKS = 50
BLOCKS_AT_LEAST = 12
BLOCKS_AT_MOST = 500  # more only cost time
DRAWS = 2_000
_STEP = 0.25
_LOGITS = np.arange(-8.0 + 0.5 * _STEP, 8.0, _STEP)
LEVELS = expit(_LOGITS)  # evenly spaced logits: dF / (F (1 − F)) is then a plain sum


def signed_block(inflation: float, n: int) -> int | None:
    """Rows per block for a variance inflation among ``n`` rows; None where that leaves too few blocks."""
    ample = min(int(np.ceil(AMPLE_INFLATIONS * inflation)), n // AMPLE_BLOCKS)
    block = max(int(np.ceil(INFLATIONS_PER_BLOCK * inflation)), ample, -(-n // BLOCKS_AT_MOST))
    return block if n // block >= BLOCKS_AT_LEAST else None


def signs(n_blocks: int, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Random signs (draws, n_blocks)."""
    return np.asarray(rng.integers(0, 2, (draws, n_blocks)) * 2.0 - 1.0)


def block_numbers(n: int, block: int) -> np.ndarray:
    """The block of each of n rows (n,); a remainder shorter than half a block joins the last one."""
    whole = max(1, round(n / block))
    return np.minimum(np.arange(n) // block, whole - 1)


def excess_counts(u: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Rows of each block below each level, less what a uniform distribution gives.

    Parameters
    ----------
    u : ndarray (n,)
        Probability transforms, uniform under the null.
    numbers : ndarray (n,) of int
        The block of each row.

    Returns
    -------
    ndarray (blocks, levels)
    """
    blocks, width = int(numbers[-1]) + 1, len(LEVELS) + 1
    cell = numbers * width + np.searchsorted(LEVELS, u)
    counts = np.bincount(cell, minlength=blocks * width).reshape(blocks, width)
    size = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.cumsum(counts, axis=1)[:, :-1] - size * LEVELS)


def squared_p(excess: np.ndarray, signed: np.ndarray) -> float:
    """P-value of the Anderson–Darling statistic from excess counts (blocks, levels) and signs (draws, blocks)."""
    return _p(float((excess.sum(axis=0) ** 2).sum()), ((signed @ excess) ** 2).sum(axis=1))


def largest_squared_p(excess: np.ndarray, signed: np.ndarray) -> float:
    """The same of the largest over q series that share their rows: excess counts (blocks, q, levels)."""
    blocks, q, levels = excess.shape
    observed = float((excess.sum(axis=0) ** 2).sum(axis=1).max())
    flat = excess.reshape(blocks, q * levels)
    draws = [((part @ flat).reshape(-1, q, levels) ** 2).sum(axis=2).max(axis=1) for part in _chunks(signed)]
    return _p(observed, np.concatenate(draws))


def largest_p(excess: np.ndarray, signed: np.ndarray) -> float:
    """P-value of the Kolmogorov–Smirnov statistic from excess counts (blocks, levels) and signs."""
    return _p(float(np.abs(excess.sum(axis=0)).max()), np.abs(signed @ excess).max(axis=1))


def pairs_p(sums: np.ndarray, signed: np.ndarray) -> float:
    """P-value of the sum of a kernel over pairs of different blocks: sums (blocks, blocks), diagonal zero."""
    return _p(float(sums.sum()), ((signed @ sums) * signed).sum(axis=1))


def _p(observed: float, draws: np.ndarray) -> float:
    return float(empirical_p_values(np.array([observed]), np.sort(draws))[0])


def _chunks(signed: np.ndarray, rows: int = 250) -> list[np.ndarray]:
    return [signed[start : start + rows] for start in range(0, len(signed), rows)]
