"""Trajectories against the flow in closed form, and the tie between the two."""

import numpy as np
import pytest
import torch

from latentflow.flow.runge_kutta import EULER
from latentflow.geometry.trajectories import (
    decreasing_grid,
    denoising_trajectory,
    follow,
    sampling_trajectory,
)
from tests.geometry.mixtures import F64, gaussian, latents, mixture

GRID = decreasing_grid(0.01, 15.0)


def test_a_gaussian_follows_its_flow():
    oracle = gaussian(torch.tensor([0.5, 1.0, 2.0]))
    z = latents(20, 3)
    states = sampling_trajectory(oracle, z, GRID)
    start = z * np.sqrt(1 + GRID[0] ** 2)
    torch.testing.assert_close(states[0], start, rtol=1e-14, atol=0)
    for at in (40, 90, 128):
        torch.testing.assert_close(states[at], oracle.flow(start, GRID[0], GRID[at]), rtol=1e-6, atol=1e-6)


def test_fewer_order_more_error():
    oracle, z = mixture(), latents(20, 3)
    fine = sampling_trajectory(oracle, z, GRID)[-1]
    euler = sampling_trajectory(oracle, z, GRID, solver=EULER)[-1]
    assert 1e-3 < float((euler - fine).abs().max()) < 1.0


def test_the_slope_is_the_derivative_along_the_trajectory():
    oracle = mixture()
    grid = decreasing_grid(0.05, 5.0, 400)
    states = sampling_trajectory(oracle, latents(10, 3), grid)
    values, slopes = denoising_trajectory(oracle, states, grid)
    torch.testing.assert_close(values[7], oracle(states[7], float(grid[7])))
    du = float(np.log(grid[1] / grid[0]))
    differences = (values[:-4] - 8 * values[1:-3] + 8 * values[3:-1] - values[4:]) / (12 * du)
    torch.testing.assert_close(differences, slopes[2:-2], rtol=2e-4, atol=2e-5)


def test_everything_is_double_on_the_cpu_whatever_the_model():
    oracle = mixture().to(torch.float32)
    paths = follow(oracle, latents(4, 3).float(), GRID)
    assert {part.dtype for part in (paths.sampling, paths.denoising, paths.slope)} == {np.dtype(np.float64)}
    assert (paths.rows, paths.dimension) == (4, 3)


@pytest.mark.parametrize("sigmas", [[0.1, 1.0], [1.0], [1.0, 1.0], [1.0, 0.0]])
def test_a_grid_must_fall(sigmas):
    with pytest.raises(ValueError, match="strictly decreasing"):
        sampling_trajectory(mixture(), latents(2, 3), sigmas)


def test_a_point_mass_is_seen_from_anywhere():
    oracle = gaussian(torch.zeros(2, dtype=F64))
    paths = follow(oracle, latents(5, 2), GRID)
    np.testing.assert_allclose(paths.denoising, 0, atol=1e-12)
    np.testing.assert_allclose(paths.slope, 0, atol=1e-12)
