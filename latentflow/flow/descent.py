"""Gradient descent on the steps of a grid, and on the orders that they blend, for the error of latents."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.flow.blending import LOWER, Blended
from latentflow.flow.grids import blended_grid, log_uniform_grid
from latentflow.flow.multistep import VPrediction
from latentflow.flow.probability_flow import EXACT_TRACE_DIMENSION, ProbabilityFlow
from latentflow.flow.runge_kutta import DORMAND_PRINCE
from latentflow.flow.solvers import PREDICTOR_CORRECTORS
from latentflow.score.denoisers import Denoiser

#: The method whose orders are blended.
BASE = "pec5"
#: Share of the accuracy that the mean over calibration rows must reach, and multiple of it for the worst of them,
#: since other rows will do a little worse.
SAFETY, TAIL = 0.75, 5.0
#: Rows that calibrate, numbers (rows × columns) at most; of these, rows that descent sees, and how many of the worst.
ROWS, NUMBERS, SOME, HARD = 768, 16_384, 64, 32
#: Rows whose two log|det| are compared.
VOLUMES = 128
#: How often the worst rows are looked for anew in a descent, since it moves them.
LOOKS = 3
#: Accuracy down to which descent is in single precision, begins with order 4 and blends: finer ones want long grids, on
#: which order 5 serves every step.
SINGLE = 1e-5
#: Squared distance that single precision resolves.
RESOLVED = 1e-12
#: Learning rates of a descent from a grid made by hand, from one that has been down already, and on the way back.
COLD, WARM, BACK = 0.05, 0.03, 0.1
#: Most steps of a grid that is worth a descent, and of the converged solution.
LONGEST, FINEST = 64, 1_024

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Draft:
    """A grid and the blend of orders in each of its steps.

    Attributes
    ----------
    nodes : ndarray, shape (steps + 1,)
        log σ.
    blend_weights : ndarray, shape (steps, 2, 3)
        As in :class:`latentflow.flow.blending.Blended`.
    """

    nodes: Floats
    blend_weights: Floats

    @classmethod
    def first(cls, ends: tuple[float, float], steps: int, accuracy: float = 1.0) -> Draft:
        """Where descent begins: a grid made by hand, and order 5 for a fine accuracy, else order 4.

        On coarse grids the worst rows of order 4 are better than those of order 5.
        """
        blend_weights = np.zeros((steps, 2, LOWER)) if accuracy < SINGLE else _fourth_order(steps)
        return cls(np.log(blended_grid(*ends, steps)), blend_weights)

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.nodes) - 1

    @property
    def solver(self) -> Blended:
        """The method with its blend."""
        return Blended.of(PREDICTOR_CORRECTORS[BASE], self.blend_weights)

    def resampled(self, steps: int) -> Draft:
        """A grid of another length whose steps are spread and blended in much the same way."""
        if steps == self.steps:
            return self
        lengths = _smooth(np.diff(self.nodes))
        smooth = (
            self.nodes[0] + np.concatenate([[0.0], np.cumsum(lengths)]) * np.ptp(self.nodes) / lengths.sum()
        )
        at = np.linspace(0, self.steps, steps + 1)
        nodes = np.interp(at, np.arange(self.steps + 1), smooth)
        centres, own = (at[1:] + at[:-1]) / 2, np.arange(self.steps) + 0.5
        columns = self.blend_weights.reshape(self.steps, -1).T
        blend_weights = np.stack([np.interp(centres, own, _smooth(column)) for column in columns], axis=1)
        return Draft(nodes, blend_weights.reshape(steps, *self.blend_weights.shape[1:]))


@dataclass(frozen=True)
class CalibrationObjective:
    """Errors of drafts on calibration rows, and descent on them.

    Attributes
    ----------
    denoiser : Denoiser
        In double precision.
    start, target : Tensor, shape (n, d)
        States at the start of the grid, and converged solutions at its end.
    ends : (float, float)
    accuracy : float
    """

    denoiser: Denoiser
    start: Tensor
    target: Tensor
    ends: tuple[float, float]
    accuracy: float

    @classmethod
    def of(
        cls, denoiser: Denoiser, x: Tensor, ends: tuple[float, float], accuracy: float
    ) -> CalibrationObjective:
        """Choose the rows, and solve for them."""
        denoiser, x = copy.deepcopy(denoiser).double().eval().requires_grad_(False), x.double()
        start = evenly(x, max(64, min(ROWS, NUMBERS // x.shape[1]))) / math.sqrt(1 + ends[0] ** 2)
        with torch.no_grad():
            target = _converged(partial(_v_prediction, denoiser), start, ends, 0.3 * accuracy)
        solved = target.isfinite().all(1)
        return cls(denoiser, start[solved], target[solved], ends, accuracy)

    def errors(self, draft: Draft) -> Tensor:
        """‖z − z*‖ of each row, shape (n,); infinite where z is not finite."""
        with torch.no_grad():
            found = draft.solver.integrate(
                partial(_v_prediction, self.denoiser), self.start, draft.nodes.tolist()
            )
        return torch.nan_to_num((found - self.target).norm(dim=1), nan=math.inf)

    def excess(self, draft: Draft) -> float:
        """By what factor a draft misses the accuracy, with a margin for rows that are not here; at most 1 is good."""
        error = self.errors(draft)
        return max(float(error.mean()) / SAFETY, float(error.max()) / TAIL) / self.accuracy

    def flow(self, draft: Draft) -> ProbabilityFlow:
        """The encoder of a draft."""
        sigmas = np.exp(draft.nodes)
        sigmas[0], sigmas[-1] = self.ends
        return ProbabilityFlow(self.denoiser, sigmas, draft.solver)

    def folds(self, draft: Draft) -> bool:
        """Whether the discrete map turns space over at a row: the determinant of its Jacobian is not positive."""
        sign = self.flow(draft).encode_with_discrete_log_det(self._rows)[1]
        return bool((sign <= 0).any())

    def log_det_gap(self, draft: Draft) -> float | None:
        """Mean |difference| in nats of the log|det| of the discrete map and the continuous one, on some rows.

        None where the continuous one is itself an estimate.
        """
        if self.start.shape[1] > EXACT_TRACE_DIMENSION:
            return None
        flow, rows = self.flow(draft), evenly(self._rows, VOLUMES)
        gap = flow.encode_with_discrete_log_det(rows)[2] - flow.encode_with_log_det(rows)[1]
        return float(gap.abs().mean())

    @property
    def _rows(self) -> Tensor:
        """The rows as they were before they were brought to the start of the grid."""
        return self.start * math.sqrt(1 + self.ends[0] ** 2)

    def descend(self, draft: Draft, iterations: int, rate: float = COLD) -> Draft:
        """The best draft met on the way down the root mean squared error of some rows, the worst so far among them."""
        if draft.steps > LONGEST:
            return draft
        each = max(1, iterations // LOOKS)
        for look in range(LOOKS):
            rates = rate * (1 - np.arange(look * each, (look + 1) * each) / (LOOKS * each))
            draft = self._descend(draft, self._some_and_worst(self.errors(draft)), rates)
        return draft

    def _some_and_worst(self, error: Tensor) -> Tensor:
        """Positions of rows spread evenly, and of those with the largest errors."""
        worst = error.argsort(descending=True)[: min(HARD, len(error) // 4)]
        return torch.cat([evenly(torch.arange(len(error), device=error.device), SOME), worst])

    def _descend(self, draft: Draft, rows: Tensor, rates: Floats) -> Draft:
        """Adam on the logarithms of the steps and on the shares, at a learning rate for each of its steps."""
        # single precision resolves errors down to about 1e-6
        dtype = torch.float32 if self.accuracy >= SINGLE else torch.float64
        denoiser = copy.deepcopy(self.denoiser).to(dtype)
        start, target = self.start[rows].to(dtype), self.target[rows].to(dtype)
        first, length = float(draft.nodes[0]), float(np.ptp(draft.nodes))
        logits = torch.as_tensor(np.log(np.diff(draft.nodes))).requires_grad_()
        blend_weights = torch.as_tensor(draft.blend_weights).clone().requires_grad_()
        moved = [logits, blend_weights] if self.accuracy >= SINGLE else [logits]
        optimiser = torch.optim.Adam(moved, betas=(0.9, 0.97))
        best, best_error = draft, math.inf
        solver = Blended.of(PREDICTOR_CORRECTORS[BASE], blend_weights)
        for rate in rates:
            optimiser.param_groups[0]["lr"] = float(rate)
            steps = torch.cat([logits.new_zeros(1), torch.softmax(logits, 0).cumsum(0)])
            nodes = first + length * steps
            found = solver.integrate(partial(_v_prediction, denoiser), start, nodes)
            error = (found - target).square().sum(1).mean().log()
            if not torch.isfinite(error):
                break
            if float(error.detach()) < best_error:
                best = Draft(nodes.detach().numpy().copy(), blend_weights.detach().numpy().copy())
                best_error = float(error.detach())
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
        return best

    def way_back(self, draft: Draft, iterations: int) -> Floats:
        """Shares for the way back over the same grid, on which it retraces the way there best, shape (steps, 2, 3).

        What is lowered is the mean logarithm of the distance from the start, in which steep rows weigh no more than
        others.
        """
        blend_weights = _fourth_order(draft.steps)
        if draft.steps > LONGEST:
            return blend_weights
        denoiser = copy.deepcopy(self.denoiser).to(torch.float32)
        start = evenly(self.start, SOME)
        with torch.no_grad():
            end = draft.solver.integrate(partial(_v_prediction, self.denoiser), start, draft.nodes.tolist())
        start, end = start.to(torch.float32), end.to(torch.float32)
        nodes = torch.as_tensor(draft.nodes[::-1].copy())
        found = torch.as_tensor(blend_weights).requires_grad_()
        optimiser = torch.optim.Adam([found], betas=(0.9, 0.97))
        solver = Blended.of(PREDICTOR_CORRECTORS[BASE], found)
        for rate in BACK * (1 - np.arange(iterations) / iterations):
            optimiser.param_groups[0]["lr"] = float(rate)
            back = solver.integrate(partial(_v_prediction, denoiser), end, nodes)
            loss = ((back - start).square().sum(1) + RESOLVED).log().mean()
            if not torch.isfinite(loss):
                return blend_weights
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return found.detach().numpy()


def evenly(x: Tensor, most: int) -> Tensor:
    """Rows spread evenly over a table, no more than asked for."""
    return x[torch.linspace(0, len(x) - 1, min(most, len(x))).long()]


def _fourth_order(steps: int) -> Floats:
    """Shares of order 4 alone, shape (steps, 2, 3)."""
    blend_weights = np.zeros((steps, 2, LOWER))
    blend_weights[:, :, 0] = 1.0
    return blend_weights


def _smooth(values: Floats) -> Floats:
    """Running means: neighbours balance each other, at another length only their average means something."""
    return np.convolve(np.pad(values, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")


def _v_prediction(denoiser: Denoiser, u: Tensor | float, y: Tensor) -> Tensor:
    return denoiser.v_prediction(y, u.exp() if isinstance(u, Tensor) else math.exp(u))


def _converged(v_prediction: VPrediction, y: Tensor, ends: tuple[float, float], tolerance: float) -> Tensor:
    """The solution: the steps of a fifth-order method are doubled until that changes no more than the tolerance.

    What is left is about a thirtieth of that.
    """
    before, steps = None, 32
    while True:
        found = DORMAND_PRINCE.integrate(v_prediction, y, np.log(log_uniform_grid(*ends, steps)).tolist())
        if (
            before is not None and float((found - before).norm(dim=1).mean()) <= tolerance
        ) or steps >= FINEST:
            return found
        before, steps = found, 2 * steps
