"""Tests of dependence between pairs: screening, spanning tree, discoveries, magnitudes, confirmation."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentflow.analysis.dependence.magnitudes import magnitudes
from latentflow.analysis.dependence.pairwise import discoveries, pairwise_dependence
from reports.calibration.nulls import AutoregressiveRows, Series, normal, tied
from reports.calibration.registry import Check, Procedure

SCREENING = (
    Check("worst pair, Bonferroni"),
    Check("every pair by itself"),
    Check("magnitudes, worst pair"),
    Check("BH: any discovery"),
    Check("BY: any discovery", "at most"),
    Check("spanning tree: interval misses 0", "at most"),
    Check("spanning tree: interval above 0", "at most", 0.025),
)
SERIES = (AutoregressiveRows(0.9), AutoregressiveRows(0.0, 0.95))


def screening(data: np.ndarray | Series, rng: np.random.Generator) -> dict[str, Any]:
    """P-values of the screening and of magnitudes, and whether the spanning tree's interval misses zero."""
    values, block = (data.values, data.block) if isinstance(data, Series) else (data, None)
    found = pairwise_dependence(values, "x", block=block)
    count = discoveries(found.p_value)
    return {
        "worst pair, Bonferroni": found.max_p_adjusted,
        "every pair by itself": found.p_value[np.triu_indices(values.shape[1], 1)],
        "BH: any discovery": count.n_bh > 0,
        "BY: any discovery": count.n_by > 0,
        "magnitudes, worst pair": magnitudes(values, "x", block=block).p_value,
        "spanning tree: interval misses 0": found.tree.excludes(0.0),
        "spanning tree: interval above 0": found.tree.low > 0.0,
    }


def _many(n: int, d: int) -> int:
    return {2: 1000, 10: 1000, 50: 300}[d]


def _some(n: int, d: int) -> int:
    return {2: 400, 10: 200, 50: 60}[d]


def _few(n: int, d: int) -> int:
    return {2: 400, 10: 200, 50: 100}[d] // (1 if n < 1000 else 3)


PROCEDURES = (
    Procedure("Pairs", "independent normal rows", normal, screening, SCREENING, _many),
    Procedure("Pairs", "columns of few values", tied, screening, SCREENING, _some),
    *(Procedure("Pairs", str(rows), rows, screening, SCREENING, _few) for rows in SERIES),
)
