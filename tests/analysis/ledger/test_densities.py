"""−log p of baselines: closed forms, pairing, and what Gaussianised marginals are worth."""

import numpy as np
import pytest

from latentflow.analysis.baselines.fitted import fit_fastica, gaussian_neg_log_prob, pca_whitening
from latentflow.analysis.ledger.densities import Baseline, BaselineDensity, baseline_densities
from tests.analysis.exact_model import exact_setup


@pytest.fixture(scope="module")
def found(mixing: np.ndarray) -> dict[str, BaselineDensity]:
    model, X = exact_setup(mixing, n=8000)
    train, rows = X[::2], X[1::2]
    baselines = (
        Baseline("raw", "Raw columns"),
        Baseline("pca", "PCA whitening", pca_whitening(train)),
        Baseline("fastica", "FastICA", fit_fastica(train)),
    )
    own = -model.encode(rows).log_prob
    rng = np.random.default_rng(0)
    return {entry.name: entry for entry in baseline_densities(baselines, train, rows, own, rng, n_boot=200)}


def test_normal_marginals_are_the_gaussians_of_old(
    found: dict[str, BaselineDensity], mixing: np.ndarray
) -> None:
    _, X = exact_setup(mixing, n=8000)
    train, rows = X[::2], X[1::2]
    gaussian = gaussian_neg_log_prob(pca_whitening(train), rows).mean()
    assert found["pca"].neg_log_prob.estimate == pytest.approx(gaussian)
    assert found["fastica"].neg_log_prob.estimate == pytest.approx(gaussian)
    mean, scale = train.mean(axis=0), train.std(axis=0)
    by_hand = (
        (0.5 * ((rows - mean) / scale) ** 2 + 0.5 * np.log(2 * np.pi) + np.log(scale)).sum(axis=1).mean()
    )
    assert found["raw"].neg_log_prob.estimate == pytest.approx(by_hand)


def test_fitted_marginals_take_fastica_to_the_truth(
    found: dict[str, BaselineDensity], mixing: np.ndarray
) -> None:
    """The rows are a linear mixture, so FastICA with the right marginals is the true density."""
    model, X = exact_setup(mixing, n=8000)
    truth = -model.encode(X[1::2]).log_prob.mean()
    ica = found["fastica"]
    assert ica.neg_log_prob.estimate > truth + 0.5
    assert truth < ica.neg_log_prob_gaussianised.estimate < truth + 0.04
    assert ica.gain.estimate == pytest.approx(ica.neg_log_prob_gaussianised.estimate - truth)
    assert ica.gain.half_width < 0.3 * ica.neg_log_prob_gaussianised.half_width  # paired
    assert found["raw"].gain.low > found["pca"].gain.high > 0.1


def test_record(found: dict[str, BaselineDensity]) -> None:
    assert list(found) == ["raw", "pca", "fastica"]
    assert set(found["raw"].to_dict()["gain"]) == {"estimate", "low", "high"}
