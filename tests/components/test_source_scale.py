"""The scale of the sources: the source itself behind a linear mixture, monotone and invertible behind any."""

import copy
import math

import numpy as np
import pytest
import torch

from latentflow.components import latent_curves as axis_curves
from latentflow.components.latent_curves import AxisCurves, curve_points
from latentflow.components.source_scale import SourceScale, knots_for
from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.score.oracles import IndependentOracle, MixtureOracle


def law(weights, means, deviations):
    """A one-dimensional mixture of mean 0 and variance 1, as it is behind whitened rows."""
    w, m, s = np.array(weights), np.array(means, float), np.array(deviations, float)
    m = m - w @ m
    unit = math.sqrt(w @ (s**2 + m**2))
    return MixtureOracle(
        torch.tensor(w), torch.tensor(m / unit)[:, None], torch.tensor((s / unit) ** 2)[:, None, None]
    )


def drawn(law, n, rng):
    which = rng.choice(len(law.weights), n, p=law.weights.numpy())
    return law.means[which, 0].numpy() + rng.normal(size=n) * law.eigenvalues[which, 0].sqrt().numpy()


LAWS = [law([0.5, 0.5], [-0.9, 0.9], [0.4, 0.4]), law([0.7, 0.3], [-0.3, 0.7], [0.5, 1.2])]


@pytest.fixture(scope="module")
def linear():
    """A linear mixture with the exact score: (flow, rotation, sources of mean zero, oriented latents)."""
    rng = np.random.default_rng(0)
    sources = np.stack([drawn(each, 1500, rng) for each in LAWS], axis=1)
    rotation = np.array([[math.cos(0.7), -math.sin(0.7)], [math.sin(0.7), math.cos(0.7)]])
    oracle = IndependentOracle(torch.tensor(rotation), LAWS).double()
    flow = ProbabilityFlow(oracle, log_uniform_grid(0.01, 12.0, 24))
    latents = flow.encode(torch.tensor(sources @ rotation.T)).numpy() @ rotation
    return flow, rotation, sources - sources.mean(axis=0), latents


@pytest.fixture(scope="module")
def scale(linear):
    flow, rotation, _, latents = linear
    return SourceScale.fit(flow, rotation, latents)


def test_it_is_the_source_itself_behind_a_linear_mixture(linear):
    flow, rotation, sources, latents = linear
    found = SourceScale.fit(flow, rotation, latents).forward(latents)[0]
    np.testing.assert_allclose(found, sources, atol=1e-6, rtol=0)
    # the latents, which are Gaussian, are far from it
    assert np.abs(latents - sources).max() > 0.5


@pytest.mark.parametrize(("latents", "count", "error"), [(20, 145, 1e-6), (64, 45, 5e-3), (128, 22, 3e-2)])
def test_the_fewer_knots_of_more_latents_are_enough_for_what_is_promised(
    linear, scale, latents, count, error
):
    """Up to twenty latents have as many knots as two, with which the source is found to 1e-6."""
    flow, rotation, sources, z = linear
    assert knots_for(2) == knots_for(5) == knots_for(10) == scale.knots.shape[1]
    assert knots_for(latents) == count
    fewer = scale if count == scale.knots.shape[1] else SourceScale.fit(flow, rotation, z, knots=count)
    np.testing.assert_allclose(fewer.forward(z)[0], sources, atol=error, rtol=0)


def test_sources_have_mean_zero_over_the_rows_given(linear, scale):
    latents = linear[3]
    np.testing.assert_allclose(scale.forward(latents)[0].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(
        scale.centred(latents[:99]).forward(latents[:99])[0].mean(axis=0), 0, atol=1e-12
    )


def test_it_is_increasing_and_inverted_also_far_beyond_the_knots(scale):
    t = np.tile(np.linspace(-9, 9, 20_001)[:, None], (1, 2))
    sources = scale.forward(t)[0]
    assert (np.diff(sources, axis=0) > 0).all()
    np.testing.assert_allclose(scale.inverse(sources), t, atol=1e-10, rtol=0)
    wide = np.tile(np.linspace(-5, 5, 20_001)[:, None], (1, 2))
    np.testing.assert_allclose(scale.forward(scale.inverse(wide))[0], wide, atol=1e-10, rtol=0)


def test_log_det_is_that_of_finite_differences(scale):
    rng = np.random.default_rng(2)
    t, step = np.concatenate([rng.normal(size=(200, 2)), [[-7.0, 6.0]]]), 1e-6
    slopes = (scale.forward(t + step)[0] - scale.forward(t - step)[0]) / (2 * step)
    np.testing.assert_allclose(scale.speeds(t), slopes, rtol=1e-5)
    np.testing.assert_allclose(scale.forward(t)[1], np.log(slopes).sum(axis=1), atol=1e-5)


def test_another_order_and_other_signs_are_those_of_the_latents(linear, scale):
    latents, order, signs = linear[3], np.array([1, 0]), np.array([-1.0, 1.0])
    arranged = scale.arranged(order, signs)
    np.testing.assert_allclose(
        arranged.forward(latents[:, order] * signs)[0],
        scale.forward(latents)[0][:, order] * signs,
        atol=1e-12,
    )
    assert (np.diff(arranged.knots, axis=1) > 0).all()
    # the original is left as it was
    assert (np.diff(scale.knots, axis=1) > 0).all()


def test_state_holds_everything(linear, scale):
    latents = linear[3]
    again = SourceScale.from_state({name: array.copy() for name, array in scale.state().items()})
    np.testing.assert_array_equal(again.forward(latents)[0], scale.forward(latents)[0])


def bent():
    """A law whose curves are no straight lines."""
    means = torch.tensor([[-1.0, 0.5], [0.9, 0.6], [0.2, -0.8]], dtype=torch.float64)
    weights = torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64)
    oracle = MixtureOracle(weights, means, 0.2 * torch.eye(2, dtype=torch.float64).expand(3, 2, 2))
    return ProbabilityFlow(oracle, log_uniform_grid(0.02, 12.0, 32))


