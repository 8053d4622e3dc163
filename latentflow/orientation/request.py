"""An orientation that was asked for, with what was said of the rows: checked, and its rows picked, once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentflow.data.row_order import group_codes, time_steps, unlabelled
from latentflow.errors import DataError, LatentFlowError, LatentFlowWarning
from latentflow.orientation.registry import GROUPS, ORDER, method_for, method_of
from latentflow.orientation.rows import Integers, PickedRows, check_rows, pick_rows

#: Fewest rows, at all and for each latent, from which axes can be found.
FEWEST_ROWS, FEWEST_ROWS_PER_LATENT = 8, 2


def fewest_rows(k: int) -> int:
    """Rows below which nothing is known of the axes of k latents."""
    return max(FEWEST_ROWS, FEWEST_ROWS_PER_LATENT * k)


@dataclass(frozen=True)
class OrientationRequest:
    """What was asked for, and what is known of the n rows of the table.

    Attributes
    ----------
    asked : str
    method : str
        What that stands for; ``auto`` where the rows themselves are to decide.
    positions : ndarray of int, shape (n,)
        When each row was taken, in steps.
    labels : ndarray of int, shape (n,), or None
        Of groups, or of recordings for a method that goes by the order of rows.
    """

    asked: str
    method: str
    positions: Integers
    labels: Integers | None

    @classmethod
    def of(
        cls,
        orientation: str,
        n: int,
        *,
        groups: ArrayLike | None = None,
        time: ArrayLike | None = None,
        time_order: bool = False,
    ) -> OrientationRequest:
        """Check what is asked for; needs no model, so that a fit can refuse it before its work.

        Parameters are those of :func:`latentflow.model.orient.orient`; n is the number of rows.

        Raises
        ------
        LatentFlowError
            If the orientation is unknown or lacks the time order or the groups that it needs, or if these are not one
            for each row, or say nothing.

        Warns
        -----
        LatentFlowWarning
            If rows have no label: they count as one group.
        """
        ordered = time_order or time is not None
        hints = [hint for hint, known in ((ORDER, ordered), (GROUPS, groups is not None)) if known]
        method = method_for(orientation, hints)
        labels = group_codes(groups, n)
        positions, recordings = time_steps(time, labels, n)
        if method_of(method).needs is not ORDER:
            recordings = labels
        if without := unlabelled(groups):
            warnings.warn(
                f"{without} of {n} rows have no label, and count as one group: leave them out if they are not",
                LatentFlowWarning,
                stacklevel=3,
            )
        return cls(orientation, method, positions, recordings)

    def rows(self, k: int, roles: NDArray[np.uint8] | None) -> PickedRows:
        """The rows to look at for k latents, as :func:`~latentflow.orientation.rows.pick_rows` picks them.

        Raises
        ------
        DataError
            If they are too few, or too far apart in time or in groups too small.
        LatentFlowError
            If the method is not for as many latents.
        """
        method = method_of(self.method)
        picked = pick_rows(method.needs, k, self.positions, self.labels, roles)
        if k == 1 or self.method == "none":
            return picked
        if len(picked.rows) < fewest_rows(k):
            raise DataError(
                f"{len(picked.rows)} rows are too few to orient {k} latents (below {fewest_rows(k)}): give more rows, "
                "or --orientation none"
            )
        if method.most_latents is not None and k > method.most_latents:
            raise LatentFlowError(
                f"orientation {self.method} is for at most {method.most_latents} latents, not {k}: use --components, "
                "or another --orientation"
            )
        check_rows(method.needs, k, self.positions[picked.rows], self.labels_of(picked))
        return picked

    def labels_of(self, picked: PickedRows) -> Integers | None:
        """Groups or recordings of the rows picked, shape (m,)."""
        return None if self.labels is None else self.labels[picked.rows]
