"""A grid found once on calibration rows, then frozen: the noise levels at which a given accuracy costs least.

The error of a grid is that of z against a converged solution, and it can be differentiated in the grid and in the
orders that its steps blend (:mod:`latentflow.flow.blending`), so both are found by descent on it (as Tong et al. 2025,
arXiv 2405.15506, find sampling grids for images): from grids that serve most flows (:mod:`latentflow.flow.drafts`), by
a few Gauss–Newton steps (:mod:`latentflow.flow.gauss_newton`). Dynamic programming over local errors (Chen et al. 2024,
arXiv 2405.11326) cannot see that errors of neighbouring steps cancel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from latentflow.flow.descent import SAFETY, CalibrationObjective, evenly
from latentflow.flow.drafts import BASE, Draft
from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.solvers import Solver, solver_of
from latentflow.score.denoisers import Denoiser

#: The worst row may be off by so many times the accuracy.
WORST = 20.0
#: Fewest and most steps that are tried.
FEWEST, MOST = 5, 1_024
#: An error that is common on a shipped grid of twenty steps, the order at which it falls with more, and what descent
#: leaves of it: they give the first length.
COMMON_ERROR, ORDER, GAIN = 3e-4, 5, 0.5
#: Most Gauss–Newton steps at a length that may serve, where the length is given, and on the way back.
DESCENT, THOROUGH, BACK = 3, 12, 3
#: A Gauss–Newton step that leaves more than this of the excess is the last.
HELPS = 0.9
#: Shorter lengths that are tried once one will do, and how much shorter they have to be.
SHORTER, WORTHWHILE = 3, 0.96
#: By how much a grid is lengthened at once while it folds.
LONGER = 1.08
#: Noise levels at which the flow may start; rows, numbers (rows × columns) and grid steps that choose among them.
STARTS = (0.002, 0.005, 0.01, 0.03, 0.1, 0.2)
START_ROWS = 400
START_NUMBERS = 4_000
START_STEPS = 24
#: Standard errors by which a level has to be worse than the best so far for no larger one to be looked at.
CLEARLY = 5.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CalibratedGrid:
    """A frozen grid, its solver, and what they reached on the calibration rows.

    Attributes
    ----------
    solver : str
        A name in :data:`latentflow.flow.solvers.SOLVERS`.
    sigmas : ndarray, shape (steps + 1,)
    blend_weights : ndarray, shape (2, steps, 2, 3)
        Of lower orders in each step, there and back.
    accuracy : float
        That was asked for.
    mean_error : float
        Mean ‖z − z*‖ over the calibration rows, z* the converged solution.
    max_error : float
        The largest.
    rows : int
        Calibration rows.
    folds : bool or None
        Whether the map still folds at one of them; None where that was not looked at.
    log_det_gap : float or None
        Mean |difference| in nats of the log|det| of the discrete map and of the continuous one. A derivative is less
        accurate than what it is taken of: about ten times the error of z. None where it was not looked at.
    """

    solver: str
    sigmas: Floats
    blend_weights: Floats
    accuracy: float
    mean_error: float
    max_error: float
    rows: int
    folds: bool | None = None
    log_det_gap: float | None = None

    @property
    def method(self) -> Solver:
        """The solver with its blend of orders."""
        return solver_of(self.solver, self.blend_weights)

    def to_dict(self) -> dict[str, Any]:
        """Plain values without the grid itself, for the training record."""
        found = asdict(self)
        del found["blend_weights"]
        return {"steps": len(found.pop("sigmas")) - 1, **found}

    def warnings(self) -> list[str]:
        """What to tell a user of a grid that misses its accuracy, or that folds."""
        found, steps = [], len(self.sigmas) - 1
        if not (self.mean_error <= self.accuracy and self.max_error <= WORST * self.accuracy):
            found.append(
                f"the accuracy {self.accuracy:g} of the latents was not reached: their mean error is "
                f"{self.mean_error:.1g}, the largest {self.max_error:.1g}, with {steps} steps"
            )
        if self.folds:
            found.append(
                f"with {steps} steps the encoder still folds at training rows, which then share latents with others: "
                "fit again with a finer --accuracy, and see `latentflow verify`"
            )
        return found


def calibrate(denoiser: Denoiser, x: Tensor, ends: tuple[float, float], accuracy: float) -> CalibratedGrid:
    """The grid of fewest evaluations found whose mean error on rows is within the accuracy.

    Parameters
    ----------
    denoiser : Denoiser
    x : Tensor, shape (n, d)
        Whitened rows, some of which, spread evenly over them, calibrate.
    ends : (float, float)
        σ_min and σ_max.
    accuracy : float
        Mean ‖z − z*‖ to reach. Where rounding or :data:`MOST` steps forbid it, the record says what was reached.

    Returns
    -------
    CalibratedGrid
    """
    objective = CalibrationObjective.of(denoiser, x, ends, accuracy)
    draft = _shortest(objective)
    stays = True
    while (folds := objective.folds(draft)) and draft.steps < MOST:
        # a smaller error may be enough; else the grid gets longer
        drafts = [draft] if stays else _of_length(draft, _bounded(LONGER * draft.steps), ends)
        draft, stays = _descended(objective, drafts, iterations=1)[0], not stays
    return _result(objective, draft, folds, objective.log_det_gap(draft))


def _shortest(objective: CalibrationObjective) -> Draft:
    """The shortest draft found that is good, else the longest that was tried."""
    ends = objective.ends
    draft = Draft.shipped(ends, _bounded(20 * (COMMON_ERROR / objective.accuracy) ** (1 / ORDER)))
    missed = float(objective.errors(draft).mean()) / (SAFETY * objective.accuracy)
    drafts = [Draft.shipped(ends, _next(draft, GAIN * missed))]
    good, bad, shorter = None, FEWEST - 1, SHORTER
    while True:
        draft, excess = _descended(objective, drafts, DESCENT, enough=1.0)
        if excess <= 1:
            good = draft
        else:
            bad = max(bad, draft.steps)
        # without a grid that will do, a longer one; with one, only a length between it and those that will not
        steps = min(max(_next(draft, excess), bad + 1), MOST)
        if bad == MOST or (good is not None and (steps > WORTHWHILE * good.steps or not shorter)):
            return good or draft
        shorter -= good is not None
        drafts = _of_length(draft, steps, ends)


def _next(draft: Draft, excess: float) -> int:
    """The number of steps on which an excess is expected to be gone."""
    return _bounded(draft.steps * min(2.0, excess ** (1 / ORDER)))


def _bounded(steps: float) -> int:
    return min(max(math.ceil(steps), FEWEST), MOST)


def _of_length(draft: Draft, steps: int, ends: tuple[float, float]) -> list[Draft]:
    """Where a descent at another length may begin."""
    return [draft.resampled(steps), Draft.shipped(ends, steps)]


def _descended(
    objective: CalibrationObjective, drafts: Sequence[Draft], iterations: int, enough: float = 0.0
) -> tuple[Draft, float]:
    """The best of some drafts and its excess after Gauss–Newton steps, while they help and it is not small enough."""
    errors = [objective.errors(draft) for draft in drafts]
    error, draft = min(zip(errors, drafts, strict=True), key=lambda pair: objective.excess_of(pair[0]))
    excess = objective.excess_of(error)
    for _ in range(iterations):
        if excess <= enough:
            break
        lower = objective.descend(draft, error)
        error, before = objective.errors(lower), excess
        after = objective.excess_of(error)
        if after < excess:
            draft, excess = lower, after
        if after > HELPS * before:
            break
    return draft, excess


def calibrate_steps(denoiser: Denoiser, x: Tensor, ends: tuple[float, float], steps: int) -> CalibratedGrid:
    """The grid of a given number of steps with the least error on rows that descent finds.

    Parameters
    ----------
    denoiser, x, ends
        As for :func:`calibrate`.
    steps : int

    Returns
    -------
    CalibratedGrid
        Whether the map folds, and its log|det|, are not looked at.
    """
    objective = CalibrationObjective.of(denoiser, x, ends, 1e-5)
    return _result(objective, _descended(objective, [Draft.shipped(ends, steps)], THOROUGH)[0])


def _result(
    objective: CalibrationObjective, draft: Draft, folds: bool | None = None, log_det_gap: float | None = None
) -> CalibratedGrid:
    """A draft with its errors, and a blend for the way back."""
    draft = objective.way_back(draft, BACK)
    error = objective.errors(draft)
    return CalibratedGrid(
        solver=BASE,
        sigmas=np.asarray(objective.flow(draft).sigmas),
        blend_weights=draft.blend_weights,
        accuracy=objective.accuracy,
        mean_error=float(error.mean()),
        max_error=float(error.max()),
        rows=len(error),
        folds=folds,
        log_det_gap=log_det_gap,
    )


def choose_start(denoiser: Denoiser, validation: Tensor, ends: tuple[float, float]) -> float:
    """The noise level σ_min at which the flow starts, by the likelihood of validation rows.

    A row enters the flow as if it carried noise σ_min, so the density is that of the data blurred by σ_min. With
    few rows the score at the smallest levels is over-fitted, and a larger start describes new rows better. The
    smallest level is taken that is not clearly worse than the best: by no more than the standard error of the paired
    difference.

    Parameters
    ----------
    denoiser : Denoiser
    validation : Tensor, shape (m, k)
        Whitened rows; without any, the smallest is taken.
    ends : (float, float)
        Smallest and largest noise level of training.

    Returns
    -------
    float
    """
    # each row costs a trace of as many products as there are columns
    rows = evenly(validation, min(START_ROWS, max(64, START_NUMBERS // validation.shape[1])))
    levels = [level for level in STARTS if level >= ends[0]]
    if len(rows) == 0:
        return ends[0]
    likelihoods: list[Floats] = []
    for level in levels:
        flow = ProbabilityFlow(denoiser, log_uniform_grid(level, ends[1], START_STEPS))
        likelihoods.append(flow.log_prob(rows).double().cpu().numpy())
        means = np.nan_to_num(np.mean(likelihoods, axis=1), nan=-np.inf)
        if np.isinf(means).all():
            continue
        best = likelihoods[int(means.argmax())]
        errors = (best - likelihoods).std(1) / np.sqrt(len(rows))
        # blurred so much, rows become less likely with every further level
        if means[-1] < means.max() - CLEARLY * errors[-1]:
            break
    if np.isinf(means).all():
        return levels[-1]
    return levels[int(np.argmax(means >= best.mean() - errors))]
