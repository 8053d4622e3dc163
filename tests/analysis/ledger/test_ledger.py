"""The ledger against closed forms: exact maps, affine maps, coverage."""

import numpy as np
import pytest
from scipy.stats import binom

from latentflow.analysis.ledger.ledger import Representation, ledger
from latentflow.errors import DataError
from tests.analysis.exact_model import gaussianise, true_total_correlation, two_mode

MIXING = np.array([[1.0, 0.6], [-0.3, 0.8]])


def _representations(mixing: np.ndarray, n: int, rng: np.random.Generator) -> list[Representation]:
    sources = two_mode((n, len(mixing)), rng)
    z, log_det = gaussianise(sources)
    return [
        Representation("raw", "Raw", sources @ mixing.T, 0.0),
        Representation("latents", "Latents", z, log_det - np.linalg.slogdet(mixing)[1]),
    ]


def test_interval_covers_the_true_total_correlation_with_an_exact_map() -> None:
    truth, seeds = true_total_correlation(MIXING), 100
    covered = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        found = ledger(_representations(MIXING, 1000, rng), rng=rng, n_boot=400)
        covered += not found.entry("latents").removed.excludes(truth)
    low, high = binom.ppf([0.001, 0.999], seeds, 0.95)
    assert low <= covered <= high


def test_estimate_is_unbiased_in_four_dimensions(mixing: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    found = [ledger(_representations(mixing, 2000, rng), rng=rng, n_boot=2) for _ in range(40)]
    removed = [each.entry("latents").removed.estimate for each in found]
    truth = true_total_correlation(mixing)
    assert abs(np.mean(removed) - truth) < 3 * np.std(removed) / np.sqrt(40) + 0.003


def test_units_and_signs_leave_the_account_alone() -> None:
    rng = np.random.default_rng(0)
    X = two_mode((600, 2), rng) @ MIXING.T
    factors = np.array([1e6, -1e-3])
    scaled = Representation("latents", "Scaled", X * factors, float(np.log(np.abs(factors)).sum()))
    found = ledger([Representation("raw", "Raw", X, 0.0), scaled], rng=rng, n_boot=50)
    removed = found.entry("latents").removed
    assert removed.estimate == pytest.approx(0.0, abs=1e-9)
    assert removed.half_width < 1e-9
    raw, other = found.entry("raw"), found.entry("latents")
    assert other.product_neg_log_prob == pytest.approx(raw.product_neg_log_prob, abs=1e-9)
    assert other.marginal_entropy - other.mean_log_det == pytest.approx(other.product_neg_log_prob)


def test_differences_are_those_of_the_entries_and_paired() -> None:
    rng = np.random.default_rng(1)
    raw, latents = _representations(MIXING, 800, rng)
    noisy = Representation("pca", "Half way", latents.values @ _rotation(0.4), latents.log_det)
    found = ledger([raw, noisy, latents], rng=rng, n_boot=300)
    assert set(found.differences) == {"pca-raw", "latents-raw", "latents-pca"}
    gap = found.differences["latents-pca"]
    by_hand = found.entry("latents").removed.estimate - found.entry("pca").removed.estimate
    assert gap.estimate == pytest.approx(by_hand)
    assert found.entry("raw").removed.estimate == 0.0
    assert found.entry("raw").removed.half_width == 0.0
    assert found.differences["latents-raw"].estimate == pytest.approx(found.entry("latents").removed.estimate)
    with pytest.raises(KeyError):
        found.entry("fastica")


def test_a_constant_column_is_named() -> None:
    X = np.random.default_rng(0).standard_normal((50, 2))
    X[:, 1] = 3.0
    with pytest.raises(DataError, match="'speed'"):
        ledger([Representation("raw", "Raw columns", X, 0.0, ("x", "speed"))], rng=np.random.default_rng(0))


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
