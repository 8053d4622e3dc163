"""Grids by dynamic programming."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from latentflow.geometry.convergence import euler_sampling
from latentflow.geometry.trajectories import decreasing_grid, follow, sampling_trajectory
from reports.geometry.grid_programme import euler_errors, programmed_grid, shortest_path
from tests.geometry.mixtures import latents, mixture


def test_the_path_is_the_cheapest_of_all():
    rng = np.random.default_rng(0)
    for _ in range(20):
        costs = np.where(np.triu(np.ones((8, 8)), 1) > 0, rng.exponential(size=(8, 8)), np.inf)
        for steps in (1, 2, 4, 7):
            path = shortest_path(costs, steps)
            assert (len(path), path[0], path[-1]) == (steps + 1, 0, 7)
            every = ([0, *inner, 7] for inner in combinations(range(1, 7), steps - 1))
            best = min(sum(costs[a, b] for a, b in pairwise(each)) for each in every)
            assert sum(costs[a, b] for a, b in pairwise(path)) == pytest.approx(best)


def test_too_many_steps_are_refused():
    with pytest.raises(ValueError, match="no path of 9 steps"):
        shortest_path(np.where(np.triu(np.ones((5, 5)), 1) > 0, 1.0, np.inf), 9)


def test_local_errors_are_those_of_a_step():
    oracle = mixture()
    paths = follow(oracle, latents(15, 3), decreasing_grid(0.02, 10.0, 40))
    errors = euler_errors(paths)
    assert np.isinf(errors[np.tril_indices(41)]).all()
    with torch.no_grad():
        reached = euler_sampling(oracle, torch.as_tensor(paths.sampling[10]), paths.sigmas[[10, 25]]).numpy()
    expected = np.linalg.norm(reached - paths.sampling[25], axis=1).mean() / np.sqrt(
        1 + paths.sigmas[25] ** 2
    )
    assert errors[10, 25] == pytest.approx(expected)


def test_it_beats_a_uniform_grid_on_other_latents():
    oracle = mixture()
    dense = decreasing_grid(0.02, 15.0)
    paths = follow(oracle, latents(100, 3, seed=2), dense)
    states = sampling_trajectory(oracle, latents(200, 3, seed=3), dense)
    for steps in (5, 8):
        errors = [
            (euler_sampling(oracle, states[0], grid) - states[-1]).norm(dim=1).mean()
            for grid in (programmed_grid(paths, steps), decreasing_grid(0.02, 15.0, steps))
        ]
        assert errors[0] < errors[1]
