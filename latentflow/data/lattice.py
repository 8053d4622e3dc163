"""Lattices: the grids of numbers on which tied columns live, and the cells around their points.

A column of a real table is often printed or digitised: integers, two decimals, five significant digits, or an
analogue-to-digital step of 0.5128 printed with two decimals. Such a column is a lattice. Each of its values
owns an open cell, the cells tile the line, and a value is *dequantised* by moving it inside its cell;
rounding back finds the value again, bit for bit, because it is computed by the formula that was verified on
every value of the column.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The nearest doubles to the powers of ten; exact from 1e0 to 1e22, so that k / 10^p and k * 10^q are
# correctly rounded and equal what a parser makes of the decimal literal.
_POWERS = np.array([float(f"1e{i}") for i in range(23)])
_LOWEST = -60
_DECADES = np.array([float(f"1e{i}") for i in range(_LOWEST, 61)])
FINEST_EXPONENT = -22


def _times_power(mantissa: Floats, exponent: Any) -> Floats:
    """mantissa · 10^exponent, correctly rounded for whole mantissas below 2^53 and \\|exponent\\| <= 22."""
    return np.asarray(mantissa * _POWERS[np.clip(exponent, 0, 22)] / _POWERS[np.clip(-exponent, 0, 22)])


@dataclass(frozen=True)
class Lattice:
    """The numbers a column can hold: those of a format, or ``offset + k · numerator / denominator`` written in it.

    Attributes
    ----------
    decimals : int or None
        Digits after the point, 0 to 22.
    digits : int or None
        Significant digits. With neither `decimals` nor `digits` the format is that of plain floats.
    finest : int
        Only with `digits`: the last digit is never finer than ``10**finest``.
    precision : str
        Name of the floating dtype that held the numbers; results are cast through it.
    offset, numerator, denominator : float
        Of a regular lattice; a numerator of 0 says that every number of the format is a point of the lattice.
    exceptions : tuple of (k, value)
        Points of a regular lattice that were written otherwise than the formula says: where a point falls
        half-way between two numbers of the format, it is whoever printed it who chose.
    """

    decimals: int | None = None
    digits: int | None = None
    finest: int = FINEST_EXPONENT
    precision: str = "float64"
    offset: float = 0.0
    numerator: float = 0.0
    denominator: float = 1.0
    exceptions: tuple[tuple[float, float], ...] = ()

    @property
    def kind(self) -> str:
        """``"regular"``, ``"significant"``, ``"decimal"``, or ``"none"`` for plain floats."""
        if self.numerator:
            return "regular"
        if self.digits is not None:
            return "significant"
        return "none" if self.decimals is None else "decimal"

    def unit(self, values: Floats) -> Floats:
        """Distance of neighbouring points at `values` (away from zero), user's units; 0 for plain floats."""
        if self.numerator:
            return np.full_like(values, self.numerator / self.denominator)
        if self.kind == "none":
            return np.zeros_like(values)
        return _times_power(np.ones_like(values), self._exponent(values))

    def index(self, values: Floats) -> Floats:
        """k of the points of a regular lattice that are nearest to `values`; (n,) to (n,)."""
        return np.rint((values - self.offset) * self.denominator / self.numerator)

    def nearest(self, values: Floats) -> Floats:
        """The lattice value in whose cell each number lies; (n,) to (n,). The largest of the dtype at most."""
        nearest = self._written(self._point(values))
        if self.precision != "float64":
            largest = float(np.finfo(self.precision).max)
            nearest = np.clip(nearest, -largest, largest).astype(self.precision).astype(np.float64)
        if self.exceptions:
            known, written = np.array(self.exceptions).T
            index = self.index(values)
            place = np.minimum(np.searchsorted(known, index), len(known) - 1)
            nearest = np.where(known[place] == index, written[place], nearest)
        return nearest

    def holds(self, values: Floats) -> NDArray[np.bool_]:
        """Whether each number is a point of the lattice, to the last bit; (n,) bool."""
        return np.asarray(self.nearest(values) == values)

    def cell(self, values: Floats) -> tuple[Floats, Floats]:
        """Bounds of the numbers whose nearest point each of `values` is; two (n,), in the user's units.

        A power of ten stands where the spacing of significant digits changes, so its cell reaches ten times
        less far towards zero than away from it. The cell of a plain float is the number itself.
        """
        centre = self._point(values) if self.numerator else self._written(values)
        outer, inner = 0.5 * self.unit(centre), 0.5 * self.unit(np.nextafter(np.abs(centre), 0.0))
        negative = centre < 0
        return centre - np.where(negative, outer, inner), centre + np.where(negative, inner, outer)

    def _exponent(self, values: Floats) -> Any:
        """Power of ten of the last digit written: one for all values, or (n,) of significant digits."""
        if self.digits is None:
            return -np.int64(self.decimals or 0)
        decade = np.searchsorted(_DECADES, np.abs(values), side="right") - 1 + _LOWEST
        return np.clip(decade - self.digits + 1, self.finest, 22)

    def _point(self, values: Floats) -> Floats:
        """Nearest point of a regular lattice, before it is written down; any number where all of the format are."""
        return (
            self.offset + self.index(values) * self.numerator / self.denominator if self.numerator else values
        )

    def _written(self, values: Floats) -> Floats:
        """Nearest number of the format, before the cast to the dtype of the table."""
        if self.decimals is None and self.digits is None:
            return values
        exponent = self._exponent(values)
        mantissa = np.rint(_times_power(values, -exponent))
        return _times_power(mantissa, exponent) + 0.0  # never -0.0: the same number must look the same

    def describe(self) -> str:
        """A few plain words for reports."""
        if self.numerator:
            return f"steps of {self.numerator / self.denominator:.6g}"
        if self.digits is not None:
            return f"{self.digits} significant digits"
        return (
            "whole numbers"
            if self.decimals == 0
            else f"{self.decimals} decimal{'s' if self.decimals != 1 else ''}"
        )

    def to_dict(self) -> dict[str, Any] | None:
        """JSON-able, exact, None for plain floats; `from_dict` reads it back."""
        state = asdict(self)
        rounding = {name: state.pop(name) for name in ("decimals", "digits", "finest", "precision")}
        return None if self.kind == "none" else {"rounding": rounding, **state}

    @classmethod
    def from_dict(cls, state: dict[str, Any] | None, precision: str) -> Lattice:
        """The lattice that `to_dict` wrote, in a table of this floating dtype."""
        if state is None:
            return cls(precision=precision)
        exceptions = tuple((float(k), float(value)) for k, value in state["exceptions"])
        step = {name: state[name] for name in ("offset", "numerator", "denominator")}
        return cls(**state["rounding"], **step, exceptions=exceptions)
