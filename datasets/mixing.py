"""Invertible maps of rows, with their inverses: what the mixtures of :mod:`datasets.orientation` are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Map(Protocol):
    """A bijection of rows, both ways (n, d) to (n, d)."""

    def forward(self, s: Array) -> Array: ...

    def inverse(self, x: Array) -> Array: ...


class Curve(Protocol):
    """A strictly increasing function of numbers and its inverse."""

    def forward(self, u: Array) -> Array: ...

    def inverse(self, v: Array) -> Array: ...


@dataclass(frozen=True)
class Matrix:
    """x = A s, with an invertible A (d, d)."""

    A: Array

    def forward(self, s: Array) -> Array:
        return s @ self.A.T

    def inverse(self, x: Array) -> Array:
        return np.linalg.solve(self.A, x.T).T


@dataclass(frozen=True)
class LeakyRelu:
    """Negative numbers times the slope."""

    slope: float

    def forward(self, s: Array) -> Array:
        return np.where(s < 0, self.slope * s, s)

    def inverse(self, x: Array) -> Array:
        return np.where(x < 0, x / self.slope, x)


@dataclass(frozen=True)
class Inversion:
    """x = a + r² (s - a)/‖s - a‖² with r = ‖a‖: conformal, its own inverse, 0 to 0 and lengths kept near it.

    Parameters
    ----------
    centre : (d,) the point a, which no row may hold
    """

    centre: Array

    def forward(self, s: Array) -> Array:
        away = s - self.centre
        return away * (self.centre @ self.centre / np.sum(away**2, axis=1, keepdims=True)) + self.centre

    def inverse(self, x: Array) -> Array:
        return self.forward(x)


@dataclass(frozen=True)
class Columnwise:
    """The same curve for every column."""

    curve: Curve

    def forward(self, s: Array) -> Array:
        return self.curve.forward(s)

    def inverse(self, x: Array) -> Array:
        return self.curve.inverse(x)


@dataclass(frozen=True)
class Sinh:
    """sinh(g u)/g."""

    gain: float

    def forward(self, u: Array) -> Array:
        return np.sinh(self.gain * u) / self.gain

    def inverse(self, v: Array) -> Array:
        return np.arcsinh(self.gain * v) / self.gain


@dataclass(frozen=True)
class Cube:
    """u³ + p u with p > 0; the inverse is the one real root in its hyperbolic form, with the digits kept near 0."""

    slope: float

    def forward(self, u: Array) -> Array:
        return u**3 + self.slope * u

    def inverse(self, v: Array) -> Array:
        third = self.slope / 3
        return 2 * np.sqrt(third) * np.sinh(np.arcsinh(v / (2 * third**1.5)) / 3)


@dataclass(frozen=True)
class Radial:
    """Rows drawn towards the origin: the norm r becomes q with q + q³/ρ² = 2r, so that the norm ρ is kept."""

    kept: float

    def forward(self, s: Array) -> Array:
        norm = np.linalg.norm(s, axis=1, keepdims=True)
        curve = Cube(self.kept**2)
        return s * _ratio(curve.inverse(2 * self.kept**2 * norm), norm, at_zero=2.0)

    def inverse(self, x: Array) -> Array:
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        return x * (1 + norm**2 / self.kept**2) / 2


def _ratio(above: Array, below: Array, at_zero: float) -> Array:
    return np.divide(above, below, out=np.full_like(below, at_zero), where=below > 0)


@dataclass(frozen=True)
class Chain:
    """One map after the other."""

    maps: tuple[Map, ...]

    def forward(self, s: Array) -> Array:
        for step in self.maps:
            s = step.forward(s)
        return s

    def inverse(self, x: Array) -> Array:
        for step in reversed(self.maps):
            x = step.inverse(x)
        return x
