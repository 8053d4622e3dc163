"""PCA whitening, FastICA and the Gaussian."""

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from latentflow.analysis.baselines.fitted import fit_fastica, gaussian_neg_log_prob, pca_whitening
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
    assert found.note == "Converged within 200 iterations."
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
    assert found.note.startswith(
        "Did not converge: 200 iterations, then 300 more iterations, then another start"
    )
    z, log_det = found.transform(X)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(12), atol=1e-6)
    assert log_det[0] == pytest.approx(pca_whitening(X).log_det)


def test_a_retry_that_converges_says_so(monkeypatch: pytest.MonkeyPatch, mixing: np.ndarray) -> None:
    from latentflow.analysis.baselines import fitted as baselines

    first, *rest = baselines._ATTEMPTS
    impatient = baselines._Attempt("1 iteration", 1)
    monkeypatch.setattr(baselines, "_ATTEMPTS", (impatient, first, *rest))
    found = fit_fastica(two_mode((2000, 4), np.random.default_rng(0)) @ mixing.T)
    assert found.converged
    assert found.note == "Converged only after a retry: 1 iteration, then 200 iterations."


def test_the_best_of_the_attempts_that_fail_is_kept(
    monkeypatch: pytest.MonkeyPatch, mixing: np.ndarray
) -> None:
    from latentflow.analysis.baselines import fitted as baselines

    sources = two_mode((2000, 4), np.random.default_rng(0))
    never = {"tolerance": 0.0}
    good, bad = baselines._Attempt("good", 20, **never), baselines._Attempt("bad", 1, **never, seed_shift=5)
    for attempts in ((good, bad), (bad, good)):
        monkeypatch.setattr(baselines, "_ATTEMPTS", attempts)
        found = fit_fastica(sources @ mixing.T)
        assert not found.converged
        assert found.n_iter == 20
        components, _ = found.transform(sources @ mixing.T)
        assert np.abs(np.corrcoef(sources.T, components.T)[:4, 4:]).max(axis=1).min() > 0.99


def test_many_rows_are_thinned_and_told(monkeypatch: pytest.MonkeyPatch, mixing: np.ndarray) -> None:
    from latentflow.analysis.baselines import fitted as baselines

    monkeypatch.setattr(baselines, "FIT_NUMBERS", 4000)
    found = fit_fastica(two_mode((3000, 4), np.random.default_rng(0)) @ mixing.T)
    assert found.note.endswith("Fitted on 1000 evenly spaced rows of 3000.")


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
