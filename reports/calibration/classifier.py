"""The joint test of all columns by a classifier: p-value, AUC, and the bound on the total correlation."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentflow.analysis.dependence.classifier import joint_dependence
from reports.calibration.nulls import AutoregressiveRows, Series, normal, tied
from reports.calibration.registry import Check, Procedure

CHECKS = (
    Check("p-value"),
    Check("AUC: interval misses ½"),
    Check("AUC: interval above ½", nominal=0.025),
    Check("bound on total correlation: interval above 0", "at most", 0.025),
)


def jointly(data: np.ndarray | Series, rng: np.random.Generator) -> dict[str, Any]:
    """P-value of the classifier, and whether its intervals miss ½ and 0."""
    values, block = (data.values, data.block) if isinstance(data, Series) else (data, None)
    found = joint_dependence(values, "x", "x", rng, block=block)
    return {
        "p-value": found.p_value,
        "AUC: interval misses ½": found.auc.excludes(0.5),
        "AUC: interval above ½": found.auc.low > 0.5,
        "bound on total correlation: interval above 0": found.tc_bound.low > 0.0,
    }


SERIES = AutoregressiveRows(0.9)
PROCEDURES = (
    Procedure("Classifier", "independent normal rows", normal, jointly, CHECKS, lambda n, d: 200),
    Procedure("Classifier", "columns of few values", tied, jointly, CHECKS, lambda n, d: 100, ((300, 10),)),
    Procedure("Classifier", str(SERIES), SERIES, jointly, CHECKS, lambda n, d: 60 if n < 1000 else 20),
)
