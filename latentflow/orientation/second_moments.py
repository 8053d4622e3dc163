r"""Axes from the order of the rows or from their groups: second moments that differ between sources.

Independent series with different autocorrelations make every lagged covariance of the sources diagonal, and sources
whose variances change from group to group, each in its own way, every covariance within a group. The latents of a flow
are the sources up to one rotation and a bend of each, as far as the flow has undone the mixing, and the rotation is the
joint diagonaliser of these matrices. On linear mixtures that is SOBI (Belouchrani et al. 1997, IEEE Trans. Signal
Process. 45:434) and the separation of non-stationary sources (Pham & Cardoso 2001, IEEE Trans. Signal Process.
49:1837); a coordinate-wise bend before it is in Ziehe et al. (2003, J. Mach. Learn. Res. 4:1319).

The matrices are diagonalised as logarithms, which weighs ratios of variances whatever their size. Lags enter as
variograms Γ(l) = ½ E[(z_{t+l} − z_t)(z_{t+l} − z_t)ᵀ] = I − C(l): a trend or a drift of the mean, which would fill all
lagged covariances, hardly moves them at short lags. From there, with trends taken off
(:mod:`latentflow.orientation.trends`), the axes go on to the greatest Gaussian autoregressive likelihood
(:mod:`latentflow.orientation.autoregressive_axes`), which weighs the lags of each pair by what they tell of it, and
where innovations are far from Gaussian, to that with their own laws (:mod:`latentflow.orientation.innovation_axes`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentflow.errors import DataError
from latentflow.orientation.autoregressive_axes import AUTOREGRESSIVE_ORDER, autoregressive_axes
from latentflow.orientation.innovation_axes import innovation_axes
from latentflow.orientation.joint_diagonalisation import JointDiagonalisation, joint_diagonaliser
from latentflow.orientation.second_moment_errors import bounded, clear_curvature, moment_angle_error
from latentflow.orientation.trends import shared_trends, without_trends
from latentflow.statistics.matrices import symmetric_log

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LAGS = (1, 2, 3, 4, 5, 8, 13, 21, 34, 55, 89)
#: A matrix is taken from so many rows or pairs of rows for each coordinate at least.
ROWS_PER_COORDINATE = 5
#: Share of the rows in groups that are left out as too small from which a caution says so.
LEFT_OUT_SHARE = 0.1
#: Parts into which the rows are cut, to see how far the angles scatter.
PARTS = 16


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
    cautions : tuple of str
        What the rows show that these axes cannot do justice to, a clause each.
    """

    diagonalisation: JointDiagonalisation
    angle_error: Floats
    used: tuple[int | str, ...]
    cautions: tuple[str, ...] = ()


