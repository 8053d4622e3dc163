r"""Gauss–Newton steps for a grid and its blend of orders, from one integration.

A predictor-corrector step is linear in the values of F that it combines, and along a trajectory F answers to the state
by ∂F/∂y. With these Jacobians at the nodes, the derivatives of the end with respect to every weight of every step are a
recursion from the last step to the first (the discrete adjoint: Hairer, Nørsett & Wanner 1993, § II.6), which evaluates
nothing. So a step that sees all parameters at once (Nocedal & Wright 2006, ch. 10) costs d + 2 evaluations a node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import vmap

from latentflow.flow.drafts import Draft
from latentflow.flow.stepping import Kept
from latentflow.score.fields import Field

#: How far the logarithms of steps, and blend weights, move readily; and how far the former move at once.
STEP_SCALE, BLEND_SCALE, LONGEST_MOVE = 0.15, 0.3, 0.4
#: Penalties on moves that are tried, relative to the loss (Levenberg 1944).
PENALTIES = (0.1, 1.0, 10.0)
#: Most steps of a grid that is worth it.
MOST_STEPS = 160
#: Squared distance that is not told from none.
RESOLVED = 1e-12
#: Distances in log σ over which F, and weights, are differenced; numbers of Jacobians at a node that are held at once.
F_DIFFERENCE, WEIGHT_DIFFERENCE, HELD = 1e-3, 1e-6, 1 << 18

#: The field F(u, ·) at u = log σ.
FieldOf = Callable[[float], Field]
#: Of squared distances, shape (n,).
Loss = Callable[[Tensor], Tensor]


def log_mean(squared: Tensor) -> Tensor:
    """The logarithm of the mean squared distance."""
    return squared.mean().log()


def mean_log(squared: Tensor) -> Tensor:
    """The mean logarithm, in which rows that miss by much weigh no more than others."""
    return (squared + RESOLVED).log().mean()


def improved(
    field: FieldOf, draft: Draft, start: Tensor, target: Tensor, loss: Loss, step_scale: float
) -> Draft:
    """The draft after a Gauss–Newton step on the loss of ‖end − target‖², or the draft itself where none helps.

    Parameters
    ----------
    field : callable
    draft : Draft
    start, target : Tensor, shape (n, d)
        States at the first node, and where they should end.
    loss : callable
    step_scale : float
        :data:`STEP_SCALE`, or 0 for a grid that stays.
    """
    if draft.steps > MOST_STEPS:
        return draft
    lowest, normal, downhill = equations(field, draft, start, target, loss, step_scale)
    best = draft
    for candidate in candidates(draft, normal, downhill, step_scale) if math.isfinite(lowest) else ():
        value = float(loss((integrated(field, candidate, start) - target).square().sum(1)))
        if value < lowest:
            best, lowest = candidate, value
    return best


def equations(
    field: FieldOf, draft: Draft, start: Tensor, target: Tensor, loss: Loss, step_scale: float
) -> tuple[float, Tensor, Tensor]:
    """The loss of a draft, and the normal equations of a step: a matrix and the direction down, in units of scales."""
    weights, by_node, by_blend = _weights(draft)
    parts = start.split(max(1, HELD // start.shape[1] ** 2))
    found = [_linearised(field, draft, part, weights, step_scale > 0) for part in parts]
    end, of_weights, of_field = (torch.cat(each).cpu() for each in zip(*found, strict=True))
    of_nodes = torch.einsum("nimak,makp->nip", of_weights, by_node)
    of_nodes[:, :, :-1] += of_field
    of_blends = torch.einsum("nimak,makl->nimal", of_weights, by_blend).flatten(2)
    slopes = torch.cat([step_scale * of_nodes @ _nodes_by_step(draft), BLEND_SCALE * of_blends], 2)
    miss = end - target.cpu()
    squared = miss.square().sum(1).requires_grad_()
    value = loss(squared)
    (row_weights,) = torch.autograd.grad(value, squared)
    normal = torch.einsum("nip,niq,n->pq", slopes, slopes, row_weights)
    return float(value.detach()), normal, torch.einsum("nip,ni,n->p", slopes, -miss, row_weights)


def candidates(draft: Draft, normal: Tensor, downhill: Tensor, step_scale: float) -> Iterator[Draft]:
    """Where the steps of each penalty lead."""
    for penalty in PENALTIES:
        penalised = normal + penalty / len(normal) * torch.eye(len(normal)).to(normal)
        moves = torch.linalg.solve(penalised, downhill).numpy()
        longer = (step_scale * moves[: draft.steps]).clip(-LONGEST_MOVE, LONGEST_MOVE)
        yield draft.moved(longer, BLEND_SCALE * moves[draft.steps :].reshape(draft.steps, 2, -1))


def integrated(field: FieldOf, draft: Draft, start: Tensor) -> Tensor:
    """States at the last node, shape (n, d), of those at the first."""
    with torch.no_grad():
        return draft.solver.integrate(lambda u, y: field(u).v_predictions(y), start, draft.nodes.tolist())


def _weights(draft: Draft) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of each step, shape (steps, 2, order), and their derivatives.

    By all nodes, shape (…, steps + 1), and by the blend weights of the same formula, shape (…, 3).
    """
    nodes, blend_weights = torch.tensor(draft.nodes), torch.tensor(draft.blend_weights[0])
    # a formula knows one node more than it takes values, so every so manieth node may move at the same time
    apart = draft.solver.order + 1
    moved = torch.eye(apart, dtype=nodes.dtype).repeat(1, len(nodes) // apart + 1)[:, : len(nodes)]
    orders = vmap(draft.solver.by_order)(torch.cat([nodes[None], nodes + WEIGHT_DIFFERENCE * moved]))
    by_blend = orders[:, :, :, 1:] - orders[:, :, :, :1]
    weights = orders[:, :, :, 0] + torch.einsum("mal,cmalk->cmak", blend_weights, by_blend)
    changes = (weights[1:] - weights[0]) / WEIGHT_DIFFERENCE
    by_node = nodes.new_zeros(*weights[0].shape, len(nodes))
    for step in range(draft.steps):
        near = torch.arange(max(0, step + 2 - apart), step + 2)
        by_node[step, :, :, near] = changes[near % apart, step].permute(1, 2, 0)
    return weights[0], by_node, by_blend[0].transpose(2, 3)


def _nodes_by_step(draft: Draft) -> Tensor:
    """Derivatives of nodes by logarithms of the steps between ends that stay, shape (steps + 1, steps)."""
    nodes = torch.tensor(draft.nodes)
    steps = nodes.diff()
    beyond = torch.ones(len(nodes), len(steps), dtype=nodes.dtype).tril(-1) * steps
    return beyond - ((nodes - nodes[0]) / (nodes[-1] - nodes[0]))[:, None] * steps


def _linearised(
    field: FieldOf, draft: Draft, start: Tensor, weights: Tensor, moving: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The end, shape (n, d), its derivatives by weights, (…, steps, 2, order), and by nodes through F, (…, steps).

    A step from node n predicts pₙ₊₁ = yₙ + Σⱼ wₙ₀ⱼ Fₙ₋ⱼ with Fₙ = F(pₙ), and once that is known there corrects
    yₙ₊₁ = yₙ + Σⱼ wₙ₁ⱼ Fₙ₊₁₋ⱼ; the last p is the end. Derivatives by nodes are zeros unless they are moving.
    """
    kept, jacobians, rates = list[Kept](), list[Tensor](), list[Tensor]()
    identity = torch.eye(start.shape[1], dtype=start.dtype, device=start.device)

    def v_prediction(u: float, y: Tensor) -> Tensor:
        value, derivatives = field(u).push_forward(y, identity)
        jacobians.append(derivatives.permute(1, 2, 0))
        later = field(u + F_DIFFERENCE).v_prediction(y) if moving else value
        rates.append((later - value) / F_DIFFERENCE)
        return value

    with torch.no_grad():
        end = draft.solver.integrate(v_prediction, start, draft.nodes.tolist(), kept)
    values, (steps, _, order) = [value for _, value in kept], weights.shape
    by_weight = start.new_zeros(*start.shape, steps, 2, order)
    by_node = start.new_zeros(*start.shape, steps)
    of_point = identity.expand(len(start), -1, -1)
    of_state = torch.zeros_like(of_point)
    of_values = [of_state] * steps
    for node in range(steps - 1, -1, -1):
        # of pₙ₊₁ and yₙ₊₁, of which yₙ is a part
        of_next, of_state = of_point, of_point + of_state
        for step, part, adjoint in ((node, 0, of_next), (node - 1, 1, of_state))[: 1 + bool(node)]:
            known = min(order - (part == 0), node + 1)
            recent = torch.stack(values[node + 1 - known : node + 1][::-1])
            by_weight[:, :, step, part, :known] = torch.einsum("nij,knj->nik", adjoint, recent)
            for back in range(known):
                of_values[node - back] = of_values[node - back] + weights[step, part, back] * adjoint
        by_node[:, :, node] = torch.einsum("nij,nj->ni", of_values[node], rates[node])
        of_point = of_values[node] @ jacobians.pop()
    return end, by_weight, by_node
