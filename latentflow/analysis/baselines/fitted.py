"""What a user has today: PCA whitening, FastICA and a Gaussian, fitted on the training rows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from latentflow.analysis.ledger.entropy import entropy
from latentflow.errors import DataError
from latentflow.statistics.resample import thin

FIT_NUMBERS = (
    2_000_000  # rows × columns that FastICA is fitted on at most: beyond, its error is not about rows
)
TOLERANCE = 1e-4  # scikit-learn's default
SINGULAR = 1e-13  # smallest share of the variance of standardised columns that a direction may have


@dataclass(frozen=True)
class LinearMap:
    """x ↦ (x − mean) W with its log-determinant.

    Attributes
    ----------
    mean : ndarray (d,)
        In the user's units.
    weights : ndarray (d, d)
        W, one column per output coordinate.
    log_det : float
        log|det W|, nats.
    """

    mean: np.ndarray
    weights: np.ndarray
    log_det: float

    def transform(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map rows (n, d); returns the coordinates (n, d) and log|det| per row (n,), nats."""
        return (X - self.mean) @ self.weights, np.full(len(X), self.log_det)


@dataclass(frozen=True)
class ICABaseline:
    """An unmixing as a map of the user's columns, and how its fit went.

    Attributes
    ----------
    map : LinearMap
    converged : bool
    n_iter : int
        Iterations of the run that was kept.
    note : str
        What was tried, one sentence.
    """

    map: LinearMap
    converged: bool
    n_iter: int
    note: str

    def transform(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map rows (n, d); returns the components (n, d) and log|det| per row (n,), nats."""
        return self.map.transform(X)


@dataclass(frozen=True)
class _Attempt:
    """One way to run FastICA, as its users try them one after the other."""

    told: str
    iterations: int
    tolerance: float = TOLERANCE
    seed_shift: int = 0
    go_on: bool = False  # from where the last run stopped


_ATTEMPTS = (
    _Attempt("200 iterations", 200),
    _Attempt("300 more iterations", 300, go_on=True),
    _Attempt("another start with 300 iterations", 300, seed_shift=1),
    _Attempt("100 more with a ten times larger tolerance", 100, tolerance=10 * TOLERANCE, go_on=True),
)


def pca_whitening(train: np.ndarray) -> LinearMap:
    """PCA whitening of standardised columns (n, d): zero mean, identity covariance, leading directions first.

    Columns are standardised before the principal axes are taken, so that the result does not hang on their
    units.

    Raises
    ------
    DataError
        Fewer rows than columns, or columns that are constant or linearly dependent on these rows.
    """
    n, d = train.shape
    if n <= d:
        raise DataError(
            f"{n} training rows are too few to whiten {d} columns; use more rows, or fewer columns "
            "(--columns)"
        )
    mean = train.mean(axis=0)
    scale = train.std(axis=0)
    if not (scale > 0.0).all():
        raise DataError("a column has a single value on the training rows; leave it out with --drop-columns")
    standardised = (train - mean) / scale
    variances, directions = np.linalg.eigh(standardised.T @ standardised / n)
    if variances[0] < SINGULAR * d:
        raise DataError(
            "columns are linearly dependent on the training rows; leave one out with --drop-columns"
        )
    variances, directions = variances[::-1], directions[:, ::-1]
    log_det = -0.5 * float(np.log(variances).sum()) - float(np.log(scale).sum())
    return LinearMap(mean, directions / np.sqrt(variances) / scale[:, None], log_det)


def gaussian_neg_log_prob(whitening: LinearMap, X: np.ndarray) -> np.ndarray:
    """−log p per row (n,), nats, user's units, of the Gaussian with the mean and covariance of the fit."""
    z, log_det = whitening.transform(X)
    return 0.5 * (z**2).sum(axis=1) + 0.5 * z.shape[1] * np.log(2.0 * np.pi) - log_det


def fit_fastica(train: np.ndarray, seed: int = 0) -> ICABaseline:
    """Fit FastICA (Hyvärinen 1999, scikit-learn, log-cosh) to training rows (n, d).

    Where it does not converge it is tried again as its users do: more iterations, another start, a larger
    tolerance. If none converges, the attempt whose components have the smallest summed entropy, that is
    the least total correlation, is kept and the note says so.

    Raises
    ------
    DataError
        As :func:`pca_whitening`.
    """
    whitening = pca_whitening(train)
    n, d = train.shape
    most = max(FIT_NUMBERS // d, 20 * d)
    rows = thin(np.arange(n), most)
    # Single precision is far finer than the tolerance and more than halves the time.
    white = whitening.transform(train[rows])[0].astype(np.float32)
    tried: list[str] = []
    runs: list[tuple[float, np.ndarray, int]] = []
    last: np.ndarray | None = None
    for attempt in _ATTEMPTS:
        tried.append(attempt.told)
        last, n_iter, converged = _run(white, attempt, seed, last)
        if converged:
            return ICABaseline(_rotated(whitening, last), True, n_iter, _told(tried, True, len(rows), n))
        runs.append((_contrast(white @ last.T), last, n_iter))
    _, rotation, n_iter = min(runs, key=lambda run: run[0])
    return ICABaseline(_rotated(whitening, rotation), False, n_iter, _told(tried, False, len(rows), n))


def _run(
    white: np.ndarray, attempt: _Attempt, seed: int, last: np.ndarray | None
) -> tuple[np.ndarray, int, bool]:
    """One run on white rows: the orthogonal unmixing (d, d), its iterations, and whether it converged."""
    ica = FastICA(
        whiten=False,
        max_iter=attempt.iterations,
        tol=attempt.tolerance,
        w_init=last if attempt.go_on else None,
        random_state=seed + attempt.seed_shift,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # The matrices are small: more threads than one only wait for each other.
        with threadpool_limits(1, user_api="blas"):
            ica.fit(white)
    converged = not any(issubclass(entry.category, ConvergenceWarning) for entry in caught)
    return orthogonal(ica.components_.astype(np.float64)), int(ica.n_iter_), converged


def orthogonal(unmixing: np.ndarray) -> np.ndarray:
    """The nearest orthogonal matrix: rounding leaves the unmixing, and log|det| with it, a little off."""
    left, _, right = np.linalg.svd(unmixing)
    return np.asarray(left @ right)


def _rotated(whitening: LinearMap, rotation: np.ndarray) -> LinearMap:
    return LinearMap(whitening.mean, whitening.weights @ rotation.T, whitening.log_det)


def _contrast(components: np.ndarray) -> float:
    return sum(entropy(column) for column in components.T)


def _told(tried: list[str], converged: bool, used: int, n: int) -> str:
    rows = "" if used == n else f" Fitted on {used} evenly spaced rows of {n}."
    if converged and len(tried) == 1:
        return f"Converged within {tried[0]}.{rows}"
    if converged:
        return f"Converged only after a retry: {', then '.join(tried)}.{rows}"
    return f"Did not converge: {', then '.join(tried)}; the attempt with the least dependence is shown.{rows}"
