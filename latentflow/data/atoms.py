"""Atoms: values that a column takes again and again, such as readings at a detection limit, or exact zeros.

A value that many rows share has no density. Each atom is *opened* to an interval: everything above it moves
up by the width of the interval, and its rows spread over it. The map stays monotone, with slope 1 off the
atoms, so that it has no log-determinant, and going back closes the intervals again. The width is chosen so
that the density inside the interval is that of its surroundings; a flow then sees no spike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentflow.data.lattice import Floats

# A value is an atom when this many rows, and this share of all rows, hold it ...
_FEWEST_ROWS = 5
_SMALLEST_SHARE = 0.005
# ... or, in a column where this share of the rows hold values seen three times or more, when three rows do.
_TIED_COLUMN = 0.2
# On a lattice it must also be this many times as frequent as the points around it, by more than chance, and
# the lattice must be fine.
_EXCESS = 10.0
_LOG_ODDS = 12.0
_FINE_LATTICE = 0.02
_MOST_ATOMS = 4096


@dataclass(frozen=True)
class Atoms:
    """Values that are opened to intervals.

    Attributes
    ----------
    values : (m,) float64
        Ascending, in the user's units.
    widths : (m,) float64
        By how much everything above each of them moves up.
    """

    values: Floats
    widths: Floats

    @cached_property
    def _shift(self) -> Floats:
        """How far the line has moved: below the first atom, between atoms, above the last; (m + 1,)."""
        return np.concatenate([[0.0], np.cumsum(self.widths)])

    def open(self, values: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Move cells ``[low, high]`` of `values` to where the opened line has them; an atom's cell grows.

        A continuous value comes with ``low = high = value``.
        """
        place = np.searchsorted(self.values, values)
        at_atom = self.values[np.minimum(place, len(self.values) - 1)] == values
        shift = self._shift[place]
        return low + shift, high + np.where(
            at_atom, self._shift[np.minimum(place + 1, len(self.values))], shift
        )

    def close(self, opened: Floats, low: Floats, high: Floats) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Where points of the opened line come from.

        Parameters
        ----------
        opened : (n,) float64
        low, high : (m,) float64
            The cells of the atoms before opening.

        Returns
        -------
        atom : (n,) float64
            The value of the nearest atom at or below.
        at_atom : (n,) bool
            Whether the point lies in that atom's interval.
        values : (n,) float64
            The point on the line before opening.
        """
        starts = low + self._shift[:-1]
        place = np.searchsorted(starts, opened, side="right")
        last = np.maximum(place - 1, 0)
        at_atom = (place > 0) & (opened < (high + self._shift[1:])[last])
        return self.values[last], at_atom, opened - self._shift[place]


def find_atoms(values: Floats, counts: NDArray[np.int64], cells: Floats) -> Atoms | None:
    """The values of a column that stand out by how many rows hold them, with the widths that hide them.

    Parameters
    ----------
    values, counts : (m,)
        The distinct values, ascending, and the number of rows that hold each.
    cells : (m,) float64
        Width of the lattice cell of each value; all 0 for a column that is not dequantised.

    Returns
    -------
    Atoms or None
    """
    n_rows = int(counts.sum())
    on_lattice = bool(cells.any())
    fewest = max(_FEWEST_ROWS, _SMALLEST_SHARE * n_rows)
    if not on_lattice and counts[counts >= 3].sum() >= _TIED_COLUMN * n_rows:
        fewest = 3
    heavy = np.flatnonzero(counts >= fewest)
    if len(heavy) == 0:
        return None
    if len(heavy) > _MOST_ATOMS:
        heavy = np.sort(heavy[np.argsort(-counts[heavy], kind="stable")[:_MOST_ATOMS]])
    widths, spread = _widths(values, counts, heavy)
    if on_lattice:
        keep = (cells[heavy] <= _FINE_LATTICE * spread) & _stands_out(counts[heavy], cells[heavy] / widths)
        heavy, widths = heavy[keep], (widths - cells[heavy])[keep]
    return Atoms(values[heavy].copy(), widths) if len(heavy) else None


def _stands_out(rows: NDArray[np.int64], share: Floats) -> NDArray[np.bool_]:
    """Whether lattice points hold far more rows than the ``rows · share`` of their surroundings."""
    expected = rows * share
    log_odds = rows * np.log(1.0 / share) - (rows - expected)  # Poisson likelihood ratio
    return np.asarray((share * _EXCESS <= 1.0) & (log_odds >= _LOG_ODDS))


def _widths(values: Floats, counts: NDArray[np.int64], heavy: NDArray[np.intp]) -> tuple[Floats, float]:
    """Rows of each atom over the density of rows around it; also the spread of the other rows."""
    n_rows = int(counts.sum())
    below = np.concatenate([[0], np.cumsum(counts)])
    reach = max(2 * _FEWEST_ROWS, n_rows // 50)
    # The nearest `reach` rows on either side, and how far one has to go for them.
    up = np.searchsorted(below[1:], np.minimum(below[heavy + 1] + reach, n_rows))
    down = np.searchsorted(below[1:], np.maximum(below[heavy] - reach + 1, 1))
    mass_up, far_up = below[up + 1] - below[heavy + 1], values[up] - values[heavy]
    mass_down, far_down = below[heavy] - below[down], values[heavy] - values[down]
    density = np.maximum(
        np.divide(mass_up, far_up, out=np.zeros(len(heavy)), where=far_up > 0),
        np.divide(mass_down, far_down, out=np.zeros(len(heavy)), where=far_down > 0),
    )
    widths = counts[heavy] / density
    spread, n_others = _spread_of_others(values, counts, heavy)
    # Never invisible, and no wider than three times what its share of rows gives it at the mean density.
    return np.clip(widths, 1e-3 * spread, 3.0 * spread * np.maximum(counts[heavy] / n_others, 1e-3)), spread


def _spread_of_others(
    values: Floats, counts: NDArray[np.int64], heavy: NDArray[np.intp]
) -> tuple[float, int]:
    """Distance from the 10 % to the 90 % point of the rows that hold no atom, and their number."""
    others = counts.copy()
    others[heavy] = 0
    if others.sum() < 2 * _FEWEST_ROWS:  # hardly anything but atoms
        others = counts
    below = np.cumsum(others)
    low, high = values[np.searchsorted(below, below[-1] * np.array([0.1, 0.9]), side="right")]
    return float(high - low) or float(values[-1] - values[0]), int(below[-1])
