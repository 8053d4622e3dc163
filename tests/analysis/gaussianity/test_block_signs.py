"""Signs of blocks: what is counted, how long blocks are, level and power on autocorrelated rows."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.special import ndtr
from scipy.stats import binom

from latentflow.analysis.gaussianity import block_signs
from latentflow.analysis.gaussianity.marginal import anderson_darling, gaussianity, radius_test


def autoregressive(n: int, d: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((n + 300, d))
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[300:]


def test_counts_give_the_statistic_itself() -> None:
    z = np.random.default_rng(0).standard_normal(2000) + 0.1
    numbers = block_signs.block_numbers(2000, 90)
    excess = block_signs.excess_counts(ndtr(z), numbers)
    u, level = ndtr(z), block_signs.LEVELS[20]
    assert excess[3, 20] == pytest.approx((u[270:360] < level).sum() - 90 * level)
    step = 16.0 / len(block_signs.LEVELS)
    assert (excess.sum(axis=0) ** 2).sum() * step / 2000 == pytest.approx(anderson_darling(z), rel=0.03)


def test_blocks() -> None:
    assert block_signs.signed_block(19.0, 2000) == 76
    assert block_signs.signed_block(19.0, 300) is None
    assert block_signs.signed_block(1.0, 50_000) == 100
    assert block_signs.signed_block(9.5, 50_000) == 114
    assert block_signs.signed_block(9.5, 5_000) == 100
    numbers = block_signs.block_numbers(1030, 100)
    assert np.bincount(numbers).tolist() == [100] * 9 + [130]
    assert np.bincount(block_signs.block_numbers(1080, 100)).tolist() == [100] * 10 + [80]


def test_level_of_single_latents_and_the_radius() -> None:
    """Neither too often, as when rows count as independent, nor next to never."""
    rng = np.random.default_rng(1)
    latent, radius, reps = 0, 0, 150
    for _ in range(reps):
        z = autoregressive(1500, 1, 0.8, rng)
        latent += gaussianity(z, ("a",), dependent=True).latents[0].p_value <= 0.05
        radius += radius_test(z, dependent=True).p_value <= 0.05
    assert binom.ppf(0.005, reps, 0.05) <= latent <= binom.ppf(0.999, reps, 0.05)
    assert binom.ppf(0.005, reps, 0.05) <= radius <= binom.ppf(0.999, reps, 0.05)


def test_wrong_latents_are_found() -> None:
    rng = np.random.default_rng(2)
    z = autoregressive(4000, 3, 0.8, rng)
    z[:, 1] = np.sign(z[:, 1]) * np.abs(z[:, 1]) ** 1.8
    z[:, 2] += 0.5
    found = gaussianity(z, ("a", "b", "c"), dependent=True)
    good, wrong, shifted = found.latents
    assert good.p_value > 0.01
    assert wrong.p_holm < 0.01
    assert shifted.p_holm < 0.01
    assert found.radius.p_value < 0.01


def test_p_values_of_the_largest_and_of_pairs() -> None:
    rng = np.random.default_rng(3)
    signed = block_signs.signs(40, rng)
    assert set(np.unique(signed)) == {-1.0, 1.0}
    excess = rng.standard_normal((40, 5, 64))
    single = block_signs.squared_p(excess[:, 0], signed)
    assert block_signs.largest_squared_p(excess[:, :1], signed) == pytest.approx(single)
    excess[:, 3] += 1.0
    assert block_signs.largest_squared_p(excess, signed) < 0.01
    sums = np.ones((40, 40))
    np.fill_diagonal(sums, 0.0)
    assert block_signs.pairs_p(sums, signed) < 0.01
    assert block_signs.pairs_p(-sums, signed) > 0.5
