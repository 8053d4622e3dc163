"""What is done to one column: dequantised on its lattice, atoms opened, heavy tails squeezed.

The order is *raw* → (lattice, atoms) → *continuous*, still in the user's units → (tails) → *squeezed*, which
is what the whitening takes. The step from raw to continuous spreads tied values inside their own cells and is
undone exactly; the step from continuous to squeezed is smooth, with a log-determinant.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentflow.data.lattice import Floats
from latentflow.data.tails import Tails, fit_tails
from latentflow.data.ties import Ties

# Dequantised values keep clear of the edges of their cells, so that an error of decoding of `_DECODING_ERROR`
# standard deviations of the column cannot move one into the next cell: by half a per cent of the cell or,
# where the cell is so fine that this is less than the tolerance, by as much as that takes, up to a quarter.
_DECODING_ERROR = 1e-6
_MARGIN = 0.005
_LARGEST_MARGIN = 0.25

Role = Literal["flow", "constant", "dependent"]


@dataclass(frozen=True)
class ColumnTreatment:
    """Everything done to one column of the table.

    Attributes
    ----------
    name : str
    role : {"flow", "constant", "dependent"}
        Whether the flow sees the column, or whether it is set aside and restored.
    ties : Ties or None
        None for a constant column.
    squeeze : Tails or None
        The bijection of its tails.
    tolerance : float
        Error of the squeezed column up to which dequantised values come back to their own cell.
    center, scale : float
        Mean and standard deviation of the squeezed column on the training rows, with which it enters the
        whitening; of a column set aside, its mean and standard deviation over all rows.
    note : str
        One plain sentence for reports.
    """

    name: str
    role: Role
    ties: Ties | None = None
    squeeze: Tails | None = None
    tolerance: float = 0.0
    center: float = 0.0
    scale: float = 0.0
    note: str = ""

    @property
    def lattice(self) -> str:
        """``"none"``, ``"decimal"``, ``"significant"``, ``"regular"`` or ``"atoms"``."""
        return "none" if self.ties is None else self.ties.kind

    @property
    def tails(self) -> str:
        """``"none"`` or ``"asinh"``."""
        return "none" if self.squeeze is None else "asinh"

    @property
    def step(self) -> float:
        """Step of the lattice at the median value, in the user's units; 0 if not dequantised."""
        return self.ties.step if self.ties is not None and self.ties.dequantised else 0.0

    @property
    def tied_fraction(self) -> float:
        """Share of the rows whose value another row has, too."""
        return 1.0 if self.ties is None else self.ties.tied_fraction

    @property
    def spreads(self) -> bool:
        """Whether any value of the column is spread over an interval, and so needs a uniform number."""
        return self.ties is not None and self.ties.kind != "none"

    def refused(self, values: Floats) -> NDArray[np.bool_]:
        """Values that would not come back as they are; (n,) bool."""
        return np.zeros(len(values), dtype=bool) if self.ties is None else self.ties.refused(values)

    def dequantise(self, values: Floats, uniforms: Floats) -> Floats:
        """Raw to continuous: every value moves inside its own cell.

        Parameters
        ----------
        values : (n,) float64
            In the user's units.
        uniforms : (n,) float64
            In [0, 1).
        """
        if self.ties is None or not self.spreads:
            return values
        low, high = self.ties.cells(values)
        width = high - low
        middle = 0.5 * (low + high)
        log_slope = 0.0 if self.squeeze is None else self.squeeze.forward(middle)[1]
        tolerance = self.tolerance * np.exp(-log_slope) + 4.0 * np.spacing(np.abs(middle))
        share = np.divide(tolerance, width, out=np.zeros_like(width), where=width > 0)
        margin = np.clip(share, _MARGIN, _LARGEST_MARGIN)
        return low + width * (margin + (1.0 - 2.0 * margin) * uniforms)

    def located(self, squeezed: Floats, train: NDArray[np.intp]) -> ColumnTreatment:
        """This treatment with the center and scale of squeezed rows, (n,), on the training rows.

        A column that is constant on the training rows alone takes those of all rows.
        """
        rows = squeezed[train] if np.ptp(squeezed[train]) > 0.0 else squeezed
        return replace(self, center=float(rows.mean()), scale=float(rows.std()))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able summary for reports."""
        return {
            "name": self.name,
            "role": self.role,
            "lattice": self.lattice,
            "step": self.step,
            "tied_fraction": self.tied_fraction,
            "atoms": 0 if self.ties is None else len(self.ties.atoms),
            "tails": self.tails,
            "center": self.center,
            "scale": self.scale,
            "note": self.note,
        }

    def state(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """JSON-able part and arrays, exact; `from_state` reads them back."""
        ties, arrays = (None, {}) if self.ties is None else self.ties.state()
        squeeze = None if self.squeeze is None else asdict(self.squeeze)
        fields: dict[str, Any] = {"name": self.name, "role": self.role, "ties": ties, "squeeze": squeeze}
        fields["tolerance"] = self.tolerance
        return {**fields, "center": self.center, "scale": self.scale, "note": self.note}, arrays

    @classmethod
    def from_state(cls, meta: dict[str, Any], arrays: dict[str, Floats]) -> ColumnTreatment:
        """The treatment that `state` wrote."""
        ties = None if meta["ties"] is None else Ties.from_state(meta["ties"], arrays)
        squeeze = None if meta["squeeze"] is None else Tails(**meta["squeeze"])
        return cls(**{**meta, "ties": ties, "squeeze": squeeze})


def treat_column(
    name: str, values: Floats, ties: Ties, train: NDArray[np.intp], tails: str
) -> ColumnTreatment:
    """Fit the treatment of a column that the flow lives on.

    Parameters
    ----------
    name : str
    values : (n,) float64
        All rows, in the user's units.
    ties : Ties
    train : (m,) int
        Training rows: the tails, the center and the scale are theirs.
    tails : {"auto", "none", "asinh"}
    """
    low, high = ties.cells(values)
    middle = 0.5 * (low + high)
    squeeze = fit_tails(middle, train, tails, ties.step if ties.dequantised else 0.0)
    squeezed = middle if squeeze is None else squeeze.forward(middle)[0]
    spread = float(squeezed[train].std()) or float(squeezed.std())
    column = ColumnTreatment(name, "flow", ties, squeeze, _DECODING_ERROR * spread, note=_note(ties, squeeze))
    return column.located(squeezed, train)


def _note(ties: Ties, squeeze: Tails | None) -> str:
    parts = []
    if ties.dequantised:
        parts.append(f"dequantised inside its lattice ({ties.lattice.describe()})")
    if len(ties.atoms):
        few = len(ties.atoms) <= 3
        which = ", ".join(f"{v:.6g}" for v in ties.atoms) if few else f"{len(ties.atoms)} values"
        parts.append(f"{which}, often repeated, opened to an interval")
    if squeeze is not None:
        parts.append("heavy tails squeezed by asinh")
    sentence = "; ".join(parts) or "taken as it is"
    return f"{sentence[0].upper()}{sentence[1:]}."
