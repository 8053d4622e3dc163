"""Picard where it is installed, and nothing where it is not."""

import importlib.util

import numpy as np
import pytest

from latentflow.analysis.baselines.picard import fit_picard
from latentflow.errors import DataError
from tests.analysis.exact_model import two_mode

installed = pytest.mark.skipif(
    importlib.util.find_spec("picard") is None, reason="python-picard is not installed"
)


@installed
def test_a_linear_mixture_is_unmixed(mixing: np.ndarray) -> None:
    sources = two_mode((4000, 4), np.random.default_rng(0))
    X = sources @ mixing.T + 3.0
    found = fit_picard(X[:2000], seed=1)
    assert found is not None
    assert found.converged
    assert found.note == "Converged within 500 iterations."
    components, log_det = found.transform(X[2000:])
    size = np.abs(np.corrcoef(components.T, sources[2000:].T)[:4, 4:])
    assert (size.max(axis=0) > 0.995).all()
    assert sorted(size.argmax(axis=0)) == [0, 1, 2, 3]
    assert log_det[0] == pytest.approx(np.linalg.slogdet(found.map.weights)[1])
    np.testing.assert_allclose(np.cov(found.transform(X[:2000])[0].T, bias=True), np.eye(4), atol=1e-9)
    again = fit_picard(X[:2000], seed=1)
    assert again is not None
    np.testing.assert_array_equal(again.map.weights, found.map.weights)


@installed
def test_no_convergence_is_told(mixing: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentflow.analysis.baselines.picard.ITERATIONS", 1)
    found = fit_picard(two_mode((500, 4), np.random.default_rng(0)) @ mixing.T)
    assert found is not None
    assert not found.converged
    assert found.note == "Did not converge within 1 iterations from any of 2 starts."


@installed
def test_more_columns_than_rows_is_refused() -> None:
    with pytest.raises(DataError, match="too few to whiten"):
        fit_picard(np.random.default_rng(0).standard_normal((5, 9)))


def test_none_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert fit_picard(np.random.default_rng(0).standard_normal((50, 2))) is None
