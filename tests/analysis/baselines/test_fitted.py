"""PCA whitening, FastICA and the Gaussian."""

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from latentflow.analysis.baselines.fitted import fit_fastica, gaussian_neg_log_prob, pca_whitening
from latentflow.base.fastica import ICAAxes
from latentflow.errors import DataError
from tests.analysis.exact_model import two_mode


def test_whitening_is_white_and_knows_its_determinant(mixing: np.ndarray) -> None:
    X = two_mode((500, 4), np.random.default_rng(0)) @ mixing.T * [1e-8, 1.0, 1e6, 30.0] + [
        0.0,
        5.0,
        1e7,
        -2.0,
    ]
    whitening = pca_whitening(X)
    z, log_det = whitening.transform(X)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(4), atol=1e-6)
    assert log_det.shape == (500,)
    assert whitening.log_det == pytest.approx(np.linalg.slogdet(whitening.weights)[1])


def test_leading_direction_comes_first() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 1))
    X = np.concatenate([x, x + 0.2 * rng.standard_normal((1000, 1)), rng.standard_normal((1000, 1))], axis=1)
    z, _ = pca_whitening(X).transform(X)
    assert abs(np.corrcoef(z[:, 0], x[:, 0])[0, 1]) > 0.95


def test_gaussian_log_density_against_scipy(mixing: np.ndarray) -> None:
    X = two_mode((800, 4), np.random.default_rng(0)) @ mixing.T
    fit = X[:500]
    expected = -multivariate_normal(fit.mean(axis=0), np.cov(fit.T, bias=True)).logpdf(X[500:])
    np.testing.assert_allclose(gaussian_neg_log_prob(pca_whitening(fit), X[500:]), expected, rtol=1e-9)


def test_fastica_unmixes_and_converges(mixing: np.ndarray) -> None:
    sources = two_mode((4000, 4), np.random.default_rng(0))
    X = sources @ mixing.T * [1e-4, 1.0, 1e3, 7.0]
    found = fit_fastica(X[:2000], seed=0)
    components, log_det = found.transform(X[2000:])
    matched = np.abs(np.corrcoef(sources[2000:].T, components.T)[:4, 4:]).max(axis=1)
    assert matched.min() > 0.995
    assert found.converged
    assert found.note == f"Converged within {found.n_iter} iterations."
    assert log_det[0] == pytest.approx(np.linalg.slogdet(found.map.weights)[1])
    np.testing.assert_allclose(np.cov(found.transform(X[:2000])[0].T, bias=True), np.eye(4), atol=1e-6)


def test_fastica_is_reproducible(mixing: np.ndarray) -> None:
    X = two_mode((1000, 4), np.random.default_rng(0)) @ mixing.T
    np.testing.assert_array_equal(fit_fastica(X, seed=3).map.weights, fit_fastica(X, seed=3).map.weights)


def test_nonconvergence_is_told_and_quiet() -> None:
    X = np.random.default_rng(1).standard_normal((300, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_fastica(X, seed=0)
    assert not found.converged
    assert found.note == "Did not converge in 3 starts; the run with the least dependence is shown."
    z, log_det = found.transform(X)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(12), atol=1e-6)
    assert log_det[0] == pytest.approx(pca_whitening(X).log_det)


@pytest.mark.parametrize(
    ("found", "note"),
    [
        (ICAAxes(np.eye(2), True, 9, 1, 0, 50), "Converged within 9 iterations."),
        (ICAAxes(np.eye(2), True, 9, 2, 0, 50), "Converged only at start 2, within 9 iterations."),
        (
            ICAAxes(np.eye(2), True, 9, 1, 1, 20),
            "Converged within 9 iterations, once from a saddle point on. Fitted on 20 evenly spaced rows of 50.",
        ),
    ],
)
def test_how_it_went_is_told(monkeypatch: pytest.MonkeyPatch, found: ICAAxes, note: str) -> None:
    monkeypatch.setattr("latentflow.analysis.baselines.fitted.ica_axes", lambda rows, seed: found)
    assert fit_fastica(np.random.default_rng(0).standard_normal((50, 2))).note == note


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.random.default_rng(0).standard_normal((5, 5)), "5 training rows are too few to whiten 5 columns"),
        (np.column_stack([np.arange(9.0), np.ones(9)]), "single value"),
        (np.column_stack([np.arange(9.0), 2 * np.arange(9.0)]), "linearly dependent"),
    ],
)
def test_what_cannot_be_whitened_is_refused(X: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pca_whitening(X)
