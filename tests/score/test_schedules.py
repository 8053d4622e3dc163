"""The latent does not depend on the perturbation path: each is integrated in its native time."""

import math

import pytest
import torch
from torchdiffeq import odeint

from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.score.oracles import MixtureOracle
from latentflow.score.schedules import PATHS, latent_of

SIGMA_MIN, SIGMA_MAX = 0.05, 10.0


@pytest.fixture(scope="module")
def oracle():
    to = lambda v: torch.tensor(v, dtype=torch.float64)  # noqa: E731
    means = to([[-0.9, 0.3], [0.8, -0.2]])
    covariances = to([[[0.3, 0.1], [0.1, 0.2]], [[0.15, -0.05], [-0.05, 0.4]]])
    return MixtureOracle(to([0.6, 0.4]), means, covariances)


@pytest.fixture(scope="module")
def rows():
    return torch.randn(12, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", PATHS)
def test_native_integration_gives_the_same_latent(name, oracle, rows):
    path = PATHS[name]
    start, stop = path.time(SIGMA_MIN), path.time(SIGMA_MAX)
    native = odeint(
        lambda t, x: path.drift(oracle, float(t), x),
        rows * path.alpha(start),
        torch.tensor([start, stop], dtype=torch.float64),
        rtol=1e-10,
        atol=1e-11,
        method="dopri5",
    )[-1]
    ours = ProbabilityFlow(oracle, log_uniform_grid(SIGMA_MIN, SIGMA_MAX, 600), "ab5").encode(rows)
    torch.testing.assert_close(latent_of(path, native, stop), ours, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("sigma", [0.02, 0.7, 9.0])
def test_slopes_are_the_derivatives_of_the_scales(name, sigma):
    """f = α'/α and g² = 2 s s' − 2 f s², by central differences."""
    path = PATHS[name]
    t = path.time(sigma)
    assert math.isclose(path.scale(t) / path.alpha(t), sigma, rel_tol=1e-9)
    h = 1e-6 * max(t, 1e-3)
    f = (math.log(path.alpha(t + h)) - math.log(path.alpha(t - h))) / (2 * h)
    slope = (path.scale(t + h) - path.scale(t - h)) / (2 * h)
    assert math.isclose(path.alpha_slope(t), f, rel_tol=1e-5, abs_tol=1e-9)
    expected = 2 * path.scale(t) * slope - 2 * f * path.scale(t) ** 2
    assert math.isclose(path.diffusion_squared(t), expected, rel_tol=1e-5)
