"""Joint Gaussianity: closed forms, level under independent and autocorrelated rows, and power."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom, kstest, norm

from latentflow.analysis.gaussianity.energy import (
    block_energy,
    energy_kernel,
    energy_p_value,
    mean_distance,
    unbiased_energy,
)
from latentflow.analysis.gaussianity.joint import joint_gaussianity
from latentflow.analysis.gaussianity.marginal import anderson_darling
from latentflow.analysis.gaussianity.projections import largest_draws, random_directions


def autoregressive(n: int, d: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((n + 300, d))
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[300:]


@pytest.mark.parametrize(("d", "norm_"), [(1, 0.0), (1, 3.0), (3, 2.0), (50, 10.0), (200, 300.0)])
def test_mean_distance_against_draws(d: int, norm_: float) -> None:
    draws = np.random.default_rng(0).standard_normal((40_000, d))
    draws[:, 0] -= norm_
    distances = np.linalg.norm(draws, axis=1)
    found = float(mean_distance(np.array([norm_**2]), d)[0])
    assert found == pytest.approx(distances.mean(), abs=5 * distances.std() / 200)
    if d == 1:  # the folded normal
        assert found == pytest.approx(2 * norm.pdf(norm_) + norm_ * (1 - 2 * norm.cdf(-norm_)))


def test_energy_is_the_mean_over_pairs() -> None:
    rng = np.random.default_rng(1)
    z = rng.standard_normal((2300, 3)) + 0.2
    kernel = energy_kernel(z, z)
    by_hand = (kernel.sum() - np.trace(kernel)) / (2300 * 2299)
    assert unbiased_energy(z) == pytest.approx(by_hand)
    numbers = np.minimum(np.arange(2300) // 100, 22)
    sums = block_energy(z, numbers)
    assert sums.shape == (23, 23)
    assert sums[2, 7] == pytest.approx(kernel[200:300, 700:800].sum())


@pytest.mark.parametrize(("n", "d", "reps"), [(40, 2, 400), (300, 2, 300), (300, 10, 300), (300, 50, 300)])
def test_level_of_the_energy_test(n: int, d: int, reps: int) -> None:
    rng = np.random.default_rng(2)
    p = [energy_p_value(unbiased_energy(rng.standard_normal((n, d))), n, d) for _ in range(reps)]
    assert binom.ppf(0.001, reps, 0.05) <= np.sum(np.array(p) <= 0.05) <= binom.ppf(0.999, reps, 0.05)
    assert kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("d", [1, 2, 10, 50])
def test_null_of_the_largest_projection(d: int) -> None:
    rng = np.random.default_rng(3)
    directions = random_directions(d, 40, rng)
    draws = largest_draws(directions, rng)
    largest = [
        max(anderson_darling(column) for column in (rng.standard_normal((100, d)) @ directions.T).T)
        for _ in range(150)
    ]
    assert kstest(np.searchsorted(np.sort(draws), largest) / len(draws), "uniform").pvalue > 1e-3
    # One direction has the law of a single A², many have a larger maximum.
    assert (np.quantile(draws, 0.95) > 3.5) == (d > 1)


def test_level_as_a_whole() -> None:
    rng = np.random.default_rng(4)
    found = [joint_gaussianity(rng.standard_normal((200, 4)), rng) for _ in range(15)]
    limit = binom.ppf(0.999, 15, 0.05)
    assert sum(result.energy_p <= 0.05 for result in found) <= limit
    assert sum(result.projection_p <= 0.05 for result in found) <= limit
    assert abs(np.mean([result.energy for result in found])) < 1e-3
    assert {result.null for result in found} == {"N(0, I)"}


def test_power() -> None:
    rng = np.random.default_rng(5)
    z = rng.standard_normal((2000, 5))
    turned = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    skewed = np.concatenate([rng.exponential(size=(2000, 2)) - 1.0, z[:, 2:]], axis=1) @ turned
    found = joint_gaussianity(skewed, rng)
    assert found.energy_p < 1e-6
    assert found.projection_p < 1e-6
    # Normal column by column, but one size for all: only jointly not N(0, I).
    same = np.abs(z[:, :1]) * np.sign(z)
    assert joint_gaussianity(same, rng).energy_p < 1e-6
    shifted = joint_gaussianity(z + 3.0, rng)
    assert 0.3 < shifted.energy < 1.0
    assert shifted.n_rows == 2000


@pytest.mark.parametrize("draws", [10, pytest.param(30, marks=pytest.mark.full)])
def test_serial_rows_keep_the_level(draws: int) -> None:
    rng = np.random.default_rng(6)
    aware, naive = [], []
    for _ in range(draws):
        z = autoregressive(2400, 2, 0.8, rng)
        aware.append(joint_gaussianity(z, rng, block=40))
        naive.append(energy_p_value(unbiased_energy(z), *z.shape))
    limit = binom.ppf(0.999, draws, 0.05)
    assert sum(result.energy_p <= 0.05 for result in aware) <= limit
    assert sum(result.projection_p <= 0.05 for result in aware) <= limit
    assert sum(p <= 0.05 for p in naive) > draws / 2
    assert aware[0].null == "sign-flipped blocks"


def test_serial_rows_that_are_not_normal_are_found() -> None:
    rng = np.random.default_rng(7)
    z = autoregressive(3000, 3, 0.8, rng)
    wrong = joint_gaussianity(np.abs(z) * 1.7 - 1.3, rng, block=40)
    assert wrong.null == "sign-flipped blocks"
    assert wrong.energy_p < 0.01
    assert wrong.projection_p < 0.01


def test_too_few_blocks_fall_back_on_thinned_rows() -> None:
    rng = np.random.default_rng(8)
    found = joint_gaussianity(autoregressive(400, 2, 0.95, rng), rng, block=20)
    assert found.null == "N(0, I), thinned rows"
    assert found.n_rows < 40
    few = joint_gaussianity(rng.standard_normal((3, 2)), rng, block=1)
    assert (few.energy_p, few.projection_p) == (1.0, 1.0)
