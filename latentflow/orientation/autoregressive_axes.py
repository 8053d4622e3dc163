r"""The rotation of greatest likelihood for independent Gaussian autoregressive series.

For series of unit variance that are a rotation V of independent autoregressive ones of order p, the log-likelihood per
row is −½ Σᵢ log σᵢ² up to a constant, with σᵢ² the innovation variance of series i, a function of its autocovariances
rᵢ(l) = (Vᵀ C(l) V)ᵢᵢ at lags 0 … p alone:

    log σᵢ² = log det T(rᵢ; p + 1) − log det T(rᵢ; p),    T Toeplitz

(Dégerine & Zaïdi 2004, IEEE Trans. Signal Process. 52:1499; Pham & Garat 1997, IEEE Trans. Signal Process. 45:1712). It
weighs the lags of each pair of series by what they tell of it, where a joint diagonaliser weighs all alike. Near a
solution, turning V by a small antisymmetric K changes the sum by −2 Σₗ Cᵢⱼ(l) (wᵢ(l) − wⱼ(l)) Kᵢⱼ in the plane of axes
i and j, with w = ∂ log σ²/∂r, which gives a Newton step for all planes at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

Floats = NDArray[np.float64]

AUTOREGRESSIVE_ORDER = 4
MOST_STEPS = 100
ANGLE_TOLERANCE = 1e-8
#: Radians by which a plane turns at most in one step.
LARGEST_TURN = 0.2


@dataclass(frozen=True)
class AutoregressiveAxes:
    """Axes of greatest likelihood.

    Attributes
    ----------
    rotation : ndarray, shape (k, k)
    converged : bool
    """

    rotation: Floats
    converged: bool


def autoregressive_axes(covariances: Floats, start: Floats) -> AutoregressiveAxes:
    """Maximise the likelihood from a first guess.

    Parameters
    ----------
    covariances : ndarray, shape (p + 1, k, k)
        Symmetrised covariances C(l) of the series at lags 0 … p.
    start : ndarray, shape (k, k)
        Orthogonal.
    """
    rotation, value = start, _objective(covariances, start)
    for _ in range(MOST_STEPS):
        turned = rotation.T @ covariances @ rotation
        gradient, curvature = slopes(turned, turned), curvatures(turned, turned)
        angle = np.where(curvature > 0, gradient / np.where(curvature > 0, curvature, 1.0), 0.0)
        angle = np.clip(angle, -LARGEST_TURN, LARGEST_TURN)
        if np.abs(angle).max() <= ANGLE_TOLERANCE:
            return AutoregressiveAxes(rotation, True)
        for halving in range(12):
            candidate = rotation @ expm(angle * 0.5**halving)
            tried = _objective(covariances, candidate)
            if tried < value:
                break
        else:
            return AutoregressiveAxes(rotation, bool(np.abs(angle).max() <= ANGLE_TOLERANCE**0.5))
        rotation, value = candidate, tried
    return AutoregressiveAxes(rotation, False)


def slopes(covariances: Floats, weighing: Floats) -> Floats:
    """Σₗ Cᵢⱼ(l) (wᵢ(l) − wⱼ(l)), antisymmetric, shape (k, k), with the weights of other covariances.

    With ``covariances`` of shape (..., p + 1, k, k) the result has shape (..., k, k).
    """
    weight = weights(np.diagonal(weighing, axis1=1, axis2=2))
    return np.asarray(np.einsum("...lij,lij->...ij", covariances, weight[:, :, None] - weight[:, None, :]))


def curvatures(covariances: Floats, weighing: Floats) -> Floats:
    """Σₗ (rⱼ(l) − rᵢ(l)) (wᵢ(l) − wⱼ(l)), shape (k, k): what the gradient changes by for each radian."""
    level = np.diagonal(covariances, axis1=1, axis2=2)
    weight = weights(np.diagonal(weighing, axis1=1, axis2=2))
    apart = level[:, None, :] - level[:, :, None]
    return np.asarray((apart * (weight[:, :, None] - weight[:, None, :])).sum(0))


def weights(autocovariances: Floats) -> Floats:
    """∂ log σ²/∂r(l) of each series, shape (p + 1, k), from its autocovariances, (p + 1, k).

    The variance of series j under the filter of series i, in units of σᵢ², is Σₗ wᵢ(l) rⱼ(l).
    """
    lags = _lags(autocovariances)
    longer = np.linalg.inv(autocovariances.T[:, lags])
    shorter = np.zeros_like(longer)
    shorter[:, :-1, :-1] = np.linalg.inv(autocovariances.T[:, lags[:-1, :-1]])
    return np.stack([(longer - shorter)[:, lags == lag].sum(1) for lag in range(len(lags))])


def filters(autocovariances: Floats) -> Floats:
    """The filter that turns each series into innovations of variance 1, shape (p + 1, k), as :func:`weights`."""
    first = np.linalg.inv(autocovariances.T[:, _lags(autocovariances)])[:, 0]
    return np.asarray((first / np.sqrt(first[:, :1])).T)


def is_autocovariance(autocovariances: Floats) -> bool:
    """Whether series can have these autocovariances, (p + 1, k): their Toeplitz matrices are positive definite."""
    return bool(np.linalg.eigvalsh(autocovariances.T[:, _lags(autocovariances)]).min() > 0)


def _lags(autocovariances: Floats) -> NDArray[np.int64]:
    """|l − m|, shape (p + 1, p + 1)."""
    at = np.arange(len(autocovariances))
    return np.abs(at[:, None] - at)


def _objective(covariances: Floats, rotation: Floats) -> float:
    """Σᵢ log σᵢ²; infinite where the covariances are not those of series."""
    level = np.einsum("lij,ia,ja->la", covariances, rotation, rotation)
    if not is_autocovariance(level):
        return np.inf
    toeplitz = level.T[:, _lags(level)]
    return float((np.linalg.slogdet(toeplitz)[1] - np.linalg.slogdet(toeplitz[:, :-1, :-1])[1]).sum())
