"""One-step solvers: explicit Runge–Kutta methods, their tableaux as data, and the exponential midpoint rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from latentflow.flow.predictions import PREDICTIONS
from latentflow.flow.quadrature import polynomial_weights

Drift = Callable[[float, Tensor], Tensor]


@dataclass(frozen=True)
class RungeKutta:
    """Explicit Runge–Kutta method from its Butcher tableau (Hairer, Nørsett & Wanner 1993, § II.1).

    Parameters
    ----------
    order : int
        Order of convergence.
    nodes : sequence of float
        cᵢ, one per stage.
    stages : sequence of sequences of float
        aᵢⱼ, the strictly lower triangle: row i has i entries.
    weights : sequence of float
        bᵢ.
    """

    order: int
    nodes: Sequence[float]
    stages: Sequence[Sequence[float]]
    weights: Sequence[float]

    def evaluations(self, steps: int) -> int:
        """Stages times steps."""
        return len(self.nodes) * steps

    def step(self, drift: Drift, u: float, y: Tensor, du: float) -> Tensor:
        """State at u + du, shape of y, for dy/du = drift(u, y)."""
        slopes: list[Tensor] = []
        for node, row in zip(self.nodes, self.stages, strict=True):
            slopes.append(drift(u + node * du, _advance(y, du, row, slopes)))
        return _advance(y, du, self.weights, slopes)

    def integrate(self, v_prediction: Drift, y: Tensor, grid: Sequence[float]) -> Tensor:
        """State at the end of a grid of u = log σ, by the v-prediction F(u, y) of the state."""

        def drift(u: float, state: Tensor) -> Tensor:
            return v_prediction(u, state) * (-0.5 / math.cosh(u))

        return integrate(self, drift, y, grid)


def integrate(solver: RungeKutta, drift: Drift, y: Tensor, grid: Sequence[float]) -> Tensor:
    """State at the end of a grid of any ordinary differential equation dy/du = drift(u, y), shape of y."""
    for u, u_next in pairwise(grid):
        y = solver.step(drift, u, y, u_next - u)
    return y


EULER = RungeKutta(1, (0.0,), ((),), (1.0,))
HEUN = RungeKutta(2, (0.0, 1.0), ((), (1.0,)), (0.5, 0.5))
# Bogacki & Shampine 1989, the third-order weights
BOGACKI_SHAMPINE = RungeKutta(3, (0.0, 1 / 2, 3 / 4), ((), (1 / 2,), (0.0, 3 / 4)), (2 / 9, 1 / 3, 4 / 9))
RK4 = RungeKutta(
    4, (0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
)
# Dormand & Prince 1980, the fifth-order weights
DORMAND_PRINCE = RungeKutta(
    5,
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0),
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)


@dataclass(frozen=True)
class ExponentialMidpoint:
    """The midpoint rule for a prediction; of the noise, DPM-Solver-2 (Lu et al. 2022, arXiv 2206.00927, algorithm 1).

    Parameters
    ----------
    prediction : str
        A name in :data:`latentflow.flow.predictions.PREDICTIONS`.
    """

    prediction: str
    order: int = 2

    def evaluations(self, steps: int) -> int:
        """Two a step."""
        return 2 * steps

    def integrate(self, v_prediction: Drift, y: Tensor, grid: Sequence[float]) -> Tensor:
        """State at the end of a grid of u = log σ, by the v-prediction F(u, y) of the state."""
        for u, u_next in pairwise(grid):
            middle = 0.5 * (u + u_next)
            half = self._move(u, u, y, v_prediction(u, y), y, middle)
            y = self._move(u, middle, half, v_prediction(middle, half), y, u_next)
        return y

    def _move(
        self, u: float, at: float, state: Tensor, v_prediction: Tensor, y: Tensor, end: float
    ) -> Tensor:
        """y at ``end`` from y at u, where the prediction is that of a state at a node ``at``."""
        scale, of_state, of_v = _constant(self.prediction, u, at, end)
        return torch.add(scale * y + of_state * state, v_prediction, alpha=of_v)


@lru_cache(maxsize=4096)
def _constant(prediction: str, u: float, at: float, end: float) -> tuple[float, float, float]:
    kind = PREDICTIONS[prediction]
    points = torch.tensor([u, at, end], dtype=torch.float64)
    scale = kind.scale(points)
    weight = polynomial_weights(points[:1], points[0], points[2], kind.kernel)[0] * scale[2]
    state, speeds = kind.of_state(points)[1] * weight, kind.of_v(points)[1] * weight
    return float(scale[2] / scale[0]), float(state), float(speeds)


def _advance(y: Tensor, du: float, weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """y + du Σ wᵢ slopeᵢ, without touching slopes of weight zero."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            y = torch.add(y, slope, alpha=du * weight)
    return y
