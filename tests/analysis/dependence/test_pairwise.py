"""Pairwise dependence: type-I error, power, effect sizes, spanning tree; independent and serial rows."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom, kstest

from latentflow.analysis.dependence.pairwise import pairwise_dependence, spanning_tree_bound


def autoregressive(n: int, d: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((n + 500, d))
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[500:]


def chain(n: int, d: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((n, d))
    for j in range(1, d):
        z[:, j] = rho * z[:, j - 1] + np.sqrt(1 - rho**2) * z[:, j]
    return z


@pytest.mark.parametrize(("n", "d", "seeds"), [(300, 2, 400), (300, 10, 100), (3000, 10, 60), (300, 50, 60)])
def test_family_wise_error_of_the_worst_pair(n: int, d: int, seeds: int) -> None:
    rng = np.random.default_rng(2)
    rejected = sum(
        pairwise_dependence(rng.standard_normal((n, d)), "x").max_p_adjusted < 0.05 for _ in range(seeds)
    )
    assert rejected <= binom.ppf(0.999, seeds, 0.05)
    if d == 2:
        assert rejected >= binom.ppf(0.001, seeds, 0.05)


def test_p_values_are_uniform_whatever_the_marginals() -> None:
    rng = np.random.default_rng(4)
    p = []
    for _ in range(30):
        x = np.stack([rng.standard_t(2, 400), rng.random(400), np.exp(3 * rng.standard_normal(400))], axis=1)
        p.append(pairwise_dependence(x, "x").p_value[np.triu_indices(3, 1)])
    assert kstest(np.concatenate(p), "uniform").pvalue > 0.01


def test_planted_square_among_ten_columns_is_found() -> None:
    found, seeds = 0, 40
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        z = rng.standard_normal((2000, 10))
        planted = z[:, 3] ** 2 + 2.0 * rng.standard_normal(2000)
        z[:, 7] = (planted - planted.mean()) / planted.std()
        result = pairwise_dependence(z, "z")
        found += result.max_p_adjusted < 0.05 and result.max_pair == (3, 7)
    assert found >= 0.9 * seeds


def test_effect_size_is_mutual_information_where_weak() -> None:
    for rho in (0.1, 0.3):
        found = [
            pairwise_dependence(chain(10_000, 2, rho, np.random.default_rng(s)), "x").max_nats
            for s in range(20)
        ]
        assert np.mean(found) == pytest.approx(-0.5 * np.log(1 - rho**2), rel=0.1)


def test_magnitudes_that_move_together_are_found() -> None:
    rng = np.random.default_rng(0)
    common = np.exp(0.5 * rng.standard_normal(3000))
    z = rng.standard_normal((3000, 3))
    z[:, :2] *= common[:, None]
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 0.05
    result = pairwise_dependence(z, "z")
    assert result.max_pair == (0, 1)
    assert result.max_p_adjusted < 1e-6


def test_record_is_consistent() -> None:
    x = chain(500, 4, 0.5, np.random.default_rng(0))
    result = pairwise_dependence(x, "raw", label="Raw", columns=("a", "b", "c", "d"))
    for matrix, diagonal in ((result.nats, 0.0), (result.statistic, 0.0), (result.p_value, 1.0)):
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)
        np.testing.assert_array_equal(np.diag(matrix), diagonal)
    i, j = result.max_pair
    assert i < j
    assert result.max_nats == result.nats[i, j] == result.nats.max()
    assert (result.name, result.label, result.columns) == ("raw", "Raw", ("a", "b", "c", "d"))
    assert result.null == "simulated"
    assert result.n_rows == 500
    assert pairwise_dependence(np.random.default_rng(0).random((10_000, 2)), "x").null == "chi2"


def test_the_strongest_pair_is_two_columns_where_all_pairs_are_at_zero() -> None:
    named = 0
    for seed in range(8):
        pair = pairwise_dependence(np.random.default_rng(seed).standard_normal((400, 2)), "x")
        assert pair.max_pair == (0, 1)
        named += pair.max_nats == 0.0
    assert named > 0


def test_one_column_and_a_constant_column_are_harmless() -> None:
    rng = np.random.default_rng(0)
    single = pairwise_dependence(rng.standard_normal((100, 1)), "x")
    assert single.max_nats == 0.0
    assert single.max_pair == (0, 0)
    assert single.max_p_adjusted == 1.0
    x = rng.standard_normal((100, 3))
    x[:, 1] = 2.0
    for block in (None, 5):
        result = pairwise_dependence(x, "x", block=block)
        assert np.isfinite(result.nats).all()
        assert np.isfinite(result.p_value).all()
        assert result.p_value[0, 1] == 1.0
        assert result.nats[0, 1] == 0.0


def test_tree_is_zero_on_average_and_its_interval_covers_zero() -> None:
    rng = np.random.default_rng(8)
    trees = [spanning_tree_bound(rng.standard_normal((1000, 12))) for _ in range(80)]
    estimates = np.array([tree.estimate for tree in trees])
    assert abs(estimates.mean()) < 3 * estimates.std() / np.sqrt(80)
    assert sum(not tree.excludes(0.0) for tree in trees) >= binom.ppf(0.001, 80, 0.95)


def test_tree_bounds_the_total_correlation_of_a_chain_from_below() -> None:
    rho, truth = 0.3, -4.5 * np.log(1 - 0.3**2)
    trees = [spanning_tree_bound(chain(3000, 10, rho, np.random.default_rng(s))) for s in range(20)]
    assert np.mean([tree.estimate for tree in trees]) == pytest.approx(truth, rel=0.12)
    assert np.mean([tree.low > 0.0 for tree in trees]) == 1.0
    promised = np.mean([tree.half_width for tree in trees]) / 1.96
    assert 0.8 < promised / np.std([tree.estimate for tree in trees]) < 2.0


def test_tree_counts_each_dependence_once() -> None:
    """Three copies of one column have three dependent pairs; a tree holds two."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((4000, 1))
    x = 0.5 * common + rng.standard_normal((4000, 3))
    result = pairwise_dependence(x, "x")
    upper = result.nats[np.triu_indices(3, 1)]
    assert result.tree.estimate == pytest.approx(upper.sum() * 2 / 3, rel=0.15)


