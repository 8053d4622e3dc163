r"""Axes from the order of the rows or from their groups: second moments that differ between sources.

Independent series with different autocorrelations make every lagged covariance of the sources diagonal, and sources
whose variances change from group to group, each in its own way, every covariance within a group. The latents of a flow
are the sources up to one rotation and a bend of each, as far as the flow has undone the mixing, and the rotation is the
joint diagonaliser of these matrices. On linear mixtures that is SOBI (Belouchrani et al. 1997, IEEE Trans. Signal
Process. 45:434) and the separation of non-stationary sources (Pham & Cardoso 2001, IEEE Trans. Signal Process.
49:1837); a coordinate-wise bend before it is in Ziehe et al. (2003, J. Mach. Learn. Res. 4:1319).

The matrices are diagonalised as logarithms, which weighs ratios of variances whatever their size. Lags enter as
variograms Γ(l) = ½ E[(z_{t+l} − z_t)(z_{t+l} − z_t)ᵀ] = I − C(l): a trend or a drift of the mean, which would fill all
lagged covariances, hardly moves them at short lags.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentflow.errors import DataError
from latentflow.flow.derivative_axes import symmetric_log
from latentflow.flow.joint_diagonalisation import JointDiagonalisation, joint_diagonaliser

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LAGS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
#: A matrix is taken from so many rows or pairs of rows for each coordinate at least.
ROWS_PER_COORDINATE = 5
#: Parts into which the rows are cut, to see how far the angles scatter.
PARTS = 8


@dataclass(frozen=True)
class StructuredAxes:
    """Axes from second moments.

    Attributes
    ----------
    diagonalisation : JointDiagonalisation
    angle_error : ndarray, shape (k, k)
        Standard error of the angle in each plane, radians, at most π/4.
    used : tuple
        Lags or groups whose matrices were used.
    """

    diagonalisation: JointDiagonalisation
    angle_error: Floats
    used: tuple[int | str, ...]


def temporal_axes(z: Floats, positions: Integers, recordings: Integers | None = None) -> StructuredAxes:
    """Joint diagonaliser of the variograms of latents at lags 1 to 89.

    Parameters
    ----------
    z : ndarray, shape (n, k)
        Latents.
    positions : ndarray of int, shape (n,)
        When each row was taken, in steps; distinct within a recording. Gaps are positions that do not occur.
    recordings : ndarray of int, shape (n,), optional
        A label for each row; no pair spans two recordings.

    Raises
    ------
    DataError
        If too few rows follow each other at any lag.
    """
    k = z.shape[1]
    step = positions if recordings is None else positions + recordings * (np.ptp(positions) + LAGS[-1] + 1)
    order = np.argsort(step, kind="stable")
    z, step = z[order], step[order]
    at = (
        np.full(int(np.ptp(step)) + LAGS[-1] + 1, -1, dtype=np.int64) if np.ptp(step) < 100 * len(z) else None
    )
    sums, counts, used = [], [], []
    for lag in LAGS:
        first, second = _pairs(step, lag, at)
        if len(first) < max(50, ROWS_PER_COORDINATE * k):
            continue
        moved = z[second] - z[first]
        parts = np.minimum(first * PARTS // len(z), PARTS - 1)
        sums.append(np.stack([0.5 * moved[parts == b].T @ moved[parts == b] for b in range(PARTS)]))
        counts.append(np.bincount(parts, minlength=PARTS))
        used.append(lag)
    if not used:
        raise DataError(
            f"orientation temporal: of {len(z)} rows too few follow each other in time; "
            "use --orientation auto without --time-order, or rows without gaps"
        )
    return _axes(np.stack(sums, 1), np.stack(counts, 1), tuple(used))


def group_axes(z: Floats, groups: Integers) -> StructuredAxes:
    """Joint diagonaliser of the covariances of latents within groups.

    Parameters
    ----------
    z : ndarray, shape (n, k)
        Latents.
    groups : ndarray of int, shape (n,)
        A label for each row. Groups of fewer than 5 k rows are left out; the others count by their rows.

    Raises
    ------
    DataError
        If fewer than two groups are large enough.
    """
    k = z.shape[1]
    labels, sizes = np.unique(groups, return_counts=True)
    large = labels[sizes >= max(2 * PARTS, ROWS_PER_COORDINATE * k)]
    if len(large) < 2:
        raise DataError(
            f"orientation groups: fewer than two of {len(labels)} groups have {ROWS_PER_COORDINATE} rows for each "
            f"of {k} latents; join small groups, or use another --orientation"
        )
    sums, counts = [], []
    for label in large:
        own = z[groups == label]
        pieces = np.array_split(own - own.mean(0), PARTS)
        sums.append(np.stack([piece.T @ piece for piece in pieces]))
        counts.append(np.array([len(piece) for piece in pieces]))
    return _axes(np.stack(sums, 1), np.stack(counts, 1), tuple(int(label) for label in large), by_rows=True)


def _pairs(step: Integers, lag: int, at: Integers | None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of rows that are ``lag`` steps apart; ``at`` is room for a table of positions where it is affordable."""
    if at is None:
        second = np.searchsorted(step, step + lag)
        there = second < len(step)
        there[there] = step[second[there]] == step[there] + lag
        return np.flatnonzero(there), second[there]
    at[:] = -1
    at[step - step[0]] = np.arange(len(step))
    second = at[step - step[0] + lag]
    return np.flatnonzero(second >= 0), second[second >= 0]


