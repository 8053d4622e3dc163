"""Which row follows which, and which belong together: times and labels as users have them, as whole numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from latentflow.errors import DataError

#: Where time falls at more than this share of the steps, rows are out of order, if their times can order them.
OUT_OF_ORDER_SHARE = 0.1
#: Where it falls at more than this share and cannot order them, nothing says which rows follow each other.
NO_ORDER_SHARE = 0.4
#: Times that repeat at more than this share of the steps are too coarse to say which rows follow each other.
TIED_SHARE = 0.01

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def group_codes(groups: ArrayLike | None, n: int) -> Integers | None:
    """Labels of any type as 0, 1, … in their sorted order, shape (n,), rows without one together; None without labels.

    Raises
    ------
    DataError
        If there is not one label for each of n rows.
    """
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise DataError(f"groups must hold one label for each of {n} rows, not shape {labels.shape}")
    if labels.dtype == object:
        labels = np.where(pd.isna(labels), "", labels).astype(str)
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def unlabelled(groups: ArrayLike | None) -> int:
    """How many rows have no label: missing, or an empty text."""
    if groups is None:
        return 0
    labels = np.asarray(groups)
    empty = labels.astype(str) == "" if labels.dtype.kind in "OUS" else np.zeros(len(labels), bool)
    return int((pd.isna(labels) | empty).sum())


def time_steps(time: ArrayLike | None, labels: Integers | None, n: int) -> tuple[Integers, Integers | None]:
    """The step at which each row was taken, and the recording that it belongs to where there are several.

    Parameters
    ----------
    time : array_like, shape (n,), optional
        Numbers in any unit, dates, or dates as text (ISO 8601); by default rows are taken at equal steps, in the order
        in which they stand, within each label.
    labels : ndarray of int, shape (n,), optional
        Of recordings, each of which has its own course of time.
    n : int

    Returns
    -------
    positions : ndarray of int, shape (n,)
        In steps of the median difference.
    recordings : ndarray of int, shape (n,), or None
        Where time falls, or stands still, another one begins; but where it falls all over and orders the rows, they
        are in no order, or the newest comes first, and it gives them theirs.

    Raises
    ------
    DataError
        If times are not finite numbers or dates, one for each row, or do not say which rows follow each other.
    """
    own = np.zeros(n, np.int64) if labels is None else labels
    order = np.argsort(own, kind="stable")
    within = np.diff(own[order]) == 0
    if time is None:
        positions = np.empty(n, np.int64)
        starts = np.flatnonzero(np.r_[True, ~within])
        positions[order] = np.arange(n) - np.repeat(starts, np.diff(np.r_[starts, n]))
        return positions, labels
    when = _numbers(time, n)
    step = np.diff(when[order])
    if not (within & (step != 0)).any():
        raise DataError("time is the same at every row: leave --time out, or name another column")
    ties = within & (step == 0)
    if ties.sum() > TIED_SHARE * within.sum():
        raise DataError(
            f"time stands still at {ties.sum()} of {within.sum()} steps from one row to the next: give finer times, or "
            "--time-order (time_order=True) for rows at equal steps"
        )
    falls = within & (step <= 0)
    if falls.sum() > OUT_OF_ORDER_SHARE * within.sum():
        in_time = np.lexsort((when, own))
        sorted_step = np.diff(when[in_time])
        repeated = within & (sorted_step <= 0)
        if repeated.sum() <= TIED_SHARE * within.sum():
            order, step, falls = in_time, sorted_step, repeated
        elif falls.sum() > NO_ORDER_SHARE * within.sum():
            raise DataError(
                f"time falls at {falls.sum()} of {within.sum()} steps from one row to the next, and cannot order the "
                "rows, as too many have the same: name the recordings with --groups, or sort the rows of each by time"
            )
    positions = np.rint((when - when.min()) / np.median(step[within & (step > 0)])).astype(np.int64)
    recordings = np.zeros(n, np.int64)
    recordings[order[1:]] = np.cumsum(~within | falls)
    return positions, recordings if recordings.any() else None


def _numbers(time: ArrayLike, n: int) -> Floats:
    """Times as finite numbers, shape (n,): dates in seconds since the first."""
    given = np.asarray(time)
    if given.shape != (n,):
        raise DataError(f"time must hold one number or date for each of {n} rows, not shape {given.shape}")
    missing = np.asarray(pd.isna(given) | ((given == "") if given.dtype.kind in "OU" else False))
    if given.dtype.kind == "M":
        when = _seconds(pd.DatetimeIndex(given))
    else:
        when = np.full(n, np.nan)
        try:
            when[~missing] = given[~missing].astype(np.float64)
        except (TypeError, ValueError):
            when = _dates(given, missing)
    bad = missing | ~np.isfinite(when)
    if bad.any():
        raise DataError(
            f"time is missing or infinite at {bad.sum()} of {n} rows, the first is row {int(np.argmax(bad))}: "
            "fill it in or leave these rows out, or use --time-order (time_order=True) where rows are at equal steps"
        )
    return when


def _dates(given: NDArray[np.generic], missing: NDArray[np.bool_]) -> Floats:
    """Dates as text, or date objects."""
    texts = pd.Series(given).where(~missing)
    dates = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    unread = dates.isna().to_numpy() & ~missing
    if unread.any():
        first = int(np.argmax(unread))
        raise DataError(
            f"time must hold numbers, such as seconds, or dates such as 2024-03-31 or 2024-03-31T23:59:00, not "
            f"{str(given[first])!r} (row {first})"
        )
    return _seconds(pd.DatetimeIndex(dates))


def _seconds(dates: pd.DatetimeIndex) -> Floats:
    return np.asarray((dates - dates.min()) / pd.Timedelta(seconds=1), dtype=np.float64)
