"""The flow against closed forms: encoding, decoding, log-determinant, and the trace of a network."""

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest
import torch

from latentflow.flow import probability_flow
from latentflow.flow.grids import blended_grid, log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.score.oracles import GaussianOracle, IndependentOracle, MixtureOracle
from latentflow.score.sizing import plan_training
from latentflow.score.training import train_denoiser

SIGMA_MIN, SIGMA_MAX = 0.05, 12.0


def _rotation(d, seed=0):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))
    return torch.tensor(q)


def gaussian():
    r = _rotation(3)
    return GaussianOracle(
        torch.tensor([0.3, -0.2, 0.1]), r @ torch.diag(torch.tensor([2.0, 0.7, 0.05])).double() @ r.T
    )


def mixture():
    means = torch.tensor([[-1.0, 0.5, 0.0], [0.9, -0.4, 0.6], [0.2, 0.8, -0.9]], dtype=torch.float64)
    roots = torch.tensor(np.random.default_rng(1).normal(size=(3, 3, 3)) * 0.35)
    covariances = roots @ roots.transpose(1, 2) + 0.05 * torch.eye(3)
    return MixtureOracle(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), means, covariances)


def _one_dimensional(weights, means, deviations):
    to = lambda v: torch.tensor(v, dtype=torch.float64)  # noqa: E731
    return MixtureOracle(to(weights), to(means)[:, None], to(deviations)[:, None, None] ** 2)


def independent():
    sources = [
        _one_dimensional([0.5, 0.5], [-0.9, 0.9], [0.4, 0.4]),
        _one_dimensional([0.7, 0.3], [-0.3, 0.7], [0.5, 1.2]),
        _one_dimensional([0.8, 0.2], [0.0, 0.0], [0.6, 1.9]),
    ]
    return IndependentOracle(_rotation(3, 5), sources)


def rows(oracle, n=60):
    """Draws of the oracle's own law."""
    rng = np.random.default_rng(3)
    if isinstance(oracle, IndependentOracle):
        return torch.cat([rows(source, n) for source in oracle.sources], 1) @ oracle.rotation.T
    k, d = oracle.means.shape
    which = torch.tensor(rng.choice(k, n, p=oracle.weights.numpy()))
    spread = torch.tensor(rng.normal(size=(n, d))) * oracle.eigenvalues[which].sqrt()
    return oracle.means[which] + torch.einsum("ne,nde->nd", spread, oracle.eigenvectors[which])


def fine(oracle, steps=500, solver="ab5"):
    return ProbabilityFlow(oracle.double(), log_uniform_grid(SIGMA_MIN, SIGMA_MAX, steps), solver)


