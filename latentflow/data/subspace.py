"""Columns that hold no information of their own: constant ones, and those that others determine linearly.

A flow needs a density, and a table in which one column is a linear combination of others has none. Such
columns are set aside, and restored from the others by the same combination. Earlier columns of the table are
kept in preference to later ones, so that it is the derived column (a total, the last level of an indicator)
that goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from latentflow.data.lattice import Floats
from latentflow.data.ties import Ties

# Largest residual of a dependent column, in its standard deviations ...
_MAX_RESIDUAL = 1e-7
# ... or, where its lattice rounds the residual away, in lattice steps.
_MAX_RESIDUAL_STEPS = 1e-3
# With fewer rows than this beyond the number of columns, any column is close to a combination of the others.
_SPARE_ROWS = 3
_BLOCK_ROWS = 65536
_LONGEST_FORMULA = 6


def triangular_factor(X: Floats, center: Floats, scale: Floats) -> Floats:
    """R of the QR decomposition of ``(X − center) / scale``, block by block; (min(n, d), d)."""
    factor = np.empty((0, X.shape[1]))
    for start in range(0, max(len(X), 1), _BLOCK_ROWS):
        block = (X[start : start + _BLOCK_ROWS] - center) / scale
        factor = np.asarray(np.linalg.qr(np.concatenate([factor, block]), mode="r"))
    return factor


@dataclass(frozen=True)
class Dependence:
    """Which varying columns are kept, and how the others follow from them.

    Attributes
    ----------
    kept, dependent : (k,), (m,) int
        Positions among the columns given to `find_dependence`.
    coefficients : (k, m) float64
        Of the standardised kept columns in the standardised dependent ones.
    center, scale : (k + m,) float64
        Mean and standard deviation of all the columns.
    snapped : (m,) bool
        Whether the combination is rounded to the lattice of the dependent column, which restores it to the
        last bit.
    tolerance : (m,) float64
        Largest distance, in the user's units, of a value from the combination that restores it.
    """

    kept: NDArray[np.intp]
    dependent: NDArray[np.intp]
    coefficients: Floats
    center: Floats
    scale: Floats
    snapped: NDArray[np.bool_]
    tolerance: Floats

    def predict(self, kept_values: Floats) -> Floats:
        """The combinations, before rounding; (n, k) to (n, m), both in the user's units."""
        standard = (kept_values - self.center[self.kept]) / self.scale[self.kept]
        return self.center[self.dependent] + self.scale[self.dependent] * (standard @ self.coefficients)

    def restored(self, kept_values: Floats, ties: Sequence[Ties]) -> Floats:
        """The dependent columns; (n, m). `ties` are those of the dependent columns."""
        predicted = self.predict(kept_values)
        for i, tie in enumerate(ties):
            numbers = tie.lattice if self.snapped[i] else tie.floats
            predicted[:, i] = numbers.nearest(predicted[:, i])
        return predicted

    def describe(self, k: int, kept_names: Sequence[str]) -> str:
        """The combination of the k-th dependent column in the user's units, such as ``2·a - 1·b + 0.5``."""
        j = self.dependent[k]
        weights = self.coefficients[:, k] * self.scale[j] / self.scale[self.kept]
        level = self.center[j] - float(weights @ self.center[self.kept])
        relevant = np.flatnonzero(np.abs(self.coefficients[:, k]) > 1e-9)
        if len(relevant) > _LONGEST_FORMULA:
            return f"a linear combination of {len(relevant)} columns"
        text = "".join(
            f" {'-' if weights[i] < 0 else '+'} {abs(weights[i]):.6g}·{kept_names[i]}"
            for i in relevant.tolist()
        )
        if abs(level) > 1e-9 * self.scale[j]:
            text += f" {'-' if level < 0 else '+'} {abs(level):.6g}"
        return text.removeprefix(" + ").strip()


def find_dependence(X: Floats, ties: Sequence[Ties]) -> Dependence:
    """Find the columns that are linear combinations of columns to their left.

    Parameters
    ----------
    X : (n, d) float64
        Columns that vary.
    ties : sequence of d Ties

    Returns
    -------
    Dependence
        With no dependent column where there are hardly more rows than columns.
    """
    n, d = X.shape
    center, scale = X.mean(axis=0), X.std(axis=0)
    suspects = np.empty(0, dtype=np.intp)
    if n >= d + _SPARE_ROWS:
        factor = triangular_factor(X, center, scale) / np.sqrt(n)
        largest = np.abs(X).max(axis=0)
        limits = [
            max(
                2.0 * _MAX_RESIDUAL,
                _rounding(tie, largest[j]) / scale[j],
                _MAX_RESIDUAL_STEPS * tie.step / scale[j],
            )
            for j, tie in enumerate(ties)
        ]
        suspects = _suspects(factor, limits)
    kept = np.setdiff1d(np.arange(d), suspects)
    if len(suspects) == 0:
        empty = np.empty(0)
        return Dependence(kept, suspects, np.empty((d, 0)), center, scale, empty.astype(bool), empty)
    # Suspects are judged on every row. Those acquitted come back among the kept, with no part in the others.
    orthogonal, triangle = np.linalg.qr(factor[:, kept])
    coefficients = np.zeros((d, len(suspects)))
    coefficients[kept] = solve_triangular(triangle, orthogonal.T @ factor[:, suspects])
    predicted = center[suspects] + scale[suspects] * (
        ((X[:, kept] - center[kept]) / scale[kept]) @ coefficients[kept]
    )
    verdicts = [
        _verdict(predicted[:, i], X[:, j], ties[j], float(scale[j])) for i, j in enumerate(suspects.tolist())
    ]
    guilty = np.array([verdict is not None for verdict in verdicts])
    dependent = suspects[guilty]
    kept = np.setdiff1d(np.arange(d), dependent)
    snapped = np.array([verdict for verdict in verdicts if verdict is not None], dtype=bool)
    residual = np.abs(predicted[:, guilty] - X[:, dependent]).max(axis=0)
    tolerance = np.maximum(10.0 * residual, 10.0 * _MAX_RESIDUAL * scale[dependent])
    return Dependence(kept, dependent, coefficients[kept][:, guilty], center, scale, snapped, tolerance)


def _suspects(factor: Floats, limits: Sequence[float]) -> NDArray[np.intp]:
    """Columns whose root-mean-square residual, given the independent ones to their left, is below a limit."""
    basis = np.empty((len(factor), 0))
    suspects = []
    for j in range(factor.shape[1]):
        rest = factor[:, j]
        for _ in range(2):  # twice is enough (Giraud et al. 2005)
            rest = rest - basis @ (basis.T @ rest)
        length = float(np.linalg.norm(rest))
        if length <= limits[j]:
            suspects.append(j)
        else:
            basis = np.column_stack([basis, rest / length])
    return np.array(suspects, dtype=np.intp)


def _verdict(predicted: Floats, values: Floats, ties: Ties, scale: float) -> bool | None:
    """None where the combination does not give a column back; else whether it needs rounding."""
    residual = float(np.abs(predicted - values).max())
    if residual < 0.1 * ties.step and np.array_equal(ties.lattice.nearest(predicted), values):
        return True
    if ties.dequantised:
        return None
    return False if residual <= max(_MAX_RESIDUAL * scale, _rounding(ties, np.abs(values).max())) else None


def _rounding(ties: Ties, largest: float) -> float:
    """What computing a column in the dtype of the table may have left as residual."""
    return 4.0 * float(np.finfo(ties.precision).eps) * float(largest)
