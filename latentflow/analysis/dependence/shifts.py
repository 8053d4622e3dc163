"""The null of pairwise dependence for autocorrelated rows: circular shifts.

Shifting one column against another in a circle breaks their dependence and keeps each one's own
autocorrelation. The variance of a cross-moment ρ_kl over all n shifts is (1/n) Σ_t R_k(t) R_l(t), with R the
circular autocorrelations of the two functions: one matrix product gives it for all pairs. A sum of squares
of normal variables with these variances would then have a known distribution; how far the data are from that
is read off the statistic at all shifts of a sample of pairs, which Fourier transforms give at once.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, rfft
from scipy.stats import chi2

from latentflow.analysis.dependence.hermite import DEGREES, empirical_p_values, pair_sums

FEWEST_PAIRS, MOST_PAIRS = 40, 400  # shifted at all shifts; few would not do for the tail of many pairs
SHIFTED_NUMBERS = 4_000_000  # rows × pairs shifted, between these
DRAWS_AT_MOST = 200_000
GUARD = 0.05  # share of the shifts, to either side of none, that may still carry a dependence of the columns


def shift_variances(functions: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Variance of every cross-moment over all circular shifts but the one that was observed.

    Parameters
    ----------
    functions : ndarray (q, n)
        Standardised functions of the columns, rows of the table in their original order.
    squares : ndarray (q, q)
        The observed squared cross-moments.

    Returns
    -------
    ndarray (q, q)
        About 1/n for rows without autocorrelation.
    """
    n = functions.shape[1]
    autocorrelation = np.empty_like(functions)
    for function, target in zip(functions, autocorrelation, strict=True):
        spectrum = rfft(function)
        target[:] = irfft(spectrum.real**2 + spectrum.imag**2, n) / n
    return np.asarray(np.maximum(autocorrelation @ autocorrelation.T - squares, 0.0) / (n - 1))


def shift_p_values(functions: np.ndarray, squares: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """P-values of Σρ² under circular shifts for every pair of columns.

    Parameters
    ----------
    functions : ndarray (4 d, n)
    squares, variances : ndarray (4 d, 4 d)
        ρ² as observed and its variance over shifts.

    Returns
    -------
    ndarray (d, d)
        Pairs that no shift can vary (a constant column) get 1.
    """
    d, n = len(squares) // DEGREES, functions.shape[1]
    if d < 2:
        return np.ones((d, d))
    powers = [pair_sums(variances**power) for power in (1, 2, 3)]
    first, second = np.triu_indices(d, 1)
    rng = np.random.default_rng([17, n, d])
    chosen = rng.permutation(len(first))[: int(np.clip(SHIFTED_NUMBERS // n, FEWEST_PAIRS, MOST_PAIRS))]
    stride = -(-len(chosen) * n // DRAWS_AT_MOST)
    null = [
        surprise(shifted_statistic(functions, i, j)[::stride], *(power[i, j] for power in powers))
        for i, j in zip(first[chosen], second[chosen], strict=True)
    ]
    draws = np.sort(np.concatenate(null))
    return empirical_p_values(surprise(pair_sums(squares), *powers), draws)


def shifted_statistic(functions: np.ndarray, i: int, j: int) -> np.ndarray:
    """Σρ² of columns i and j at every circular shift that is not close to none: (about 0.9 n,)."""
    n = functions.shape[1]
    ours = rfft(functions[DEGREES * i : DEGREES * (i + 1)], axis=1)
    theirs = rfft(functions[DEGREES * j : DEGREES * (j + 1)], axis=1)
    total = np.zeros(n)
    for spectrum in ours:
        moments = irfft(spectrum * theirs.conj(), n, axis=1) / n
        total += (moments**2).sum(axis=0)
    guard = max(1, int(GUARD * n))
    return total[guard : n - guard + 1]


def surprise(total: np.ndarray, mean: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """−log p of a sum of squares of normal variables whose variances have these sums of powers, elementwise.

    Matched in mean, variance and skewness by a shifted, scaled χ² (Hall 1983; Buckley & Eagleson 1988). Zero
    where nothing varies.
    """
    usable = third > 0.0
    second, third = np.where(usable, second, 1.0), np.where(usable, third, 1.0)
    degrees = second**3 / third**2
    deviation = (total - mean) / np.sqrt(2.0 * second)
    log_p = chi2.logsf(np.maximum(degrees + deviation * np.sqrt(2.0 * degrees), 0.0), degrees)
    return np.asarray(np.where(usable, -log_p, 0.0))
