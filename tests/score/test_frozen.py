"""The field at one noise level against the denoiser that it was taken from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from latentflow.score.denoisers import Denoiser, NetworkDenoiser
from latentflow.score.layers import VelocityNetwork
from latentflow.score.networks import NetworkSum
from latentflow.score.oracles import GaussianOracle, MixtureOracle
from latentflow.score.residual import ResidualMLP
from latentflow.score.separable import SeparableNetwork

DIMENSION = 4
KINDS = ("residual", "one block", "separable", "sum")


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=_generator(seed), dtype=torch.float64)


def _network(kind: str) -> VelocityNetwork:
    axes = torch.linalg.qr(_normal(DIMENSION, DIMENSION, seed=3))[0].float()
    if kind == "separable":
        return SeparableNetwork(axes, _generator())
    if kind == "sum":
        return NetworkSum([SeparableNetwork(axes, _generator()), ResidualMLP(DIMENSION, 8, 2, _generator())])
    return ResidualMLP(DIMENSION, 16, 1 if kind == "one block" else 3, _generator())


def _denoiser(kind: str) -> NetworkDenoiser:
    """Weights away from their start, where whole branches are zero."""
    network, generator = _network(kind), _generator(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return NetworkDenoiser(network.double())


def test_closed_form_at_a_level() -> None:
    # D = Σ(Σ+σ²)⁻¹ x, so F = (Σ − 1) σ / (Σ + σ²) y for a Gaussian with diagonal Σ
    variances, sigma = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64), 0.7
    oracle = GaussianOracle(torch.zeros(3, dtype=torch.float64), variances.diag())
    y, directions = _normal(7, 3, seed=0), _normal(2, 3, seed=1)
    slope = (variances - 1) * sigma / (variances + sigma**2)
    value, moved = oracle.at(sigma).push_forward(y, directions)
    torch.testing.assert_close(oracle.at(sigma).v_prediction(y), y * slope, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(value, y * slope, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(moved, (directions * slope)[:, None].expand(2, 7, 3), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sigma", [0.003, 0.8, 12.0])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_field_is_the_denoiser_at_its_level(kind: str, sigma: float, mode: type) -> None:
    denoiser = _denoiser(kind)
    y, directions = _normal(9, DIMENSION, seed=2), _normal(3, DIMENSION, seed=4)
    expected, derivatives = Denoiser.push_forward(denoiser, y, sigma, directions)
    field = denoiser.at(sigma)
    with mode():
        value, moved = field.push_forward(y, directions)
        for found in (field.v_prediction(y), value):
            torch.testing.assert_close(found, expected.detach(), rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(moved, derivatives.detach(), rtol=1e-10, atol=1e-10)
    assert moved.abs().amin() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_field_can_be_differentiated(kind: str) -> None:
    denoiser, sigma = _denoiser(kind), 0.5
    y, directions = _normal(6, DIMENSION, seed=5), _normal(3, DIMENSION, seed=6)
    expected = denoiser.push_forward(y, sigma, directions)[1].detach()
    field = denoiser.at(sigma)

    def along(direction: Tensor) -> Tensor:
        return jvp(field.v_prediction, (y,), (direction.expand_as(y),))[1]

    with torch.no_grad():
        torch.testing.assert_close(along(directions[0]), expected[0], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(vmap(along)(directions), expected, rtol=1e-10, atol=1e-10)
        # the transpose, and the second derivative by forward over forward, against differences
        pulled = vjp(field.v_prediction, y)[1](directions[0].expand_as(y))[0]
        inner = (pulled * directions[1]).sum(1)
        torch.testing.assert_close(inner, (expected[1] * directions[0]).sum(1), rtol=1e-10, atol=1e-10)
        step = 1e-5 * directions[2].expand_as(y)
        curved = jvp(lambda q: field.push_forward(q, directions)[1], (y,), (step / 1e-5,))[1]
        differences = (
            field.push_forward(y + step, directions)[1] - field.push_forward(y - step, directions)[1]
        )
    torch.testing.assert_close(curved, differences / 2e-5, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "count"), [(1, 1), (1, 3), (5, 1)])
def test_single_rows_and_directions(kind: str, rows: int, count: int) -> None:
    # where one of the sizes is 1, broadcast tangents may share memory
    denoiser = _denoiser(kind)
    y, directions = _normal(rows, DIMENSION, seed=14), _normal(count, DIMENSION, seed=15)
    with torch.no_grad():
        for found, expected in zip(
            denoiser.at(0.6).push_forward(y, directions),
            denoiser.push_forward(y, 0.6, directions),
            strict=True,
        ):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_field_leaves_what_it_is_given(kind: str) -> None:
    field = _denoiser(kind).at(1.3)
    y, directions = _normal(5, DIMENSION, seed=7), _normal(2, DIMENSION, seed=8)
    kept = y.clone(), directions.clone()
    with torch.no_grad():
        first, again = field.push_forward(y, directions), field.push_forward(y, directions)
        assert torch.equal(field.v_prediction(y), field.v_prediction(y))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert torch.equal(y, kept[0])
    assert torch.equal(directions, kept[1])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_do_not_depend_on_their_batch(kind: str) -> None:
    field, y = _denoiser(kind).at(0.2), _normal(64, DIMENSION, seed=10)
    order = torch.randperm(64, generator=_generator(11))
    with torch.no_grad():
        whole = field.v_prediction(y)
        shuffled = torch.cat([field.v_prediction(part) for part in y[order].split(7)])
    torch.testing.assert_close(shuffled, whole[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 3e-6), (torch.bfloat16, 0.1)])
def test_field_in_lower_precision(kind: str, dtype: torch.dtype, error: float) -> None:
    denoiser = _denoiser(kind)
    y, directions = _normal(32, DIMENSION, seed=12), _normal(3, DIMENSION, seed=13)
    with torch.no_grad():
        expected = denoiser.at(0.9).push_forward(y, directions)
        found = denoiser.at(0.9, dtype).push_forward(y, directions)
    for low, exact in zip(found, expected, strict=True):
        assert low.dtype == torch.float64
        distance = (low - exact).abs().amax() / exact.abs().amax()
        assert 0 < distance < error
    assert denoiser.at(0.9, dtype).v_prediction(y.to(dtype)).dtype == dtype


def test_rows_at_once_follow_width_and_precision() -> None:
    rows = {
        (width, dtype): NetworkDenoiser(ResidualMLP(3, width, 2, _generator())).at(1.0, dtype).rows_at_once
        for width in (64, 128)
        for dtype in (torch.float32, torch.float64)
    }
    assert rows[64, torch.float32] == 2 * rows[128, torch.float32] == 2 * rows[64, torch.float64]
    assert _denoiser("sum").at(1.0).rows_at_once == _denoiser("separable").at(1.0).rows_at_once
    weights, means = torch.ones(2), torch.zeros(2, 3)
    assert MixtureOracle(weights, means, torch.eye(3).expand(2, 3, 3)).at(1.0).rows_at_once > 0
