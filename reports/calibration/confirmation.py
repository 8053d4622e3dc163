"""Confirmation of single pairs: distance correlation and nearest-neighbour mutual information."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentflow.analysis.dependence.confirmation import confirm_pairs
from latentflow.analysis.dependence.pairwise import pairwise_dependence
from reports.calibration.nulls import AutoregressiveRows, Series, normal, tied
from reports.calibration.registry import Check, Procedure

ONE = (
    Check("distance correlation: p-value"),
    Check("distance correlation: interval misses 0"),
    Check("distance correlation: interval above 0", nominal=0.025),
    Check("mutual information: interval misses 0"),
    Check("mutual information: interval above 0", nominal=0.025),
)
CHOSEN = (
    Check("distance correlation: smallest adjusted p-value", "at most"),
    Check("screening: smallest p-value after BY", "at most"),
    Check("distance correlation: p-value of the first pair, choice forgotten", "shown"),
    Check("mutual information: interval of the first pair above 0, choice forgotten", "shown", 0.025),
)


def confirm(data: np.ndarray | Series, rng: np.random.Generator) -> dict[str, Any]:
    """P-values and whether intervals miss zero, of the first pair; the smallest adjusted p-values of all six."""
    values, block = (data.values, data.block) if isinstance(data, Series) else (data, None)
    found = confirm_pairs(values, pairwise_dependence(values, "x", block=block), rng, block=block)
    first = found[0]
    return {
        "distance correlation: p-value": first.distance_p,
        "distance correlation: interval misses 0": first.distance_correlation.excludes(0.0),
        "distance correlation: interval above 0": first.distance_correlation.low > 0.0,
        "mutual information: interval misses 0": first.mutual_information.excludes(0.0),
        "mutual information: interval above 0": first.mutual_information.low > 0.0,
        CHOSEN[0].name: min(pair.distance_p_adjusted for pair in found),
        CHOSEN[1].name: min(pair.p_by for pair in found),
        CHOSEN[2].name: first.distance_p,
        CHOSEN[3].name: first.mutual_information.low > 0.0,
    }


SERIES = AutoregressiveRows(0.9)
PAIR, TEN = ((300, 2), (3000, 2)), ((300, 10), (3000, 10))
PROCEDURES = (
    Procedure(
        "Confirmation, one pair", "independent normal rows", normal, confirm, ONE, lambda n, d: 600, PAIR
    ),
    Procedure("Confirmation, one pair", "columns of few values", tied, confirm, ONE, lambda n, d: 300, PAIR),
    Procedure("Confirmation, one pair", str(SERIES), SERIES, confirm, ONE, lambda n, d: 400, PAIR),
    Procedure(
        "Confirmation, the six strongest pairs",
        "independent normal rows",
        normal,
        confirm,
        CHOSEN,
        lambda n, d: 200 if n < 1000 else 100,
        TEN,
    ),
)
