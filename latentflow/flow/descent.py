"""Errors of a draft on calibration rows, and descent on them."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentflow.flow.drafts import BASE, Draft
from latentflow.flow.gauss_newton import STEP_SCALE, improved, integrated, log_mean, mean_log
from latentflow.flow.grids import blended_grid
from latentflow.flow.probability_flow import EXACT_TRACE_DIMENSION, ProbabilityFlow
from latentflow.score.denoisers import Denoiser

#: Share of the accuracy that the mean over calibration rows must reach, and multiple of it for the worst of them,
#: since other rows will do a little worse.
SAFETY, TAIL = 0.75, 5.0
#: Rows that calibrate, and numbers (rows × columns) at most.
CALIBRATION_ROWS, CALIBRATION_NUMBERS = 768, 16_384
#: Of these, rows that a descent sees: so many spread evenly, so many of the worst, fewer where that is more numbers.
EVEN_ROWS, WORST_ROWS, DESCENT_NUMBERS = 64, 32, 6_144
#: Rows that decide on the converged solution, and rows whose two log|det| are compared.
DECIDING_ROWS, LOG_DET_ROWS = 128, 128
#: Numbers (rows × columns) of the rows at which folds are looked for: of ten thousand rows a handful may fold where
#: none of the few hundred that calibrate does. They come in parts of so many rows, up to the first that folds.
FOLD_NUMBERS, FOLD_ROWS = 25_000, 1_000
#: A coarser accuracy than this buys speed at the risk of a fold, and only the rows that calibrate are looked at.
FOLD_ACCURACY = 1e-4
#: Accuracy down to which networks are evaluated in single precision.
SINGLE = 1e-5
#: Steps with which the converged solution is sought first, for a tolerance of 1e-4, and the most; how often the first
#: of them is halved, since the method starts with order 1.
FEWEST_CONVERGED, MOST_CONVERGED, HALVINGS = 44, 4_096, 10


@dataclass(frozen=True)
class CalibrationObjective:
    """Errors of drafts on calibration rows, and descent on them.

    Attributes
    ----------
    denoiser : Denoiser
        In the precision that the accuracy asks for; states are in double precision.
    start, target : Tensor, shape (n, d)
        States at the start of the grid, and converged solutions at its end.
    many : Tensor, shape (m, d)
        More rows, at which folds are looked for.
    ends : (float, float)
    accuracy : float
    """

    denoiser: Denoiser
    start: Tensor
    target: Tensor
    many: Tensor
    ends: tuple[float, float]
    accuracy: float

    @classmethod
    def of(
        cls, denoiser: Denoiser, x: Tensor, ends: tuple[float, float], accuracy: float
    ) -> CalibrationObjective:
        """Choose the rows, and solve for them."""
        # a closed form has no weights, and follows the states
        single = accuracy >= SINGLE and next(denoiser.parameters(), None) is not None
        denoiser = copy.deepcopy(denoiser).to(torch.float32 if single else torch.float64)
        denoiser = denoiser.eval().requires_grad_(False)
        rows = evenly(x, max(64, min(CALIBRATION_ROWS, CALIBRATION_NUMBERS // x.shape[1]))).double()
        target = _converged(denoiser, rows, ends, 0.3 * accuracy)
        solved = target.isfinite().all(1)
        looked_at = FOLD_NUMBERS // x.shape[1] if accuracy <= FOLD_ACCURACY else 0
        many = evenly(x, looked_at).double()
        return cls(denoiser, rows[solved] / math.sqrt(1 + ends[0] ** 2), target[solved], many, ends, accuracy)

    def errors(self, draft: Draft) -> Tensor:
        """‖z − z*‖ of each row, shape (n,); infinite where z is not finite."""
        return torch.nan_to_num((self.flow(draft).encode(self._rows) - self.target).norm(dim=1), nan=math.inf)

    def excess(self, draft: Draft) -> float:
        """By what factor a draft misses the accuracy, with a margin for rows that are not here; at most 1 is good."""
        return self.excess_of(self.errors(draft))

    def excess_of(self, error: Tensor) -> float:
        """The same, from the errors of a draft."""
        return max(float(error.mean()) / SAFETY, float(error.max()) / TAIL) / self.accuracy

    def flow(self, draft: Draft) -> ProbabilityFlow:
        """The encoder of a draft."""
        sigmas = np.exp(draft.nodes)
        sigmas[0], sigmas[-1] = self.ends
        return ProbabilityFlow(self.denoiser, sigmas, draft.solver)

    def folds(self, draft: Draft) -> bool:
        """Whether the discrete map turns space over at a row: the determinant of its Jacobian is not positive."""
        flow = self.flow(draft)
        parts = (self._rows, *self.many.split(FOLD_ROWS))
        return any(bool((flow.encode_with_discrete_log_det(part)[1] <= 0).any()) for part in parts)

    def log_det_gap(self, draft: Draft) -> float | None:
        """Mean |difference| in nats of the log|det| of the discrete map and the continuous one, on some rows.

        None where the continuous one is itself an estimate.
        """
        if self.start.shape[1] > EXACT_TRACE_DIMENSION:
            return None
        flow, rows = self.flow(draft), evenly(self._rows, LOG_DET_ROWS)
        gap = flow.encode_with_discrete_log_det(rows)[2] - flow.encode_with_log_det(rows)[1]
        return float(gap.abs().mean())

    @property
    def _rows(self) -> Tensor:
        """The rows as they were before they were brought to the start of the grid."""
        return self.start * math.sqrt(1 + self.ends[0] ** 2)

    def descend(self, draft: Draft, error: Tensor) -> Draft:
        """The draft after a Gauss–Newton step on the mean squared error of some rows, the worst among them.

        Parameters
        ----------
        draft : Draft
        error : Tensor, shape (n,)
            Its errors.
        """
        rows = self._even_and_worst(error)
        return improved(self.denoiser, draft, self.start[rows], self.target[rows], log_mean, STEP_SCALE)

    def _even_and_worst(self, error: Tensor) -> Tensor:
        """Positions of rows spread evenly, and of those with the largest errors."""
        share = min(1.0, DESCENT_NUMBERS / ((EVEN_ROWS + WORST_ROWS) * self.start.shape[1]))
        worst = error.argsort(descending=True)[: min(math.ceil(share * WORST_ROWS), len(error) // 4)]
        even = evenly(torch.arange(len(error), device=error.device), math.ceil(share * EVEN_ROWS))
        return torch.cat([even, worst])

    def way_back(self, draft: Draft, iterations: int) -> Draft:
        """The draft with a blend for the way back over the same grid, on which it retraces the way there best."""
        start = evenly(self.start, EVEN_ROWS)
        end = integrated(self.denoiser, draft, start)
        for _ in range(iterations):
            draft = improved(self.denoiser, draft.returning, end, start, mean_log, step_scale=0.0).returning
        return draft


def evenly(x: Tensor, most: int) -> Tensor:
    """Rows spread evenly over a table, no more than asked for."""
    return x[torch.linspace(0, len(x) - 1, min(most, len(x))).long()]


def _converged(denoiser: Denoiser, x: Tensor, ends: tuple[float, float], tolerance: float) -> Tensor:
    """The solution: the steps of a fifth-order method are doubled until that changes some rows by no more.

    What is left is about a thirtieth of the tolerance.
    """
    deciding, before = evenly(x, DECIDING_ROWS), None
    steps = math.ceil(FEWEST_CONVERGED * (1e-4 / tolerance) ** (1 / 5))
    while True:
        sigmas = blended_grid(*ends, steps)
        first = ends[0] * (sigmas[1] / ends[0]) ** (0.5 ** np.arange(HALVINGS, 0, -1))
        flow = ProbabilityFlow(denoiser, np.concatenate([sigmas[:1], first, sigmas[1:]]), BASE)
        found = flow.encode(deciding)
        change = math.inf if before is None else float((found - before).norm(dim=1).mean())
        if change <= tolerance or steps >= MOST_CONVERGED:
            return flow.encode(x)
        before, steps = found, 2 * steps
