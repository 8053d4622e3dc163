"""Power against planted dependence: how often what is there is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from latentflow.analysis.dependence.classifier import joint_dependence
from latentflow.analysis.dependence.magnitudes import magnitudes
from latentflow.analysis.dependence.pairwise import discoveries, pairwise_dependence
from reports.calibration.nulls import planted_square, sign_product
from reports.calibration.registry import LEVEL, generator

PROMISED = 0.9


@dataclass(frozen=True)
class Power:
    """How often a test at the 5 % level sees a planted dependence, with the 95 % interval of that share."""

    planted: str
    test: str
    n: int
    d: int
    repeats: int
    seen: int
    rate: float
    low: float
    high: float
    promised: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"kept": None if self.promised is None else self.rate >= self.promised}


@dataclass(frozen=True)
class Planted:
    """A dependence, the tests that look for it, and what is promised of each (None: nothing)."""

    name: str
    draw: Callable[[int, int, np.random.Generator], np.ndarray]
    look: Callable[[np.ndarray, np.random.Generator], dict[str, bool]]
    promised: dict[str, float | None]
    repeats: int
    n: int = 2000
    d: int = 10


def in_pairs(values: np.ndarray, rng: np.random.Generator) -> dict[str, bool]:
    """Whether the screening of pairs sees something, and in the first pair."""
    found = pairwise_dependence(values, "z")
    screened = found.max_p_adjusted < LEVEL
    return {
        "screening, Bonferroni, the right pair": screened and found.max_pair == (0, 1),
        "screening, BH: any discovery": discoveries(found.p_value).n_bh > 0,
        "screening, BY: any discovery": discoveries(found.p_value).n_by > 0,
        "magnitudes, worst pair": magnitudes(values, "z").p_value < LEVEL,
    }


def in_all(values: np.ndarray, rng: np.random.Generator) -> dict[str, bool]:
    """Whether the classifier sees something, and whether its bound on the total correlation is above zero."""
    found = joint_dependence(values, "z", "z", rng)
    return {
        "classifier": found.p_value < LEVEL,
        "bound on total correlation above 0": found.tc_bound.low > 0.0,
    }


def everywhere(values: np.ndarray, rng: np.random.Generator) -> dict[str, bool]:
    """All of them."""
    return in_pairs(values, rng) | in_all(values, rng)


ALL_SHOWN: dict[str, float | None] = {"screening, BH: any discovery": None, "magnitudes, worst pair": None}
PLANTED = (
    Planted(
        "z₂ = z₁² + 2·noise among 10 normal columns",
        planted_square,
        in_pairs,
        {
            "screening, Bonferroni, the right pair": PROMISED,
            "screening, BH: any discovery": PROMISED,
            "screening, BY: any discovery": PROMISED,
            "magnitudes, worst pair": None,
        },
        400,
    ),
    Planted(
        "z₂ = z₁² + 2·noise among 10 normal columns",
        planted_square,
        in_all,
        {"classifier": PROMISED, "bound on total correlation above 0": None},
        100,
    ),
    Planted(
        "sign z₃ = sign z₁ z₂ among 10 normal columns",
        sign_product,
        everywhere,
        {"classifier": PROMISED, "bound on total correlation above 0": None} | ALL_SHOWN,
        60,
    ),
)


def powers(planted: Planted, share: float = 1.0) -> list[Power]:
    """The power of every test against one planted dependence; ``share`` scales the number of draws."""
    repeats = max(2, round(share * planted.repeats))
    seen = dict.fromkeys(planted.promised, 0)
    for k in range(repeats):
        rng = generator(planted.name, planted.n, planted.d, k)
        for name, found in planted.look(planted.draw(planted.n, planted.d, rng), rng).items():
            if name in seen:
                seen[name] += bool(found)
    result = []
    for name, count in seen.items():
        interval = binomtest(count, repeats).proportion_ci(0.95)
        result.append(
            Power(
                planted=planted.name,
                test=name,
                n=planted.n,
                d=planted.d,
                repeats=repeats,
                seen=count,
                rate=count / repeats,
                low=float(interval.low),
                high=float(interval.high),
                promised=planted.promised[name],
            )
        )
    return result
