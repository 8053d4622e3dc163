"""FastICA of whitened rows (Hyvärinen 1999), which starts anew where it fails and leaves saddle points."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from latentflow.statistics.entropy import entropy
from latentflow.statistics.matrices import nearest_orthogonal, symmetric_whitening
from latentflow.statistics.thinning import thin

Floats = NDArray[np.float64]

#: Iterations of a run, and the change of the unmixing at which it has converged.
MOST_ITERATIONS, CONVERGED_CHANGE = 500, 1e-5
#: Where a run has not, it goes on for so many with scikit-learn's own tolerance, which will do.
MORE_ITERATIONS, LOOSE_CONVERGED_CHANGE = 100, 1e-4
#: FastICA starts this often where it does not converge.
MOST_STARTS = 3
#: Numbers (rows × columns) that it is fitted on at most: beyond, its error is not about rows.
FIT_NUMBERS = 2_000_000
#: Mean and variance of log cosh of a standard normal number.
NORMAL_MEAN, NORMAL_VARIANCE = 0.3745672, 0.1897674
#: By how many times the contrast that a normal component has by chance a pair must gain to be a saddle point.
SADDLE_GAIN = 20.0
#: Numbers by which pairs of components are compared, the fewest and the most rows of them, and the most components.
COMPARED_NUMBERS, COMPARED_ROWS, MOST_COMPARED = 20_000_000, (1_000, 10_000), 128


@dataclass(frozen=True)
class ICAAxes:
    """FastICA's rotation of whitened rows.

    Attributes
    ----------
    rotation : ndarray, shape (k, k)
        Orthogonal; components are x V.
    converged : bool
    iterations : int
        Of the run that was kept.
    starts : int
        How often it was started.
    turns : int
        How often it went on from a saddle point.
    rows : int
        That it was fitted on.
    """

    rotation: Floats
    converged: bool
    iterations: int = 0
    starts: int = 1
    turns: int = 0
    rows: int = 0


def ica_axes(x: Floats, seed: int) -> ICAAxes:
    """FastICA (Hyvärinen 1999, log-cosh) of whitened rows, shape (n, k), with n > k ≥ 2.

    It starts anew, up to three times, where it does not converge; if it never does, the run whose components have the
    least summed entropy, that is the least total correlation, is kept. Where it has come to a saddle point of its
    contrast, two components being sums and differences of two sources, it goes on from there with these two turned by
    45°, up to three times as well (Tichavský, Koldovský & Oja 2006, IEEE Trans. Signal Process. 54:1189).
    """
    x = thin(x, max(FIT_NUMBERS // x.shape[1], 20 * x.shape[1]))
    whiten = symmetric_whitening(x)
    white = (x - x.mean(0)) @ whiten
    runs, turns = [], 0
    for start in range(MOST_STARTS):
        run = _fastica(white, seed + start)
        if not run.converged:
            run = _fastica(white, seed, run.unmixing, MORE_ITERATIONS, LOOSE_CONVERGED_CHANGE)
        runs.append(run)
        if run.converged:
            break
    if not run.converged:
        run = min(runs, key=lambda each: sum(map(entropy, (white @ each.unmixing.T).T)))
    while run.converged and turns < MOST_STARTS and (turn := saddle_turn(white @ run.unmixing.T)) is not None:
        run = _fastica(white, seed, turn.T @ run.unmixing)
        turns += 1
    rotation = nearest_orthogonal(whiten @ run.unmixing.T)
    return ICAAxes(rotation, run.converged, run.iterations, len(runs), turns, len(x))


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
    rows = int(np.clip(COMPARED_NUMBERS // (k * k), *COMPARED_ROWS))
    some = thin(components, rows).T
    own = _contrast(some)
    gain = np.zeros((k, k))
    for i in range(k - 1):
        turned = _contrast((some[i] + some[i + 1 :]) / np.sqrt(2)) + _contrast(
            (some[i] - some[i + 1 :]) / np.sqrt(2)
        )
        gain[i, i + 1 :] = turned - own[i] - own[i + 1 :]
    turn, left = np.eye(k), gain > SADDLE_GAIN * NORMAL_VARIANCE / some.shape[1]
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


@dataclass(frozen=True)
class _Run:
    """A run of FastICA: the orthogonal unmixing (k, k) of white rows, whether it converged, and its iterations."""

    unmixing: Floats
    converged: bool
    iterations: int


def _fastica(
    white: Floats,
    seed: int,
    start: Floats | None = None,
    iterations: int = MOST_ITERATIONS,
    tolerance: float = CONVERGED_CHANGE,
) -> _Run:
    """A run from a start of its own or one that is given.

    scikit-learn's own whitening gives the principal axes the signs of their first entries: where that is 0, as it
    often is of rows that are white already, it loses the axis. So it is left out.
    """
    ica = FastICA(whiten=False, random_state=seed, tol=tolerance, max_iter=iterations, w_init=start)
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("always")
        ica.fit(white)
    converged = not any(issubclass(entry.category, ConvergenceWarning) for entry in caught)
    return _Run(nearest_orthogonal(ica.components_), converged, int(ica.n_iter_))