@pytest.mark.parametrize(("n", "phi"), [(1000, 0.6), (3000, 0.95)])
def test_circular_shifts_hold_the_level_for_serial_rows(n: int, phi: float) -> None:
    rng = np.random.default_rng(6)
    upper = np.triu_indices(8, 1)
    shifted, naive, worst = [], [], 0
    for _ in range(30):
        x = autoregressive(n, 8, phi, rng)
        result = pairwise_dependence(x, "x", block=50)
        shifted.append(result.p_value[upper])
        worst += result.max_p_adjusted < 0.05
        naive.append(pairwise_dependence(x, "x").p_value[upper])
    assert np.mean(np.concatenate(shifted) < 0.05) == pytest.approx(0.05, abs=0.022)
    assert worst <= binom.ppf(0.999, 30, 0.05)
    assert np.mean(np.concatenate(naive) < 0.05) > 0.1
    assert result.null == "circular shifts"


def test_circular_shifts_keep_their_power() -> None:
    rng = np.random.default_rng(7)
    x = autoregressive(3000, 6, 0.8, rng)
    x[:, 4] = x[:, 1] ** 2 + x[:, 4]
    result = pairwise_dependence(x, "x", block=50)
    assert result.max_pair == (1, 4)
    assert result.max_p_adjusted < 1e-4


def test_circular_shifts_agree_with_the_plain_null_on_independent_rows() -> None:
    x = np.random.default_rng(0).standard_normal((2000, 8))
    upper = np.triu_indices(8, 1)
    plain, shifted = pairwise_dependence(x, "x"), pairwise_dependence(x, "x", block=1)
    np.testing.assert_allclose(shifted.nats, plain.nats, atol=2e-4)
    assert np.corrcoef(shifted.p_value[upper], plain.p_value[upper])[0, 1] > 0.99
