"""The loss is the weighted denoising loss, at stratified noise levels; validation compares networks pairwise."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.objective import NoiseLevels, Validation, denoising_errors
from latentflow.score.residual import ResidualMLP
from latentflow.score.sizing import plan_training

PLAN = plan_training(1000, 2)
CPU = torch.device("cpu")


def _rows(n, d=2, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def _network(seed):
    network = ResidualMLP(2, 8, 1, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(network.outlet.weight, std=0.1, generator=torch.Generator().manual_seed(seed))
    return network.requires_grad_(False)


def test_loss_is_karras_weighted_denoising():
    """‖F − target‖² equals (1+σ²)/σ² ‖D − x₀‖², the EDM weight with σ_data = 1."""
    network = _network(1)
    x0, noise, log_sigma = _rows(50), _rows(50, seed=1), torch.linspace(-3, 2, 50)
    sigma = log_sigma.exp()
    denoised = NetworkDenoiser(network)(x0 + sigma[:, None] * noise, sigma)
    weighted = ((1 + sigma**2) / sigma**2)[:, None] * (denoised - x0) ** 2
    found = denoising_errors(network, x0, log_sigma, noise)
    torch.testing.assert_close(found, weighted.mean(1), rtol=1e-4, atol=1e-5)


def test_noise_levels_start_uniform_and_are_stratified():
    log_sigma = NoiseLevels(PLAN, CPU).draw(100, torch.Generator().manual_seed(0))
    edges = np.linspace(math.log(PLAN.sigma_min), math.log(PLAN.sigma_max), 101)
    assert (np.histogram(log_sigma.numpy(), edges)[0] == 1).all()


def test_hill_of_noise_levels_is_a_normal_on_a_uniform_floor():
    drawn = NoiseLevels(PLAN, CPU, uniform=0.4).draw(20_000, torch.Generator().manual_seed(0)).numpy()
    low, high = math.log(PLAN.sigma_min), math.log(PLAN.sigma_max)
    assert low <= drawn.min() < drawn.max() <= high
    hill = stats.norm(math.log(0.2), 1.2)
    points = np.linspace(low, high, 9)
    inside = (hill.cdf(points) - hill.cdf(low)) / (hill.cdf(high) - hill.cdf(low))
    expected = 0.4 * (points - low) / (high - low) + 0.6 * inside
    np.testing.assert_allclose([(drawn <= p).mean() for p in points], expected, atol=2e-3)


def test_weights_give_the_same_loss_whatever_the_density_of_levels():
    """Any errors, drawn from either density, have the likelihood-weighted mean over log σ."""
    grid = torch.linspace(math.log(PLAN.sigma_min), math.log(PLAN.sigma_max), 50_001)
    weight = 1 / (1 + (2 * grid).exp())
    truth = float((weight * (1 + grid.sin())).sum() / weight.sum())
    for uniform in (1.0, 0.45):
        levels = NoiseLevels(PLAN, CPU, uniform)
        drawn = levels.draw(50_000, torch.Generator().manual_seed(0))
        weights = levels.weights(drawn)
        assert float(weights.mean()) == pytest.approx(1, abs=2e-3)
        assert float((weights * (1 + drawn.sin())).mean()) == pytest.approx(truth, abs=3e-3)


def test_validation_is_the_same_at_every_call_and_compares_pairwise():
    judge = Validation(_rows(200), PLAN, torch.Generator().manual_seed(0))
    one, other = _network(1), _network(2)
    assert judge.loss(one) == judge.loss(one)
    gain, error = judge.gain(one, other)
    assert gain == pytest.approx(judge.loss(other) - judge.loss(one), abs=1e-6)
    assert 0 < error < abs(gain) + 1
    assert judge.gain(one, one) == (0, 0)


def test_error_of_a_gain_knows_that_neighbouring_rows_are_alike():
    """Rows that repeat their neighbour a hundred times say no more than one of them."""
    one, other = _network(1), _network(2)
    rows = _rows(20)
    errors = [
        Validation(table, PLAN, torch.Generator().manual_seed(0)).gain(one, other)[1]
        for table in (rows.repeat_interleave(100, 0), _rows(2000))
    ]
    assert errors[0] > 2 * errors[1]


def test_without_validation_rows_there_is_no_loss():
    assert math.isnan(Validation(_rows(0), PLAN, torch.Generator().manual_seed(0)).loss(_network(1)))
