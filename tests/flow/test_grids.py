"""Grids end exactly where they should, rise, and are spread by the formulas that they are named after."""

import numpy as np
import pytest

from latentflow.flow.grids import blended_grid, karras_grid, log_uniform_grid

MAKERS = {
    "log_uniform": log_uniform_grid,
    "karras": karras_grid,
    "blended": blended_grid,
}


@pytest.mark.parametrize("steps", [1, 2, 7, 200])
@pytest.mark.parametrize("name", MAKERS)
def test_ends_are_exact_and_levels_rise(name, steps):
    for low, high in ((0.0123, 14.7), (0.2, 0.3)):
        levels = MAKERS[name](low, high, steps)
        assert levels.shape == (steps + 1,)
        assert (levels[0], levels[-1]) == (low, high)
        assert (np.diff(levels) > 0).all()


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("ends", [(1.0, 0.5), (0.0, 1.0), (-1.0, 1.0), (2.0, 2.0), (float("nan"), 1.0)])
def test_disordered_noise_levels_are_refused(name, ends):
    with pytest.raises(ValueError, match="sigma_min < sigma_max"):
        MAKERS[name](*ends, 3)


def test_log_uniform():
    np.testing.assert_allclose(log_uniform_grid(0.1, 10, 2), [0.1, 1, 10])


def test_karras_is_uniform_in_the_root_of_sigma():
    np.testing.assert_allclose(karras_grid(1, 81, 2, rho=4), [1, 16, 81])
    np.testing.assert_allclose(np.diff(karras_grid(0.01, 15, 9) ** (1 / 7), 2), 0, atol=1e-14)


def test_karras_becomes_log_uniform():
    np.testing.assert_allclose(karras_grid(0.01, 15, 9, rho=1e6), log_uniform_grid(0.01, 15, 9), rtol=1e-4)


def test_blended_without_a_share_is_log_uniform():
    np.testing.assert_allclose(blended_grid(0.01, 15, 9, share=0), log_uniform_grid(0.01, 15, 9), rtol=1e-12)


def test_blended_is_uniform_in_its_blend():
    levels = blended_grid(0.01, 15, 20, share=0.4)
    along = np.log(levels / 0.01) / np.log(1500)
    blend = 0.6 * along + 0.4 * 2 / np.pi * np.arctan(levels)
    # nodes are found by interpolation on a hundred points a step
    np.testing.assert_allclose(np.diff(blend, 2), 0, atol=2e-6)


def test_blended_is_densest_about_one():
    levels = blended_grid(0.01, 15, 30)
    steps = np.diff(np.log(levels))
    assert 0.5 < levels[np.argmin(steps)] < 1.5
    assert steps.min() < 0.8 * steps[0]
