"""Blended orders: each share does what it says, and none costs consistency."""

import math

import numpy as np
import pytest
import torch

from latentflow.flow.blending import LOWER_ORDERS, Blended
from latentflow.flow.multistep import Multistep
from latentflow.flow.solvers import PREDICTOR_CORRECTORS, SOLVERS, solver_of
from latentflow.score.oracles import GaussianOracle

GRID = np.linspace(math.log(0.05), math.log(10.0), 15)


def oracle():
    covariance = torch.tensor([[1.2, 0.5], [0.5, 0.7]], dtype=torch.float64)
    return GaussianOracle(torch.zeros(2, dtype=torch.float64), covariance)


def integrated(solver, grid):
    law, y = oracle(), torch.tensor([[0.4, -1.0], [1.5, 0.3]], dtype=torch.float64)
    return solver.integrate(
        lambda u, state: law.v_prediction(state, math.exp(u)),
        y,
        grid if isinstance(grid, torch.Tensor) else list(grid),
    )


@pytest.mark.parametrize(("share", "order"), [(None, 5), (0, 4), (1, 3), (2, 2)])
def test_a_whole_share_is_the_lower_order_itself(share, order):
    blend_weights = np.zeros((len(GRID) - 1, 2, LOWER_ORDERS))
    if share is not None:
        blend_weights[:, :, share] = 1.0
    found = integrated(solver_of("pec5", np.stack([blend_weights, blend_weights])), GRID)
    lower = integrated(Multistep("v_prediction", order, corrector=True), GRID)
    torch.testing.assert_close(found, lower, atol=1e-14, rtol=0)


def test_predictor_and_corrector_have_shares_of_their_own():
    steps, blend_weights = len(GRID) - 1, np.zeros((len(GRID) - 1, 2, LOWER_ORDERS))
    blend_weights[:, 0, 0], blend_weights[:, 1, 0] = 0.5, 0.25
    plans = [
        SOLVERS["pec5"].plan(GRID.tolist()),
        Blended.of(PREDICTOR_CORRECTORS["pec5"], blend_weights).plan(GRID.tolist()),
        SOLVERS["pec4"].plan(GRID.tolist()),
    ]
    assert len(plans[1]) == steps
    for high, between, low in zip(*plans, strict=True):
        for part, share in (("predictor", 0.5), ("corrector", 0.25)):
            own, other = np.array(getattr(high, part)), np.array(getattr(low, part))
            padded = np.pad(other, (0, len(own) - len(other)))
            np.testing.assert_allclose(getattr(between, part), (1 - share) * own + share * padded, atol=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_shares_the_method_converges_with_its_lowest_order(seed):
    exact = integrated(SOLVERS["dp5"], np.linspace(GRID[0], GRID[-1], 400))
    rng, errors = np.random.default_rng(seed), []
    drawn = rng.uniform(-1, 1, (2, LOWER_ORDERS))
    for steps in (40, 80, 160):
        solver = solver_of("pec5", np.tile(drawn, (2, steps, 1, 1)))
        errors.append(float((integrated(solver, np.linspace(GRID[0], GRID[-1], steps + 1)) - exact).norm()))
    orders = -np.diff(np.log2(errors))
    assert (orders > 1.7).all()
    assert errors[-1] < 1e-3


def test_shares_can_be_differentiated():
    blend_weights = torch.zeros(len(GRID) - 1, 2, LOWER_ORDERS, dtype=torch.float64, requires_grad=True)
    solver = Blended.of(PREDICTOR_CORRECTORS["pec5"], blend_weights)
    (gradient,) = torch.autograd.grad(integrated(solver, torch.as_tensor(GRID)).square().sum(), blend_weights)
    step, at = 1e-6, (7, 1, 1)

    def value(by):
        moved = np.zeros(blend_weights.shape)
        moved[at] = by
        return float(integrated(Blended.of(PREDICTOR_CORRECTORS["pec5"], moved), GRID).square().sum())

    assert float(gradient[at]) == pytest.approx((value(step) - value(-step)) / (2 * step), rel=1e-5)
    # the first step has one value, whatever the order
    assert float(gradient[0, 0].abs().max()) == 0


def test_only_a_predictor_corrector_can_be_blended():
    with pytest.raises(KeyError):
        solver_of("rk4", np.zeros((2, 3, 2, LOWER_ORDERS)))
    assert solver_of("rk4", None) is SOLVERS["rk4"]


def test_the_way_back_has_shares_of_its_own():
    there, back = np.zeros((2, len(GRID) - 1, 2, LOWER_ORDERS))
    there[..., 0], back[..., 1] = 1.0, 1.0
    solver = solver_of("pec5", np.stack([there, back]))
    torch.testing.assert_close(
        integrated(solver, GRID), integrated(SOLVERS["pec4"], GRID), atol=1e-14, rtol=0
    )
    returned = integrated(solver.returning, GRID[::-1])
    torch.testing.assert_close(returned, integrated(SOLVERS["pec3"], GRID[::-1]), atol=1e-14, rtol=0)