def test_a_bent_curve_is_measured_by_its_arc_length():
    flow = bent()
    scale = SourceScale.fit(flow, np.eye(2), np.zeros((1, 2)))
    for axis in range(2):
        t = torch.zeros(4001, 2, dtype=torch.float64)
        t[:, axis] = torch.linspace(-2, 2, 4001, dtype=torch.float64)
        x = flow.decode(t)[0].numpy()
        length = np.linalg.norm(np.diff(x, axis=0), axis=1).sum()
        ends = scale.forward(t[[0, -1]].numpy())[0][:, axis]
        assert ends[1] - ends[0] == pytest.approx(length, rel=1e-5)
        assert length > np.linalg.norm(x[-1] - x[0]) * 1.01


@pytest.mark.parametrize("whole", [True, False])
def test_velocities_are_those_of_finite_differences(whole, monkeypatch):
    if not whole:
        monkeypatch.setattr(axis_curves, "WHOLE_JACOBIAN_UP_TO", 0)
    flow, step = bent(), 1e-5
    z = torch.tensor(np.random.default_rng(1).normal(size=(30, 2)))
    directions = torch.tensor([[0.6, 0.8]], dtype=torch.float64).expand(30, 2)
    points = curve_points(flow, z, directions)
    ahead, behind = (flow.decode(z + sign * step * directions)[0] for sign in (1, -1))
    tolerance = 1e-4 if whole else 1e-3
    np.testing.assert_allclose(points.velocity, (ahead - behind) / (2 * step), rtol=tolerance, atol=1e-4)
    assert points.residual.max() < 1e-4


def test_a_curve_ends_where_it_leaves_the_data(linear):
    flow, rotation, sources, latents = linear
    scale = SourceScale.fit(flow, rotation, latents, reach=1.2)
    assert (scale.knots[:, 0] > -4).all()
    assert (scale.knots[:, -1] < 4).all()
    near = np.abs(latents).max(axis=1) < np.abs(scale.knots[:, [0, -1]]).min()
    assert near.mean() > 0.5
    found = scale.forward(latents[near])[0]
    np.testing.assert_allclose(found - found.mean(0), sources[near] - sources[near].mean(0), atol=1e-3)


def test_knots_that_do_not_decode_are_bridged(linear):
    """A hole in the middle of a curve, and a curve of which nothing is known."""
    flow, rotation, _, _ = linear
    curves = AxisCurves.follow(flow, rotation, knots=9)
    whole = curves.lengths()[0].sum()
    good = np.ones(curves.t.shape, bool)
    good[0, 3], good[1] = False, False
    curves.x[0, 3], curves.velocity[0, 3] = np.nan, np.inf
    mended = curves.mended(good, rotation)
    assert np.isfinite(mended.x).all()
    lengths = mended.lengths()
    assert (lengths > 0).all()
    np.testing.assert_allclose(lengths[1], np.diff(mended.t[1]), rtol=1e-9)
    np.testing.assert_allclose(lengths[0].sum(), whole)


def test_a_nearly_empty_gap_is_a_finite_step():
    """Between two far modes the decoder jumps: the speed there is beyond bounds, the arc length is not."""
    apart = law([0.5, 0.5], [-1.0, 1.0], [0.02, 0.02])
    oracle = IndependentOracle(torch.eye(1, dtype=torch.float64), [apart]).double()
    flow = ProbabilityFlow(oracle, log_uniform_grid(0.01, 12.0, 64))
    scale = SourceScale.fit(flow, np.eye(1), np.zeros((1, 1)), knots=65)
    t = np.linspace(-4, 4, 4001)[:, None]
    sources = scale.forward(t)[0]
    assert (np.diff(sources[:, 0]) > 0).all()
    assert sources[-1, 0] - sources[0, 0] == pytest.approx(2.2, abs=0.15)
    np.testing.assert_allclose(scale.inverse(sources), t, atol=1e-10)


def test_single_precision_is_followed(linear):
    flow, rotation, sources, latents = linear
    single = ProbabilityFlow(copy.deepcopy(flow.denoiser).float(), flow.sigmas)
    scale = SourceScale.fit(single, rotation, latents, knots=33)
    np.testing.assert_allclose(scale.forward(latents)[0], sources, atol=2e-2)