def temporal_axes(z: Floats, positions: Integers, recordings: Integers | None = None) -> StructuredAxes:
    """Axes of latents as independent series: the joint diagonaliser of variograms at lags 1 to 89, then likelihood.

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
    pairs, order = paired_rows(positions, recordings, z.shape[1])
    z = z[order]
    recorded = None if recordings is None else recordings[order]
    sums, counts, used = [], [], []
    for lag, (first, second) in pairs.items():
        moved = z[second] - z[first]
        parts = np.arange(len(first)) * PARTS // len(first)
        sums.append(np.stack([0.5 * moved[parts == b].T @ moved[parts == b] for b in range(PARTS)]))
        counts.append(np.bincount(parts, minlength=PARTS))
        used.append(lag)
    diagonalised = _axes(np.stack(sums, 1), np.stack(counts, 1), tuple(used))
    if used[:AUTOREGRESSIVE_ORDER] != list(range(1, AUTOREGRESSIVE_ORDER + 1)):
        return diagonalised
    detrended = without_trends(z, positions[order], recorded)
    parts = np.arange(len(detrended)) * PARTS // len(detrended)
    own = np.stack(
        [detrended[parts == b].T @ detrended[parts == b] / (parts == b).sum() for b in range(PARTS)]
    )
    moved = np.stack(
        [
            s / np.maximum(c, 1)[:, None, None]
            for s, c in zip(sums[:AUTOREGRESSIVE_ORDER], counts, strict=False)
        ],
        1,
    )
    # C(l) = C(0) - Γ(l), part by part, shape (parts, AUTOREGRESSIVE_ORDER + 1, k, k)
    covariances = own[:, None] - np.concatenate([np.zeros_like(own)[:, None], moved], axis=1)
    first, second = pairs[AUTOREGRESSIVE_ORDER]
    likeliest = _likeliest(
        diagonalised, detrended, second[second - first == AUTOREGRESSIVE_ORDER], covariances
    )
    rotation = likeliest.diagonalisation.rotation
    return replace(likeliest, cautions=_of_trends(rotation.T @ own @ rotation))


def paired_rows(
    positions: Integers, recordings: Integers | None, k: int
) -> tuple[dict[int, tuple[NDArray[np.intp], NDArray[np.intp]]], NDArray[np.intp]]:
    """The lags at which enough rows are paired, with the places of both rows of each pair in the order of time.

    Parameters
    ----------
    positions, recordings
        As for :func:`temporal_axes`.
    k : int
        Latents.

    Returns
    -------
    pairs : dict of int to (ndarray, ndarray)
    order : ndarray, shape (n,)
        The rows in the order of time, recording by recording.

    Raises
    ------
    DataError
        If too few rows follow each other at any lag.
    """
    step = positions if recordings is None else positions + recordings * (np.ptp(positions) + LAGS[-1] + 1)
    order = np.argsort(step, kind="stable")
    step = step[order]
    reach = int(np.ptp(step))
    at = np.full(reach + LAGS[-1] + 1, -1, dtype=np.int64) if reach < 100 * len(step) else None
    every = {lag: _pairs(step, lag, at) for lag in LAGS}
    pairs = {lag: pair for lag, pair in every.items() if len(pair[0]) >= max(50, ROWS_PER_COORDINATE * k)}
    if not pairs:
        raise DataError(
            f"of {len(step)} rows too few follow each other in time to orient by that; give rows without gaps, or use "
            "another --orientation"
        )
    return pairs, order


def _likeliest(
    diagonalised: StructuredAxes, z: Floats, last: NDArray[np.intp], parts: Floats
) -> StructuredAxes:
    """The axes of greatest autoregressive likelihood, and their errors.

    Parameters
    ----------
    diagonalised : StructuredAxes
        Where to start.
    z : ndarray, shape (n, k)
        Latents in the order of time, each with mean 0.
    last : ndarray of int, shape (m,)
        Rows that AUTOREGRESSIVE_ORDER others directly precede.
    parts : ndarray, shape (PARTS, AUTOREGRESSIVE_ORDER + 1, k, k)
        Covariances of parts of the rows.
    """
    start = diagonalised.diagonalisation
    gaussian = autoregressive_axes(parts.mean(0), start.rotation)
    likeliest = innovation_axes(z, last, parts, gaussian.rotation)
    signal = clear_curvature(likeliest.rotation.T @ parts @ likeliest.rotation) + likeliest.curvature
    scatter = likeliest.slopes.std(axis=0, ddof=1) / np.sqrt(len(parts))
    moved = likeliest.rotation is not gaussian.rotation
    converged = likeliest.converged and (moved or (start.converged and gaussian.converged))
    return StructuredAxes(
        replace(start, rotation=likeliest.rotation, converged=converged),
        bounded(scatter + likeliest.left * signal, signal),
        diagonalised.used,
    )


def _of_trends(covariances: Floats) -> tuple[str, ...]:
    """A caution where series share their trends; their covariances along the axes without these, (parts, k, k)."""
    shared = shared_trends(covariances)
    if shared is None:
        return ()
    return (
        f"sources seem to share their trends: less what moves slowly, two latents are correlated by {shared:.2f}, "
        "which no rotation can undo; take the trends out of the columns before the fit (a line, or a high-pass filter)",
    )


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
    large = large_groups(groups, z.shape[1])
    sums, counts = [], []
    for label in large:
        own = z[groups == label]
        pieces = np.array_split(own - own.mean(0), PARTS)
        sums.append(np.stack([piece.T @ piece for piece in pieces]))
        counts.append(np.array([len(piece) for piece in pieces]))
    used = tuple(int(label) for label in large)
    axes = _axes(np.stack(sums, 1), np.stack(counts, 1), used, by_rows=True)
    return replace(axes, cautions=_of_small_groups(groups, large, z.shape[1]))


def _of_small_groups(groups: Integers, large: Integers, k: int) -> tuple[str, ...]:
    """A caution where many rows are in groups that are left out."""
    out = len(groups) - int(np.isin(groups, large).sum())
    if out <= LEFT_OUT_SHARE * len(groups):
        return ()
    every = len(np.unique(groups))
    return (
        f"{every - len(large)} of {every} groups have fewer than {group_size(k)} rows and had no part in the axes, "
        f"{out} of {len(groups)} rows; join small groups",
    )


def group_size(k: int) -> int:
    """Rows of a group below which it is left out, for k latents."""
    return max(PARTS, ROWS_PER_COORDINATE * k)


def large_groups(groups: Integers, k: int) -> Integers:
    """The labels of the groups that are large enough for k latents; raises as :func:`group_axes`."""
    labels, sizes = np.unique(groups, return_counts=True)
    large: Integers = labels[sizes >= group_size(k)]
    if len(large) < 2:
        raise DataError(
            f"fewer than two of {len(labels)} groups have {ROWS_PER_COORDINATE} rows for each of {k} latents, as an "
            "orientation by groups needs; join small groups, or use another --orientation"
        )
    return large


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
    axes = joint_diagonaliser(symmetric_log(moments), weights)
    error = moment_angle_error(axes.rotation.T @ sums @ axes.rotation, counts, weights)
    return StructuredAxes(axes, error, used)
