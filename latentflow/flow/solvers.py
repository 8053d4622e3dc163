"""Fixed-step solvers: small classes over an explicit state, their tableaux as data.

A solver advances dy/du = drift(u, y) by one step of size du. One-step methods carry no memory; a multistep method
carries the slopes of its last steps. Adaptive integration is torchdiffeq's and is not written again here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

Drift = Callable[[float, Tensor], Tensor]
Memory = tuple[Tensor, ...]


class Solver(Protocol):
    """What the flow asks of a solver: its order, its cost, and one step."""

    @property
    def order(self) -> int:
        """Order p of convergence: the global error is O(duᵖ)."""
        ...

    def evaluations(self, steps: int) -> int:
        """Drift evaluations that ``steps`` steps take."""
        ...

    def step(
        self, drift: Drift, u: float, y: Tensor, du: float, memory: Memory = ()
    ) -> tuple[Tensor, Memory]:
        """State at u + du, shape of y, and what the next step has to remember."""
        ...


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

    def step(
        self, drift: Drift, u: float, y: Tensor, du: float, memory: Memory = ()
    ) -> tuple[Tensor, Memory]:
        """One explicit step; the memory is passed on empty."""
        slopes: list[Tensor] = []
        for node, row in zip(self.nodes, self.stages, strict=True):
            slopes.append(drift(u + node * du, _advance(y, du, row, slopes)))
        return _advance(y, du, self.weights, slopes), ()


EULER = RungeKutta(1, (0.0,), ((),), (1.0,))
HEUN = RungeKutta(2, (0.0, 1.0), ((), (1.0,)), (0.5, 0.5))
RK4 = RungeKutta(
    4, (0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
)

# slopes newest first (Hairer, Nørsett & Wanner 1993, § III.1)
_ADAMS_BASHFORTH = {
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
    5: (1901 / 720, -2774 / 720, 2616 / 720, -1274 / 720, 251 / 720),
}


@dataclass(frozen=True)
class AdamsBashforth:
    """Adams–Bashforth method on a uniform grid, started by RK4: one evaluation a step.

    Parameters
    ----------
    order : int
        2 to 5. The start is of order 4, in error O(du⁵) a step, so it does not lower order 5.
    """

    order: int

    def evaluations(self, steps: int) -> int:
        """One a step, after order − 1 starting steps of four evaluations."""
        starting = min(steps, self.order - 1)
        return steps + 3 * starting

    def step(
        self, drift: Drift, u: float, y: Tensor, du: float, memory: Memory = ()
    ) -> tuple[Tensor, Memory]:
        """One step from the slopes in memory (newest first); fewer than order − 1 of them make it an RK4 step."""
        slope: list[Tensor] = []

        def remembering(v: float, state: Tensor) -> Tensor:
            slope.append(drift(v, state))
            return slope[-1]

        if len(memory) < self.order - 1:
            y_next, _ = RK4.step(remembering, u, y, du)
        else:
            y_next = _advance(y, du, _ADAMS_BASHFORTH[self.order], [remembering(u, y), *memory])
        return y_next, (slope[0], *memory)[: self.order - 1]


SOLVERS: dict[str, Solver] = {
    "euler": EULER,
    "heun": HEUN,
    "rk4": RK4,
    **{f"ab{order}": AdamsBashforth(order) for order in _ADAMS_BASHFORTH},
}


def integrate(solver: Solver, drift: Drift, y: Tensor, grid: Sequence[float]) -> Tensor:
    """State at the end of a frozen grid.

    Parameters
    ----------
    solver : Solver
    drift : callable (u, y) -> dy/du
    y : Tensor
        State at ``grid[0]``.
    grid : sequence of float
        Values of u, uniformly spaced if the solver is a multistep method.

    Returns
    -------
    Tensor, shape of y
    """
    memory: Memory = ()
    for u, u_next in pairwise(grid):
        y, memory = solver.step(drift, u, y, u_next - u, memory)
    return y


def _advance(y: Tensor, du: float, weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """y + du Σ wᵢ slopeᵢ, without touching slopes of weight zero."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            y = torch.add(y, slope, alpha=du * weight)
    return y
