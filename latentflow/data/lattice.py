"""Lattices: the grids of numbers on which tied columns live, and the cells around their points.

A column of a real table is often printed or digitised: integers, two decimals, five significant digits, or an
analogue-to-digital step of 0.5128 printed with two decimals. Such a column is a lattice. Each of its values
owns an open cell, the cells tile the line, and a value is *dequantised* by moving it inside its cell;
rounding back finds the value again, bit for bit, because it is computed by the formula that was verified on
every value of the column.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
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


def _times_power(mantissa: Floats, exponent: NDArray[np.int64]) -> Floats:
    """mantissa · 10^exponent, correctly rounded for whole mantissas below 2^53 and \\|exponent\\| <= 22."""
    up = _POWERS[np.clip(exponent, 0, 22)]
    down = _POWERS[np.clip(-exponent, 0, 22)]
    return mantissa * up / down


@dataclass(frozen=True)
class Rounding:
    """How numbers were written: to fixed decimals, to significant digits, or as plain floats.

    Attributes
    ----------
    decimals : int or None
        Digits after the point, 0 to 22.
    digits : int or None
        Significant digits; the last digit kept is never finer than ``10**finest``.
    finest : int
        Only with `digits`.
    precision : str
        Name of the floating dtype that held the numbers; results are cast through it.
    """

    decimals: int | None = None
    digits: int | None = None
    finest: int = FINEST_EXPONENT
    precision: str = "float64"

    def _exponent(self, magnitude: Floats) -> NDArray[np.int64]:
        """Power of ten of the last digit written, at non-negative numbers."""
        assert self.digits is not None
        decade = np.searchsorted(_DECADES, magnitude, side="right") - 1 + _LOWEST
        return np.clip(decade - self.digits + 1, self.finest, 22)

    def unit(self, values: Floats) -> Floats:
        """Distance between neighbouring numbers of this format at `values` (away from zero)."""
        magnitude = np.abs(values)
        if self.digits is not None:
            return _times_power(np.ones_like(magnitude), self._exponent(magnitude))
        if self.decimals is not None:
            return np.full_like(magnitude, 1.0 / _POWERS[self.decimals])
        return np.spacing(magnitude.astype(self.precision)).astype(np.float64)

    def _nearest(self, values: Floats) -> Floats:
        """Nearest number of this format, before the cast to the dtype of the table."""
        if self.digits is not None:
            exponent = self._exponent(np.abs(values))
            return _times_power(np.rint(_times_power(values, -exponent)), exponent)
        if self.decimals is not None:
            power = _POWERS[self.decimals]
            return np.rint(values * power) / power
        return values

    def apply(self, values: Floats) -> Floats:
        """Nearest number of this format, as the dtype of the table holds it; (n,) float64."""
        nearest = self._nearest(values)
        if self.precision != "float64":
            nearest = nearest.astype(self.precision).astype(np.float64)
        return nearest + 0.0  # never -0.0: the same number must look the same

    def cell(self, values: Floats) -> tuple[Floats, Floats]:
        """Bounds of the numbers that round to `values`; two (n,) arrays.

        A power of ten stands where the spacing of significant digits changes, so its cell reaches ten times
        less far towards zero than away from it.
        """
        centre = self._nearest(values)
        outer = 0.5 * self.unit(centre)
        inner = outer
        if self.digits is not None:
            inner = 0.5 * self.unit(np.nextafter(np.abs(centre), 0.0))
        below = np.where(centre < 0, outer, inner)
        above = np.where(centre < 0, inner, outer)
        return centre - below, centre + above


@dataclass(frozen=True)
class Lattice:
    """A grid of numbers: all numbers of a format, or ``offset + k · numerator / denominator`` written in it.

    Attributes
    ----------
    rounding : Rounding
    offset, numerator, denominator : float
        Of a regular lattice; a numerator of 0 says that every number of the format is a point of the lattice.
    exceptions : tuple of (k, value)
        Points of a regular lattice that were written otherwise than the formula says: where a point falls
        half-way between two numbers of the format, it is whoever printed it who chose.
    """

    rounding: Rounding
    offset: float = 0.0
    numerator: float = 0.0
    denominator: float = 1.0
    exceptions: tuple[tuple[float, float], ...] = ()

    @property
    def kind(self) -> str:
        """``"regular"``, ``"significant"`` or ``"decimal"``."""
        if self.numerator:
            return "regular"
        return "significant" if self.rounding.digits is not None else "decimal"

    def _index(self, values: Floats) -> Floats:
        return np.rint((values - self.offset) * self.denominator / self.numerator)

    def _point(self, index: Floats) -> Floats:
        return self.offset + index * self.numerator / self.denominator

    def nearest(self, values: Floats) -> Floats:
        """The lattice value in whose cell each number lies; (n,) float64 to (n,) float64."""
        if not self.numerator:
            return self.rounding.apply(values)
        index = self._index(values)
        nearest = self.rounding.apply(self._point(index))
        if self.exceptions:
            known, written = np.array(self.exceptions).T
            place = np.minimum(np.searchsorted(known, index), len(known) - 1)
            nearest = np.where(known[place] == index, written[place], nearest)
        return nearest

    def with_exceptions(self, values: Floats) -> Lattice:
        """This regular lattice, with those of `values` that the formula misses written down as they are."""
        missed = values[~self.holds(values)]
        pairs = sorted(zip(self._index(missed).tolist(), missed.tolist(), strict=True))
        return replace(self, exceptions=tuple(pairs))

    def holds(self, values: Floats) -> NDArray[np.bool_]:
        """Whether each number is a point of the lattice, to the last bit; (n,) bool."""
        return np.asarray(self.nearest(values) == values)

    def cell(self, values: Floats) -> tuple[Floats, Floats]:
        """Bounds of the cells of lattice values; two (n,) arrays in the user's units."""
        if self.numerator:
            centre = self._point(self._index(values))
            half = 0.5 * self.numerator / self.denominator
            return centre - half, centre + half
        return self.rounding.cell(values)

    def step_at(self, value: float) -> float:
        """Distance between neighbouring points of the lattice at a value, in the user's units."""
        if self.numerator:
            return self.numerator / self.denominator
        return float(self.rounding.unit(np.array([value]))[0])

    def describe(self) -> str:
        """A few plain words for reports."""
        if self.numerator:
            return f"steps of {self.numerator / self.denominator:.6g}"
        if self.rounding.digits is not None:
            return f"{self.rounding.digits} significant digits"
        decimals = self.rounding.decimals
        return "whole numbers" if decimals == 0 else f"{decimals} decimal{'s' if decimals != 1 else ''}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, exact; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Lattice:
        """The lattice that `to_dict` wrote."""
        exceptions = tuple((float(k), float(value)) for k, value in state["exceptions"])
        return cls(**{**state, "rounding": Rounding(**state["rounding"]), "exceptions": exceptions})
