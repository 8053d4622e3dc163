"""Ties of one column: the lattice of its values, the atoms it repeats, and the cells that both make.

A column is continuous where ties are rare and its step, if it has one, is too fine to matter. Otherwise every
value owns a cell of the line; the cells do not overlap, and rounding back to the value that owns a cell is
exact.

A value that many rows share beyond its lattice, an *atom* (:mod:`latentflow.data.atoms`), has no density. Its cell
is opened further, and everything above it moves up by as much. The map stays monotone, with slope 1 off the atoms,
so that it has no log-determinant, and going back closes the cells again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentflow.data.atoms import find_atoms
from latentflow.data.lattice import Floats, Lattice
from latentflow.data.lattice_search import find_lattice
from latentflow.data.tails import robust_scale

# A column with fewer ties than this and a step finer than this part of its robust scale is continuous.
_NEGLIGIBLE_TIES = 0.01
_NEGLIGIBLE_STEP = 1e-6


@dataclass(frozen=True)
class Ties:
    """How the values of a column repeat: found once, on all rows.

    Attributes
    ----------
    lattice : Lattice
        The grid that reproduces every value, whether or not it matters; of plain floats if there is none.
    dequantised : bool
        Whether values are spread over the cells of `lattice`.
    atoms : (m,) float64
        Values whose cells are opened, ascending, in the user's units.
    widths : (m,) float64
        By how much everything above each atom moves up.
    step : float
        Distance between lattice points at the median value, in the user's units; 0 without a lattice.
    tied_fraction : float
        Share of the rows whose value another row has, too.
    precision : str
        Floating dtype that held the column.
    """

    lattice: Lattice
    dequantised: bool
    atoms: Floats
    widths: Floats
    step: float
    tied_fraction: float
    precision: str

    @property
    def kind(self) -> str:
        """``"none"``, ``"decimal"``, ``"significant"``, ``"regular"`` or ``"atoms"``."""
        return self.lattice.kind if self.dequantised else "atoms" if len(self.atoms) else "none"

    @property
    def floats(self) -> Lattice:
        """The numbers of the dtype of the table."""
        return Lattice(precision=self.precision)

    @property
    def _held(self) -> Lattice:
        """What values are taken and given: whole numbers stay whole, even untied."""
        return self.lattice if self.dequantised or self.lattice.decimals == 0 else self.floats

    @cached_property
    def _moved(self) -> Floats:
        """How far the line has moved: below the first atom, between atoms, above the last; (m + 1,)."""
        return np.concatenate([[0.0], np.cumsum(self.widths)])

    def cells(self, values: Floats) -> tuple[Floats, Floats]:
        """The interval over which each value is spread, of width 0 for a continuous one; two (n,)."""
        low, high = (self.lattice if self.dequantised else self.floats).cell(values)
        below = np.searchsorted(self.atoms, values)
        return low + self._moved[below], high + self._moved[below + np.isin(values, self.atoms)]

    def restore(self, continuous: Floats) -> Floats:
        """The value in whose cell each number lies; (n,) to (n,)."""
        edges = np.stack(self.cells(self.atoms), axis=1).ravel()
        place = np.searchsorted(edges, continuous, side="right")
        others = self._held.nearest(continuous - self._moved[place // 2])
        return np.where(place % 2 == 1, np.append(self.atoms, np.nan)[place // 2], others)

    def refused(self, values: Floats) -> NDArray[np.bool_]:
        """Values that are not on the lattice and would not come back; (n,) bool."""
        held = self._held
        return (held.kind != "none") & ~held.holds(values) & ~np.isin(values, self.atoms)

    def state(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """JSON-able part and arrays, exact; `from_state` reads them back."""
        names = ("dequantised", "step", "tied_fraction", "precision")
        meta = {name: getattr(self, name) for name in names} | {"lattice": self.lattice.to_dict()}
        return meta, {"atom_values": self.atoms, "atom_widths": self.widths} if len(self.atoms) else {}

    @classmethod
    def from_state(cls, meta: dict[str, Any], arrays: dict[str, Floats]) -> Ties:
        """The ties that `state` wrote."""
        atoms, widths = (arrays.get(f"atom_{part}", np.empty(0)) for part in ("values", "widths"))
        lattice = Lattice.from_dict(meta["lattice"], meta["precision"])
        return cls(**{**meta, "lattice": lattice}, atoms=atoms, widths=widths)


def find_ties(values: Floats, precision: str = "float64") -> Ties:
    """Find the lattice and the atoms of a column.

    Parameters
    ----------
    values : (n,) float64
        All rows of the column, at least two different values.
    precision : str
        Floating dtype that held the column.
    """
    distinct, counts = np.unique(values, return_counts=True)
    tied = float(counts[counts > 1].sum()) / len(values)
    lattice = find_lattice(distinct, len(values), precision)
    step = float(lattice.unit(np.array([np.median(values)]))[0])
    spread = robust_scale(values) or float(values.std())
    negligible = tied < _NEGLIGIBLE_TIES and step < _NEGLIGIBLE_STEP * spread
    dequantised = lattice.kind != "none" and not negligible
    low, high = lattice.cell(distinct)
    atoms, widths = find_atoms(distinct, counts, high - low if dequantised else np.zeros(len(distinct)))
    return Ties(lattice, dequantised, atoms, widths, step, tied, precision)
