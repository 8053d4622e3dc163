"""The bound on what the others tell of a coordinate, against mutual information in closed form."""

import numpy as np
import pytest
from scipy.signal import lfilter

from latentflow.analysis.dependence.on_others import dependence_on_others


def correlated(rho: float, n: int, d: int = 3, seed: int = 0) -> np.ndarray:
    z = np.random.default_rng(seed).standard_normal((n, d))
    z[:, 1] = rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1]
    return z


@pytest.mark.parametrize("rho", [0.3, 0.6, -0.9])
def test_a_gaussian_pair_has_its_mutual_information_and_the_third_none(rho: float) -> None:
    truth = -0.5 * np.log(1 - rho**2)
    z = correlated(rho, 4000)
    found = dependence_on_others(np.exp(z)).mean(axis=0)  # monotone maps change nothing
    np.testing.assert_allclose(found[:2], truth, atol=0.03)
    assert found[2] == pytest.approx(0.0, abs=0.01)
    np.testing.assert_array_equal(found, dependence_on_others(z).mean(axis=0))


def test_several_others_together_tell_more_than_any_one() -> None:
    rng = np.random.default_rng(2)
    z = rng.standard_normal((6000, 5))
    z[:, 4] = z[:, :4].sum(axis=1) / 2 * np.sqrt(0.8) + np.sqrt(0.2) * z[:, 4]
    found = dependence_on_others(z).mean(axis=0)
    one = -0.5 * np.log(1 - 0.2)
    assert found[4] == pytest.approx(-0.5 * np.log(0.2), abs=0.05)
    assert found[4] > 4 * one


def test_dependence_without_correlation_is_seen() -> None:
    rng = np.random.default_rng(3)
    common_scale = np.exp(0.7 * rng.standard_normal(4000))[:, None] * rng.standard_normal((4000, 2))
    assert dependence_on_others(common_scale).mean(axis=0).min() > 0.03
    angle = rng.uniform(0, 2 * np.pi, 4000)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) + 0.1 * rng.standard_normal((4000, 2))
    assert dependence_on_others(ring).mean(axis=0).min() > 0.3


def test_no_row_is_judged_by_a_fit_that_has_seen_it() -> None:
    z = np.random.default_rng(6).standard_normal((2000, 2))
    z[::2, 1] = 0.9 * z[::2, 0] + np.sqrt(0.19) * z[::2, 1]  # every other row is dependent
    terms = dependence_on_others(z)
    assert terms[::2].mean() < 0.05  # the other half knows of no dependence
    assert terms[1::2].mean() < -0.3  # and this half is judged by a dependence that it has not


@pytest.mark.parametrize(("n", "low"), [(60, -0.15), (500, -0.02), (3000, -0.003)])
def test_independent_coordinates_are_told_nothing_of(n: int, low: float) -> None:
    found = np.array(
        [dependence_on_others(np.random.default_rng(s).laplace(size=(n, 8))).mean(0) for s in range(3)]
    )
    assert low < found.mean() < 0.002
    assert np.median(found) == 0.0


def test_neighbouring_rows_that_are_alike_are_not_taken_for_dependence() -> None:
    series = lfilter([1.0], [1.0, -0.97], np.random.default_rng(4).standard_normal((3000, 6)), axis=0)
    taken_as_independent = dependence_on_others(series).mean(axis=0)
    found = dependence_on_others(series, block=200).mean(axis=0)
    assert taken_as_independent.min() > 0.02
    assert found.max() < 0.002
    assert found.mean() > -0.05


def test_one_coordinate_and_tied_values_are_taken() -> None:
    rng = np.random.default_rng(5)
    assert not dependence_on_others(rng.standard_normal((50, 1))).any()
    coin = rng.integers(0, 2, 3000).astype(float)
    z = np.column_stack([coin, coin + 0.1 * rng.standard_normal(3000), rng.standard_normal(3000)])
    found = dependence_on_others(z).mean(axis=0)
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(np.log(2), abs=0.15)
