"""Atoms: values that a column takes again and again, such as readings at a detection limit, or exact zeros.

Each atom is opened to an interval over which its rows spread (:mod:`latentflow.data.ties`). Its width is chosen so
that the density inside the interval is that of its surroundings; a flow then sees no spike.
"""

from __future__ import annotations

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


def find_atoms(values: Floats, counts: NDArray[np.int64], cells: Floats) -> tuple[Floats, Floats]:
    """The values of a column that stand out by how many rows hold them, with the widths that hide them.

    Parameters
    ----------
    values, counts : (m,)
        The distinct values, ascending, and the number of rows that hold each.
    cells : (m,) float64
        Width of the lattice cell of each value; all 0 for a column that is not dequantised.

    Returns
    -------
    atoms, widths : (k,) float64
        Ascending, and by how much their cells grow.
    """
    n_rows = int(counts.sum())
    fewest = max(_FEWEST_ROWS, _SMALLEST_SHARE * n_rows)
    if not cells.any() and counts[counts >= 3].sum() >= _TIED_COLUMN * n_rows:
        fewest = 3
    heavy = np.flatnonzero(counts >= fewest)
    if len(heavy) > _MOST_ATOMS:
        heavy = np.sort(heavy[np.argsort(-counts[heavy], kind="stable")[:_MOST_ATOMS]])
    if len(heavy) == 0:
        return np.empty(0), np.empty(0)
    rows, spread, n_others = counts[heavy], *_spread_of_others(values, counts, heavy)
    # Never invisible, and no wider than three times what its share of rows gives it at the mean density.
    widest = 3.0 * spread * np.maximum(rows / n_others, 1e-3)
    widths = np.clip(rows / _density_around(values, counts, heavy), 1e-3 * spread, widest)
    if cells.any():
        share = cells[heavy] / widths  # of the atom's rows, if its point were as frequent as those around it
        log_odds = rows * np.log(1.0 / share) - (rows - rows * share)  # Poisson likelihood ratio
        stand_out = (
            (share * _EXCESS <= 1.0) & (log_odds >= _LOG_ODDS) & (cells[heavy] <= _FINE_LATTICE * spread)
        )
        heavy, widths = heavy[stand_out], (widths - cells[heavy])[stand_out]
    return values[heavy], widths


def _density_around(values: Floats, counts: NDArray[np.int64], heavy: NDArray[np.intp]) -> Floats:
    """Rows per unit among the nearest rows above or below each atom, whichever are denser; (k,)."""
    below = np.concatenate([[0], np.cumsum(counts)])
    n_rows = below[-1]
    reach = max(2 * _FEWEST_ROWS, n_rows // 50)
    up = np.searchsorted(below[1:], np.minimum(below[heavy + 1] + reach, n_rows))
    down = np.searchsorted(below[1:], np.maximum(below[heavy] - reach + 1, 1))
    mass = np.stack([below[up + 1] - below[heavy + 1], below[heavy] - below[down]])
    far = np.stack([values[up] - values[heavy], values[heavy] - values[down]])
    return np.asarray(np.divide(mass, far, out=np.zeros(far.shape), where=far > 0).max(axis=0))


def _spread_of_others(
    values: Floats, counts: NDArray[np.int64], heavy: NDArray[np.intp]
) -> tuple[float, int]:
    """Distance from the 10 % to the 90 % point of the rows that hold no atom, and their number."""
    others = counts.copy()
    others[heavy] = 0
    if others.sum() < 2 * _FEWEST_ROWS:  # hardly anything but atoms
        others = counts
    rows = np.repeat(values, others)
    low, high = rows[[int(0.1 * len(rows)), int(0.9 * len(rows))]]
    return float(high - low) or float(values[-1] - values[0]), len(rows)
