"""Data of which the truth is known: independent rows, rows of series, tied rows, and planted dependence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from latentflow.statistics.serial import serial_structure


@dataclass(frozen=True)
class Series:
    """Rows in order, and how the analysis takes them: ``block`` is None where it sees no autocorrelation."""

    values: np.ndarray
    block: int | None


def normal(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Rows (n, d) of N(0, I)."""
    return rng.standard_normal((n, d))


def tied(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Independent columns (n, d) with few values: two, three, five, and normals rounded to 1 and to 0.1, in turn."""
    columns = []
    for j in range(d):
        kind = j % 5
        if kind < 3:
            columns.append(rng.integers(0, (2, 3, 5)[kind], n).astype(float))
        else:
            columns.append(np.round(rng.standard_normal(n), kind - 3))
    return np.stack(columns, axis=1)


def autoregressive(n: int, d: int, phi: float | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Independent stationary AR(1) columns (n, d) with N(0, 1) marginals; ``phi`` one number or one for each."""
    phis = np.broadcast_to(phi, (d,))
    start, noise = rng.standard_normal(d), rng.standard_normal((n, d))
    columns = [
        lfilter([np.sqrt(1.0 - p**2)], [1.0, -p], noise[:, j], zi=[p * start[j]])[0]
        for j, p in enumerate(phis)
    ]
    return np.stack(columns, axis=1)


class AutoregressiveRows:
    """Draws a :class:`Series` of AR(1) columns, each with its φ, spread evenly between two figures."""

    def __init__(self, first: float, last: float | None = None) -> None:
        self.first, self.last = first, first if last is None else last

    def __call__(self, n: int, d: int, rng: np.random.Generator) -> Series:
        values = autoregressive(n, d, np.linspace(self.first, self.last, d), rng)
        return as_series(values)

    def __str__(self) -> str:
        if self.first == self.last:
            return f"AR(1), φ = {self.first:g}"
        return f"AR(1), φ from {self.first:g} to {self.last:g} over the columns"


def as_series(values: np.ndarray) -> Series:
    """The rows with the block that the analysis itself would choose for them."""
    serial = serial_structure(values)
    return Series(values, (serial.block or 1) if serial.dependent else None)


def planted_square(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of N(0, I) but for the second column, which is z₁² + 2·noise, standardised."""
    z = rng.standard_normal((n, d))
    square = z[:, 0] ** 2 + 2.0 * z[:, 1]
    z[:, 1] = (square - square.mean()) / square.std()
    return z


def sign_product(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of N(0, I) but that the third column takes the sign of z₁ z₂: every pair is independent."""
    z = rng.standard_normal((n, d))
    z[:, 2] = np.abs(z[:, 2]) * np.sign(z[:, 0] * z[:, 1])
    return z
