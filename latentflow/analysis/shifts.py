"""The null of pairwise dependence for autocorrelated rows: circular shifts.

Shifting one column against another in a circle breaks their dependence and keeps each one's own
autocorrelation. The variance of a cross-moment ρ_kl over all n shifts is (1/n) Σ_t R_k(t) R_l(t), with R the
circular autocorrelations of the two functions: one matrix product gives it for all pairs. A sum of squares of
normal variables with these variances would then have a known distribution; how far the data are from that is
read off surrogates with random shifts, pooled over pairs.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, rfft
from scipy.stats import chi2

from latentflow.analysis.hermite import DEGREES, empirical_p_values, pair_sums

_SURROGATE_PAIRS = 20_000
_FEWEST_SURROGATES = 4


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
    d = len(squares) // DEGREES
    if d < 2:
        return np.ones((d, d))
    upper = np.triu_indices(d, 1)
    surrogates = max(_FEWEST_SURROGATES, -(-_SURROGATE_PAIRS // len(upper[0])))
    n = functions.shape[1]
    rng = np.random.default_rng([17, n, d])
    shifted = np.empty_like(functions)
    null = np.empty((surrogates, len(upper[0])))
    for draw in null:
        for j, shift in enumerate(rng.integers(0, n, d)):
            at = slice(DEGREES * j, DEGREES * (j + 1))
            shifted[at] = np.roll(functions[at], shift, axis=1)
        draw[:] = _surprise((shifted @ shifted.T / n) ** 2, variances)[upper]
    return empirical_p_values(_surprise(squares, variances), np.sort(null, axis=None))


def _surprise(squares: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """−log p (d, d) of Σρ² if the ρ were normal with these variances, matched in three moments by a shifted
    χ².

    Hall (1983), Buckley & Eagleson (1988).
    """
    mean, second, third = (pair_sums(variances**power) for power in (1, 2, 3))
    usable = third > 0.0
    second, third = np.where(usable, second, 1.0), np.where(usable, third, 1.0)
    degrees = second**3 / third**2
    deviation = (pair_sums(squares) - mean) / np.sqrt(2.0 * second)
    log_p = chi2.logsf(np.maximum(degrees + deviation * np.sqrt(2.0 * degrees), 0.0), degrees)
    return np.where(usable, -log_p, 0.0)
