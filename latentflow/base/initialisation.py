r"""The layers of a mixture, read off the derivatives of the flow from the outside in.

Let the rows be x = V b⁻¹(h), with a rotation V, an increasing function bᵢ of each coordinate u = Vᵀx, and h = b(u)
whatever deeper layers made. Of the encoder, J = ∂z/∂x = (∂z/∂h) diag(b′(u)) Vᵀ. Taken as a whole ∂z/∂h varies about a
multiple of an orthogonal matrix, so log JᵀJ ≈ V diag(2 log b′(u)) Vᵀ: its joint diagonaliser is V, and its mean over
rows that share uᵢ gives log bᵢ′(uᵢ). With both known, the layer comes off: h is the next x, and its Jacobian is
J V diag(1/b′(u)).

That is only near the truth, and a start for the layers that :mod:`latentflow.base.gaussianization` trains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from latentflow.base.monotone import Curves
from latentflow.statistics.matrices import symmetric_log, symmetric_whitening

Floats = NDArray[np.float64]

#: Rows behind each point of a curve, and how many points there are at the fewest and at the most.
ROWS_A_POINT, FEWEST_POINTS, MOST_POINTS = 40, 8, 40
#: Least distance of points in standard deviations, and the steepest slope, of curves from ranks.
MIN_GAP, MAX_SLOPE = 1e-6, 100.0


@dataclass(frozen=True)
class RemainingMixture:
    """What is left of a mixture, and the layers that have come off.

    Attributes
    ----------
    rows : ndarray, shape (m, k)
        Whitened.
    jacobians : ndarray, shape (m, k, k)
        ∂z/∂(these rows).
    whitening : ndarray, shape (k, k)
        Which makes ``rows`` of the last layer's coordinates.
    matrices : tuple of ndarray, shape (k, k)
        Of the layers that are off, outermost first; a layer multiplies rows by its own from the right.
    curves : tuple of Curves
        Their increasing functions.
    """

    rows: Floats
    jacobians: Floats
    whitening: Floats
    matrices: tuple[Floats, ...] = ()
    curves: tuple[Curves, ...] = ()

    @classmethod
    def whole(cls, rows: Floats, jacobians: Floats) -> RemainingMixture:
        """Nothing has come off yet: whitened rows, shape (m, k), and their ∂z/∂x, shape (m, k, k)."""
        return cls(rows, jacobians, np.eye(rows.shape[1]))


def remove_layer(mixture: RemainingMixture, axes: Floats) -> RemainingMixture:
    """One layer less.

    Parameters
    ----------
    mixture : RemainingMixture
    axes : ndarray, shape (k, k)
        The rotation V of the layer.
    """
    u = mixture.rows @ axes
    logs = symmetric_log(mixture.jacobians.transpose(0, 2, 1) @ mixture.jacobians)
    log_slopes = 0.5 * np.einsum("nij,ia,ja->na", logs, axes, axes)
    curves, h, slopes = _integrated(u, log_slopes)
    whiten = symmetric_whitening(h)
    left = (mixture.jacobians @ axes) / slopes[:, None, :]
    return RemainingMixture(
        rows=h @ whiten,
        jacobians=left @ np.linalg.inv(whiten),
        whitening=whiten,
        matrices=(*mixture.matrices, mixture.whitening @ axes),
        curves=(*mixture.curves, curves),
    )


def curves_to_normal(u: Floats) -> Curves:
    """The curves that make each coordinate standard normal, of rows (n, k)."""
    at = _binned(np.sort(u, axis=0))
    points = np.arange(at.shape[1])
    at = at + MIN_GAP * at.std(axis=1, keepdims=True) * points  # values that many rows share have no slope
    value = np.broadcast_to(ndtri((points + 0.5) / len(points)), at.shape).copy()
    rise = np.stack([np.gradient(own, knots) for own, knots in zip(value, at, strict=True)])
    return Curves(at, value, np.log(np.clip(rise, 1 / MAX_SLOPE, MAX_SLOPE)))


def _integrated(u: Floats, log_slopes: Floats) -> tuple[Curves, Floats, Floats]:
    """Curves of mean 0 and variance 1 with these slopes, their values at u, and their slopes there, (m, k) both."""
    order = np.argsort(u, axis=0)
    at = _binned(np.take_along_axis(u, order, 0))
    log_slope = _binned(np.take_along_axis(log_slopes, order, 0))
    value, h, slopes = np.empty_like(at), np.empty_like(u), np.empty_like(u)
    for i, knots in enumerate(at):
        steep = np.exp(log_slope[i])
        area = np.concatenate([[0.0], np.cumsum(0.5 * (steep[1:] + steep[:-1]) * np.diff(knots))])
        inside = np.interp(u[:, i], knots, area)
        beyond = np.minimum(u[:, i] - knots[0], 0) * steep[0] + np.maximum(u[:, i] - knots[-1], 0) * steep[-1]
        raw = inside + beyond
        mean, deviation = raw.mean(), raw.std()
        h[:, i] = (raw - mean) / deviation
        value[i] = (area - mean) / deviation
        log_slope[i] -= np.log(deviation)
        slopes[:, i] = np.exp(np.interp(u[:, i], knots, log_slope[i]))
    return Curves(at, value, log_slope), h, slopes


def _binned(ordered: Floats) -> Floats:
    """Means of stretches of rows that are in order, (n, k) to (k, points)."""
    points = int(np.clip(len(ordered) // ROWS_A_POINT, FEWEST_POINTS, MOST_POINTS))
    return np.stack([part.mean(0) for part in np.array_split(ordered, points)], axis=1)
