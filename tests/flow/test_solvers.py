"""Every solver converges at the order it states, and costs the evaluations it states."""

import math

import numpy as np
import pytest
import torch

from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.solvers import SOLVERS, integrate


def _error(solver, steps):
    """Error at u = 2 of dy/du = −y + sin 3u·y², a smooth non-linear problem, against a fine RK4."""
    drift = lambda u, y: -y + math.sin(3 * u) * y * y  # noqa: E731
    start = torch.tensor([0.4, 0.9, -0.7], dtype=torch.float64)
    exact = integrate(SOLVERS["rk4"], drift, start, np.linspace(0, 2, 3001).tolist())
    return float((integrate(solver, drift, start, np.linspace(0, 2, steps + 1).tolist()) - exact).abs().max())


@pytest.mark.parametrize("name", SOLVERS)
def test_order_of_convergence(name):
    solver = SOLVERS[name]
    steps = 64 if solver.order < 4 else 48
    measured = math.log2(_error(solver, steps) / _error(solver, 2 * steps))
    assert abs(measured - solver.order) < 0.35


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_evaluations_are_counted_right(name, steps):
    calls = []

    def drift(u, y):
        calls.append(u)
        return -y

    integrate(SOLVERS[name], drift, torch.ones(1), np.linspace(0, 1, steps + 1).tolist())
    assert len(calls) == SOLVERS[name].evaluations(steps)


def test_integrating_there_and_back():
    drift = lambda u, y: torch.cos(y)  # noqa: E731
    y = torch.tensor([0.3, -1.0], dtype=torch.float64)
    grid = np.linspace(0, 1, 60).tolist()
    there = integrate(SOLVERS["ab4"], drift, y, grid)
    np.testing.assert_allclose(integrate(SOLVERS["ab4"], drift, there, grid[::-1]), y, atol=1e-6)


def test_grid_refuses_disordered_noise_levels():
    np.testing.assert_allclose(log_uniform_grid(0.1, 10, 2), [0.1, 1, 10])
    with pytest.raises(ValueError, match="sigma_min < sigma_max"):
        log_uniform_grid(1.0, 0.5, 3)
