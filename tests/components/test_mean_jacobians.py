"""Mean Jacobians in the user's units: against differences of the maps themselves, and against an ICA's matrices."""

import math

import numpy as np
import pytest
import torch

from latentflow.components.mean_jacobians import MeanJacobians
from latentflow.components.source_scale import SourceScale
from latentflow.data.preprocess import Preprocessor
from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.score.oracles import IndependentOracle, MixtureOracle


def law(weights, means, deviations):
    m, s = np.array(means), np.array(deviations)
    unit = math.sqrt(np.array(weights) @ (s**2 + m**2))
    return MixtureOracle(
        torch.tensor(weights), torch.tensor(m / unit)[:, None], torch.tensor((s / unit) ** 2)[:, None, None]
    )


LAWS = [law([0.5, 0.5], [-0.8, 0.8], [0.5, 0.5]), law([0.7, 0.3], [0.0, 0.0], [0.6, 1.6])]
MIXING = np.array([[2.0, -30.0], [1.0, 50.0]])


def rows(n=800):
    rng = np.random.default_rng(0)
    parts = []
    for each in LAWS:
        which = rng.choice(2, n, p=each.weights.numpy())
        parts.append(
            each.means[which, 0].numpy() + rng.normal(size=n) * each.eigenvalues[which, 0].sqrt().numpy()
        )
    sources = np.stack(parts, axis=1)
    # whitened on these very rows, so that the mixture of them is a rotation exactly
    sources -= sources.mean(0)
    return sources @ np.linalg.inv(np.linalg.cholesky(np.cov(sources.T, bias=True))).T


@pytest.fixture(scope="module")
def linear():
    """A linear mixture in odd units and the exact flow: (preprocessor, flow, rotation, X, sources)."""
    sources = rows()
    X = sources @ MIXING.T + [100.0, -7.0]
    preprocessor = Preprocessor.fit(X, ["a", "b"])
    rotation = np.linalg.lstsq(preprocessor.forward(X)[0], sources, rcond=None)[0]
    oracle = IndependentOracle(torch.tensor(rotation), LAWS).double()
    return preprocessor, ProbabilityFlow(oracle, log_uniform_grid(0.01, 12.0, 24)), rotation, X, sources


def test_in_source_scale_it_is_the_mixing_of_an_ica(linear):
    """The convention of scikit-learn's FastICA with whiten="unit-variance": S = (X − mean) componentsᵀ."""
    preprocessor, flow, rotation, X, sources = linear
    latents = flow.encode(torch.tensor(preprocessor.forward(X)[0])).numpy() @ rotation
    scale = SourceScale.fit(flow, rotation, latents)
    jacobians = MeanJacobians.over(preprocessor, flow, rotation, X, scale=scale)
    np.testing.assert_allclose(jacobians.mixing, MIXING, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(jacobians.components @ jacobians.mixing, np.eye(2), atol=2e-3)
    np.testing.assert_allclose((X - jacobians.mean) @ jacobians.components.T, sources, atol=5e-3)


def test_in_latent_scale_every_direction_is_that_of_the_ica(linear):
    preprocessor, flow, rotation, X, _ = linear
    jacobians = MeanJacobians.over(preprocessor, flow, rotation, X)
    factors = jacobians.mixing / MIXING
    assert (factors > 0).all()
    np.testing.assert_allclose(factors[0], factors[1], rtol=1e-6)
    assert (
        np.abs(jacobians.components @ jacobians.mixing - np.eye(2)).max() > 0.05
    )  # E[f′] E[1/f′] is above 1


def test_it_is_the_mean_of_numerical_derivatives(monkeypatch):
    """A bent flow behind squeezed tails, a constant and a dependent column."""
    monkeypatch.setattr("latentflow.flow.latent_map.NUMBERS_AT_ONCE", 100)
    rng = np.random.default_rng(3)
    table = rng.normal(size=(40, 2)) * [1.0, 5.0]
    table[:2, 0] *= 30.0
    X = np.column_stack([table[:, 0], np.full(40, 4.0), table[:, 1], 2 * table[:, 0] - table[:, 1] + 1])
    preprocessor = Preprocessor.fit(X, list("abcd"), tails="asinh")
    assert [column.role for column in preprocessor.treatments] == ["flow", "constant", "flow", "dependent"]
    means = torch.tensor([[-1.0, 0.5], [0.9, 0.6], [0.2, -0.8]], dtype=torch.float64)
    oracle = MixtureOracle(
        torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64), means, 0.3 * torch.eye(2).double().expand(3, 2, 2)
    )
    flow = ProbabilityFlow(oracle, log_uniform_grid(0.02, 12.0, 24))
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    jacobians = MeanJacobians.over(preprocessor, flow, rotation, X)

    def encode(values):
        return flow.encode(torch.tensor(preprocessor.whiten(values)[0])).numpy() @ rotation

    def decode(z):
        return preprocessor.inverse(flow.decode(torch.tensor(z @ rotation.T), tolerance=1e-12)[0].numpy())

    kept, components, mixing = X[:, [0, 2]], np.zeros((2, 4)), np.zeros((4, 2))
    z = encode(kept)
    for j, step in enumerate([1e-5, 1e-5]):
        shift = np.eye(2)[j] * step
        components[:, [0, 2][j]] = (encode(kept + shift) - encode(kept - shift)).mean(0) / (2 * step)
        mixing[:, j] = (decode(z + shift) - decode(z - shift)).mean(0) / (2 * step)
    np.testing.assert_allclose(jacobians.components, components, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(jacobians.mixing, mixing, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jacobians.mean, X.mean(axis=0))
    assert (jacobians.components[:, [1, 3]] == 0).all()
    assert np.abs(jacobians.mixing[3]).min() > 0


def test_state_holds_everything(linear):
    preprocessor, flow, rotation, X, _ = linear
    jacobians = MeanJacobians.over(preprocessor, flow, rotation, X[:20])
    again = MeanJacobians.from_state(jacobians.state())
    for name in ("components", "mixing", "mean"):
        np.testing.assert_array_equal(getattr(again, name), getattr(jacobians, name))
