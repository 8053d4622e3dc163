"""Bias of the one-dimensional entropy estimator on densities whose entropy is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from latentflow.statistics.entropy import entropy
from reports.calibration.account import MODE, SPREAD
from reports.calibration.registry import generator

#: rows → samples, and the bound that is promised (nats), None where none is.
SIZES = {500: (1000, None), 2000: (400, None), 10_000: (150, 0.003), 100_000: (15, 0.003)}


@dataclass(frozen=True)
class Density:
    """A density one can draw from and whose logarithm is known."""

    draw: Callable[[int, np.random.Generator], np.ndarray]
    log: Callable[[np.ndarray], np.ndarray]


def _two_modes(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice([-MODE, MODE], n) + SPREAD * rng.standard_normal(n)


def _two_modes_log(x: np.ndarray) -> np.ndarray:
    return np.log(0.5 * (stats.norm.pdf(x, -MODE, SPREAD) + stats.norm.pdf(x, MODE, SPREAD)))


DENSITIES = {
    "normal": Density(lambda n, rng: rng.standard_normal(n), stats.norm.logpdf),
    "Laplace": Density(lambda n, rng: rng.laplace(size=n), stats.laplace.logpdf),
    "uniform": Density(lambda n, rng: rng.random(n), stats.uniform.logpdf),
    "exponential": Density(lambda n, rng: rng.exponential(size=n), stats.expon.logpdf),
    "Student t₅": Density(lambda n, rng: rng.standard_t(5, n), stats.t(5).logpdf),
    "two modes": Density(_two_modes, _two_modes_log),
}


@dataclass(frozen=True)
class Bias:
    """Bias of the estimate with its standard error, and the estimate's standard deviation beyond −log p; nats."""

    density: str
    n: int
    repeats: int
    bias: float
    standard_error: float
    spread: float
    bound: float | None

    @property
    def kept(self) -> bool | None:
        """Whether |bias| is within the bound; None where there is no bound."""
        return None if self.bound is None else abs(self.bias) <= self.bound

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"kept": self.kept}


def biases(share: float = 1.0) -> list[Bias]:
    """The bias for every density and size; ``share`` scales the number of samples."""
    return [
        bias(name, n, max(3, round(share * repeats)), bound)
        for name in DENSITIES
        for n, (repeats, bound) in SIZES.items()
    ]


def bias(name: str, n: int, repeats: int, bound: float | None = None) -> Bias:
    """E[Ĥ + mean log p(x)], which is the bias, with most of the sampling error taken out."""
    density = DENSITIES[name]
    errors = []
    for k in range(repeats):
        x = density.draw(n, generator(f"entropy of {name}", n, k))
        errors.append(entropy(x) + float(density.log(x).mean()))
    spread = float(np.std(errors, ddof=1))
    return Bias(name, n, repeats, float(np.mean(errors)), spread / repeats**0.5, spread, bound)
