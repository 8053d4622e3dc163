"""What a fixed-step solver is, and the one loop that drives any of them over a grid.

A solver holds no state. What a step needs of the steps before it, past values in a multistep method, is handed to it
as its memory, and what depends on the grid alone is worked out before the first step, as a plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor

#: F(u, y) at u = log σ; u is a tensor where the grid is to be differentiated.
VPrediction = Callable[[Any, Tensor], Tensor]
#: A point at which the v-prediction was evaluated, and the v-prediction.
Kept = tuple[Tensor, Tensor]


class Solver(ABC):
    """A fixed-step solver of the probability flow.

    Attributes
    ----------
    order : int
        Order p of convergence: the error is O(hᵖ) in the step h of u = log σ.
    """

    order: int

    @property
    def stages(self) -> int:
        """Evaluations of the v-prediction that a step takes."""
        return 1

    def evaluations(self, steps: int) -> int:
        """Evaluations of the v-prediction that so many steps take."""
        return self.stages * steps

    def plan(self, grid: Sequence[float] | Tensor) -> Sequence[Any]:
        """What each step needs to know of the grid; here its two ends."""
        return list(pairwise(grid))

    @abstractmethod
    def step(self, v_prediction: VPrediction, part: Any, y: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """One step.

        Parameters
        ----------
        v_prediction : callable
            F(u, y); the first evaluation of an explicit step is at its start.
        part : object
            The entry of the plan for this step.
        y : Tensor
            State at the start of the step.
        memory : object
            What the step before left; None before the first.

        Returns
        -------
        (Tensor, object)
            State at the end of the step, shape of y, and the memory for the next.
        """

    @property
    def returning(self) -> Solver:
        """The solver for the way back over the same grid."""
        return self

    def integrate(
        self,
        v_prediction: VPrediction,
        y: Tensor,
        grid: Sequence[float] | Tensor,
        kept: list[Kept] | None = None,
    ) -> Tensor:
        """State at the end of a grid.

        Parameters
        ----------
        v_prediction : callable
        y : Tensor
            State at ``grid[0]``.
        grid : sequence of float, or Tensor
            u = log σ, increasing or decreasing; by a tensor the result of a multistep method can be differentiated.
        kept : list, optional
            Takes the point and the v-prediction of the first evaluation of each step, which is at its node.

        Returns
        -------
        Tensor, shape of y
        """
        memory = None
        for part in self.plan(grid):
            field = v_prediction if kept is None else _first_kept(v_prediction, kept)
            y, memory = self.step(field, part, y, memory)
        return y


def _first_kept(v_prediction: VPrediction, kept: list[Kept]) -> VPrediction:
    """The same v-prediction, whose first evaluation is added to a list."""
    before = len(kept)

    def evaluated(u: Any, y: Tensor) -> Tensor:
        value = v_prediction(u, y)
        if len(kept) == before:
            kept.append((y, value))
        return value

    return evaluated
