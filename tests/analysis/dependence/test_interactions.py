"""Products shown to the classifier: which are chosen, and what the Gaussian feature is."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from latentflow.analysis.dependence.hermite import hermite_functions
from latentflow.analysis.dependence.interactions import choose_interactions


def test_a_triple_that_no_pair_shows_comes_first() -> None:
    z = np.random.default_rng(0).standard_normal((1000, 8))
    z[:, 6] = np.abs(z[:, 6]) * np.sign(z[:, 1] * z[:, 4])
    functions = hermite_functions(z)[0]
    chosen = choose_interactions(functions)
    assert sorted(chosen.triples[0]) == [1, 4, 6]
    strongest = chosen.features(functions)[:, 1]
    np.testing.assert_allclose(strongest, np.prod(functions[[4, 16, 24]], axis=0))


def test_features_stand_in_the_order_of_their_evidence() -> None:
    z = np.random.default_rng(1).standard_normal((1000, 5))
    z[:, 1] += z[:, 0] ** 2
    z[:, 3] = np.abs(z[:, 3]) * np.sign(z[:, 2] * z[:, 4])
    functions = hermite_functions(z)[0]
    means = np.abs(choose_interactions(functions).features(functions)[:, 1:].mean(axis=0))
    penalty = np.sqrt(np.log(16 * 10 * 2) / np.log(10 * 2))  # more pairs than triples were tried
    assert np.all(np.diff(means) <= means[:-1] * (penalty - 1.0) + 1e-9)
    assert means[0] > 0.4


def test_gaussian_feature_is_the_log_ratio_of_densities() -> None:
    rng = np.random.default_rng(2)
    covariance = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, -0.4], [0.0, -0.4, 1.0]])
    z = rng.multivariate_normal(np.zeros(3), covariance, 5000)
    functions = hermite_functions(z)[0]
    feature = choose_interactions(functions).features(functions)[:, 0]
    scores = functions[::4].T
    exact = multivariate_normal(np.zeros(3), covariance).logpdf(scores) - norm.logpdf(scores).sum(axis=1)
    assert np.corrcoef(feature, exact)[0, 1] > 0.995
    assert feature.mean() == pytest.approx(exact.mean(), rel=0.1)


def test_independent_columns_are_shrunk_to_no_correlation() -> None:
    functions = hermite_functions(np.random.default_rng(3).standard_normal((300, 100)))[0]
    chosen = choose_interactions(functions)
    assert np.abs(chosen.precision).max() < 0.1
    assert len(chosen.order) <= 30
