"""Tests of normality: null distributions, power, Holm, and rows that are not independent."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom, chi2, kstest, norm

from latentflow.analysis.gaussianity.marginal import (
    anderson_darling,
    anderson_darling_p,
    gaussianity,
    holm,
    radius_test,
)


def autoregressive(n: int, d: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((n + 500, d))
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[500:]


@pytest.mark.parametrize("n", [20, 300])
def test_anderson_darling_p_values_are_uniform_under_the_null(n: int) -> None:
    rng = np.random.default_rng(0)
    p = [anderson_darling_p(anderson_darling(rng.standard_normal(n)), n) for _ in range(3000)]
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.012)


def test_a_handful_of_rows_is_corrected_for() -> None:
    rng = np.random.default_rng(0)
    z = np.sort(rng.standard_normal((40_000, 4)), axis=1)
    weights = 2.0 * np.arange(1, 5) - 1.0
    statistics = -4.0 - (weights * (norm.logcdf(z) + norm.logsf(z[:, ::-1]))).sum(axis=1) / 4.0
    for level in (0.1, 0.3, 0.5, 0.8):
        statistic = float(np.quantile(statistics, 1.0 - level))
        assert anderson_darling_p(statistic, 4) == pytest.approx(level, abs=0.008)


def test_anderson_darling_against_its_definition() -> None:
    z = np.random.default_rng(1).standard_normal(50)
    u = np.sort(norm.cdf(z))
    i = np.arange(1, 51)
    by_hand = -50 - np.mean((2 * i - 1) * (np.log(u) + np.log(1 - u[::-1])))
    assert anderson_darling(z) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    # P(A² > z) of the limiting distribution, by numerical inversion of its characteristic function (Imhof)
    ("statistic", "expected"),
    [
        (0.5, 0.746304),
        (1.0, 0.357004),
        (2.0, 0.0917787),
        (4.0, 8.71329e-3),
        (8.0, 1.13754e-4),
        (12.0, 1.70928e-6),
    ],
)
def test_limiting_distribution(statistic: float, expected: float) -> None:
    assert anderson_darling_p(statistic, 1e9) == pytest.approx(expected, rel=5e-3)


def test_p_value_falls_without_a_jump_where_its_formulas_meet() -> None:
    for meeting in (2.0, 7.0):
        below, above = (anderson_darling_p(meeting + step, 1e6) for step in (-1e-4, 1e-4))
        assert above < below
        assert above == pytest.approx(below, rel=6e-3)
    assert anderson_darling_p(0.0, 100) == 1.0
    assert 0.0 <= anderson_darling_p(1e4, 100) < 1e-300


def test_holm_by_hand() -> None:
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


def test_radius_level_and_power() -> None:
    rng = np.random.default_rng(2)
    p = [radius_test(rng.standard_normal((200, 5))).p_value for _ in range(600)]
    assert kstest(p, "uniform").pvalue > 0.01
    # Each column is standard normal; only together they are not.
    z = np.abs(rng.standard_normal((2000, 5))) * np.sign(rng.standard_normal((2000, 5)))
    same = np.repeat(z[:, :1], 5, axis=1)
    found = radius_test(same)
    assert found.p_value < 1e-10
    assert found.degrees == 5
    assert found.mean_ratio == pytest.approx((same**2).sum(1).mean() / 5)
    assert found.ks == pytest.approx(kstest((same**2).sum(axis=1), chi2(5).cdf).statistic)


def test_record_of_good_and_bad_latents() -> None:
    rng = np.random.default_rng(3)
    z = rng.standard_normal((2000, 3))
    z[:, 1] = rng.exponential(size=2000) - 1.0
    found = gaussianity(z, ("a", "b", "c"))
    good, bad, _ = found.latents
    assert [latent.name for latent in found.latents] == ["a", "b", "c"]
    assert bad.p_holm < 1e-10 < 0.05 < good.p_holm
    assert bad.skewness == pytest.approx(2.0, abs=0.5)
    assert bad.excess_kurtosis == pytest.approx(6.0, abs=3.5)
    assert good.mean == pytest.approx(z[:, 0].mean())
    assert abs(good.std - 1.0) < 4 * good.std_se
    assert good.mean_se == pytest.approx(2000**-0.5)
    assert found.effective_n == found.n_rows == 2000


def test_quantiles_lie_in_their_band() -> None:
    z = np.random.default_rng(5).standard_normal((5000, 2))
    found = gaussianity(z, ("a", "b"))
    m = len(found.probabilities)
    assert found.quantiles.shape == (2, m)
    np.testing.assert_allclose(norm.ppf(found.probabilities), found.normal_quantiles, atol=1e-9)
    inside = np.abs(found.quantiles - found.normal_quantiles) < found.quantile_band
    assert inside.mean() > 0.85


def test_serial_rows_do_not_reject_a_normal_latent() -> None:
    rng = np.random.default_rng(6)
    aware, naive, radius, seeds = 0, 0, 0, 60
    for _ in range(seeds):
        z = autoregressive(1500, 2, 0.9, rng)
        found = gaussianity(z, ("a", "b"), dependent=True)
        assert found.effective_n < 300
        aware += min(latent.p_holm for latent in found.latents) < 0.05
        radius += found.radius.p_value < 0.05
        naive += min(latent.p_holm for latent in gaussianity(z, ("a", "b")).latents) < 0.05
    limit = binom.ppf(0.999, seeds, 0.05)
    assert aware <= limit
    assert radius <= limit
    assert naive > 0.3 * seeds
