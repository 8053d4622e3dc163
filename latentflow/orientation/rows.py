"""Which rows an orientation looks at: of a large table some, picked as its method wants them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from latentflow.data.splits import GAP, HELD_OUT, VALIDATION
from latentflow.orientation.registry import GROUPS, ORDER, Hint
from latentflow.orientation.second_moments import group_size, large_groups, paired_rows
from latentflow.statistics.thinning import thin

Integers = NDArray[np.int64]
Places = NDArray[np.intp]

#: Rows that an orientation looks at, at most.
MOST_ROWS = 40_000
#: Contiguous stretches in which they are taken, where the order of the rows is used.
STRETCHES = 8
#: Without validation rows of the fit's own, one row in so many is one.
ROWS_PER_VALIDATION_ROW = 20


class PickedRows(NamedTuple):
    """The rows that an orientation looks at, shape (m,), and which of them validate, of bool, shape (m,)."""

    rows: Places
    validation: NDArray[np.bool_]


def pick_rows(
    needs: Hint | None,
    k: int,
    positions: Integers,
    labels: Integers | None,
    roles: NDArray[np.uint8] | None,
) -> PickedRows:
    """Training and validation rows to look at.

    Parameters
    ----------
    needs : Hint or None
        A method that goes by the order of rows wants some that follow each other; one that goes by groups whole
        groups where few rows of each would be left; the others any rows.
    k : int
        Latents.
    positions : ndarray of int, shape (n,)
        When each row was taken.
    labels : ndarray of int, shape (n,), or None
        Of groups or recordings.
    roles : ndarray of uint8, shape (n,), or None
        Rows held out are not looked at.
    """
    rows = np.arange(len(positions))
    if roles is not None:
        rows = rows[(roles != HELD_OUT) & (roles != GAP)]
    if len(rows) > MOST_ROWS:
        own = np.zeros(len(rows), np.int64) if labels is None else labels[rows]
        if needs is ORDER:
            rows = rows[np.lexsort((positions[rows], own))]
            starts = np.linspace(0, len(rows) - MOST_ROWS // STRETCHES, STRETCHES).astype(int)
            rows = rows[np.unique(starts[:, None] + np.arange(MOST_ROWS // STRETCHES))]
        elif needs is GROUPS:
            rows = _in_large_groups(rows, own, group_size(k))
        else:
            rows = thin(rows, MOST_ROWS)
    if roles is not None and (roles[rows] == VALIDATION).sum() > 1:
        return PickedRows(rows, roles[rows] == VALIDATION)
    return PickedRows(rows, np.arange(len(rows)) % ROWS_PER_VALIDATION_ROW == 0)


def check_rows(needs: Hint | None, k: int, positions: Integers, labels: Integers | None) -> None:
    """Refuse rows too far apart in time, or in groups too small, for k latents; positions and labels (m,) are theirs.

    Raises
    ------
    DataError
    """
    if needs is ORDER:
        paired_rows(positions, labels, k)
    elif needs is GROUPS and labels is not None:
        large_groups(labels, k)


def _in_large_groups(rows: Places, own: Integers, least: int) -> Places:
    """Rows spread over all groups, or where that leaves some of them too small, over as many as stay large enough."""
    even = thin(rows, MOST_ROWS)
    labels, sizes = np.unique(own, return_counts=True)
    large = labels[sizes >= least]
    _, left = np.unique(own[np.searchsorted(rows, even)], return_counts=True)
    if (left >= least).sum() >= len(large):
        return even
    chosen = large[thin(np.arange(len(large)), max(2, MOST_ROWS // (2 * least)))]
    each = max(least, MOST_ROWS // len(chosen))
    order = np.argsort(own, kind="stable")
    ends = np.searchsorted(own[order], chosen, side="right")
    starts = np.searchsorted(own[order], chosen, side="left")
    return np.sort(np.concatenate([thin(rows[order[a:b]], each) for a, b in zip(starts, ends, strict=True)]))
