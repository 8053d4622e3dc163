"""Distance correlation: against its definition, its null, its intervals, serial rows."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom, chi2

from latentflow.analysis.dependence.distance import (
    distance_dependence,
    dominated_sums,
    product_sums,
    weighted_chi2_sf,
    weighted_sums,
)
from latentflow.statistics.ranks import normal_scores


def tied_columns(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n).round(1)
    return x, (x**2 + rng.standard_normal(n)).round(1)


def bivariate(n: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((n, 2))
    z[:, 1] = rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1]
    return normal_scores(z)


def u_centred(x: np.ndarray) -> np.ndarray:
    n, a = len(x), np.abs(x[:, None] - x)
    rows = a.sum(axis=0) / (n - 2)
    a = a - rows - rows[:, None] + a.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(a, 0.0)
    return a


@pytest.mark.parametrize("n", [8, 63, 64, 65, 200])
def test_sums_over_rows_are_those_of_the_full_matrices(n: int) -> None:
    x, y = tied_columns(n)
    a, b = np.abs(x[:, None] - x), np.abs(y[:, None] - y)
    np.testing.assert_allclose(product_sums(x, y), (a * b).sum(axis=1), atol=1e-9)
    np.testing.assert_allclose(weighted_sums(x, y), a @ y, atol=1e-9)


def test_dominated_sums_by_hand() -> None:
    by_value = np.array([2, 0, 3, 1])  # values 1, 3, 0, 2 at positions 0 … 3
    terms = np.array([[1.0], [10.0], [100.0], [1000.0]])
    np.testing.assert_array_equal(dominated_sums(by_value, terms)[:, 0], [0, 1, 0, 101])


def test_estimate_is_the_u_centred_definition() -> None:
    x, y = tied_columns(80)
    a, b = u_centred(x), u_centred(y)
    expected = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    assert distance_dependence(x, y).squared.estimate == pytest.approx(expected, abs=1e-12)


def test_estimate_is_that_of_dcor() -> None:
    dcor = pytest.importorskip("dcor")
    x, y = bivariate(500, 0.4, np.random.default_rng(1)).T
    found = distance_dependence(x, y)
    expected = dcor.u_distance_correlation_sqr(x, y)
    assert found.squared.estimate == pytest.approx(expected, abs=1e-10)
    assert found.correlation.estimate == pytest.approx(np.sqrt(expected), abs=1e-10)


def test_weighted_sum_of_chi_squares_against_a_single_scale() -> None:
    for level in (0.7, 0.5, 0.05, 1e-4, 1e-10):
        total = 0.3 * (chi2.isf(level, 7) - 7)
        assert weighted_chi2_sf(total, np.full(7, 0.3)) == pytest.approx(level, rel=0.02)
    near = [weighted_chi2_sf(total, np.full(7, 0.3)) for total in (-1e-2, -1e-9, 0.0, 1e-9, 1e-2)]
    assert np.all(np.diff(near) <= 0.0)


@pytest.mark.parametrize(("n", "seeds"), [(100, 800), (1000, 400)])
def test_type_one_error(n: int, seeds: int) -> None:
    rng = np.random.default_rng(n)
    p = np.array([distance_dependence(*bivariate(n, 0.0, rng).T).p_value for _ in range(seeds)])
    for level in (0.05, 0.5):
        rejected = (p < level).sum()
        # The spectrum is that of infinitely many rows: 0.52 for 0.5.
        assert binom.ppf(0.001, seeds, level) <= rejected <= binom.ppf(0.999, seeds, 1.06 * level)


def test_type_one_error_of_serial_rows() -> None:
    rng = np.random.default_rng(2)
    filtered = ([np.sqrt(1 - 0.9**2)], [1, -0.9])
    p, low = [], []
    for _ in range(200):
        x, y = normal_scores(lfilter(*filtered, rng.standard_normal((900, 2)), axis=0)[300:]).T
        found = distance_dependence(x, y, block=30)
        p.append([found.p_value, distance_dependence(x, y).p_value])
        low.append(found.squared.low)
    with_shifts, without = (np.array(p) < 0.05).sum(axis=0)
    assert binom.ppf(0.001, 200, 0.05) <= with_shifts <= binom.ppf(0.999, 200, 0.05)
    assert without > 50
    assert (np.array(low) > 0.0).sum() <= binom.ppf(0.999, 200, 0.05)


def test_interval_covers() -> None:
    rng = np.random.default_rng(3)
    rho = 0.3
    # Distance correlation of the bivariate normal: Székely, Rizzo & Bakirov 2007, theorem 7.
    top = rho * np.arcsin(rho) + np.sqrt(1 - rho**2) - rho * np.arcsin(rho / 2) - np.sqrt(4 - rho**2) + 1
    truth = top / (1 + np.pi / 3 - np.sqrt(3))
    found = [distance_dependence(*bivariate(500, rho, rng).T).squared for _ in range(200)]
    covered = sum(not interval.excludes(truth) for interval in found)
    assert covered >= binom.ppf(0.001, 200, 0.95)
    assert np.mean([i.half_width for i in found]) == pytest.approx(
        1.96 * np.std([i.estimate for i in found]), rel=0.2
    )


def test_dependence_without_correlation_is_seen_and_far_in_the_tail() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal(2000)
    y = x**2 + rng.standard_normal(2000)
    for block in (None, 3):
        found = distance_dependence(*normal_scores(np.stack([x, y], axis=1)).T, block=block)
        assert found.squared.low > 0.1
        assert 0.0 <= found.p_value < 1e-20
