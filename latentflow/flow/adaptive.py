"""torchdiffeq's adaptive solvers (Chen 2018, https://github.com/rtqichen/torchdiffeq): the independent witness.

They choose steps by one norm of the error over all rows at once, so a row's result depends on the rows beside it: fit
for references and comparisons, and as a source of steps to freeze, not for a bijection.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchdiffeq import odeint

from latentflow.errors import LatentFlowError
from latentflow.flow.runge_kutta import slope_of_v
from latentflow.flow.stepping import VPrediction
from latentflow.score.denoisers import Denoiser

#: Orders of convergence in the step of torchdiffeq's embedded pairs.
ORDERS = {"adaptive_heun": 2, "bosh3": 3, "dopri5": 5, "dopri8": 8}


@dataclass(frozen=True)
class Adaptive:
    """An adaptive Runge–Kutta method. What it costs only the integration can tell: count the evaluations.

    Parameters
    ----------
    method : str
        A name in :data:`ORDERS`.
    tolerance : float
        Relative and absolute, of a step.
    axis : {"log_sigma", "sigma"}
        The variable of integration. On σ the state is x, in variance-exploding form, as other tools integrate it.
    strict : bool
        Whether every number of every row is held to the tolerance, and the last step made to end where the grid does.
        Else, as torchdiffeq has it, the root mean square over the batch, and an interpolated end.
    """

    method: str
    tolerance: float = 1e-5
    axis: str = "log_sigma"
    strict: bool = False

    @property
    def order(self) -> int:
        """Of the method's higher-order formula."""
        return ORDERS[self.method]

    def integrate(
        self,
        v_prediction: VPrediction,
        y: Tensor,
        grid: Sequence[float],
        accepted: Callable[[float], None] | None = None,
    ) -> Tensor:
        """State at the end of a grid of u = log σ, of which only the ends matter.

        Parameters
        ----------
        v_prediction, y, grid
            As for :meth:`latentflow.flow.stepping.Solver.integrate`.
        accepted : callable, optional
            Told where each accepted step starts, on the axis of integration.

        Raises
        ------
        LatentFlowError
            If no step is small enough.
        """
        ends = torch.tensor([grid[0], grid[-1]], dtype=torch.float64, device=y.device)

        def drift(u: Tensor, state: Tensor) -> Tensor:
            return v_prediction(float(u), state) * slope_of_v(float(u))

        def noise(sigma: Tensor, x: Tensor) -> Tensor:
            level = float(sigma)
            scale = math.sqrt(1 + level * level)
            state = x / scale
            return (level * state - v_prediction(math.log(level), state)) / scale

        if self.axis == "log_sigma":
            return self._solve(drift, y, ends, accepted)
        ends = ends.exp()
        x = self._solve(noise, y * math.sqrt(1 + float(ends[0]) ** 2), ends, accepted)
        return x / math.sqrt(1 + float(ends[1]) ** 2)

    def _solve(
        self,
        drift: Callable[[Tensor, Tensor], Tensor],
        start: Tensor,
        ends: Tensor,
        accepted: Callable[[float], None] | None,
    ) -> Tensor:
        if accepted is not None:
            drift.callback_accept_step = lambda at, state, step: accepted(float(at))  # type: ignore[attr-defined]
        options = {"norm": _largest, "step_t": ends[1:]} if self.strict else None
        tolerance, ends = self.tolerance, ends.to(start.dtype)
        try:
            reached: Tensor = odeint(
                drift, start, ends, rtol=tolerance, atol=tolerance, method=self.method, options=options
            )[-1]
        except AssertionError as error:
            raise LatentFlowError(
                f"{self.method} finds no step small enough for the tolerance {tolerance:g}: {error}"
            ) from error
        return reached


#: The witness: of high order, at a tolerance near rounding, over another variable than the solvers of the flow.
WITNESS = Adaptive("dopri8", 1e-10, "sigma", strict=True)


def witness_latents(denoiser: Denoiser, x: Tensor, ends: tuple[float, float]) -> Tensor:
    """Latents of whitened rows by the witness, in double precision, from the denoiser alone: no frozen field, no grid.

    Parameters
    ----------
    denoiser : Denoiser
    x : Tensor, shape (n, d)
    ends : (float, float)
        σ_min and σ_max.

    Returns
    -------
    Tensor, shape (n, d)
    """
    exact, start = copy.deepcopy(denoiser).double(), x.double() / math.sqrt(1 + ends[0] ** 2)
    with torch.no_grad():
        return WITNESS.integrate(
            lambda u, y: exact.v_prediction(y, math.exp(u)), start, [math.log(sigma) for sigma in ends]
        )


def _largest(error: Tensor) -> Tensor:
    return error.abs().amax()
