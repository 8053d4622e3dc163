"""Linear ICA with free densities on sources whose law is known, and what is kept of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentflow.base.based_flow import BasedFlow
from latentflow.base.fastica import ica_axes
from latentflow.base.gaussianization import Start, fit_gaussianization
from latentflow.base.initialisation import curves_to_normal
from latentflow.base.layers import LayeredBase, fit_base

ROWS = 4_000


def _sources(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of Laplace, uniform and exponential sources of unit variance, and their log density, nats."""
    rng = np.random.default_rng(seed)
    scale = np.sqrt(0.5)
    s = np.column_stack(
        [rng.laplace(0, scale, ROWS), rng.uniform(-(3**0.5), 3**0.5, ROWS), rng.exponential(size=ROWS) - 1]
    )
    log_p = -np.log(2 * scale) - np.abs(s[:, 0]) / scale - np.log(2 * 3**0.5) - (s[:, 2] + 1)
    return s, log_p


@pytest.fixture(scope="module")
def turn() -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]


@pytest.fixture(scope="module")
def base(turn) -> LayeredBase:
    x = _sources(0)[0] @ turn.T
    axes = ica_axes(x, 0).rotation
    start = Start("linear", (axes,), (curves_to_normal(x @ axes),))
    return fit_base(fit_gaussianization(x, x[:500], [start], 0)[0].flow, x)


def test_log_prob_of_new_rows_is_near_that_of_the_sources(base, turn) -> None:
    s, log_p = _sources(1)
    inside = (np.abs(s[:, 1]) < 1.7) & (s[:, 2] > -0.99)  # beyond an edge the true density is zero
    found = base.log_prob(torch.as_tensor(s @ turn.T)).numpy()
    assert (log_p - found)[inside].mean() < 0.03
    normal = -0.5 * (s**2).sum(1) - 1.5 * np.log(2 * np.pi)
    assert (found - normal).mean() > 0.3


def test_its_coordinates_are_the_sources(base, turn) -> None:
    s = _sources(1)[0]
    components = base.components(torch.as_tensor(s @ turn.T)).numpy()
    cosines = np.abs(np.corrcoef(components.T, s.T)[:3, 3:])
    assert cosines.max(axis=1).min() > 0.999
    assert sorted(cosines.argmax(axis=1)) == [0, 1, 2]


def test_it_has_not_turned_space_over(base) -> None:
    assert float(torch.linalg.det(base.matrices[0])) > 0
    _, sign, log_det = BasedFlow(base, None).encode_with_discrete_log_det(torch.as_tensor(_sources(2)[0][:9]))
    assert (sign == 1).all()
    assert torch.isfinite(log_det).all()


def test_state_holds_it_to_the_bit(base) -> None:
    again = LayeredBase.from_state(base.state())
    rows = torch.as_tensor(_sources(2)[0][:50])
    for one, other in zip(base(rows), again(rows), strict=True):
        assert torch.equal(one, other)


def test_tangents_are_those_of_the_map(base) -> None:
    x = torch.as_tensor(_sources(2)[0][:20])
    v = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()
    pushed = torch.func.jvp(lambda rows: base(rows)[0], (x,), (v,))[1]
    torch.testing.assert_close(base.push(x, v[:, None])[1][:, 0], pushed, rtol=1e-10, atol=1e-10)
    h = base(x)[0]
    torch.testing.assert_close(base.pull(h, pushed[:, None])[1][:, 0], v, rtol=1e-8, atol=1e-8)
