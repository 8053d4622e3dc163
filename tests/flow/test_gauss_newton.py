"""Derivatives of the end of an integration are those of automatic differentiation, and the steps go down."""

import math

import numpy as np
import pytest
import torch

from latentflow.flow import gauss_newton
from latentflow.flow.blending import Blended
from latentflow.flow.drafts import Draft
from latentflow.flow.gauss_newton import (
    BLEND_SCALE,
    STEP_SCALE,
    candidates,
    equations,
    improved,
    integrated,
    log_mean,
    mean_log,
)
from latentflow.flow.grids import blended_grid, log_uniform_grid
from latentflow.flow.solvers import PREDICTOR_CORRECTORS, SOLVERS
from latentflow.score.oracles import GaussianOracle, MixtureOracle

ENDS = (0.05, 10.0)


def oracle():
    means = torch.tensor([[-0.9, 0.3], [0.7, -0.3]], dtype=torch.float64)
    covariances = torch.tensor([[[0.2, 0.1], [0.1, 0.8]], [[0.4, -0.1], [-0.1, 0.7]]], dtype=torch.float64)
    return MixtureOracle(torch.tensor([0.4, 0.6], dtype=torch.float64), means, covariances)


def rows(n):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def rough(steps):
    """A draft whose blend differs from step to step."""
    blend_weights = np.random.default_rng(0).uniform(0, 1, (2, steps, 2, 3))
    return Draft(np.log(blended_grid(*ENDS, steps)), blend_weights)


def converged(start):
    solve = SOLVERS["dp5"].integrate
    with torch.no_grad():
        return solve(
            lambda u, y: oracle().v_prediction(y, math.exp(u)),
            start,
            np.log(log_uniform_grid(*ENDS, 300)).tolist(),
        )


@pytest.mark.parametrize("loss", [log_mean, mean_log])
@pytest.mark.parametrize("draft", [rough(3), rough(9), rough(9).returning], ids=["short", "there", "back"])
def test_the_direction_down_is_that_of_automatic_differentiation(draft, loss, monkeypatch):
    start = rows(6)
    target = start + 0.3
    # rows in parts, as where there are many columns
    monkeypatch.setattr(gauss_newton, "HELD", 8)
    # a difference in σ that leaves no more than 1e-5 of the gradient
    monkeypatch.setattr(gauss_newton, "F_DIFFERENCE", 1e-6)
    value, normal, downhill = equations(oracle(), draft, start, target, loss, STEP_SCALE)
    moved = torch.zeros(draft.steps, dtype=torch.float64, requires_grad=True)
    blend_weights = torch.tensor(draft.blend_weights[0], requires_grad=True)
    lengths = torch.tensor(np.diff(draft.nodes)) * moved.exp()
    shares = torch.cat([torch.zeros(1), lengths.cumsum(0) / lengths.sum()])
    nodes = draft.nodes[0] + (draft.nodes[-1] - draft.nodes[0]) * shares
    solver = Blended.of(PREDICTOR_CORRECTORS["pec5"], blend_weights)
    end = solver.integrate(lambda u, y: oracle().v_prediction(y, u.exp()), start, nodes)
    exact = loss((end - target).square().sum(1))
    by_step, by_blend = torch.autograd.grad(exact, (moved, blend_weights))
    gradient = torch.cat([STEP_SCALE * by_step, BLEND_SCALE * by_blend.flatten()])
    assert value == pytest.approx(float(exact.detach()), rel=1e-10)
    # the loss is of squares, whose gradient is twice the slope times the miss
    torch.testing.assert_close(-2 * downhill, gradient, rtol=1e-4, atol=1e-8)
    assert (torch.linalg.eigvalsh(normal) > -1e-10).all()


def test_the_model_of_a_step_foretells_what_it_gains():
    """Where steps are small the mean square is that of the linear model."""
    draft, start = rough(10), rows(50)
    target = integrated(oracle(), draft, start) + 1e-5 * rows(50)
    mean = torch.Tensor.mean
    value, normal, downhill = equations(oracle(), draft, start, target, mean, STEP_SCALE)
    candidate = list(candidates(draft, normal, downhill, STEP_SCALE))[1]
    steps = np.log(np.diff(candidate.nodes) / np.diff(draft.nodes)) / STEP_SCALE
    blends = (candidate.blend_weights - draft.blend_weights)[0] / BLEND_SCALE
    moves = torch.tensor(np.concatenate([steps, blends.ravel()]))
    foretold = value - 2 * downhill @ moves + moves @ normal @ moves
    gained = float(mean((integrated(oracle(), candidate, start) - target).square().sum(1)))
    assert gained < value
    assert gained == pytest.approx(float(foretold), rel=0.02)


def test_steps_go_down_and_a_draft_that_none_helps_stays():
    start, draft = rows(80), Draft(np.log(log_uniform_grid(*ENDS, 12)), np.zeros((2, 12, 2, 3)))
    target, losses = converged(start), []
    for _ in range(5):
        losses.append(float(log_mean((integrated(oracle(), draft, start) - target).square().sum(1))))
        draft = improved(oracle(), draft, start, target, log_mean, STEP_SCALE)
    assert losses == sorted(losses, reverse=True)
    # a fifth and less of the distance
    assert losses[-1] < losses[0] + 2 * math.log(0.2)
    own = integrated(oracle(), draft, start)
    assert improved(oracle(), draft, start, own, log_mean, STEP_SCALE) is draft
    nowhere = torch.full_like(target, math.nan)
    assert improved(oracle(), draft, start, nowhere, log_mean, STEP_SCALE) is draft


def test_grid_and_blend_together_do_better_than_either_alone(monkeypatch):
    start = rows(80)
    target, left = converged(start), {}
    first = Draft(np.log(log_uniform_grid(*ENDS, 12)), np.zeros((2, 12, 2, 3)))
    for name, step_scale, blend_scale in (
        ("both", STEP_SCALE, BLEND_SCALE),
        ("grid", STEP_SCALE, 0.0),
        ("blend", 0.0, BLEND_SCALE),
    ):
        monkeypatch.setattr(gauss_newton, "BLEND_SCALE", blend_scale)
        draft = first
        for _ in range(4):
            draft = improved(oracle(), draft, start, target, log_mean, step_scale)
        left[name] = float((integrated(oracle(), draft, start) - target).norm(dim=1).mean())
        if not step_scale:
            np.testing.assert_allclose(draft.nodes, first.nodes, rtol=1e-12)
    assert left["both"] < 0.9 * min(left["grid"], left["blend"])


def test_a_linear_flow_is_solved_in_a_few_steps():
    """Of a Gaussian the whole flow is known, whatever solver is taken for it."""
    law = GaussianOracle(torch.zeros(2).double(), torch.diag(torch.tensor([0.3, 1.7]).double()))
    x = rows(60)
    start = x / math.sqrt(1 + ENDS[0] ** 2)
    target = law.flow(x, *ENDS) / math.sqrt(1 + ENDS[1] ** 2)
    draft = Draft.shipped(ENDS, 8)
    for _ in range(6):
        draft = improved(law, draft, start, target, log_mean, STEP_SCALE)
    assert float((integrated(law, draft, start) - target).norm(dim=1).max()) < 1e-5
