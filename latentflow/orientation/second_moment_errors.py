"""How well second moments determine their axes: standard errors of angles, and none where all may be chance.

Axes that nothing tells apart are fitted to the noise of the rows at hand, and look different in those. What tells two
axes apart is therefore measured along axes that other rows gave.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import linear_sum_assignment

from latentflow.orientation.autoregressive_axes import autoregressive_axes, curvatures
from latentflow.orientation.joint_diagonalisation import joint_diagonaliser
from latentflow.statistics.matrices import symmetric_log

Floats = NDArray[np.float64]

#: Standard deviations within which a difference between two axes counts as chance.
CHANCE_DEVIATIONS = 3.0


def moment_angle_error(turned: Floats, counts: NDArray[np.intp], weights: Floats) -> Floats:
    """Standard errors of the angles of a joint diagonaliser, from how far the parts scatter, radians, shape (k, k).

    In the plane of axes i and j the angle is Σ w Δ L_ij / Σ w Δ², with Δ the difference of the log-variances and L
    the logarithm's off-diagonal entry, linear in that of the moments. The denominator is that of :func:`_signal`.

    Parameters
    ----------
    turned : ndarray, shape (parts, m, k, k)
        Sums of squares and products along the axes, of contiguous parts of the rows behind each of m matrices.
    counts : ndarray of int, shape (parts, m)
        Of the rows in them.
    weights : ndarray, shape (m,)
    """
    variances = np.diagonal(turned.sum(0), axis1=1, axis2=2) / counts.sum(0)[:, None]
    difference = _apart(np.log(variances))
    width = variances[:, :, None] - variances[:, None, :]
    level = 0.5 * (variances[:, :, None] + variances[:, None, :])
    close = np.abs(width) < 1e-6 * level
    to_log = np.where(close, 1 / level, difference / np.where(close, 1.0, width))
    off = (
        turned / counts.mean(0)[None, :, None, None]
    )  # a part's share of the sum, at the scale of the moments
    numerators = (weights[:, None, None] * difference * to_log * off).sum(1)
    scatter = numerators.std(axis=0, ddof=1) / np.sqrt(len(turned))
    return bounded(scatter, _signal(turned, counts, weights))


def _signal(turned: Floats, counts: NDArray[np.intp], weights: Floats) -> Floats:
    """Σ w Δ² of each plane, 0 where it may be chance, shape (k, k).

    Axes that no matrix tells apart differ all the same in the rows that they were fitted to, the more so the more axes
    and the fewer matrices there are. So the axes are fitted to one half of the parts, and Δ of that half is multiplied
    with Δ along the same axes in the other half, whose mean is then zero.
    """
    of_halves = [
        _out_of_sample((turned[h::2], counts[h::2]), (turned[1 - h :: 2], counts[1 - h :: 2]), weights)
        for h in (0, 1)
    ]
    signal, chance = np.mean(of_halves, axis=0)
    return np.where(signal > chance, signal, 0.0)


def _out_of_sample(
    fitted: tuple[Floats, NDArray[np.intp]], other: tuple[Floats, NDArray[np.intp]], weights: Floats
) -> tuple[Floats, Floats]:
    """Σ w Δ Δ′ along axes of some parts, and how much of it counts as chance, both (k, k).

    ``fitted`` and ``other`` are sums of squares (parts, m, k, k), turned to the axes of all parts, and their counts.
    """
    (own, own_counts), (new, new_counts) = fitted, other
    moments = own.sum(0) / own_counts.sum(0)[:, None, None]
    axes = _matched(joint_diagonaliser(symmetric_log(moments), weights, start=np.eye(own.shape[-1])).rotation)
    learned = _variances(own.sum(0), own_counts.sum(0), axes)
    measured = _variances(new.sum(0), new_counts.sum(0), axes)
    weighted = weights[:, None, None] * _apart(np.log(learned))
    # how far the parts' log-variances lie off those of all, to first order
    noise = _apart(_variances(new, new_counts, axes) / measured).var(axis=0, ddof=1) / len(new)
    # as improbable as CHANCE_DEVIATIONS standard deviations of a normal variable
    threshold = float(stats.t.isf(stats.norm.sf(CHANCE_DEVIATIONS), (len(new) - 1) * len(weights)))
    return (weighted * _apart(np.log(measured))).sum(0), threshold * np.sqrt((weighted**2 * noise).sum(0))


def _matched(axes: Floats) -> Floats:
    """Axes in the order of those that they were found from, whose frame they are in."""
    return axes[:, linear_sum_assignment(-np.abs(axes))[1]]


def _variances(sums: Floats, counts: NDArray[np.intp], axes: Floats) -> Floats:
    """Along axes, (..., m, k), from sums of squares (..., m, k, k)."""
    return np.asarray(np.einsum("...ij,ia,ja->...a", sums, axes, axes) / counts.clip(1)[..., None])


def _apart(values: Floats) -> Floats:
    """Differences between the last axis's entries, (..., k, k)."""
    return np.asarray(values[..., :, None] - values[..., None, :])


def clear_curvature(turned: Floats) -> Floats:
    """Curvature of the Gaussian likelihood in each plane, 0 where it may be chance, shape (k, k).

    As in :func:`_signal`, of either half of the parts along the axes and by the weights of the other half.

    Parameters
    ----------
    turned : ndarray, shape (parts, p + 1, k, k)
        Covariances of contiguous parts of the rows at lags 0 … p, along the axes of all.
    """
    of_halves = []
    for h in (0, 1):
        own, new = turned[h::2].mean(0), turned[1 - h :: 2].mean(0)
        axes = _matched(autoregressive_axes(own, np.eye(own.shape[-1])).rotation)
        of_halves.append(curvatures(axes.T @ new @ axes, axes.T @ own @ axes))
    signal = np.mean(of_halves, axis=0)
    # the more planes, the larger the differences by which the other half is weighed
    chance = CHANCE_DEVIATIONS * np.sqrt(len(signal) / 2) * _chance(turned)
    return np.where(signal > chance, signal, 0.0)


def _chance(turned: Floats) -> Floats:
    """Standard deviation of the curvature of two given series all alike, (k, k).

    The curvature is the mean product of a part of one half with a part of the other. Without a difference between the
    series its variance is tr(C H C H) (2/parts)², with C the covariance of the parts and H the metric of the product.
    """
    parts, mean, step = len(turned), turned.mean(0), 1e-4
    off_mean = turned - mean
    products = np.stack(
        [
            (curvatures(one, mean + step * other) - curvatures(one, mean - step * other)) / (2 * step)
            for one, other in product(off_mean, off_mean)
        ]
    )
    return np.asarray(2 / parts / (parts - 1) * np.sqrt((products**2).sum(0)))


def bounded(scatter: Floats, signal: Floats) -> Floats:
    """scatter / signal, at most π/4, and that where there is no signal, shape (k, k)."""
    error = np.full(signal.shape, np.pi / 4)
    clear = signal > 0
    error[clear] = np.minimum(scatter[clear] / signal[clear], np.pi / 4)
    np.fill_diagonal(error, 0.0)
    return error