def _axes(
    sums: Floats, counts: NDArray[np.intp], used: tuple[int | str, ...], by_rows: bool = False
) -> StructuredAxes:
    """From sums of squares (parts, m, k, k) and their counts (parts, m)."""
    total = counts.sum(0)
    moments = sums.sum(0) / total[:, None, None]
    weights = total / total.mean() if by_rows else np.ones(len(total))
    found = joint_diagonaliser(symmetric_log(moments), weights)
    error = _angle_error(found.rotation.T @ sums @ found.rotation, counts, weights)
    return StructuredAxes(found, error, used)


def _angle_error(turned: Floats, counts: NDArray[np.intp], weights: Floats) -> Floats:
    """Standard errors of the angles at the solution, from how far the parts scatter.

    In the plane of axes i and j the angle is Σ w Δ L_ij / Σ w Δ², with Δ the difference of the log-variances and L
    the logarithm's off-diagonal entry, linear in that of the moments. The denominator is a product of two halves of the
    parts, since by itself it would be positive for axes that no matrix tells apart.
    """
    k = turned.shape[-1]
    variances = np.diagonal(turned.sum(0), axis1=1, axis2=2) / counts.sum(0)[:, None]
    logs = np.log(variances)
    difference = logs[:, :, None] - logs[:, None, :]
    width = variances[:, :, None] - variances[:, None, :]
    level = 0.5 * (variances[:, :, None] + variances[:, None, :])
    close = np.abs(width) < 1e-6 * level
    to_log = np.where(close, 1 / level, difference / np.where(close, 1.0, width))
    off = (
        turned / counts.mean(0)[None, :, None, None]
    )  # a part's share of the sum, at the scale of the moments
    numerators = (weights[:, None, None] * difference * to_log * off).sum(1)
    scatter = numerators.std(axis=0, ddof=1) / np.sqrt(len(turned))
    halves = [
        np.log(np.diagonal(turned[h::2].sum(0), axis1=1, axis2=2) / counts[h::2].sum(0)[:, None])
        for h in (0, 1)
    ]
    apart = [half[:, :, None] - half[:, None, :] for half in halves]
    signal = (weights[:, None, None] * apart[0] * apart[1]).sum(0)
    error = np.full((k, k), np.pi / 4)
    clear = signal > 0
    error[clear] = np.minimum(scatter[clear] / signal[clear], np.pi / 4)
    np.fill_diagonal(error, 0.0)
    return error
