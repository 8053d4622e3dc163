"""Splines: exact inverse, slopes as automatic differentiation has them, straight tails, the points they go through."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentflow.base.monotone import Curves
from latentflow.base.splines import MonotoneSplines


@pytest.fixture
def curves() -> Curves:
    rng = np.random.default_rng(0)
    at, value = (np.sort(rng.normal(size=(3, 12)), axis=1) for _ in range(2))
    return Curves(at, value, rng.normal(size=(3, 12)))


def test_slopes_and_inverse_are_exact(curves) -> None:
    splines = MonotoneSplines.through(curves)
    u = torch.as_tensor(3 * np.random.default_rng(1).normal(size=(500, 3))).requires_grad_()
    value, log_slope = splines(u)
    (slope,) = torch.autograd.grad(value.sum(), u)
    torch.testing.assert_close(log_slope, slope.log(), rtol=0, atol=1e-11)
    back, again = splines.inverse(value)
    torch.testing.assert_close(back, u, rtol=0, atol=1e-10)
    torch.testing.assert_close(again, log_slope, rtol=0, atol=1e-8)


def test_it_goes_through_its_points_and_on_straight(curves) -> None:
    splines = MonotoneSplines.through(curves)
    value, log_slope = splines(torch.as_tensor(curves.at.T.copy()))
    np.testing.assert_allclose(value.detach().numpy(), curves.value.T, atol=1e-12)
    np.testing.assert_allclose(log_slope.detach().numpy()[:-1], curves.log_slope.T[:-1], atol=1e-9)
    far = torch.tensor([[-1e3, -2e3, -3e3], [1e3, 2e3, 3e3]], dtype=torch.float64)
    ends = splines(far)[1].detach().numpy()
    np.testing.assert_allclose(ends, curves.log_slope[:, [0, -1]].T, atol=1e-9)


def test_a_straight_line_has_no_roughness_and_a_kink_has() -> None:
    at = np.linspace(-1, 1, 7)[None]
    line = MonotoneSplines.through(Curves(at, 2 * at, np.full((1, 7), np.log(2.0))))
    assert float(line.roughness()) == pytest.approx(0, abs=1e-20)
    kink = MonotoneSplines.through(
        Curves(at, np.where(at > 0, 2 * at, at), np.log(np.where(at > 0, 2.0, 1.0)))
    )
    assert float(kink.roughness()) > 0.1
