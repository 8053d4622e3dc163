"""The fewest steps of any fixed-step solver that reach an accuracy, and the steps of an adaptive one, frozen.

A solver whose orders are not blended takes a grid of a fixed shape, of which only the length is sought. An adaptive
solver is run on calibration rows, and the steps that it accepts become the grid of the fixed-step method with the same
tableau: left adaptive, its error norm would span a batch, and a row's latent would depend on the rows beside it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.errors import LatentFlowError
from latentflow.flow.adaptive import Adaptive
from latentflow.flow.calibration import CalibratedGrid, calibrate
from latentflow.flow.descent import CalibrationObjective
from latentflow.flow.grids import blended_grid
from latentflow.flow.solver_names import ADAPTIVE, CALIBRATED, solver_names
from latentflow.flow.solvers import SOLVERS
from latentflow.flow.stepping import Solver
from latentflow.score.denoisers import Denoiser

#: Fewest and most steps, and with how many the search begins.
FEWEST_STEPS, MOST_STEPS, FIRST_STEPS = 2, 1_024, 24
#: The search ends where one in so many steps could be saved. Where the map folds, steps are multiplied by so much.
ONE_SAVED_IN, FOLD_FACTOR = 32, 1.25

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """A grid for a solver as it is.

    Attributes
    ----------
    nodes : ndarray, shape (steps + 1,)
        log σ.
    solver : Solver
    """

    nodes: Floats
    solver: Solver

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.nodes) - 1


@dataclass(frozen=True)
class CountedGrid(CalibratedGrid):
    """A frozen grid for a solver whose orders are not blended; ``blend_weights`` is None.

    Attributes
    ----------
    steps_frozen_from : str or None
        The adaptive solver that took these steps.
    """

    steps_frozen_from: str | None = None


def calibrated_grid(
    denoiser: Denoiser, x: Tensor, ends: tuple[float, float], accuracy: float, solver: str = CALIBRATED
) -> CalibratedGrid:
    """The frozen grid of a fit, for the solver that it was asked for.

    Parameters
    ----------
    denoiser, x, ends, accuracy
        As for :func:`latentflow.flow.calibration.calibrate`, which is taken for the solver whose orders it blends.
    solver : str
        One of :func:`latentflow.flow.solver_names.solver_names`.

    Raises
    ------
    LatentFlowError
        If there is no such solver.
    """
    if solver not in solver_names():
        raise LatentFlowError(f"there is no solver {solver!r}; choose from {', '.join(solver_names())}")
    if solver == CALIBRATED:
        return calibrate(denoiser, x, ends, accuracy)
    return steps_for(denoiser, x, ends, accuracy, solver)


def steps_for(
    denoiser: Denoiser, x: Tensor, ends: tuple[float, float], accuracy: float, solver: str
) -> CountedGrid:
    """The fewest steps of a solver found with which the mean error on rows is within the accuracy.

    Parameters
    ----------
    denoiser, x, ends, accuracy
        As for :func:`latentflow.flow.calibration.calibrate`.
    solver : str
        Of a fixed-step solver; or of an adaptive one, whose steps are frozen.

    Returns
    -------
    CountedGrid
        Where :data:`MOST_STEPS` steps do not suffice, it says what was reached.
    """
    # of a draft the objective asks its nodes and its solver
    objective: Any = CalibrationObjective.of(denoiser, x, ends, accuracy)
    exact = copy.deepcopy(denoiser).double()
    method = SOLVERS[ADAPTIVE.get(solver, solver)]

    def draft_of(size: float) -> Steps:
        if solver in ADAPTIVE:
            return Steps(
                _accepted(exact, objective.start, ends, Adaptive(solver, size**-method.order)), method
            )
        return Steps(np.log(blended_grid(*ends, min(max(round(size), FEWEST_STEPS), MOST_STEPS))), method)

    size = accuracy ** (-1 / method.order) if solver in ADAPTIVE else FIRST_STEPS
    size, draft = _fewest(draft_of, objective.excess, size, method.order)
    while (folds := objective.folds(draft)) and draft.steps < MOST_STEPS:
        size *= FOLD_FACTOR
        draft = draft_of(size)
    error = objective.errors(draft)
    return CountedGrid(
        solver=ADAPTIVE.get(solver, solver),
        sigmas=np.asarray(objective.flow(draft).sigmas),
        blend_weights=None,  # type: ignore[arg-type]  # there are none
        accuracy=accuracy,
        mean_error=float(error.mean()),
        max_error=float(error.max()),
        rows=len(error),
        folds=folds,
        log_det_gap=objective.log_det_gap(draft),
        steps_frozen_from=solver if solver in ADAPTIVE else None,
    )


def _accepted(denoiser: Denoiser, start: Tensor, ends: tuple[float, float], solver: Adaptive) -> Floats:
    """log σ of the steps that an adaptive solver accepts on calibration rows, and of the end."""
    low, high = (math.log(end) for end in ends)
    accepted: list[float] = []
    with torch.no_grad():
        v_prediction = lambda u, y: denoiser.v_prediction(y, math.exp(u))  # noqa: E731
        solver.integrate(v_prediction, start, [low, high], accepted.append)
    return np.array([*accepted, high])


def _fewest(
    draft_of: Callable[[float], Steps], excess_of: Callable[[Steps], float], size: float, order: int
) -> tuple[float, Steps]:
    """The smallest draft of which the error is not in excess, and its size; else the largest.

    Steps grow in proportion to the size, and the error falls with its power of the order: that leads to two sizes of
    which one suffices and one does not, between which their logarithm is bisected.
    """
    enough: tuple[float, Steps] | None = None
    short: tuple[float, Steps] | None = None
    while True:
        draft = draft_of(size)
        excess = excess_of(draft)
        if excess <= 1:
            enough = size, draft
        else:
            short = size, draft
        if enough and short:
            spare = enough[1].steps - short[1].steps
            if spare <= max(1, enough[1].steps // ONE_SAVED_IN) or enough[0] < short[0] * (
                1 + 1 / ONE_SAVED_IN
            ):
                return enough
            size = math.sqrt(enough[0] * short[0])
        elif draft.steps >= MOST_STEPS if short else draft.steps <= FEWEST_STEPS:
            return size, draft
        else:
            by = excess ** (1 / order)
            size *= min(max(by, 1.1), 2.0) if short else min(max(by, 0.5), 0.9)
