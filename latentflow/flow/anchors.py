r"""Axes from components that somebody else has found: the rotation that brings the latents nearest to them.

The latents z are standard normal, the components are not, so these are first replaced by their normal scores
Φ⁻¹(rank); then V = argmin ‖z V − scores‖ over rotations is the orthogonal Procrustes solution U Wᵀ of
zᵀ scores = U S Wᵀ (Schönemann 1966, Psychometrika 31:1). Whatever dependence the components are left with, the rotated
latents do not have.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]

ITERATIONS = 500
TOLERANCE = 1e-5
#: FastICA starts this often where it does not converge.
STARTS = 3


def normal_scores(components: Floats) -> Floats:
    """Φ⁻¹((rank − ½)/n) of each column, shape (n, k)."""
    return np.asarray(ndtri((rankdata(components, axis=0) - 0.5) / len(components)))


def procrustes(z: Floats, components: Floats) -> Floats:
    """The rotation V, shape (k, k), for which z V is nearest to the normal scores of components, shape (n, k)."""
    left, _, right = np.linalg.svd(z.T @ normal_scores(components))
    return np.asarray(left @ right)


@dataclass(frozen=True)
class ICAAxes:
    """FastICA's rotation of whitened rows.

    Attributes
    ----------
    rotation : ndarray, shape (k, k)
        Orthogonal; components are x V.
    converged : bool
    """

    rotation: Floats
    converged: bool


def ica_axes(x: Floats, seed: int) -> ICAAxes:
    """FastICA (Hyvärinen 1999, log-cosh) of whitened rows, shape (n, k), with n > k ≥ 2.

    It starts anew, up to three times, where it does not converge; if it never does, the last run is given.
    """
    converged = False
    for start in range(STARTS):
        ica = FastICA(whiten="unit-variance", random_state=seed + start, tol=TOLERANCE, max_iter=ITERATIONS)
        with warnings.catch_warnings(record=True) as caught, threadpool_limits(1, user_api="blas"):
            warnings.simplefilter("always")
            ica.fit(x)
        converged = not any(issubclass(entry.category, ConvergenceWarning) for entry in caught)
        if converged:
            break
    left, _, right = np.linalg.svd(ica.components_.T)
    return ICAAxes(np.asarray(left @ right), converged)
