"""Ties of one column: the lattice of its values, the atoms it repeats, and the cells that both make.

A column is continuous where ties are rare and its step, if it has one, is too fine to matter. Otherwise every
value owns a cell of the line; the cells do not overlap, and rounding back to the value that owns a cell is
exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentflow.data.atoms import Atoms, find_atoms
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
    lattice : Lattice or None
        The grid that reproduces every value, whether or not it matters.
    dequantised : bool
        Whether values are spread over the cells of `lattice`.
    atoms : Atoms or None
    step : float
        Distance between lattice points at the median value, in the user's units; 0 without a lattice.
    tied_fraction : float
        Share of the rows whose value another row has, too.
    precision : str
        Floating dtype that held the column.
    """

    lattice: Lattice | None
    dequantised: bool
    atoms: Atoms | None
    step: float
    tied_fraction: float
    precision: str

    @property
    def kind(self) -> str:
        """``"none"``, ``"decimal"``, ``"significant"``, ``"regular"`` or ``"atoms"``."""
        if self.dequantised and self.lattice is not None:
            return self.lattice.kind
        return "none" if self.atoms is None else "atoms"

    def _cells(self, values: Floats) -> tuple[Floats, Floats]:
        if self.dequantised and self.lattice is not None:
            return self.lattice.cell(values)
        return values, values

    def cells(self, values: Floats) -> tuple[Floats, Floats]:
        """The interval over which each value is spread, of width 0 for a continuous one; two (n,)."""
        low, high = self._cells(values)
        return (low, high) if self.atoms is None else self.atoms.open(values, low, high)

    def restore(self, continuous: Floats) -> Floats:
        """The value in whose cell each number lies; (n,) to (n,)."""
        if self.atoms is None:
            return self._rounded(continuous)
        atom, at_atom, values = self.atoms.close(continuous, *self._cells(self.atoms.values))
        return np.where(at_atom, atom, self._rounded(values))

    @property
    def _on_lattice(self) -> bool:
        """Whether only lattice values are taken and given: whole numbers stay whole, even untied."""
        return self.dequantised or (self.lattice is not None and self.lattice.rounding.decimals == 0)

    def _rounded(self, values: Floats) -> Floats:
        return self.snap(values) if self._on_lattice else self.cast(values)

    def refused(self, values: Floats) -> NDArray[np.bool_]:
        """Values that are not on the lattice and would not come back; (n,) bool."""
        if not self._on_lattice:
            return np.zeros(len(values), dtype=bool)
        refused = self.snap(values) != values
        if self.atoms is not None and refused.any():
            refused &= ~np.isin(values, self.atoms.values)
        return refused

    def snap(self, values: Floats) -> Floats:
        """The nearest value that the column can hold, on its lattice or as its dtype; (n,) to (n,)."""
        return self.cast(values) if self.lattice is None else self.lattice.nearest(values)

    def cast(self, values: Floats) -> Floats:
        """Values as the dtype of the table holds them, (n,) to (n,); its largest number for larger ones."""
        if self.precision == "float64":
            return values
        largest = float(np.finfo(self.precision).max)
        return np.clip(values, -largest, largest).astype(self.precision).astype(np.float64)

    def state(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """JSON-able part and arrays, exact; `from_state` reads them back."""
        names = ("dequantised", "step", "tied_fraction", "precision")
        meta: dict[str, Any] = {name: getattr(self, name) for name in names}
        meta["lattice"] = None if self.lattice is None else self.lattice.to_dict()
        if self.atoms is None:
            return meta, {}
        return meta, {"atom_values": self.atoms.values, "atom_widths": self.atoms.widths}

    @classmethod
    def from_state(cls, meta: dict[str, Any], arrays: dict[str, Floats]) -> Ties:
        """The ties that `state` wrote."""
        lattice = None if meta["lattice"] is None else Lattice.from_dict(meta["lattice"])
        atoms = Atoms(arrays["atom_values"], arrays["atom_widths"]) if arrays else None
        return cls(**{**meta, "lattice": lattice}, atoms=atoms)


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
    step = 0.0 if lattice is None else lattice.step_at(float(np.median(values)))
    spread = robust_scale(values) or float(values.std())
    dequantised = lattice is not None and not (tied < _NEGLIGIBLE_TIES and step < _NEGLIGIBLE_STEP * spread)
    low, high = lattice.cell(distinct) if dequantised and lattice is not None else (distinct, distinct)
    atoms = find_atoms(distinct, counts, high - low)
    return Ties(lattice, dequantised, atoms, step, tied, precision)
