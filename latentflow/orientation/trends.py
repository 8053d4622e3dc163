"""What moves more slowly than series are followed: trends and drifts, which are taken off, and whether they are shared.

A trend fills every covariance of the series that have it, so that the likelihood of stationary series turns towards it.
It is taken off piece by piece, as a straight line in time: whatever bends little within a piece goes with it. What a
rotation cannot undo is that trends are shared. Latents are uncorrelated over all rows; if sources rise together, then
their short-time parts, without the trends, are left correlated as much the other way along every set of axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Fewest rows from which a line is taken, and most pieces of one recording.
ROWS_PER_PIECE, MOST_PIECES = 500, 16
#: Correlation of short-time parts from which latents count as sharing their trends, and in standard errors.
SHARED_CORRELATION, CLEAR_ERRORS = 0.1, 5.0


def without_trends(z: Floats, positions: Integers, recordings: Integers | None) -> Floats:
    """Series less a straight line in each piece of them, shape (n, k).

    Parameters
    ----------
    z : ndarray, shape (n, k)
        In the order of time, recording by recording.
    positions : ndarray of int, shape (n,)
        When each row was taken.
    recordings : ndarray of int, shape (n,), or None
        A label for each row. One of fewer than 500 rows keeps what is slow in it, but for the mean over all rows:
        mean and slope of so few say as much of a slow source as of a trend.
    """
    left = z - z.mean(0)
    labels = np.zeros(len(z), np.int64) if recordings is None else recordings
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    for own in np.split(np.arange(len(z)), starts[1:]):
        for piece in np.array_split(own, min(max(len(own) // ROWS_PER_PIECE, 1), MOST_PIECES)):
            if len(piece) >= ROWS_PER_PIECE:
                clock = positions[piece] - positions[piece].mean()
                centred = left[piece] - left[piece].mean(0)
                left[piece] = centred - np.outer(clock, clock @ centred) / max(float(clock @ clock), 1.0)
    return left


def shared_trends(covariances: Floats) -> float | None:
    """The largest correlation of short-time parts of two series, or None where none is clear.

    Parameters
    ----------
    covariances : ndarray, shape (parts, k, k)
        Of the series along their axes, less their trends, in contiguous parts of the rows.
    """
    scale = np.sqrt(np.einsum("ii->i", covariances.mean(0)))
    of_parts = covariances / np.maximum(np.outer(scale, scale), np.finfo(float).tiny)
    mean, error = of_parts.mean(0), of_parts.std(0, ddof=1) / np.sqrt(len(of_parts))
    clear = np.where(np.abs(mean) > np.maximum(SHARED_CORRELATION, CLEAR_ERRORS * error), mean, 0.0)
    np.fill_diagonal(clear, 0.0)
    largest = float(clear.flat[np.abs(clear).argmax()])
    return largest or None
