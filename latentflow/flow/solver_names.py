"""The names of the solvers that a fit may have, without loading torch: the commands list them in their help."""

from __future__ import annotations

#: Fixed-step solvers, in the order of :data:`latentflow.flow.solvers.SOLVERS`.
FIXED_STEP = (
    "euler",
    "heun",
    "bs3",
    "rk4",
    "dp5",
    "dp8",
    *(f"ab{order}" for order in (2, 3, 4, 5)),
    *(f"eab{order}" for order in (2, 3, 4, 5)),
    *(f"pec{order}" for order in (3, 4, 5)),
    "ddim",
    "dpm-solver-2",
    "dpm-solver++2m",
    "dpm-solver++3m",
    "deis3",
    "unipc3",
)
#: torchdiffeq's adaptive solvers, and the fixed-step solver with the same tableau.
ADAPTIVE = {"adaptive_heun": "heun", "bosh3": "bs3", "dopri5": "dp5", "dopri8": "dp8"}
#: The one whose grid and blend of orders are calibrated together.
CALIBRATED = "pec5"


def solver_names() -> tuple[str, ...]:
    """Names of all solvers that a fit may have; the calibrated one, which is the default, comes first."""
    return tuple(dict.fromkeys((CALIBRATED, *FIXED_STEP, *ADAPTIVE)))
