"""Increasing functions side by side: what they say of themselves, and the derivative written by hand."""

import numpy as np
import pytest
import torch

from latentflow.base.monotone import TANH_UNITS, Curves, MonotoneTransforms, _MonotoneTransform


def shaken(module, seed=0, by=2.0):
    """The module in double precision, all of its parameters moved."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module


def test_they_begin_near_the_identity():
    u = torch.linspace(-4, 4, 50).expand(3, 2, 50)
    value, log_slope = MonotoneTransforms([None] * 3, 2)(u)
    assert float((value.detach() - u).abs().max()) < 0.2
    assert float(log_slope.detach().abs().max()) < 0.2


@pytest.mark.parametrize("seed", range(5))
def test_they_increase_with_the_slope_that_they_say(seed):
    transforms = shaken(MonotoneTransforms([None, None], 3), seed)
    u = torch.linspace(-9, 9, 3001, dtype=torch.float64).repeat(2, 3, 1).requires_grad_()
    value, log_slope = transforms(u)
    assert (value.diff(dim=2) > 0).all()
    (slopes,) = torch.autograd.grad(value.sum(), u)
    torch.testing.assert_close(slopes.log(), log_slope, atol=1e-9, rtol=0)
    # without an end on either side: every value has a row behind it
    far, _ = transforms(torch.tensor([-1e6, 1e6], dtype=torch.float64).repeat(2, 3, 1))
    assert (far[..., 0] < value[..., 0]).all()
    assert (far[..., 1] > value[..., -1]).all()
    assert (far.abs() > 100).all()


def test_the_derivative_by_hand_is_that_of_the_formula():
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape, least=None):
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        return (drawn if least is None else drawn.abs() + least).requires_grad_()

    inputs = (
        numbers(3, 7),
        numbers(3, least=0.3),
        numbers(3, TANH_UNITS, least=0.1),
        numbers(3, TANH_UNITS, least=0.5),
        numbers(3, TANH_UNITS),
        numbers(3),
    )
    assert torch.autograd.gradcheck(_MonotoneTransform.apply, inputs)


def test_they_follow_a_curve_that_is_steep_at_0_and_leave_the_other_start_alone():
    """The inverse of u³ + 0.3 u, as a mixture through cubes wants it."""
    v = np.linspace(-2, 2, 41)
    u = v**3 + 0.3 * v
    curve = Curves(np.tile(u, (2, 1)), np.tile(v, (2, 1)), np.tile(-np.log(3 * v**2 + 0.3), (2, 1)))
    transforms = MonotoneTransforms([None, curve], 2)
    value, log_slope = (
        part.detach().numpy() for part in transforms(torch.as_tensor(curve.at).float().expand(2, -1, -1))
    )
    assert np.abs(value[1] - v).max() < 0.5
    assert np.abs(value[1] - v).mean() < 0.15
    assert log_slope[1, :, 20].min() > 0.4  # 1.2 in truth, 0 of the identity
    assert np.abs(log_slope[1] - curve.log_slope).max() < 1.0
    plain = MonotoneTransforms([None], 2)
    for own, other in zip(transforms.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own[:1], other)


def test_some_are_kept():
    transforms = shaken(MonotoneTransforms([None] * 4, 2), by=0.5)
    u = torch.randn(4, 2, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kept = transforms.keep([2, 0])
    for own, other in zip(kept(u[[2, 0]]), transforms(u), strict=True):
        torch.testing.assert_close(own, other[[2, 0]])
    assert all(parameter.requires_grad for parameter in kept.parameters())


def test_curves_of_different_lengths_are_followed_side_by_side():
    def sinh(points):
        at = np.linspace(-2, 2, points)[None]
        return Curves(at, np.arcsinh(3 * at), np.log(3 / np.hypot(1, 3 * at)))

    u = torch.linspace(-1.9, 1.9, 60).expand(2, 1, 60)
    value, _ = MonotoneTransforms([sinh(40), sinh(25)], 1)(u)
    torch.testing.assert_close(value.detach(), torch.asinh(3 * u), atol=0.1, rtol=0)
