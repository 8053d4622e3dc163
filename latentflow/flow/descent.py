"""Errors of a grid and its blend of orders on calibration rows, and Gauss–Newton steps that lower them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from latentflow.flow.blending import Blended
from latentflow.flow.drafts import BASE, Draft
from latentflow.flow.grids import blended_grid
from latentflow.flow.probability_flow import EXACT_TRACE_DIMENSION, ProbabilityFlow
from latentflow.flow.sensitivities import Linearised
from latentflow.score.denoisers import Denoiser

#: Share of the accuracy that the mean over calibration rows must reach, and multiple of it for the worst of them,
#: since other rows will do a little worse.
SAFETY, TAIL = 0.75, 5.0
#: Rows that calibrate, and numbers (rows × columns) at most.
ROWS, NUMBERS = 768, 16_384
#: Of these, rows that a descent sees (fewer of many columns, each of which is a number to fit), and rows in all that
#: decide on the converged solution, and whose two log|det| are compared.
SOME, HARD, FITTED, DECIDING, VOLUMES = 64, 32, 6_144, 128, 128
#: Accuracy down to which fields are evaluated in single precision.
SINGLE = 1e-5
#: Squared distance that is not told from none.
RESOLVED = 1e-12
#: How far the logarithms of steps, and blend weights, move readily; and how far the former move at once.
STEP_SCALE, WEIGHT_SCALE, MOST_MOVED = 0.15, 0.3, 0.4
#: Penalties on moves that are tried, relative to the loss.
PENALTIES = (0.1, 1.0, 10.0)
#: Distance in log σ over which weights are differenced.
DIFFERENCE = 1e-6
#: Most steps of a grid that is worth a descent.
LONGEST = 160
#: Steps with which the converged solution is sought first, for a tolerance of 1e-4, and the most; how often the first
#: of them is halved, since the method starts with order 1.
FEWEST_CONVERGED, MOST_CONVERGED, HALVINGS = 44, 4_096, 10

#: Of squared distances, shape (n,).
Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class CalibrationObjective:
    """Errors of drafts on calibration rows, and descent on them.

    Attributes
    ----------
    denoiser : Denoiser
        In the precision that the accuracy asks for; states are in double precision.
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
    def of(cls, denoiser: Denoiser, x: Tensor, ends: tuple[float, float], accuracy: float) -> CalibrationObjective:
        """Choose the rows, and solve for them."""
        # a closed form has no weights, and follows the states, which are in double precision
        single = accuracy >= SINGLE and next(denoiser.parameters(), None) is not None
        denoiser = copy.deepcopy(denoiser).to(torch.float32 if single else torch.float64)
        denoiser = denoiser.eval().requires_grad_(False)
        rows = evenly(x, max(64, min(ROWS, NUMBERS // x.shape[1]))).double()
        target = _converged(denoiser, rows, ends, 0.3 * accuracy)
        solved = target.isfinite().all(1)
        return cls(denoiser, rows[solved] / math.sqrt(1 + ends[0] ** 2), target[solved], ends, accuracy)

    def errors(self, draft: Draft) -> Tensor:
        """‖z − z*‖ of each row, shape (n,); infinite where z is not finite."""
        return torch.nan_to_num((self.flow(draft).encode(self._rows) - self.target).norm(dim=1), nan=math.inf)

    def excess(self, draft: Draft) -> float:
        """By what factor a draft misses the accuracy, with a margin for rows that are not here; at most 1 is good."""
        return self.excess_of(self.errors(draft))

    def excess_of(self, error: Tensor) -> float:
        """The same from the errors of a draft."""
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

    def lowered(self, draft: Draft, error: Tensor) -> Draft:
        """The draft after a Gauss–Newton step on the mean squared error of some rows, the worst among them.

        Parameters
        ----------
        draft : Draft
        error : Tensor, shape (n,)
            Its errors.
        """
        rows = self._some_and_worst(error)
        return _improved(self.denoiser, draft, self.start[rows], self.target[rows], log_mean, STEP_SCALE)

    def _some_and_worst(self, error: Tensor) -> Tensor:
        """Positions of rows spread evenly, and of those with the largest errors."""
        few = max(1, min(SOME + HARD, FITTED // self.start.shape[1])) / (SOME + HARD)
        worst = error.argsort(descending=True)[: min(math.ceil(few * HARD), len(error) // 4)]
        return torch.cat([evenly(torch.arange(len(error), device=error.device), math.ceil(few * SOME)), worst])

    def way_back(self, draft: Draft, iterations: int) -> Draft:
        """The draft with a blend for the way back over the same grid on which it retraces the way there best.

        What is lowered is the mean logarithm of the distance from the start, in which steep rows weigh no more than
        others.
        """
        start = evenly(self.start, SOME)
        end = integrated(self.denoiser, draft, start)
        for _ in range(iterations):
            draft = _improved(self.denoiser, draft.returning, end, start, mean_log).returning
        return draft


def _improved(
    denoiser: Denoiser, draft: Draft, start: Tensor, target: Tensor, loss: Loss, step_scale: float = 0.0
) -> Draft:
    """The draft after a Gauss–Newton step on the loss of ‖end − target‖², or the draft itself where none helps."""
    if draft.steps > LONGEST:
        return draft
    lowest, normal, downhill = equations(denoiser, draft, start, target, loss, step_scale)
    best = draft
    for candidate in candidates(draft, normal, downhill, step_scale):
        found = float(loss((integrated(denoiser, candidate, start) - target).square().sum(1)))
        if found < lowest:
            best, lowest = candidate, found
    return best


def equations(
    denoiser: Denoiser, draft: Draft, start: Tensor, target: Tensor, loss: Loss, step_scale: float
) -> tuple[float, Tensor, Tensor]:
    """The loss of a draft, and the normal equations of a Gauss–Newton step in units of what moves readily."""
    nodes, blend_weights = torch.as_tensor(draft.nodes.copy()), torch.as_tensor(draft.blend_weights[0].copy())
    weights, by_node, by_blend = _weights_and_slopes(draft.solver, nodes, blend_weights)
    linear = Linearised.of(denoiser, draft.solver, start, nodes.tolist(), weights)
    of_nodes = torch.einsum("nimak,makp->nip", linear.by_weight, by_node)
    of_nodes[:, :, :-1] += linear.by_node
    of_blends = torch.einsum("nimak,makl->nimal", linear.by_weight, by_blend).flatten(2)
    slopes = torch.cat([step_scale * of_nodes @ _nodes_by_step(nodes), WEIGHT_SCALE * of_blends], 2)
    miss = linear.end - target
    squared = miss.square().sum(1).requires_grad_()
    value = loss(squared)
    (row_weights,) = torch.autograd.grad(value, squared)
    normal = torch.einsum("nip,niq,n->pq", slopes, slopes, row_weights)
    return float(value.detach()), normal, torch.einsum("nip,ni,n->p", slopes, -miss, row_weights)


def candidates(draft: Draft, normal: Tensor, downhill: Tensor, step_scale: float) -> Iterator[Draft]:
    """Where Gauss–Newton steps lead, one for each penalty."""
    for penalty in PENALTIES:
        penalised = normal + penalty / len(normal) * torch.eye(len(normal)).to(normal)
        moves = torch.linalg.solve(penalised, downhill).numpy()
        longer = (step_scale * moves[: draft.steps]).clip(-MOST_MOVED, MOST_MOVED)
        other = WEIGHT_SCALE * moves[draft.steps :].reshape(draft.steps, 2, -1)
        yield draft.moved(longer, other)


def _weights_and_slopes(solver: Blended, nodes: Tensor, blend_weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of each step, (steps, 2, order), and by all nodes (…, steps + 1) and by its own blend (…, 3)."""
    spread = solver.order + 1
    # a weight knows as many neighbouring nodes at most, so that every so manieth may move at once
    colours = torch.eye(spread, dtype=nodes.dtype).repeat(1, len(nodes) // spread + 1)[:, : len(nodes)]
    orders = vmap(solver.by_order)(torch.cat([nodes[None], nodes + DIFFERENCE * colours]))
    apart = orders[:, :, :, 1:] - orders[:, :, :, :1]
    weights = orders[:, :, :, 0] + torch.einsum("mal,cmalk->cmak", blend_weights, apart)
    weights, moved = weights[0], (weights[1:] - weights[0]) / DIFFERENCE
    by_node = nodes.new_zeros(*weights.shape, len(nodes))
    for step in range(len(weights)):
        near = torch.arange(max(0, step + 2 - spread), step + 2)
        by_node[step, :, :, near] = moved[near % spread, step].permute(1, 2, 0)
    return weights, by_node, apart[0].transpose(2, 3)


def _nodes_by_step(nodes: Tensor) -> Tensor:
    """Derivatives of nodes by logarithms of the steps between ends that stay, shape (steps + 1, steps)."""
    steps = nodes.diff()
    beyond = torch.ones(len(nodes), len(steps), dtype=nodes.dtype).tril(-1) * steps
    share = (nodes - nodes[0]) / (nodes[-1] - nodes[0])
    return beyond - share[:, None] * steps


def log_mean(squared: Tensor) -> Tensor:
    return squared.mean().log()


def mean_log(squared: Tensor) -> Tensor:
    return (squared + RESOLVED).log().mean()


def integrated(denoiser: Denoiser, draft: Draft, start: Tensor) -> Tensor:
    """The end of an integration, shape (n, d)."""
    with torch.no_grad():
        return draft.solver.integrate(
            lambda u, y: denoiser.at(math.exp(u)).v_predictions(y), start, draft.nodes.tolist()
        )


def evenly(x: Tensor, most: int) -> Tensor:
    """Rows spread evenly over a table, no more than asked for."""
    return x[torch.linspace(0, len(x) - 1, min(most, len(x))).long()]


def _converged(denoiser: Denoiser, x: Tensor, ends: tuple[float, float], tolerance: float) -> Tensor:
    """The solution: the steps of a fifth-order method are doubled until that changes some rows by no more.

    What is left is about a thirtieth of the tolerance.
    """
    deciding, before = evenly(x, DECIDING), None
    steps = math.ceil(FEWEST_CONVERGED * (1e-4 / tolerance) ** (1 / 5))
    while True:
        sigmas = blended_grid(*ends, steps)
        first = np.exp(np.log(ends[0]) + np.log(sigmas[1] / ends[0]) * 0.5 ** np.arange(HALVINGS, 0, -1))
        flow = ProbabilityFlow(denoiser, np.concatenate([sigmas[:1], first, sigmas[1:]]), BASE)
        found = flow.encode(deciding)
        change = math.inf if before is None else float((found - before).norm(dim=1).mean())
        if change <= tolerance or steps >= MOST_CONVERGED:
            return flow.encode(x)
        before, steps = found, 2 * steps