@pytest.mark.parametrize("make", [gaussian, independent])
def test_encoding_is_the_exact_flow(make):
    oracle = make().double()
    x = rows(oracle)
    expected = oracle.flow(x, SIGMA_MIN, SIGMA_MAX) / math.sqrt(1 + SIGMA_MAX**2)
    np.testing.assert_allclose(fine(oracle).encode(x), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("make", [gaussian, mixture, independent])
def test_log_det_is_the_difference_of_exact_log_densities(make):
    oracle = make().double()
    x = rows(oracle)
    z, log_det = fine(oracle).encode_with_log_det(x)
    scale = math.sqrt(1 + SIGMA_MAX**2)
    flow_log_det = log_det + x.shape[1] * math.log(scale)
    expected = oracle.log_prob(x, SIGMA_MIN) - oracle.log_prob(z * scale, SIGMA_MAX)
    np.testing.assert_allclose(flow_log_det, expected, rtol=1e-6, atol=1e-8)


def test_gaussian_log_det_in_closed_form():
    oracle = gaussian().double()
    _, log_det = fine(oracle).encode_with_log_det(rows(oracle, 4))
    values = oracle.eigenvalues[0]
    ratio = (values + SIGMA_MAX**2) / (values + SIGMA_MIN**2) / (1 + SIGMA_MAX**2)
    np.testing.assert_allclose(log_det, 0.5 * float(ratio.log().sum()), rtol=1e-6)


@pytest.mark.parametrize("make", [gaussian, mixture, independent])
def test_decoding_is_the_inverse_of_the_exact_flow(make):
    oracle = make().double()
    x = rows(oracle)
    flow = fine(oracle)
    back, residual = flow.decode(flow.encode(x), rounds=0)
    np.testing.assert_allclose(back, x, rtol=1e-6, atol=1e-7)
    assert residual.max() < 1e-6


def test_latents_of_the_independent_oracle_are_mixed_by_its_rotation():
    """The plain latent is R g(Rᵀx): it unmixes nothing, and Rᵀz is a function of one source each."""
    oracle = independent().double()
    x = rows(oracle)
    z = fine(oracle).encode(x)
    sources, unmixed = (x @ oracle.rotation).numpy(), (z @ oracle.rotation).numpy()
    for i in range(3):
        order = np.argsort(sources[:, i])
        assert (np.diff(unmixed[order, i]) > 0).all()
        assert not (np.diff(z.numpy()[order, i]) > 0).all()


def test_corrected_decode_inverts_the_coarse_encoder_itself():
    """Defect correction finds the pre-image of the discrete map, where the plain backward pass does not."""
    oracle = mixture().double()
    flow = ProbabilityFlow(oracle, log_uniform_grid(SIGMA_MIN, SIGMA_MAX, 28), "ab4")
    z = flow.encode(rows(oracle))
    plain, rough = flow.decode(z, rounds=0)
    exact, residual = flow.decode(z)
    assert rough.max() > 1e-5
    assert residual.max() <= 1e-10
    np.testing.assert_allclose(flow.encode(exact), z, atol=1e-9)
    assert (exact - rows(oracle)).abs().max() < 1e-6 < (plain - rows(oracle)).abs().max()


@pytest.fixture(scope="module")
def network():
    """Trained for a moment on a bent cloud, so that its field is far from linear."""
    rng = np.random.default_rng(0)
    s = rng.laplace(size=(2000, 4))
    s[:, 1] = 0.4 * s[:, 1] + s[:, 0] ** 2
    whitened = torch.tensor((s - s.mean(0)) / s.std(0), dtype=torch.float32)
    plan = plan_training(2000, 4, width=24, depth=2, steps=250, batch_size=256)
    plan = dataclasses.replace(plan, learning_rate=5e-3)
    generator = torch.Generator().manual_seed(7)
    denoiser, _ = train_denoiser(lambda: whitened, whitened[:0], plan, generator=generator)
    return denoiser.double()


def test_network_log_det_is_that_of_the_autograd_jacobian(network):
    """d log|det| integrates the trace; the Jacobian of the discrete map itself is the other witness."""
    flow = ProbabilityFlow(network, log_uniform_grid(0.02, 15.0, 500), "ab5")
    x = torch.tensor(np.random.default_rng(0).normal(size=(3, 4)))
    _, log_det = flow.encode_with_log_det(x)
    for row, value in zip(x, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda r: flow._forward(r[None])[0], row)
        np.testing.assert_allclose(value, torch.linalg.slogdet(jacobian)[1], rtol=1e-6)


def test_log_prob_integrates_to_one():
    """A density in two dimensions, summed over a grid."""
    oracle = MixtureOracle(
        torch.tensor([0.6, 0.4]), torch.tensor([[-0.8, 0.0], [1.0, 0.5]]), 0.3 * torch.eye(2).expand(2, 2, 2)
    ).double()
    flow = ProbabilityFlow(oracle, log_uniform_grid(0.05, 20.0, 60), "ab4")
    axis = torch.linspace(-5, 5, 81, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    mass = flow.log_prob(points).exp().sum() * (axis[1] - axis[0]) ** 2
    assert abs(float(mass) - 1) < 2e-3


def test_a_row_does_not_depend_on_its_batch(network):
    flow = ProbabilityFlow(network, log_uniform_grid(0.02, 15.0, 24))
    x = torch.tensor(np.random.default_rng(0).normal(size=(50, 4)))
    together = flow.encode(x)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(flow.encode(x[order]), together[order], rtol=0, atol=1e-12)
    np.testing.assert_allclose(torch.cat([flow.encode(r[None]) for r in x]), together, rtol=0, atol=1e-12)


def test_hutchinson_trace_is_close_to_the_exact_one(network, monkeypatch):
    flow = ProbabilityFlow(network, log_uniform_grid(0.02, 15.0, 40))
    x = torch.tensor(np.random.default_rng(0).normal(size=(200, 4)))
    _, exact = flow.encode_with_log_det(x)
    monkeypatch.setattr(probability_flow, "EXACT_TRACE_DIMENSION", 0)
    monkeypatch.setattr(probability_flow, "TRACE_PROBES", 1000)
    _, estimate = flow.encode_with_log_det(x[:20])
    assert 0 < (estimate - exact[:20]).abs().max() < 0.25
    _, again = flow.encode_with_log_det(x[:20])
    assert (again == estimate).all()


def test_single_precision_is_followed(network):
    single = copy.deepcopy(network).float()
    flow = ProbabilityFlow(single, log_uniform_grid(0.02, 15.0, 24))
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    z, log_det = flow.encode_with_log_det(x)
    back, _ = flow.decode(z)
    assert z.dtype == log_det.dtype == back.dtype == torch.float32


def test_tangents_along_a_direction_are_those_of_the_jacobian(network):
    flow = ProbabilityFlow(network, log_uniform_grid(0.02, 15.0, 64))
    rng = np.random.default_rng(1)
    x, directions = torch.tensor(rng.normal(size=(20, 4))), torch.tensor(rng.normal(size=(20, 4)))
    z, jacobian = flow.encode_with_jacobian(x)
    along = flow.encode_along(x, directions)
    np.testing.assert_allclose(along, (jacobian @ directions[:, :, None])[:, :, 0], atol=1e-10)
    # the backward integration is the inverse up to the error of the solver
    np.testing.assert_allclose(flow.decode_along(z, along), directions, atol=1e-2)


def test_random_traces_are_unbiased_with_errors_of_each_row_own(network):
    flow = ProbabilityFlow(network, log_uniform_grid(0.02, 15.0, 24))
    x = torch.tensor(np.random.default_rng(0).normal(size=(300, 4)))
    z, exact = flow.encode_with_log_det(x)
    draws = []
    for seed in range(20):
        same, estimate = flow.encode_with_log_det(x, generator=torch.Generator().manual_seed(seed))
        np.testing.assert_allclose(same, z, atol=1e-12)
        draws.append((estimate - exact).numpy())
    errors = np.array(draws)
    spread = errors.std(0).mean()
    assert spread > 0.01
    assert abs(errors.mean()) < 4 * spread / math.sqrt(errors.size)
    # a direction that rows shared would move all of them together
    means = errors.mean(1)
    assert means.std() < 3 * spread / math.sqrt(len(x))


def test_discrete_log_det_is_that_of_the_discrete_map_and_close_to_the_continuous_one(network):
    x = torch.tensor(np.random.default_rng(0).normal(size=(20, 4)))
    gaps = []
    for steps in (24, 96):
        flow = ProbabilityFlow(network, log_uniform_grid(0.02, 15.0, steps))
        z, sign, log_det = flow.encode_with_discrete_log_det(x)
        jacobian = torch.autograd.functional.jacobian(lambda r, flow=flow: flow._forward(r[None])[0], x[0])
        np.testing.assert_allclose(log_det[0], torch.linalg.slogdet(jacobian)[1], atol=1e-9)
        np.testing.assert_allclose(z, flow.encode(x), atol=1e-12)
        assert (sign > 0).all()
        gaps.append(float((log_det - flow.encode_with_log_det(x)[1]).abs().max()))
    assert 0 < gaps[1] < 0.05 * gaps[0]


@pytest.mark.parametrize("solver", ["pec3", "pec4", "pec5", "eab3", "ab4", "rk4", "dpm-solver++2m"])
def test_decoding_solves_for_the_row_that_is_encoded_to_the_latent(network, solver):
    flow = ProbabilityFlow(network, blended_grid(0.02, 15.0, 24), solver)
    rng = np.random.default_rng(2)
    rows, latents = (torch.tensor(rng.normal(size=(60, 4))) for _ in range(2))
    back, residual = flow.decode(flow.encode(rows))
    assert float(residual.max()) <= 1e-11
    np.testing.assert_allclose(back, rows, atol=1e-8)
    x, residual = flow.decode(latents)
    np.testing.assert_allclose(flow.encode(x), latents, atol=1e-10)
    np.testing.assert_allclose(residual, (flow.encode(x) - latents).abs().amax(1), atol=1e-13)


def test_decoding_by_shooting_is_cheap(network, monkeypatch):
    """Rows evaluated, in plain decodes: an approximate inverse, a check, a pass or a part of one, a check."""
    flow, evaluated = ProbabilityFlow(network, blended_grid(0.02, 15.0, 36), "pec4"), []
    v_prediction = ProbabilityFlow._v_prediction

    def counted(self, u, y):
        evaluated.append(len(y))
        return v_prediction(self, u, y)

    monkeypatch.setattr(ProbabilityFlow, "_v_prediction", counted)
    z = torch.tensor(np.random.default_rng(3).normal(size=(200, 4)))
    for tolerance, most in ((1e-5, 3.5), (1e-9, 6.5)):
        evaluated.clear()
        flow.decode(z, tolerance=tolerance)
        assert 2 < sum(evaluated) / len(z) / flow.evaluations <= most


@pytest.mark.parametrize("solver", ["dpm-solver++2m", "deis3", "dpm-solver-2", "pec4"])
def test_every_solver_carries_the_log_determinant(network, solver):
    x = torch.tensor(np.random.default_rng(0).normal(size=(20, 4)))
    exact = ProbabilityFlow(network, log_uniform_grid(0.02, 15.0, 400), "rk4").log_prob(x)
    gaps = [
        float((ProbabilityFlow(network, blended_grid(0.02, 15.0, n), solver).log_prob(x) - exact).abs().max())
        for n in (50, 200)
    ]
    assert gaps[1] < 0.15 * gaps[0] < 0.15


def test_one_hopeless_latent_does_not_take_the_others_with_it(network):
    flow = ProbabilityFlow(network, blended_grid(0.02, 15.0, 24), "pec4")
    z = torch.tensor(np.random.default_rng(2).normal(size=(5, 4)))
    z[3] = 1e200
    x, residual = flow.decode(z)
    others = [0, 1, 2, 4]
    assert not float(residual[3]) <= 1e-9
    assert float(residual[others].max()) <= 1e-11
    np.testing.assert_allclose(flow.encode(x[others]), z[others], atol=1e-10)


def test_a_pickled_flow_leaves_its_fields_behind(network):
    flow = ProbabilityFlow(network, blended_grid(0.02, 15.0, 24), "pec4")
    before = len(pickle.dumps(flow))
    x = torch.zeros(3, 4, dtype=torch.float64)
    z = flow.encode(x)
    assert len(pickle.dumps(flow)) == before
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(flow)).encode(x), z)
