"""The solvers of the probability flow, by name.

Each steps the variance-preserving state over a grid of u = log σ, from the v-prediction F(u, y) alone, so any of
them takes any denoiser, and any denoiser's tangents. `reports/solvers` measures them against each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentflow.flow.adaptive import Adaptive
from latentflow.flow.blending import Blended
from latentflow.flow.multistep import Multistep
from latentflow.flow.runge_kutta import (
    BOGACKI_SHAMPINE,
    DORMAND_PRINCE,
    EULER,
    HEUN,
    PRINCE_DORMAND,
    RK4,
    ExponentialMidpoint,
    integrate,
)
from latentflow.flow.solver_names import ADAPTIVE
from latentflow.flow.stepping import Solver

__all__ = ["PREDICTOR_CORRECTORS", "SOLVERS", "Solver", "integrate", "integrator_of", "solver_of"]

#: Those whose orders can be blended; fitted models take one on a calibrated grid (`reports/solvers`).
PREDICTOR_CORRECTORS = {
    f"pec{order}": Multistep("v_prediction", order, corrector=True) for order in (3, 4, 5)
}

SOLVERS: dict[str, Solver] = {
    "euler": EULER,
    "heun": HEUN,
    "bs3": BOGACKI_SHAMPINE,
    "rk4": RK4,
    "dp5": DORMAND_PRINCE,
    "dp8": PRINCE_DORMAND,
    # Adams–Bashforth in log σ
    **{f"ab{order}": Multistep("slope", order, started=True) for order in (2, 3, 4, 5)},
    # the exponential forms: predictors, and predictor-correctors
    **{f"eab{order}": Multistep("v_prediction", order) for order in (2, 3, 4, 5)},
    **PREDICTOR_CORRECTORS,
    # samplers of the literature, their polynomials integrated exactly (2M as published takes ½h(1 − e⁻ʰ) for its slope)
    "ddim": Multistep("noise", 1),
    "dpm-solver-2": ExponentialMidpoint("noise"),
    "dpm-solver++2m": Multistep("data", 2),
    "dpm-solver++3m": Multistep("data", 3),
    "deis3": Multistep("noise", 3, axis="sigma"),
    "unipc3": Multistep("noise", 3, corrector=True),
}


def solver_of(name: str, blend_weights: NDArray[np.float64] | None = None) -> Solver:
    """A solver by its name, its orders blended for one grid where blend weights are given, shape (2, steps, 2, 3).

    The first of them serve the way from the smallest noise level to the largest, the others the way back.

    Raises
    ------
    KeyError
        If there is no such solver, or none of this name whose orders can be blended.
    """
    return SOLVERS[name] if blend_weights is None else Blended.of(PREDICTOR_CORRECTORS[name], *blend_weights)


def integrator_of(name: str, blend_weights: NDArray[np.float64] | None = None) -> Solver | Adaptive:
    """The same, or an adaptive solver: no fit gives one, but a model put together by hand may name it."""
    return Adaptive(name) if name in ADAPTIVE else solver_of(name, blend_weights)
