"""Which rows an orientation looks at: of a large table some, picked as the way to orient wants them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentflow.data.splits import GAP, HELD_OUT, VALIDATION
from latentflow.orientation.second_moments import group_size

Integers = NDArray[np.int64]
Places = NDArray[np.intp]

#: Rows that an orientation looks at, at most.
ROWS = 40_000
#: Contiguous stretches in which they are taken, where the order of the rows is used.
STRETCHES = 8
#: Without validation rows of the fit's own, one row in so many is one.
VALIDATES = 20


def pick_rows(
    method: str, k: int, positions: Integers, labels: Integers | None, roles: NDArray[np.uint8] | None
) -> tuple[Places, NDArray[np.bool_]]:
    """Training and validation rows to look at, and which of them validate.

    Parameters
    ----------
    method : str
        ``temporal`` wants rows that follow each other, ``groups`` whole groups where few rows of each would be left;
        the others any rows.
    k : int
        Latents.
    positions : ndarray of int, shape (n,)
        When each row was taken.
    labels : ndarray of int, shape (n,), or None
        Of groups or recordings.
    roles : ndarray of uint8, shape (n,), or None
        Rows held out are not looked at.

    Returns
    -------
    picked : ndarray of int, shape (m,)
    validation : ndarray of bool, shape (m,)
    """
    rows = np.arange(len(positions))
    if roles is not None:
        rows = rows[(roles != HELD_OUT) & (roles != GAP)]
    if len(rows) > ROWS:
        own = np.zeros(len(rows), np.int64) if labels is None else labels[rows]
        if method == "temporal":
            rows = rows[np.lexsort((positions[rows], own))]
            starts = np.linspace(0, len(rows) - ROWS // STRETCHES, STRETCHES).astype(int)
            rows = rows[np.unique(starts[:, None] + np.arange(ROWS // STRETCHES))]
        else:
            even = _evenly(rows, ROWS)
            rows = even if method != "groups" else _in_large_groups(rows, own, even, group_size(k))
    if roles is not None and (roles[rows] == VALIDATION).sum() > 1:
        return rows, roles[rows] == VALIDATION
    return rows, np.arange(len(rows)) % VALIDATES == 0


def _evenly(rows: Places, most: int) -> Places:
    """At most so many of them, spread over all."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]


def _in_large_groups(rows: Places, own: Integers, even: Places, least: int) -> Places:
    """Rows spread over all groups, or where that leaves some of them too small, over as many as stay large enough."""
    labels, sizes = np.unique(own, return_counts=True)
    large = labels[sizes >= least]
    _, left = np.unique(own[np.searchsorted(rows, even)], return_counts=True)
    if (left >= least).sum() >= len(large):
        return even
    chosen = large[_evenly(np.arange(len(large)), max(2, ROWS // (2 * least)))]
    each = max(least, ROWS // len(chosen))
    order = np.argsort(own, kind="stable")
    ends = np.searchsorted(own[order], chosen, side="right")
    starts = np.searchsorted(own[order], chosen, side="left")
    return np.sort(
        np.concatenate([_evenly(rows[order[a:b]], each) for a, b in zip(starts, ends, strict=True)])
    )
