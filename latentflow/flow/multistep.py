r"""Multistep solvers on arbitrary grids: one evaluation of the denoiser a step, coefficients computed from the grid.

A prediction m of the denoiser (:mod:`latentflow.flow.predictions`) is extrapolated as the polynomial through its last
values and integrated exactly against its kernel. Of the v-prediction this is the exponential form of the
Adams–Bashforth method, of the data the multistep DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095), of the noise DEIS
(Zhang & Chen 2023, arXiv 2204.13902, eq. 14). With a corrector the state is integrated again by the polynomial through
the new value too, which costs no evaluation: a predictor-corrector method without the last evaluation, PEC (Hairer,
Nørsett & Wanner 1993, § III.1), in diffusion models UniPC (Zhao et al. 2023, arXiv 2302.04867).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from latentflow.flow.predictions import PREDICTIONS
from latentflow.flow.quadrature import polynomial_weights
from latentflow.flow.runge_kutta import RK4, slope_of_v
from latentflow.flow.stepping import Solver, VPrediction

__all__ = ["Multistep", "Step", "VPrediction", "combine"]

#: Where the values lie on the axis of the polynomial.
AXES: dict[str, Callable[[Tensor], Tensor]] = {"log_sigma": lambda u: u, "sigma": torch.exp}


@dataclass(frozen=True)
class Step:
    """Coefficients of one step from u₀ to u₁; weights of the newest value come first.

    Attributes
    ----------
    start, end : u₀ and u₁
    scale : S(u₁)/S(u₀)
    of_state, of_v : α and β at u₀
    predictor, corrector : weights of the predictions up to u₀, and up to u₁; the latter empty without a corrector
    """

    start: Any
    end: Any
    scale: Any
    of_state: Any
    of_v: Any
    predictor: Any
    corrector: Any

    def predict(self, y: Tensor, v_prediction: Tensor) -> Tensor:
        """The prediction α y + β F."""
        if isinstance(self.of_state, Tensor):
            return self.of_state * y + self.of_v * v_prediction
        moved = v_prediction if self.of_v == 1 else self.of_v * v_prediction
        return torch.add(moved, y, alpha=self.of_state) if self.of_state else moved

    def frozen(self) -> Step:
        """The same as floats."""
        numbers = map(float, (self.start, self.end, self.scale, self.of_state, self.of_v))
        weights = (torch.as_tensor(part).tolist() for part in (self.predictor, self.corrector))
        return Step(*numbers, *weights)


#: Of the step before: its coefficients, its start corrected, and the predictions so far, newest first.
Memory = tuple[Step, Tensor, list[Tensor]]


@dataclass(frozen=True)
class Multistep(Solver):
    """A multistep method.

    Parameters
    ----------
    prediction : str
        A name in :data:`latentflow.flow.predictions.PREDICTIONS`.
    order : int
        Order of convergence. The polynomial of a corrector goes through as many values, that of a predictor with one
        through one fewer.
    corrector : bool
        Whether each state is corrected by the prediction at its end.
    axis : {"log_sigma", "sigma"}
        The variable of the polynomial.
    started : bool
        Whether the first steps are those of the classical Runge–Kutta method, at four evaluations each, as a uniform
        grid wants. Else they are of rising order, for a grid whose first steps are short.
    """

    prediction: str
    order: int
    corrector: bool = False
    axis: str = "log_sigma"
    started: bool = False

    def __post_init__(self) -> None:
        if self.started and self.corrector:
            raise ValueError("a multistep method with a corrector starts by itself")

    def evaluations(self, steps: int) -> int:
        """One a step, and three more for each that starts it."""
        return steps + 3 * min(steps, self.order - 1) * self.started

    def step(
        self, v_prediction: VPrediction, part: Step, y: Tensor, memory: Memory | None = None
    ) -> tuple[Tensor, Memory]:
        """Correct the state at the start by the prediction there, and extrapolate to the end."""
        last, corrected, history = memory or (None, y, [])
        value = v_prediction(part.start, y)
        history = [part.predict(y, value), *history][: self.order]
        if not self.corrector:
            corrected = y
        elif last is not None:
            corrected = combine(last.scale, corrected, last.corrector, history)
        if self.started and len(history) < self.order:
            ahead = _started(v_prediction, part, y, value)
        else:
            ahead = combine(part.scale, corrected, part.predictor, history)
        return ahead, (part, corrected, history)

    def plan(self, grid: Sequence[float] | Tensor) -> list[Step]:
        """Coefficients of every step: floats, or tensors where the grid is to be differentiated."""
        if isinstance(grid, Tensor):
            return self._plan(grid)
        return _frozen_plan(self, tuple(grid))

    def _plan(self, grid: Tensor) -> list[Step]:
        kind = PREDICTIONS[self.prediction]
        scale, of_state, of_v = kind.scale(grid), kind.of_state(grid), kind.of_v(grid)
        most = self.order - self.corrector
        predictors = self._weights(grid, most, 0)
        correctors = self._weights(grid, most, 1) if self.corrector else [()] * len(predictors)
        return [
            Step(grid[n], grid[n + 1], scale[n + 1] / scale[n], of_state[n], of_v[n], predictor, corrector)
            for n, (predictor, corrector) in enumerate(zip(predictors, correctors, strict=True))
        ]

    def _weights(self, grid: Tensor, most: int, ahead: int) -> list[Any]:
        """Weights of each step for the last values, so many at the most and so many more from ahead, newest first."""
        kind, at = PREDICTIONS[self.prediction], AXES[self.axis](grid)
        scale, steps = kind.scale(grid), len(grid) - 1

        def weights(nodes: Tensor, start: Tensor, end: Tensor) -> Tensor:
            return polynomial_weights(nodes.flip(-1), start, end, kind.kernel, AXES[self.axis])

        early = min(most - 1, steps)
        step_weights = [
            weights(at[: n + 1 + ahead], grid[n], grid[n + 1]) * scale[n + 1] for n in range(early)
        ]
        if steps > early:
            windows = at.unfold(0, most + ahead, 1)[: steps - early]
            step_weights.extend(
                weights(windows, grid[early:-1], grid[early + 1 :]) * scale[early + 1 :, None]
            )
        return step_weights


@lru_cache(maxsize=64)
def _frozen_plan(solver: Multistep, grid: tuple[float, ...]) -> list[Step]:
    with torch.no_grad():
        plan = solver._plan(torch.tensor(grid, dtype=torch.float64))
    return [step.frozen() for step in plan]


def combine(scale: Any, y: Tensor, weights: Sequence[Any] | Tensor, values: Sequence[Tensor]) -> Tensor:
    """scale · y + Σ weightⱼ valueⱼ, as many values as there are weights."""
    if isinstance(scale, Tensor):
        moved = scale * y
        for weight, value in zip(weights, values, strict=False):
            moved = moved + weight * value
        return moved
    moved = y if scale == 1 else scale * y
    for weight, value in zip(weights, values, strict=False):
        moved = torch.add(moved, value, alpha=weight)
    return moved


def _started(v_prediction: VPrediction, part: Step, y: Tensor, value: Tensor) -> Tensor:
    """The end of a classical Runge–Kutta step whose first v-prediction is known."""

    def drift(u: float, state: Tensor) -> Tensor:
        return v_prediction(u, state) * slope_of_v(u)

    u, end = float(part.start), float(part.end)
    return RK4.advance(drift, u, y, end - u, [value * slope_of_v(u)])
