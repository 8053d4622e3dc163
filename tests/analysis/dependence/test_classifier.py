"""The joint test: type-I error, power, what no pair shows, the bound on total correlation, serial rows."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from latentflow.analysis.dependence.classifier import joint_dependence, permuted, shifted
from latentflow.analysis.dependence.pairwise import pairwise_dependence


def autoregressive(n: int, d: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((n + 500, d))
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[500:]


def chain(n: int, d: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((n, d))
    for j in range(1, d):
        z[:, j] = rho * z[:, j - 1] + np.sqrt(1 - rho**2) * z[:, j]
    return z


def sign_product(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Any two columns are independent, three are not; total correlation log 2."""
    z = rng.standard_normal((n, d))
    z[:, 2] = np.abs(z[:, 2]) * np.sign(z[:, 0] * z[:, 1])
    return z


@pytest.mark.parametrize(("n", "d", "seeds"), [(300, 2, 60), (300, 10, 40), (300, 50, 20), (1500, 10, 16)])
def test_type_one_error(n: int, d: int, seeds: int) -> None:
    rng = np.random.default_rng(n + d)
    found = [joint_dependence(rng.standard_normal((n, d)), "z", "z", rng) for _ in range(seeds)]
    assert sum(result.p_value < 0.05 for result in found) <= binom.ppf(0.999, seeds, 0.05)
    assert sum(result.tc_bound.low > 0.0 for result in found) <= binom.ppf(0.999, seeds, 0.05)
    assert np.mean([result.auc.estimate for result in found]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([result.tc_bound.estimate for result in found]) == pytest.approx(0.0, abs=0.08)


def test_p_values_are_not_piled_up_under_independence() -> None:
    rng = np.random.default_rng(0)
    p = [joint_dependence(rng.random((200, 3)), "z", "z", rng).p_value for _ in range(50)]
    assert binom.ppf(0.001, 50, 0.3) <= np.sum(np.array(p) < 0.3) <= binom.ppf(0.999, 50, 0.3)


def test_planted_square_among_ten_columns_is_found() -> None:
    found, seeds = 0, 20
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        z = rng.standard_normal((2000, 10))
        z[:, 7] = z[:, 3] ** 2 + 2.0 * rng.standard_normal(2000)
        found += joint_dependence(z, "z", "z", rng).p_value < 0.05
    assert found >= 0.9 * seeds


def test_dependence_that_no_pair_shows() -> None:
    bounds = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        z = sign_product(2000, 10, rng)
        assert pairwise_dependence(z, "z").max_p_adjusted > 1e-3
        result = joint_dependence(z, "z", "z", rng)
        assert result.p_value < 1e-6
        assert result.auc.low > 0.6
        bounds.append(result.tc_bound)
    assert all(bound.low > 0.0 for bound in bounds)
    assert 0.7 * np.log(2) < np.mean([bound.estimate for bound in bounds]) < np.log(2)


def test_bound_is_below_total_correlation_and_near_it() -> None:
    rng = np.random.default_rng(1)
    truth = -9 * 0.5 * np.log(1 - 0.4**2)
    found = [joint_dependence(chain(6000, 10, 0.4, rng), "z", "z", rng).tc_bound for _ in range(6)]
    assert 0.8 * truth < np.mean([bound.estimate for bound in found]) < truth
    assert sum(bound.low > truth for bound in found) == 0


@pytest.mark.parametrize(("n", "d"), [(300, 2), (900, 6)])
def test_type_one_error_of_serial_rows(n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    seeds = 30 if d == 2 else 16
    found = [
        joint_dependence(autoregressive(n, d, 0.9, rng), "z", "z", rng, block=n // 20) for _ in range(seeds)
    ]
    assert sum(result.p_value <= 0.05 for result in found) <= binom.ppf(0.999, seeds, 0.05)
    assert sum(result.tc_bound.low > 0.0 for result in found) <= binom.ppf(0.999, seeds, 0.05)
    assert min(result.p_value for result in found) >= 0.005


def test_serial_rows_that_depend_are_found() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        z = autoregressive(3000, 6, 0.9, rng)
        z[:, 1] = z[:, 0] ** 2 + 2.0 * z[:, 1]
        result = joint_dependence(z, "z", "z", rng, block=100)
        assert result.p_value == pytest.approx(1 / 200)
        assert "shifts" in result.null


def test_only_ranks_matter_and_a_seed_repeats() -> None:
    z = sign_product(400, 4, np.random.default_rng(0))
    first, again, bent = (
        joint_dependence(values, "z", "Z", np.random.default_rng(3)) for values in (z, z, np.exp(z))
    )
    assert first == again == bent
    assert (first.name, first.label, first.n_train, first.n_test) == ("z", "Z", 200, 200)


def test_shuffles_keep_columns_and_break_rows() -> None:
    functions = np.random.default_rng(0).standard_normal((8, 50))
    for shuffle in (permuted, shifted):
        mixed = shuffle(functions, np.random.default_rng(1))
        for rows in (slice(0, 4), slice(4, 8)):
            order = np.argsort(mixed[rows.start])
            np.testing.assert_array_equal(
                mixed[rows][:, order], functions[rows][:, np.argsort(functions[rows.start])]
            )
        assert not np.array_equal(np.argsort(mixed[0]), np.argsort(mixed[4]))


def test_degenerate_columns() -> None:
    rng = np.random.default_rng(0)
    alone = joint_dependence(rng.standard_normal((100, 1)), "z", "z", rng)
    assert (alone.p_value, alone.auc.estimate, alone.tc_bound.estimate) == (1.0, 0.5, 0.0)
    z = rng.standard_normal((100, 2))
    z[:, 1] = 3.0
    for block in (None, 5):
        still = joint_dependence(z, "z", "z", rng, block=block)
        assert still.p_value > 0.05
        assert still.tc_bound.estimate == pytest.approx(0.0, abs=1e-6)
    binary = rng.integers(0, 2, (400, 2)).astype(float)
    binary[:, 1] = binary[:, 0]
    same = joint_dependence(binary, "z", "z", rng)
    assert same.p_value < 1e-6
    assert 0.5 * np.log(2) < same.tc_bound.estimate < 1.1 * np.log(2)
