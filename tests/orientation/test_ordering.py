"""Order and sign of the latents: what they are where it is known, and that little moves them."""

import numpy as np
import pytest

from latentflow.orientation.ordering import by_explained_variance, explained_variance, loadings, signs


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def standardised(columns):
    return (columns - columns.mean(axis=0)) / columns.std(axis=0)


def test_of_a_linear_map_it_is_the_mean_squared_correlation(rng):
    z = rng.normal(size=(20_000, 3))
    x = z @ np.array([[2.0, 0.5, 0.0], [0.1, 1.0, 0.2], [0.0, 0.3, 0.1]])
    expected = (np.corrcoef(z.T, x.T)[:3, 3:] ** 2).mean(axis=1)
    np.testing.assert_allclose(explained_variance(z, standardised(x)), expected, atol=2e-3)


def test_what_a_curve_explains_is_seen_where_correlation_is_blind(rng):
    """x = z² has no correlation with z, and all of its variance is explained; x = z₀ z₁ none of it by one alone."""
    z = rng.normal(size=(50_000, 2))
    share = explained_variance(z, standardised(np.column_stack([z[:, 0] ** 2, z[:, 0] * z[:, 1]])))
    assert share[0] == pytest.approx(0.5, abs=5e-3)
    assert share[1] == pytest.approx(0.0, abs=5e-3)


def test_few_rows_explain_no_more_than_many(rng):
    """The correction for the fitted coefficients: without it noise would explain 5/40 of the variance."""
    shares = [explained_variance(rng.normal(size=(40, 20)), rng.normal(size=(40, 10))) for _ in range(20)]
    assert np.mean(shares) < 0.03


def test_constant_columns_and_too_few_rows_explain_nothing(rng):
    z = rng.normal(size=(500, 1))
    share = explained_variance(z, np.column_stack([z[:, 0], np.zeros(500)]))
    assert share[0] == pytest.approx(0.5)
    assert (explained_variance(z, np.zeros((500, 2))) == 0).all()
    assert (explained_variance(z[:4], z[:4]) == 0).all()


def test_the_order_is_by_share_and_keeps_ties():
    np.testing.assert_array_equal(by_explained_variance(np.array([0.1, 0.5, 0.1, 0.2])), [1, 3, 0, 2])


def test_order_is_the_same_on_other_rows_and_in_another_order_of_the_latents(rng):
    mixing = rng.normal(size=(4, 6)) * np.array([[1.0], [2.0], [3.0], [4.0]])
    orders = []
    for _ in range(5):
        z = rng.normal(size=(4000, 4))
        orders.append(by_explained_variance(explained_variance(z, standardised(np.sinh(z @ mixing / 5)))))
    assert (np.array(orders) == orders[0]).all()
    shuffled = np.array([2, 0, 3, 1])
    other = by_explained_variance(explained_variance(z[:, shuffled], standardised(np.sinh(z @ mixing / 5))))
    np.testing.assert_array_equal(shuffled[other], orders[-1])


def test_the_longer_tail_points_up(rng):
    sources = np.column_stack([rng.exponential(size=3000), -rng.exponential(size=3000)])
    # the loadings say the opposite, and are not asked
    np.testing.assert_array_equal(signs(sources, np.array([[-1.0, 1.0]])), [1.0, -1.0])


def test_symmetric_sources_follow_the_heaviest_column(rng):
    sources = np.column_stack([rng.normal(size=3000), rng.laplace(size=3000), rng.uniform(size=3000)])
    weights = np.array([[0.2, -0.1, 0.5], [-0.9, 0.3, 0.1]])
    np.testing.assert_array_equal(signs(sources, weights), [-1.0, 1.0, 1.0])


def test_heavy_tails_are_not_taken_for_skewness(rng):
    """Student t with 3 degrees of freedom: sample skewness far from 0, and of either sign."""
    sources = rng.standard_t(3, size=(400, 400))
    raw = ((sources - sources.mean(0)) ** 3).mean(0) / sources.std(0) ** 3
    assert (np.abs(raw) > 0.5).mean() > 0.3
    assert (signs(sources, np.ones((1, 400))) < 0).mean() < 0.03


def test_flipping_a_latent_flips_its_sign_back(rng):
    sources = np.column_stack([rng.exponential(size=2000), rng.normal(size=2000)])
    columns = sources @ rng.normal(size=(2, 3))
    flips = np.array([-1.0, -1.0])
    first = signs(sources, loadings(sources, columns))
    second = signs(sources * flips, loadings(sources * flips, columns))
    np.testing.assert_array_equal(first, second * flips)


def test_nearly_equal_weights_are_decided_by_the_first_column(rng):
    sources = rng.normal(size=(500, 1))
    for tilt in (1e-9, -1e-9):
        np.testing.assert_array_equal(signs(sources, np.array([[0.5], [-0.5 + tilt]])), [1.0])


def test_loadings_are_correlations(rng):
    z, x = rng.normal(size=(300, 2)), rng.normal(size=(300, 3))
    np.testing.assert_allclose(loadings(z, x), np.corrcoef(x.T, z.T)[:3, 3:])
    assert (loadings(z, np.ones((300, 1))) == 0).all()
