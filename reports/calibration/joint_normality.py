"""Joint tests of normality: the energy distance to N(0, I), and the worst of many projections."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from latentflow.analysis.dependence.hermite import empirical_p_values
from latentflow.analysis.gaussianity.energy import energy_p_value, unbiased_energy
from latentflow.analysis.gaussianity.joint import DIRECTIONS, joint_gaussianity
from latentflow.analysis.gaussianity.marginal import anderson_darling
from latentflow.analysis.gaussianity.projections import largest_draws, random_directions
from reports.calibration.nulls import AutoregressiveRows, Series, normal
from reports.calibration.registry import GRID, Check, Procedure, generator

NULL_DRAWS = 10_000
ENERGY, PROJECTIONS = Check("energy distance"), Check("largest of the projections")


def independent(values: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """P-values for independent rows.

    The directions, and the null of the largest statistic over them, are the same for all draws of one size: drawing
    both anew, as the analysis does, takes far longer than the test.
    """
    n, d = values.shape
    directions, null = fixed_directions(d)
    largest = max(anderson_darling(column) for column in (values @ directions.T).T)
    return {
        ENERGY.name: energy_p_value(unbiased_energy(values), n, d),
        PROJECTIONS.name: empirical_p_values(np.array([largest]), null),
    }


@lru_cache(maxsize=4)
def fixed_directions(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions (q, d), and sorted draws of the largest Anderson–Darling statistic over them."""
    rng = generator("directions", d)
    directions = random_directions(d, DIRECTIONS, rng)
    return directions, np.sort(largest_draws(directions, rng, NULL_DRAWS))


def whole(data: np.ndarray | Series, rng: np.random.Generator) -> dict[str, Any]:
    """P-values of the very function that the analysis calls."""
    values, block = (data.values, data.block) if isinstance(data, Series) else (data, None)
    found = joint_gaussianity(values, rng, block=block)
    return {ENERGY.name: found.energy_p, PROJECTIONS.name: found.projection_p}


def _many(n: int, d: int) -> int:
    return 500 if n < 1000 else 120


SERIES = AutoregressiveRows(0.9)
PROCEDURES = (
    Procedure(
        "Joint Gaussianity",
        "independent normal rows",
        normal,
        independent,
        (ENERGY, PROJECTIONS),
        _many,
    ),
    Procedure(
        "Joint Gaussianity",
        "independent normal rows, directions drawn anew",
        normal,
        whole,
        (ENERGY, PROJECTIONS),
        lambda n, d: 40,
        ((300, 10),),
    ),
    Procedure(
        "Joint Gaussianity",
        str(SERIES),
        SERIES,
        whole,
        (ENERGY, PROJECTIONS),
        lambda n, d: 60 if n > 1000 else 40,
        GRID,
    ),
)
