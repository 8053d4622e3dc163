"""−log p of held-out rows by the range of noise levels: none of it may be lost to where the flow starts and stops."""

from __future__ import annotations

from typing import Any

import numpy as np
from subjects import SIGMA_MAX, Ends, Subject

from latentflow.flow.grids import blended_grid
from latentflow.flow.probability_flow import ProbabilityFlow

#: Held-out rows, and steps of pec4: the exact trace costs a product for each column.
ROWS, STEPS = 1500, 80


def ranges(subject: Subject) -> dict[str, Ends]:
    """Ranges of σ by name."""
    return {
        "own": (subject.own_start, SIGMA_MAX),
        "0.01 to 15": (0.01, SIGMA_MAX),
        "0.01 to 10": (0.01, 10.0),
    }


def densities(subject: Subject) -> dict[str, Any]:
    """Mean −log p in whitened nats, and its paired difference to the model's own range with a 95 % interval."""
    x = subject.rows(ROWS)
    scores = {
        name: -ProbabilityFlow(subject.denoiser, blended_grid(*ends, STEPS), "pec4").log_prob(x).numpy()
        for name, ends in ranges(subject).items()
    }
    found: dict[str, Any] = {"rows": len(x), "ranges": {}}
    for name, ends in ranges(subject).items():
        gap = scores[name] - scores["own"]
        half = 1.96 * float(gap.std(ddof=1) / np.sqrt(len(gap)))
        found["ranges"][name] = {
            "ends": list(ends),
            "neg_log_prob": float(scores[name].mean()),
            "difference": float(gap.mean()),
            "half_width": half,
            "no_worse": bool(gap.mean() - half <= 0),
        }
    return found
