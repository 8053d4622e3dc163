"""Total variation and energy distance, and how they fall with steps."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from latentflow.geometry.convergence import (
    energy_difference,
    energy_distance,
    euler_sampling,
    step_convergence,
)
from latentflow.geometry.trajectories import decreasing_grid, sampling_trajectory
from latentflow.score.oracles import IndependentOracle
from reports.geometry.total_variation import total_variation, total_variation_in_1d
from tests.geometry.mixtures import F64, gaussian, latents, mixture

SIGMAS = (0.02, 15.0)


def euler_scale(variance, grid):
    """Factor by which Euler's steps scale a Gaussian row of this variance."""
    factor = 1.0
    for sigma, to in pairwise(grid):
        factor *= 1 + (to - sigma) * sigma / (variance + sigma**2)
    return factor


def between_normals(a, b, d):
    """Total variation between N(0, a² I) and N(0, b² I) in d dimensions."""
    low, high = min(a, b), max(a, b)
    squared = 2 * d * np.log(high / low) / (1 / low**2 - 1 / high**2)  # where the densities cross
    return chi2.cdf(squared / low**2, d) - chi2.cdf(squared / high**2, d)


@pytest.mark.parametrize("steps", [4, 16])
def test_total_variation_of_a_gaussian_in_closed_form(steps):
    grid = decreasing_grid(*SIGMAS, steps)
    law = gaussian(torch.tensor([0.7]))
    spread = euler_scale(0.7, grid) * np.sqrt(0.7 + SIGMAS[1] ** 2)
    expected = between_normals(spread, np.sqrt(0.7 + SIGMAS[0] ** 2), 1)
    found = total_variation_in_1d(law, grid)
    assert found == pytest.approx(expected, rel=1e-4)
    draws = latents(4000, 1, seed=4) * np.sqrt(0.7 + SIGMAS[1] ** 2)
    assert not total_variation(law, draws, grid).excludes(expected)


def test_total_variation_halves_with_twice_the_steps():
    law = mixture(1)
    values = [total_variation_in_1d(law, decreasing_grid(*SIGMAS, n)) for n in (64, 128, 256)]
    for coarse, fine in pairwise(values):
        assert coarse / fine == pytest.approx(2, rel=0.05)


def test_total_variation_grows_more_slowly_than_the_coordinates():
    source, grid = gaussian(torch.tensor([0.3])), decreasing_grid(*SIGMAS, 32)
    spread = euler_scale(0.3, grid) * np.sqrt(0.3 + SIGMAS[1] ** 2)
    found = []
    for d in (1, 4):
        law = IndependentOracle(torch.eye(d, dtype=F64), [source] * d)
        draws = latents(2000, d, seed=d) * np.sqrt(0.3 + SIGMAS[1] ** 2)
        found.append(total_variation(law, draws, grid))
        assert not found[-1].excludes(between_normals(spread, np.sqrt(0.3 + SIGMAS[0] ** 2), d))
    assert found[0].estimate < found[1].estimate < 4 * found[0].estimate


def test_energy_distance_against_pairs_by_hand():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 2)), rng.normal(1, 1, (5, 2))

    def mean(a, b, same):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (same and i == j)]
        return np.mean([np.linalg.norm(a[i] - b[j]) for i, j in pairs])

    expected = 2 * mean(x, y, False) - mean(x, x, True) - mean(y, y, True)
    assert energy_distance(x, y).estimate == pytest.approx(expected)
    base = x + 0.1 * rng.normal(size=x.shape)
    difference = energy_distance(x, y).estimate - energy_distance(base, y).estimate
    assert energy_difference(x, base, y).estimate == pytest.approx(difference)


def test_intervals_of_energy_distances_are_as_wide_as_estimates_vary():
    rng, found = np.random.default_rng(1), []
    for _ in range(400):
        z, y = rng.normal(size=(50, 1)), rng.normal(size=(200, 1))
        found.append((energy_distance(z + 2, y), energy_difference(z + 2, z + 1, y)))
    for each in zip(*found, strict=True):
        spread = np.std([interval.estimate for interval in each])
        told = np.mean([interval.half_width for interval in each]) / 1.96
        assert told == pytest.approx(spread, rel=0.12)


def test_samples_converge_at_first_order():
    law, z = mixture(), latents(200, 3)
    states = sampling_trajectory(law, z, decreasing_grid(*SIGMAS))
    found = step_convergence(law, states[0], states[-1], latents(200, 3, seed=9), *SIGMAS, (40, 80, 160))
    for coarse, fine in pairwise(found):
        assert coarse.error / fine.error == pytest.approx(2, rel=0.15)
    assert abs(found[-1].excess.estimate) < 0.01


def test_euler_of_a_gaussian():
    grid = decreasing_grid(*SIGMAS, 7)
    x = latents(5, 1)
    torch.testing.assert_close(
        euler_sampling(gaussian(torch.tensor([0.4])), x, grid), x * euler_scale(0.4, grid)
    )
