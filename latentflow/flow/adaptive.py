"""torchdiffeq's adaptive solvers (Chen 2018, https://github.com/rtqichen/torchdiffeq) as solvers of the flow.

They choose steps by one norm of the error over all rows at once, so a row's result depends on the rows beside it:
fit for references and comparisons, not for a bijection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchdiffeq import odeint

from latentflow.flow.runge_kutta import Drift

#: Orders of convergence in the step of torchdiffeq's embedded pairs.
ORDERS = {"adaptive_heun": 2, "bosh3": 3, "dopri5": 5, "dopri8": 8}


@dataclass(frozen=True)
class Adaptive:
    """An adaptive Runge–Kutta method.

    Parameters
    ----------
    method : str
        A name in :data:`ORDERS`.
    tolerance : float
        Relative and absolute, of a step.
    axis : {"log_sigma", "sigma"}
        The variable of integration. On σ the state is x, in variance-exploding form, as other tools integrate it.
    """

    method: str
    tolerance: float = 1e-5
    axis: str = "log_sigma"

    @property
    def order(self) -> int:
        """Of the method's higher-order formula."""
        return ORDERS[self.method]

    def evaluations(self, steps: int) -> int:
        """Not known before the integration, which alone can tell; count calls instead."""
        raise ValueError(f"evaluations of the adaptive solver {self.method} depend on the rows")

    def integrate(self, v_prediction: Drift, y: Tensor, grid: Sequence[float]) -> Tensor:
        """State at the end of a grid of u = log σ, of which only the ends matter."""
        if self.axis == "sigma":
            return self._on_sigma(v_prediction, y, grid)
        ends = torch.tensor([grid[0], grid[-1]], dtype=torch.float64, device=y.device)

        def drift(u: Tensor, state: Tensor) -> Tensor:
            return v_prediction(float(u), state) * (-0.5 / math.cosh(float(u)))

        return self._solve(drift, y, ends)

    def _on_sigma(self, v_prediction: Drift, y: Tensor, grid: Sequence[float]) -> Tensor:
        ends = torch.tensor([grid[0], grid[-1]], dtype=torch.float64, device=y.device).exp()

        def noise(sigma: Tensor, x: Tensor) -> Tensor:
            level = float(sigma)
            scale = math.sqrt(1 + level * level)
            state = x / scale
            return (level * state - v_prediction(math.log(level), state)) / scale

        x = self._solve(noise, y * math.sqrt(1 + float(ends[0]) ** 2), ends)
        return x / math.sqrt(1 + float(ends[1]) ** 2)

    def _solve(self, drift: object, start: Tensor, ends: Tensor) -> Tensor:
        found: Tensor = odeint(
            drift, start, ends.to(start.dtype), rtol=self.tolerance, atol=self.tolerance, method=self.method
        )[-1]
        return found
