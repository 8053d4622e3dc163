"""Axes from components that are known already."""

import numpy as np
import pytest
from scipy.stats import norm, ortho_group

from latentflow.analysis.baselines.fitted import pca_whitening
from latentflow.base import fastica as module
from latentflow.base.fastica import ica_axes, saddle_turn
from latentflow.orientation.procrustes import procrustes
from latentflow.statistics.ranks import normal_scores
from tests.orientation.angles import distance, turn


def test_normal_scores_are_those_of_the_ranks():
    values = np.array([[3.0, 1.0], [1.0, 2.0], [2.0, 2.0]])
    expected = norm.ppf([[5 / 6, 1 / 6], [1 / 6, 2 / 3], [1 / 2, 2 / 3]])
    np.testing.assert_allclose(normal_scores(values), expected)
    bent = np.column_stack([np.exp(values[:, 0]), values[:, 1] ** 3])
    np.testing.assert_array_equal(normal_scores(bent), normal_scores(values))


@pytest.mark.parametrize("d", [1, 2, 6])
def test_procrustes_finds_the_rotation_behind_bent_components(d):
    rng = np.random.default_rng(d)
    latents, axes = rng.normal(size=(20_000, d)), ortho_group.rvs(d, random_state=rng) if d > 1 else np.eye(1)
    rotation = procrustes(latents @ axes.T, np.sinh(2 * latents) + 5)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(d), atol=1e-12)
    # column by column in the order and with the signs of the components
    np.testing.assert_allclose(rotation, axes, atol=0.01)


def test_procrustes_is_the_nearest_rotation():
    rng = np.random.default_rng(0)
    latents, components = rng.normal(size=(500, 3)), rng.exponential(size=(500, 3))
    found, scores = procrustes(latents, components), normal_scores(components)
    nearest = np.linalg.norm(latents @ found - scores)
    for seed in range(50):
        other = found @ turn(3, np.random.default_rng(seed))
        assert np.linalg.norm(latents @ other - scores) > nearest


def test_fastica_axes_are_those_of_a_rotated_mixture():
    rng = np.random.default_rng(1)
    sources = np.column_stack([rng.laplace(size=8000), rng.uniform(-1, 1, 8000), rng.exponential(size=8000)])
    sources, axes = (sources - sources.mean(0)) / sources.std(0), turn(3, rng)
    found = ica_axes(sources @ axes.T, 0)
    assert found.converged
    assert distance(found.rotation, axes) < 0.05
    np.testing.assert_allclose(found.rotation.T @ found.rotation, np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(ica_axes(sources @ axes.T, 0).rotation, found.rotation)


def test_rows_that_are_white_already_keep_every_axis():
    """Whitened once by their principal axes, their covariance is the identity and its eigenvectors are the axes."""
    rng = np.random.default_rng(0)
    sources = rng.laplace(size=(3000, 4))
    rows = sources @ (np.eye(4) + 0.5 * rng.normal(size=(4, 4)))
    white = pca_whitening(rows).transform(rows)[0]
    found = ica_axes(white, 0)
    assert found.converged
    matched = np.abs(np.corrcoef(sources.T, (white @ found.rotation).T)[:4, 4:])
    assert matched.max(axis=1).min() > 0.995


def test_a_run_that_does_not_converge_goes_on_and_starts_again_and_says_so(monkeypatch):
    runs, fastica = [], module.FastICA

    def counted(**settings):
        runs.append((settings["random_state"], settings["w_init"] is not None, settings["tol"]))
        return fastica(**{**settings, "max_iter": 1, "tol": 1e-12})

    monkeypatch.setattr(module, "FastICA", counted)
    found = ica_axes(np.random.default_rng(2).laplace(size=(300, 4)), 5)
    assert not found.converged
    assert found.starts == 3
    tight, loose = module.CONVERGED_CHANGE, module.LOOSE_CONVERGED_CHANGE
    assert runs == [
        (5 + s, False, tight) if fresh else (5, True, loose) for s in range(3) for fresh in (1, 0)
    ]
    np.testing.assert_allclose(found.rotation.T @ found.rotation, np.eye(4), atol=1e-12)


def test_of_runs_that_fail_the_one_with_least_dependence_is_kept(monkeypatch):
    rng = np.random.default_rng(0)
    axes = turn(3, rng)
    rows = rng.uniform(-1, 1, (4000, 3)) @ axes.T
    wrong = iter([axes.T @ turn(3, rng), axes.T, axes.T @ turn(3, rng)])

    def failing(white, seed, start=None, *_):
        return module._Run(next(wrong) if start is None else start, False, 20)

    monkeypatch.setattr(module, "_fastica", failing)
    found = ica_axes(rows, 0)
    assert not found.converged
    assert distance(found.rotation, axes) < 0.05


def test_many_rows_are_thinned(monkeypatch):
    monkeypatch.setattr(module, "FIT_NUMBERS", 4000)
    found = ica_axes(np.random.default_rng(2).laplace(size=(3000, 4)), 0)
    assert found.rows == 1000


def test_a_saddle_point_is_seen_and_left(monkeypatch):
    """FastICA that begins at sums and differences of two sources stays there: their contrast has no slope."""
    rng = np.random.default_rng(3)
    sources = np.column_stack(
        [rng.laplace(size=20_000), rng.laplace(size=20_000), rng.uniform(-1, 1, 20_000)]
    )
    sources = (sources - sources.mean(0)) / sources.std(0)
    values, basis = np.linalg.eigh(np.cov(sources.T))
    sources = sources @ (basis / np.sqrt(values) @ basis.T)
    half = np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, np.sqrt(2)]]) / np.sqrt(2)
    turn_back = saddle_turn(sources @ half)
    np.testing.assert_allclose(turn_back, half, atol=1e-12)
    assert saddle_turn(sources) is None
    runs, fastica = [], module._fastica

    def begun_at_the_saddle(white, seed, start=None, *_):
        runs.append(start)
        if start is None:
            return module._Run(half.T, True, 1)
        np.testing.assert_allclose(np.abs(start), np.eye(3), atol=1e-9)
        return fastica(white, seed, start)

    monkeypatch.setattr(module, "_fastica", begun_at_the_saddle)
    found = ica_axes(sources, 0)
    assert len(runs) == 2
    assert (found.converged, found.turns) == (True, 1)
    assert distance(found.rotation, np.eye(3)) < 0.05


def test_normal_components_and_many_have_no_saddle_that_is_seen(monkeypatch):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert saddle_turn(rng.normal(size=(3000, 6))) is None
    rows = np.random.default_rng(4).laplace(size=(3000, 4)) @ np.kron(np.eye(2), [[0.5, 0.5], [0.5, -0.5]])
    assert saddle_turn(rows) is not None
    monkeypatch.setattr(module, "MOST_COMPARED", 3)
    assert saddle_turn(rows) is None
