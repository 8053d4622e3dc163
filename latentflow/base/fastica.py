"""FastICA of whitened rows (Hyvärinen 1999), which starts anew where it fails and leaves saddle points."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]

ITERATIONS = 500
TOLERANCE = 1e-5
#: FastICA starts this often where it does not converge.
STARTS = 3
#: Mean and variance of log cosh of a standard normal number.
NORMAL_MEAN, NORMAL_VARIANCE = 0.3745672, 0.1897674
#: By how many times the contrast that a normal component has by chance a pair must gain to be a saddle point.
CHANCE = 20.0
#: Numbers by which pairs of components are compared, the fewest and the most rows of them, and the most components.
COMPARED, COMPARED_ROWS, MOST_COMPARED = 20_000_000, (1_000, 10_000), 128


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

    It starts anew, up to three times, where it does not converge; if it never does, the last run is given. Where it
    has come to a saddle point of its contrast, two components being sums and differences of two sources, it goes on
    from there with these two turned by 45°, up to three times as well (Tichavský, Koldovský & Oja 2006, IEEE Trans.
    Signal Process. 54:1189).
    """
    for start in range(STARTS):
        ica, converged = _fastica(x, seed + start, None)
        if converged:
            break
    for _ in range(STARTS):
        turn = saddle_turn(x @ _rotation(ica)) if converged else None
        if turn is None:
            break
        # the start counts in FastICA's own whitened coordinates
        own = ica.components_ @ np.linalg.pinv(ica.whitening_)
        ica, converged = _fastica(x, seed, turn.T @ own)
    return ICAAxes(_rotation(ica), converged)


def saddle_turn(components: Floats) -> Floats | None:
    """The turn that leaves a saddle point of the log-cosh contrast, shape (k, k), to multiply components by.

    A pair whose contrast Σ (E log cosh sᵢ − E log cosh ν)², ν normal, is higher once it is turned by 45° is turned, the
    pair that gains most first, and each component once. A gain that normal components could have by chance is none.

    Parameters
    ----------
    components : ndarray, shape (n, k)
        Of mean 0 and variance 1, uncorrelated.

    Returns
    -------
    ndarray, shape (k, k), or None
        None where no pair gains, and with more than 128 components, of which pairs are not compared.
    """
    k = components.shape[1]
    if k > MOST_COMPARED:
        return None
    rows = int(np.clip(COMPARED // (k * k), *COMPARED_ROWS))
    some = components[
        np.unique(np.linspace(0, len(components) - 1, min(rows, len(components))).astype(int))
    ].T
    own = _contrast(some)
    gain = np.zeros((k, k))
    for i in range(k - 1):
        turned = _contrast((some[i] + some[i + 1 :]) / np.sqrt(2)) + _contrast(
            (some[i] - some[i + 1 :]) / np.sqrt(2)
        )
        gain[i, i + 1 :] = turned - own[i] - own[i + 1 :]
    turn, left = np.eye(k), gain > CHANCE * NORMAL_VARIANCE / some.shape[1]
    if not left.any():
        return None
    while left.any():
        pair = np.array(np.unravel_index(np.argmax(np.where(left, gain, -np.inf)), gain.shape))
        turn[np.ix_(pair, pair)] = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
        left[pair] = left[:, pair] = False
    return turn


def _contrast(components: Floats) -> Floats:
    """(E log cosh s − E log cosh ν)² of components (k, n)."""
    magnitude = np.abs(components)
    mean = (magnitude + np.log1p(np.exp(-2 * magnitude))).mean(1) - np.log(2)
    return np.asarray((mean - NORMAL_MEAN) ** 2)


def _fastica(x: Floats, seed: int, start: Floats | None) -> tuple[FastICA, bool]:
    """A run of FastICA from a start of its own or one that is given, and whether it converged."""
    ica = FastICA(whiten="unit-variance", random_state=seed, tol=TOLERANCE, max_iter=ITERATIONS, w_init=start)
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("always")
        ica.fit(x)
    return ica, not any(issubclass(entry.category, ConvergenceWarning) for entry in caught)


def _rotation(ica: FastICA) -> Floats:
    left, _, right = np.linalg.svd(ica.components_.T)
    return np.asarray(left @ right)
