"""Mean shift, score deviation and what is learned by heart."""

import numpy as np
import pytest
import torch

from latentflow.geometry.convergence import euler_sampling
from latentflow.geometry.score_deviation import (
    _in_nats,
    annealed_mean_shift,
    empirical_denoiser,
    empirical_sampling,
    mean_shift,
    score_deviation,
)
from latentflow.score.oracles import EmpiricalOracle
from tests.geometry.mixtures import gaussian, latents

POINTS = latents(150, 2, seed=5)
LEVELS = np.geomspace(0.02, 10.0, 9)


def test_the_empirical_denoiser_is_one_mean_shift_step():
    x = latents(20, 2, seed=6)
    for sigma in (0.05, 0.5, 5.0):
        oracle = EmpiricalOracle(POINTS)
        shifted = mean_shift(POINTS.numpy(), x.numpy(), sigma)
        np.testing.assert_allclose(oracle(x, sigma).numpy(), shifted, atol=1e-12)
        # and it climbs the kernel density: D − x = σ² ∇log p
        q = x.clone().requires_grad_()
        oracle.log_prob(q, sigma).sum().backward()
        np.testing.assert_allclose(shifted - x.numpy(), sigma**2 * q.grad.numpy(), atol=1e-10)


def test_sampling_with_it_is_annealed_mean_shift():
    start = 10 * latents(20, 2, seed=7)
    grid = np.geomspace(10, 0.02, 9)
    with torch.no_grad():
        ends = euler_sampling(EmpiricalOracle(POINTS), start, grid).numpy()
    np.testing.assert_allclose(annealed_mean_shift(POINTS.numpy(), start.numpy(), grid), ends, atol=1e-12)


def test_a_model_that_knows_its_rows_by_heart_returns_them():
    ends = empirical_sampling(POINTS, latents(30, 2, seed=8), np.geomspace(15, 0.005, 60))
    nearest = torch.cdist(ends, POINTS).amin(1)
    assert float(nearest.median()) < 0.02
    assert float(torch.cdist(latents(30, 2, seed=9), POINTS).amin(1).median()) > 0.05


def test_parts_do_not_matter(monkeypatch):
    x, oracle = latents(20, 2), EmpiricalOracle(POINTS)
    whole = empirical_denoiser(oracle, x, 0.3)
    monkeypatch.setattr("latentflow.geometry.score_deviation.CHUNK_NUMBERS", 900)
    torch.testing.assert_close(empirical_denoiser(oracle, x, 0.3), whole)


def test_what_was_learned_by_heart_shows():
    held_out = latents(150, 2, seed=10)
    found = score_deviation(
        EmpiricalOracle(POINTS), POINTS, POINTS, held_out, LEVELS, np.random.default_rng(0)
    )
    for level in found.levels:
        assert level.deviation_train.estimate < 1e-20
        assert level.loss_train.estimate == pytest.approx(level.empirical_loss_train)
    assert found.levels[0].memorisation.low > 0.9
    assert found.memorised.low > 1


def test_the_law_itself_has_learned_nothing_by_heart():
    hits = 0
    for seed in range(12):
        train, held_out = (latents(200, 2, seed=100 + 2 * seed + k) for k in (0, 1))
        law, rng = gaussian(torch.ones(2)), np.random.default_rng(seed)
        found = score_deviation(law, train, train, held_out, LEVELS, rng, compared=50)
        hits += not found.memorised.excludes()
    assert hits >= 9
    # far from the noise, the law's own loss: σ²/(1+σ²) a coordinate
    for level in found.levels:
        expected = level.sigma**2 / (1 + level.sigma**2)
        assert level.loss_held_out.estimate == pytest.approx(expected, rel=0.25)
    # rows are scarce beside small σ, where the empirical denoiser differs from the law, and plenty beside large
    assert found.levels[0].deviation_held_out.estimate > 5 * found.levels[-1].deviation_held_out.estimate


def test_losses_in_nats_are_the_divergence():
    # of N(0, 1) rows under a denoiser made for N(0, v): KL = (1/v − 1 + log v)/2 a coordinate
    v, d = 2.5, 3
    sigmas = np.geomspace(1e-3, 1e3, 400)
    shrink = v / (v + sigmas**2)
    right = sigmas**2 / (1 + sigmas**2)
    wrong = (1 - shrink) ** 2 + shrink**2 * sigmas**2
    losses = [(np.full(4, a), np.full(4, b)) for a, b in zip(right, wrong, strict=True)]
    found = _in_nats(losses, sigmas, d, np.random.default_rng(0), None)
    assert found.estimate == pytest.approx(d * 0.5 * (1 / v - 1 + np.log(v)), rel=1e-3)
