"""Correlation of magnitudes: against SciPy, type-I error for independent and serial rows, power."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom, spearmanr

from latentflow.analysis.dependence.magnitudes import magnitudes


def autoregressive(n: int, d: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((n + 500, d))
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[500:]


def common_scale(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((n, d))
    z[:, :2] *= np.exp(0.5 * rng.standard_normal(n))[:, None]
    return z


def test_is_spearman_of_distances_from_the_median_and_consistent() -> None:
    rng = np.random.default_rng(0)
    z = rng.gamma(2.0, size=(501, 3)).round(1) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1.0]])
    result = magnitudes(z, "raw", label="Raw", columns=("a", "b", "c"))
    expected = spearmanr(np.abs(z - np.median(z, axis=0))).statistic
    np.testing.assert_allclose(result.correlation, expected, atol=1e-12)
    i, j = result.max_pair
    assert i < j
    assert result.max_abs == pytest.approx(abs(expected[i, j]))
    assert result.max_abs == pytest.approx(np.abs(expected - np.eye(3)).max())
    assert (result.name, result.label, result.columns, result.n_rows) == ("raw", "Raw", ("a", "b", "c"), 501)


def test_p_value_of_a_single_pair_is_scipys() -> None:
    z = common_scale(80, 2, np.random.default_rng(5))
    assert magnitudes(z, "z").p_value == pytest.approx(spearmanr(*np.abs(z - np.median(z, axis=0)).T).pvalue)


@pytest.mark.parametrize(
    ("n", "d", "seeds"), [(300, 2, 600), (300, 10, 300), (300, 50, 150), (3000, 10, 100)]
)
def test_type_one_error(n: int, d: int, seeds: int) -> None:
    rng = np.random.default_rng(n + d)
    rejected = sum(magnitudes(rng.standard_normal((n, d)), "z").p_value < 0.05 for _ in range(seeds))
    assert binom.ppf(0.001, seeds, 0.05) <= rejected <= binom.ppf(0.999, seeds, 0.05)


def test_type_one_error_of_serial_rows() -> None:
    rng = np.random.default_rng(1)
    p = np.array(
        [
            [magnitudes(z, "z", block=block).p_value for block in (20, None)]
            for z in (autoregressive(300, 2, 0.95, rng) for _ in range(400))
        ]
    )
    with_shifts, without = (p < 0.05).sum(axis=0)
    assert with_shifts <= binom.ppf(0.999, 400, 0.05)
    assert without > binom.ppf(0.999, 400, 0.05)  # what shifts are for


@pytest.mark.parametrize("block", [None, 5])
def test_common_scale_that_linear_correlation_misses(block: int | None) -> None:
    for seed in range(10):
        z = common_scale(2000, 10, np.random.default_rng(seed))
        result = magnitudes(z, "z", block=block)
        assert result.max_pair == (0, 1)
        assert result.p_value < 1e-6
        assert abs(spearmanr(z[:, 0], z[:, 1]).statistic) < 0.1


def test_one_column_and_a_constant_one() -> None:
    rng = np.random.default_rng(0)
    alone = magnitudes(rng.standard_normal((50, 1)), "z")
    assert (alone.max_abs, alone.max_pair, alone.p_value) == (0.0, (0, 0), 1.0)
    for block in (None, 5):
        z = np.column_stack([rng.standard_normal(50), np.ones(50)])
        still = magnitudes(z, "z", block=block)
        assert (still.max_abs, still.p_value) == (0.0, 1.0)
