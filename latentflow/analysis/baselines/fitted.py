"""What a user has today: PCA whitening, FastICA and a Gaussian, fitted on the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentflow.base.fastica import ICAAxes, ica_axes
from latentflow.errors import DataError

TIMES = ("", "once", "twice", "three times")
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
    """Fit FastICA to training rows (n, d): the one that the fit itself uses (:func:`latentflow.base.fastica.ica_axes`).

    Raises
    ------
    DataError
        As :func:`pca_whitening`.
    """
    whitening = pca_whitening(train)
    axes = ica_axes(whitening.transform(train)[0], seed) if train.shape[1] > 1 else ICAAxes(np.eye(1), True)
    unmixing = LinearMap(whitening.mean, whitening.weights @ axes.rotation, whitening.log_det)
    return ICABaseline(unmixing, axes.converged, axes.iterations, _note(axes, len(train)))


def _note(axes: ICAAxes, n: int) -> str:
    """How FastICA went, in one sentence or two."""
    rows = "" if axes.rows in (0, n) else f" Fitted on {axes.rows} evenly spaced rows of {n}."
    left = f", {TIMES[axes.turns]} from a saddle point on" if axes.turns else ""
    if not axes.converged:
        return f"Did not converge in {axes.starts} starts; the run with the least dependence is shown.{rows}"
    if axes.starts > 1:
        return f"Converged only at start {axes.starts}, within {axes.iterations} iterations{left}.{rows}"
    return f"Converged within {axes.iterations} iterations{left}.{rows}"
