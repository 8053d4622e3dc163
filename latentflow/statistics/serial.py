"""Rows that follow each other: autocorrelation, the rows that count as independent, and block lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.stats import norm

from latentflow.statistics.ranks import normal_scores

BLOCKS_AT_LEAST = 20  # a bootstrap over fewer blocks than this has no distribution to speak of
BLOCK_INFLATIONS = 5.0  # block length per unit of inflation: leaves about 10 % of an AR(1)'s variance out
ALARM = 1e-3  # chance that independent rows are called autocorrelated


@dataclass(frozen=True)
class SerialStructure:
    """How strongly the rows of a table hang together in their order.

    Attributes
    ----------
    lag1 : float
        Lag-1 autocorrelation of the normal scores of the column where it is largest in size.
    inflation : float
        Factor by which autocorrelation inflates the variance of a mean, in the column where it is largest; ≥
        1.
    dependent : bool
        Whether ``lag1`` is more than independent rows would show (at a level of 0.001 over all columns).
    block : int or None
        Rows per block of a block bootstrap; None where rows are taken as independent.
    """

    lag1: float
    inflation: float
    dependent: bool
    block: int | None


def serial_structure(values: np.ndarray) -> SerialStructure:
    """Measure the autocorrelation of rows (n, d) that stand in their original order.

    Normal scores are used, so that a few enormous readings do not hide it.
    """
    n, d = values.shape
    scores = normal_scores(values)
    lag1 = np.array(
        [float(column[1:] @ column[:-1]) / max(float(column @ column), 1e-300) for column in scores.T]
    )
    strongest = float(lag1[np.argmax(np.abs(lag1))]) if d else 0.0
    dependent = abs(strongest) * np.sqrt(n) > norm.isf(ALARM / (2 * max(d, 1)))
    if not dependent:
        return SerialStructure(strongest, 1.0, False, None)
    inflation = max(variance_inflation(column) for column in scores.T)
    return SerialStructure(strongest, inflation, True, block_length(inflation, n))


def block_length(inflation: float, n: int) -> int | None:
    """Rows per block for a variance inflation among ``n`` rows; None where single rows will do."""
    block = min(int(np.ceil(BLOCK_INFLATIONS * inflation)), n // BLOCKS_AT_LEAST)
    return block if block > 1 and inflation > 1.0 else None


def variance_inflation(x: np.ndarray) -> float:
    """1 + 2 Σ_t r(t) of a series (n,): how much more the mean varies than with independent rows; at least 1.

    The sum stops where two neighbouring autocorrelations first add up to less than zero (Geyer 1992, the
    initial positive sequence), beyond which an estimate holds only noise.
    """
    n = len(x)
    centred = x - x.mean()
    power = float(centred @ centred)
    if n < 4 or power <= 0.0:
        return 1.0
    spectrum = rfft(centred, next_fast_len(2 * n, real=True))
    r = irfft(spectrum.real**2 + spectrum.imag**2, next_fast_len(2 * n, real=True))[:n] / power
    pairs = r[: n - n % 2].reshape(-1, 2).sum(axis=1)
    stop = int(np.argmax(pairs < 0.0)) if (pairs < 0.0).any() else len(pairs)
    return float(np.clip(2.0 * pairs[:stop].sum() - 1.0, 1.0, n))
