"""The closed forms against each other and against automatic differentiation of their own densities."""

import math

import numpy as np
import pytest
import torch

from latentflow.score.oracles import EmpiricalOracle, GaussianOracle, IndependentOracle, MixtureOracle

torch_rng = lambda seed=0: torch.Generator().manual_seed(seed)  # noqa: E731


def _mixture(d=3, k=3, seed=0):
    g = torch_rng(seed)
    roots = torch.randn(k, d, d, generator=g, dtype=torch.float64) * 0.5
    means = torch.randn(k, d, generator=g, dtype=torch.float64)
    return MixtureOracle(torch.rand(k, generator=g, dtype=torch.float64), means, roots @ roots.mT)


def _independent():
    g = torch_rng(2)
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64))
    return IndependentOracle(rotation, [_mixture(1, 2, seed) for seed in (1, 2, 3)])


def _gaussian():
    root = torch.randn(3, 3, generator=torch_rng(4), dtype=torch.float64)
    return GaussianOracle(torch.tensor([0.1, -0.5, 2.0], dtype=torch.float64), root @ root.mT)


def _empirical():
    return EmpiricalOracle(torch.randn(40, 3, generator=torch_rng(5), dtype=torch.float64))


@pytest.mark.parametrize("make", [_mixture, _independent, _gaussian, _empirical])
@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_score_is_the_gradient_of_log_prob(make, sigma):
    oracle = make()
    x = torch.randn(20, 3, generator=torch_rng(9), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(oracle.log_prob(x, sigma).sum(), x)
    torch.testing.assert_close(oracle.score(x, sigma), gradient, rtol=1e-9, atol=1e-9)


def test_log_prob_is_scipys():
    from scipy.stats import multivariate_normal

    oracle = _gaussian()
    x = torch.randn(10, 3, generator=torch_rng(), dtype=torch.float64)
    basis, values = oracle.eigenvectors[0], oracle.eigenvalues[0] + 0.7**2
    expected = multivariate_normal(oracle.means[0].numpy(), (basis * values @ basis.T).numpy()).logpdf(
        x.numpy()
    )
    np.testing.assert_allclose(oracle.log_prob(x, 0.7), expected, rtol=1e-10)


def test_velocity_and_denoiser_are_one_field():
    """D = x/(1+σ²) + σ/√(1+σ²) F at y = x/√(1+σ²), for a σ per row."""
    oracle, x = _mixture(), torch.randn(8, 3, generator=torch_rng(), dtype=torch.float64)
    sigma = torch.linspace(0.05, 9, 8, dtype=torch.float64)
    root = torch.sqrt(1 + sigma**2)[:, None]
    rebuilt = x / root**2 + sigma[:, None] / root * oracle.v_prediction(x / root, sigma)
    torch.testing.assert_close(rebuilt, oracle(x, sigma), rtol=1e-10, atol=1e-10)


def test_independent_flow_preserves_the_distribution_function():
    """The exact flow carries quantiles to quantiles, in both tails."""
    source = MixtureOracle(
        torch.tensor([0.4, 0.6], dtype=torch.float64),
        torch.tensor([[-1.0], [0.8]], dtype=torch.float64),
        torch.tensor([[[0.2]], [[0.5]]], dtype=torch.float64),
    )
    oracle = IndependentOracle(torch.eye(1, dtype=torch.float64), [source])
    x = torch.tensor([[-6.0], [-1.0], [0.0], [0.7], [7.0]], dtype=torch.float64)
    moved = oracle.flow(x, 0.1, 5.0)

    def log_odds(t, sigma):
        u = (t - source.means.T) / torch.sqrt(source.eigenvalues.T + sigma**2)
        below = (source.weights * torch.special.ndtr(u)).sum(1)
        above = (source.weights * torch.special.ndtr(-u)).sum(1)
        return below.log() - above.log()

    torch.testing.assert_close(log_odds(moved, 5.0), log_odds(x, 0.1), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(oracle.flow(moved, 5.0, 0.1), x, rtol=1e-8, atol=1e-8)


def test_empirical_denoiser_is_a_mean_shift_step():
    oracle = _empirical()
    x = oracle.points[:2] + 0.1
    weights = np.exp(-0.5 * ((x[:, None] - oracle.points[None]) ** 2).sum(-1).numpy() / 0.4**2)
    expected = weights @ oracle.points.numpy() / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(oracle(x, 0.4), expected, rtol=1e-10)
    torch.testing.assert_close(oracle(oracle.points, 1e-3), oracle.points)


def test_gaussian_flow_ends_in_the_scaled_law():
    """x(σ) has variance λ + σ² along each axis, so the flow multiplies by the ratio of their roots."""
    oracle = GaussianOracle(torch.zeros(2).double(), torch.diag(torch.tensor([4.0, 0.25]).double()))
    moved = oracle.flow(torch.ones(1, 2, dtype=torch.float64), 0.5, 3.0)
    expected = [math.sqrt((4 + 9) / (4 + 0.25)), math.sqrt((0.25 + 9) / (0.25 + 0.25))]
    np.testing.assert_allclose(moved[0], expected, rtol=1e-12)
