"""Axes from derivatives of the flow, where score and sources are known in closed form."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import logm

from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.orientation import jacobians as derivative_axes
from latentflow.orientation.jacobians import (
    NOISE_LEVELS,
    denoiser_axes,
    encoder_jacobians,
    metric_axes,
    pull_back_axes,
    rows_to_differentiate,
    symmetric_log,
)
from latentflow.score.oracles import GaussianOracle, IndependentOracle, MixtureOracle
from tests.orientation.angles import distance, turn


def law(means, deviation):
    """An equal mixture of normals with one standard deviation, of mean 0 and variance 1."""
    m = torch.tensor(means, dtype=torch.float64)
    m = m - m.mean()
    unit = math.sqrt(float((m**2).mean()) + deviation**2)
    variances = torch.full((len(m), 1, 1), (deviation / unit) ** 2, dtype=torch.float64)
    return MixtureOracle(torch.ones(len(m), dtype=torch.float64), (m / unit)[:, None], variances)


LAWS = [law([-1.0, 1.0], 0.4), law([-0.5, -0.5, 1.5], 0.5), law([0.0, 0.0, 0.0, -1.6, 1.8], 0.5)]
NORMAL = [law([0.0], 1.0), law([0.0], 1.0)]


def linear(laws, seed=0, rows=400):
    """A linear-ICA model: its flow, its rotation, and some rows."""
    rng = np.random.default_rng(seed)
    axes = turn(len(laws), rng)
    flow = ProbabilityFlow(
        IndependentOracle(torch.tensor(axes), laws).double(), log_uniform_grid(0.02, 12.0, 24)
    )
    sources = []
    for each in laws:
        which = rng.integers(len(each.weights), size=rows)
        deviations = each.eigenvalues[which, 0].sqrt().numpy()
        sources.append(each.means[which, 0].numpy() + deviations * rng.normal(size=rows))
    return flow, axes, np.stack(sources, axis=1) @ axes.T


def test_the_rotation_of_a_linear_mixture_is_found_by_the_denoiser():
    flow, axes, x = linear(LAWS)
    found = denoiser_axes(flow, x, np.random.default_rng(0))
    assert distance(found.rotation, axes) < 1e-6
    assert found.converged
    assert found.off_diagonal < 1e-12


def test_and_by_the_metric_of_the_decoder():
    flow, axes, x = linear(LAWS, seed=1)
    found = metric_axes(encoder_jacobians(flow, x, np.random.default_rng(0))[1])
    assert distance(found.rotation, axes) < 1e-6
    assert found.converged
    assert found.off_diagonal < 1e-12


def test_the_denoiser_is_differentiated_where_it_was_learned_and_counts_by_what_rows_differ_in(monkeypatch):
    """The matrices are ∂D/∂x itself, by automatic differentiation, less its mean at each noise level."""
    flow, _, x = linear(LAWS)
    points, seen = [], []
    push_forward = flow.denoiser.push_forward

    def watched(y, sigma, directions):
        points.append((y, sigma))
        return push_forward(y, sigma, directions)

    monkeypatch.setattr(flow.denoiser, "push_forward", watched)
    monkeypatch.setattr(derivative_axes, "joint_diagonaliser", lambda matrices: seen.append(matrices))
    monkeypatch.setattr(derivative_axes, "MOST_ROWS", 300)
    denoiser_axes(flow, x, np.random.default_rng(0))
    assert [sigma for _, sigma in points] == list(NOISE_LEVELS)
    for level, (y, sigma) in enumerate(points):
        spread = (1 + sigma**2) * y.var(0).mean()
        assert float(spread) == pytest.approx(1 + sigma**2, rel=0.25)

        def of_row(row, sigma=sigma):
            return flow.denoiser(row[None], sigma)[0]

        slopes = torch.func.vmap(torch.func.jacrev(of_row))(y * math.sqrt(1 + sigma**2)).numpy()
        expected = 0.5 * (slopes + slopes.transpose(0, 2, 1))
        own = seen[0][300 * level : 300 * (level + 1)]
        np.testing.assert_allclose(own, expected - expected.mean(0), atol=1e-9)


def test_a_plane_of_two_normal_sources_is_left_as_it_is_and_the_others_are_found():
    flow, axes, x = linear([*NORMAL, *LAWS[:2]], seed=2)
    jacobians = encoder_jacobians(flow, x, np.random.default_rng(0))[1]
    for found in (denoiser_axes(flow, x, np.random.default_rng(0)), metric_axes(jacobians)):
        assert found.converged
        cosines = np.abs(found.rotation.T @ axes)
        np.testing.assert_allclose(cosines[:, 2:].max(0), 1, atol=1e-9)
        in_plane = (cosines[:, :2] ** 2).sum(1)
        np.testing.assert_allclose(np.sort(in_plane), [0, 0, 1, 1], atol=1e-9)


def test_normal_rows_alone_have_no_axes():
    oracle = GaussianOracle(torch.zeros(3), torch.eye(3)).double()
    flow = ProbabilityFlow(oracle, log_uniform_grid(0.02, 12.0, 24))
    x = np.random.default_rng(0).normal(size=(300, 3))
    for found in (
        denoiser_axes(flow, x, np.random.default_rng(0)),
        metric_axes(encoder_jacobians(flow, x, np.random.default_rng(0))[1]),
    ):
        assert found.converged
        np.testing.assert_allclose(found.rotation.T @ found.rotation, np.eye(3), atol=1e-12)


def test_encoder_jacobians_are_those_of_finite_differences():
    flow, _, x = linear(LAWS)
    jacobians, step = encoder_jacobians(flow, x[:5], np.random.default_rng(0))[1], 1e-5
    assert jacobians.shape == (5, 3, 3)
    for j in range(3):
        moved = torch.zeros(3, dtype=torch.float64)
        moved[j] = step
        ahead, behind = (flow.encode(torch.tensor(x[:5]) + sign * moved).numpy() for sign in (1, -1))
        np.testing.assert_allclose(jacobians[:, :, j], (ahead - behind) / (2 * step), atol=1e-6)


def test_no_more_rows_are_differentiated_than_it_is_worth(monkeypatch):
    assert rows_to_differentiate(2) == 4000
    assert rows_to_differentiate(20) == 1000
    assert rows_to_differentiate(1000) == 200
    monkeypatch.setattr(derivative_axes, "MOST_ROWS", 200)
    flow, _, x = linear(LAWS[:2], rows=500)
    picked, jacobians = encoder_jacobians(flow, x, np.random.default_rng(0))
    assert jacobians.shape == (200, 2, 2)
    assert len(np.unique(jacobians[:, 0, 0])) == 200
    # each with its row
    own = encoder_jacobians(flow, picked[:7], np.random.default_rng(0))[1]
    np.testing.assert_allclose(own, jacobians[:7], atol=1e-10)


def between(rng, rows=60, d=4):
    """Rotations on either side of positive diagonals, one for each row."""
    return turn(d, rng), np.exp(rng.normal(size=(rows, d))), np.stack([turn(d, rng) for _ in range(rows)])


def test_metric_axes_are_those_of_orthogonal_columns_of_the_decoder():
    """D = Q(x) diag(x) Vᵀ, a rotation of its own in every row, as a conformal mixture of sources has."""
    rng = np.random.default_rng(3)
    axes, stretch, rotations = between(rng)
    decoders = np.einsum("nij,nj,kj->nik", rotations, stretch, axes)
    assert distance(metric_axes(np.linalg.inv(decoders)).rotation, axes) < 1e-9
    # a row counts by the shape of its metric, not by its size
    scaled = np.linalg.inv(decoders * np.exp(5 * rng.normal(size=60))[:, None, None])
    np.testing.assert_allclose(
        metric_axes(scaled).diagonals, metric_axes(np.linalg.inv(decoders)).diagonals, atol=1e-9
    )


def test_pull_back_axes_are_those_in_the_space_of_the_rows():
    rng = np.random.default_rng(4)
    axes, stretch, rotations = between(rng)
    encoders = np.einsum("nij,nj,kj->nik", rotations, stretch, axes)
    assert distance(pull_back_axes(encoders).rotation, axes) < 1e-9


@pytest.mark.usefixtures("numpy_seeded")
def test_the_logarithm_of_matrices():
    rng = np.random.default_rng(5)
    roots = rng.normal(size=(6, 4, 4))
    matrices = roots @ roots.transpose(0, 2, 1)
    np.testing.assert_allclose(symmetric_log(matrices), [logm(m) for m in matrices], atol=1e-9)
    assert np.isfinite(symmetric_log(np.zeros((1, 2, 2)))).all()
