"""The orthonormal functions of ranks and the null of their cross-moments."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chi2, norm

from latentflow.analysis.dependence.hermite import (
    empirical_p_values,
    hermite_functions,
    null_p_values,
    pair_sums,
    simulated_null,
)


@pytest.mark.parametrize("n", [50, 1001])
def test_functions_are_orthonormal_on_the_sample(n: int) -> None:
    x = np.random.default_rng(0).standard_normal((n, 2))
    x[:, 1] = np.round(x[:, 1], 1)  # ties
    functions, count = hermite_functions(x)
    np.testing.assert_allclose(functions.sum(axis=1), 0.0, atol=1e-8)
    for block in functions.reshape(2, 4, n):
        np.testing.assert_allclose(block @ block.T / n, np.eye(4), atol=1e-10)
    assert count.tolist() == [4, 4]


def test_first_function_is_the_cut_normal_score() -> None:
    n = 2000
    x = np.random.default_rng(0).standard_normal((n, 1))
    functions, _ = hermite_functions(x)
    cut = norm.ppf(0.99)
    assert np.corrcoef(functions[0], np.clip(x[:, 0], -cut, cut))[0, 1] > 0.999
    assert np.corrcoef(functions[1], np.clip(x[:, 0], -cut, cut) ** 2)[0, 1] > 0.99


def test_only_ranks_matter() -> None:
    x = np.random.default_rng(0).standard_normal((300, 1))
    np.testing.assert_array_equal(hermite_functions(x)[0], hermite_functions(np.exp(3 * x))[0])


def test_columns_with_few_values_carry_few_functions() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, 2, 200), np.ones(200), rng.integers(0, 3, 200)], axis=1).astype(float)
    functions, count = hermite_functions(x)
    assert count.tolist() == [1, 0, 2]
    assert np.abs(functions[4:8]).max() == 0.0


def test_null_mean_is_sixteen_exactly_over_all_pairings() -> None:
    n = 6
    functions, count = hermite_functions(np.random.default_rng(0).standard_normal((n, 2)))
    assert count.tolist() == [4, 4]
    a, b = functions[:4], functions[4:]
    sums = [((a @ b[:, list(order)].T / n) ** 2).sum() for order in permutations(range(n))]
    assert (n - 1) * np.mean(sums) == pytest.approx(16.0, rel=1e-9)


@pytest.mark.parametrize("n", [300, 3000])
def test_simulated_null_keeps_its_levels_where_chi_square_does_not(n: int) -> None:
    ladder, _ = hermite_functions(np.arange(n, dtype=float)[:, None])
    rng = np.random.default_rng(123)
    functions = np.concatenate([ladder[:, rng.permutation(n)] for _ in range(120)])
    statistic = (n - 1) * pair_sums((functions @ functions.T / n) ** 2)[np.triu_indices(120, 1)]
    p = null_p_values(statistic, np.full(len(statistic), 16), n)
    assert statistic.mean() == pytest.approx(16.0, abs=0.35)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.009)
    assert (p < 0.001).mean() < 0.0025
    if n == 300:
        assert (chi2.sf(statistic, 16) < 0.001).mean() > 0.003


def test_p_values_fall_on_through_the_simulated_tail() -> None:
    null = simulated_null(200)
    assert simulated_null(200) is null
    assert not null.flags.writeable
    p = empirical_p_values(np.linspace(0.0, 400.0, 300), null)
    assert p[0] == pytest.approx(1.0, abs=1e-4)
    assert (np.diff(p) <= 1e-12).all()
    assert 0.0 < p[-1] < 1e-15
    at = np.quantile(null, 0.999)
    assert empirical_p_values(np.array([at * 1.0001]), null)[0] == pytest.approx(1e-3, rel=0.05)


def test_moments_that_do_not_exist_give_p_one() -> None:
    p = null_p_values(np.array([0.0, 5.0]), np.array([0, 1]), 100)
    assert p[0] == 1.0
    assert p[1] == pytest.approx(chi2.sf(5.0, 1))
