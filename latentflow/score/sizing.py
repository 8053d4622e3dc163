"""How large a score model, and how long to train it: chosen from the table, overridden by the user."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from latentflow.errors import LatentFlowError


@dataclass(frozen=True)
class TrainingPlan:
    """Sizes and steps of one fit.

    Parameters
    ----------
    width, depth : int
        Hidden size and number of residual blocks of the network.
    steps : int
        Most optimiser steps.
    batch_size : int
        Rows per step.
    learning_rate : float
        Peak of the schedule (linear warm-up, cosine decay to zero).
    weight_decay : float
        Of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).
    sigma_min, sigma_max : float
        Range of noise levels, in whitened units.
    time_budget : float, optional
        Seconds after which training is over; the schedule is then a function of elapsed time.
    """

    width: int
    depth: int
    steps: int
    batch_size: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    sigma_min: float = 0.002
    sigma_max: float = 15.0
    time_budget: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the model file."""
        return asdict(self)


#: Steps relative to the default, and width relative to it.
PRESETS: Mapping[str, tuple[float, float]] = {"fast": (0.25, 1.0), "default": (1.0, 1.0), "best": (3.0, 1.5)}


def plan_training(
    n_rows: int,
    dimension: int,
    *,
    preset: str = "default",
    width: int | None = None,
    depth: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    time_budget: float | None = None,
) -> TrainingPlan:
    """Training plan for a table; whatever is given replaces what the rule would choose.

    Parameters
    ----------
    n_rows : int
        Training rows.
    dimension : int
        Whitened coordinates that the flow lives on.
    preset : {"fast", "default", "best"}
    width, depth, steps, batch_size : int, optional
    time_budget : float, optional
        Seconds.

    Returns
    -------
    TrainingPlan

    Raises
    ------
    LatentFlowError
        If the preset is unknown or a number is not positive.

    Examples
    --------
    >>> plan_training(10_000, 5).depth
    5
    >>> plan_training(284, 27).width
    64
    """
    if preset not in PRESETS:
        raise LatentFlowError(f"preset {preset!r} is not known: choose one of {', '.join(PRESETS)}")
    step_factor, width_factor = PRESETS[preset]
    small = n_rows < 2000
    # measured on the synthetic suite and on breast cancer: depth pays more than width, few rows want a small net
    base_width = 64 if small else 128 if n_rows < 50_000 else 192
    if dimension > 32 and not small:
        base_width = base_width * 2
    base_steps = 1500 if small else 6000
    chosen = {
        "width": int(base_width * width_factor),
        "depth": 2 if small else 5,
        "steps": max(1, math.ceil(base_steps * step_factor)),
        "batch_size": min(512, max(32, n_rows // 2)),
    }
    given = {"width": width, "depth": depth, "steps": steps, "batch_size": batch_size}
    chosen.update({name: value for name, value in given.items() if value is not None})
    for name, value in {**chosen, "time_budget": 1 if time_budget is None else time_budget}.items():
        if value <= 0:
            raise LatentFlowError(f"{name} must be positive, not {value}")
    plan = TrainingPlan(time_budget=time_budget, **chosen)
    if time_budget is not None and steps is None:
        # with a budget and no step count, time alone ends the training
        plan = replace(plan, steps=1_000_000)
    return plan
