"""One-dimensional densities that are honest on new rows: kernels of several widths, stacked.

A kernel of one width is too wide for an edge and too narrow for a tail, where new rows then have almost no
density and −log p is ruined by a few of them. Here the column is first pulled in by y = arcsinh((x − median) /
scale), which turns power-law tails into exponential ones; kernel densities of y at several widths and a
logistic with still wider tails are mixed, with weights that maximise the likelihood of each training row
under the mixture *without that row* (stacking, Smyth & Wolpert 1999; leave-one-out, Habbema et al. 1974).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from latentflow.errors import DataError

CELLS = 8192
WIDTHS = 0.64 * 0.55 ** np.arange(10)  # of kernels, in units of y's spread: 0.64 … 0.003
ROUNDS = 80  # of expectation–maximisation
LEAST = 1e-4  # weight that the logistic keeps, so that no row has density zero
_FLOOR = 1e-300


@dataclass(frozen=True)
class MarginalDensity:
    """A fitted density of one column.

    Attributes
    ----------
    centre, scale : float
        Of the arcsinh, the column's unit.
    grid : ndarray (m,)
        Evenly spaced y.
    kernels : ndarray (m,)
        Weighted sum of the kernel densities there.
    weight, middle, spread : float
        Weight, centre and scale of the logistic.
    """

    centre: float
    scale: float
    grid: np.ndarray
    kernels: np.ndarray
    weight: float
    middle: float
    spread: float

    def neg_log_prob(self, x: np.ndarray) -> np.ndarray:
        """−log density of values (n,), nats (log of the column's unit); finite everywhere."""
        t = (np.asarray(x, dtype=np.float64) - self.centre) / self.scale
        y = np.arcsinh(t)
        dense = np.interp(y, self.grid, self.kernels, left=0.0, right=0.0)
        total = dense + self.weight * _logistic((y - self.middle) / self.spread) / self.spread
        return np.asarray(np.log(self.scale) + np.log(np.hypot(1.0, t)) - np.log(np.maximum(total, _FLOOR)))


def fit_marginal(x: np.ndarray) -> MarginalDensity:
    """Fit the density of one column to training values (n,).

    Raises
    ------
    DataError
        Fewer than two distinct values.
    """
    x = np.asarray(x, dtype=np.float64)
    centre = float(np.median(x))
    scale = _spread(x)
    y = np.arcsinh((x - centre) / scale)
    n, spread = len(y), max(float(y.std()), _FLOOR)
    margin = 5.0 * WIDTHS[0] * spread
    grid = np.linspace(y.min() - margin, y.max() + margin, CELLS)
    step = grid[1] - grid[0]
    counts = _shared(y, grid)
    widths = np.maximum(WIDTHS * spread, 1.5 * step)  # finer ones the grid cannot carry
    dense = _smoothed(counts, widths, step) / n
    middle, broad = float(np.median(y)), max(0.6 * spread, step)
    logistic = _logistic((grid - middle) / broad) / broad
    used = counts > 0.0
    without_own = dense[:, used] - (1.0 / (np.sqrt(2.0 * np.pi) * widths * n))[:, None]
    weights = _stacked(
        np.vstack([np.maximum(without_own * n / max(n - 1, 1), 0.0), logistic[used]]), counts[used]
    )
    return MarginalDensity(centre, scale, grid, weights[:-1] @ dense, float(weights[-1]), middle, broad)


def _spread(x: np.ndarray) -> float:
    """Half the range of the middle half of the values, or the standard deviation where that is zero."""
    low, high = np.percentile(x, [25.0, 75.0])
    scale = 0.5 * float(high - low) or float(x.std())
    if not scale > 0.0:
        raise DataError("a column with a single value has no density")
    return scale


def _shared(y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Rows per grid point, each shared between its two neighbours."""
    place = (y - grid[0]) / (grid[1] - grid[0])
    left = np.minimum(place.astype(int), len(grid) - 2)
    part = place - left
    counts = np.bincount(left, 1.0 - part, len(grid)) + np.bincount(left + 1, part, len(grid))
    return np.asarray(counts)


def _smoothed(counts: np.ndarray, widths: np.ndarray, step: float) -> np.ndarray:
    """Counts convolved with normal kernels of these widths: (widths, cells)."""
    size = next_fast_len(2 * len(counts), real=True)
    frequency = 2.0 * np.pi * np.arange(size // 2 + 1) / (size * step)
    kernels = np.exp(-0.5 * (widths[:, None] * frequency) ** 2) / step
    return np.maximum(irfft(rfft(counts, size) * kernels, size, axis=1)[:, : len(counts)], 0.0)


def _stacked(densities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weights of a mixture of densities (q, m) with the largest likelihood of rows counted by (m,)."""
    q = len(densities)
    weights, total = np.full(q, 1.0 / q), counts.sum()
    for _ in range(ROUNDS):
        mixture = np.maximum(weights @ densities, _FLOOR)
        weights = weights * (densities @ (counts / mixture)) / total
        weights[-1] = max(weights[-1], LEAST)
        weights /= weights.sum()
    return weights


def _logistic(t: np.ndarray) -> np.ndarray:
    decay = np.exp(-np.abs(t))
    return np.asarray(decay / (1.0 + decay) ** 2)
