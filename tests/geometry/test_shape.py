"""Measures of shape on curves and laws for which they are known."""

import numpy as np
import pytest
import torch

from latentflow.geometry.claims import shape_claims
from latentflow.geometry.shape import (
    across_chord,
    curvature,
    explained,
    mean_interval,
    tie_gap,
    trajectory_shape,
)
from latentflow.geometry.trajectories import Trajectories, decreasing_grid, follow
from tests.geometry.mixtures import gaussian, latents, mixture

GRID = decreasing_grid(0.01, 15.0)


def test_an_isotropic_gaussian_goes_straight():
    shape = trajectory_shape(follow(gaussian(torch.ones(3)), latents(30, 3), GRID))
    assert shape.chord_deviation.estimate < 1e-9
    assert shape.total_turning.estimate < 1e-6
    np.testing.assert_allclose(shape.components, 1.0)
    # x = √(1+σ²) z, so dx/dσ = σ/√(1+σ²) z, and y does not move
    size = np.median(np.linalg.norm(latents(30, 3).numpy(), axis=1)) / np.sqrt(3)
    np.testing.assert_allclose(shape.speed.median, GRID / np.sqrt(1 + GRID**2) * size, rtol=1e-6)
    np.testing.assert_allclose(shape.variance_preserving_speed.high, 0, atol=1e-9)


def test_speed_of_the_preserving_state_in_closed_form():
    # y = √((v + σ²)/(1 + σ²)) c z, so |dy/d log σ| = σ²|1 − v|/((1 + σ²)² √((v + σ²)/(1 + σ²))) c|z|
    v, z = 0.3, latents(15, 2)
    shape = trajectory_shape(follow(gaussian(torch.full((2,), v)), z, GRID))
    ratio = np.sqrt((v + GRID**2) / (1 + GRID**2))
    size = np.median(np.linalg.norm(z.numpy(), axis=1)) / np.sqrt(2) / ratio[0]
    expected = GRID**2 * (1 - v) / (1 + GRID**2) ** 2 / ratio * size
    np.testing.assert_allclose(shape.variance_preserving_speed.median, expected, rtol=1e-5)


def test_distances_of_a_gaussian_are_those_of_its_flow():
    z = latents(25, 2)
    shape = trajectory_shape(follow(gaussian(torch.ones(2)), z, GRID))
    size = np.median(np.linalg.norm(z.numpy(), axis=1)) / np.sqrt(2)
    root = np.sqrt(1 + GRID**2)
    np.testing.assert_allclose(shape.sampling_distance.median, (root - root[-1]) * size, rtol=1e-6, atol=1e-9)
    denoised = np.abs(1 / root - root[-1]) * size
    np.testing.assert_allclose(shape.denoising_distance.median, denoised, rtol=1e-6, atol=1e-9)


def test_curvature_of_a_planar_curve_in_closed_form():
    # x(σ) = (r₁ z₁, r₂ z₂), r = √(λ + σ²): κ = |x′ y″ − y′ x″| / |x′|³
    variances = torch.tensor([0.2, 3.0])
    z = latents(6, 2)
    paths = follow(gaussian(variances), z, GRID)
    scale = z.numpy() * np.sqrt((1 + GRID[0] ** 2) / (variances.numpy() + GRID[0] ** 2))
    root = np.sqrt(variances.numpy() + GRID[:, None] ** 2)
    first = (GRID[:, None] / root)[:, None] * scale
    second = (variances.numpy() / root**3)[:, None] * scale
    cross = np.abs(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])
    speed = np.linalg.norm(first, axis=2)
    bend, turn = curvature(paths)
    np.testing.assert_allclose(bend, cross / speed**3, rtol=1e-4)
    np.testing.assert_allclose(turn, cross / speed**2 * GRID[:, None], rtol=1e-4)
    angle = np.arctan2(first[..., 1], first[..., 0])
    shape = trajectory_shape(paths)
    assert shape.total_turning.estimate == pytest.approx(np.abs(angle[0] - angle[-1]).mean(), rel=1e-3)


def test_the_tie_holds_and_can_fail():
    paths = follow(mixture(), latents(40, 3), decreasing_grid(0.01, 15.0, 256))
    assert tie_gap(paths) < 1e-4
    wrong = Trajectories(paths.sigmas, paths.sampling, paths.denoising, 1.1 * paths.slope)
    assert tie_gap(wrong) == pytest.approx(1 / 11, rel=1e-2)
    with pytest.raises(ValueError, match="uniform in log"):
        tie_gap(Trajectories(paths.sigmas**2 + 1, paths.sampling, paths.denoising, paths.slope))


def test_distance_to_the_chord_of_a_half_circle():
    angle = np.linspace(0, np.pi, 181)
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)[:, None]
    off, length = across_chord(circle)
    assert length[0] == pytest.approx(2)
    np.testing.assert_allclose(np.linalg.norm(off, axis=2)[:, 0], np.sin(angle), atol=1e-12)
    np.testing.assert_allclose(explained(off, 2), [1, 1])
    shares = explained(circle - circle.mean(0), 3)
    spread = circle[:, 0].var(0)
    np.testing.assert_allclose(shares, np.cumsum(np.sort(spread)[::-1]) / spread.sum(), atol=1e-12)


def test_a_trajectory_that_stays_or_returns_breaks_nothing():
    still = np.zeros((9, 2, 3))
    off, length = across_chord(still)
    np.testing.assert_array_equal(off, 0)
    np.testing.assert_array_equal(length, 1)
    np.testing.assert_array_equal(explained(still, 2), [1, 1])


def test_one_column_says_nothing_of_straightness():
    claims = {
        each.name: each for each in shape_claims(trajectory_shape(follow(mixture(1), latents(20, 1), GRID)))
    }
    assert claims["a"].holds is None
    assert claims["e"].holds is None
    assert claims["c"].holds is True


def test_intervals_cover_the_mean():
    rng = np.random.default_rng(0)
    hits = sum(not mean_interval(rng.exponential(size=200)).excludes(1.0) for _ in range(400))
    assert 0.91 < hits / 400 < 0.98


def test_the_record_is_plain_json():
    found = trajectory_shape(follow(mixture(), latents(5, 3), decreasing_grid(0.1, 5, 8))).to_dict()
    assert len(found["turning"]["median"]) == 9
    assert found["n_rows"] == 5
