"""Every network against what automatic differentiation makes of its forward; a new one is a line of `NETWORKS`."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.func import jvp, vjp, vmap

from latentflow.score.denoisers import Denoiser, NetworkDenoiser
from latentflow.score.fields import derivatives_along, field_at, push_forward
from latentflow.score.networks import DEFAULT_FAMILY, FAMILIES, NetworkSum, build_network, describe_network
from latentflow.score.oracles import GaussianOracle, MixtureOracle
from latentflow.score.residual import ResidualMLP
from latentflow.score.separable import SeparableNetwork
from latentflow.score.sizing import plan_training
from tests.score.conservative import FAMILY, ConservativeNetwork

D = 4


def _generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=_generator(seed), dtype=torch.float64)


AXES = torch.linalg.qr(_normal(D, D, seed=3))[0].float()

#: Name → constructor from a generator of initial weights.
NETWORKS: dict[str, Callable[[Generator], nn.Module]] = {
    "residual": lambda g: ResidualMLP(D, 16, 3, g),
    "one block": lambda g: ResidualMLP(D, 16, 1, g),
    "separable": lambda g: SeparableNetwork(AXES, g),
    "sum": lambda g: NetworkSum([SeparableNetwork(AXES, g), ResidualMLP(D, 8, 2, g)]),
    "conservative": lambda g: ConservativeNetwork(D, 16, g),
    "sum with one without derivatives": lambda g: NetworkSum(
        [ConservativeNetwork(D, 8, g), ResidualMLP(D, 8, 1, g)]
    ),
}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "conservative", FAMILY)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    """In double precision, weights away from their start, where whole branches are zero."""
    shaken, generator = NETWORKS[request.param](_generator()), _generator(1)
    with torch.no_grad():
        for parameter in shaken.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return shaken.double()


@pytest.mark.parametrize("levels", [1, 2, 6])
def test_derivatives_are_those_of_forward(network: nn.Module, levels: int) -> None:
    y, directions = _normal(6, D, seed=2), _normal(3, D, seed=4)
    log_sigma = _normal(levels, seed=5)
    expected, derivatives = derivatives_along(lambda q: network(q, log_sigma), y, directions)
    with torch.no_grad():
        value, moved = push_forward(network, y, log_sigma, directions)
    torch.testing.assert_close(value, network(y, log_sigma).detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(moved, derivatives.detach(), rtol=1e-10, atol=1e-12)
    assert moved.abs().amin() > 1e-5
    # against differences, which know nothing of automatic differentiation
    step = 1e-5 * directions[0]
    difference = network(y + step, log_sigma) - network(y - step, log_sigma)
    torch.testing.assert_close(moved[0], (difference / 2e-5).detach(), rtol=1e-6, atol=1e-8)


def test_levels_shared_by_groups_of_rows_are_the_levels_of_each_row(network: nn.Module) -> None:
    y, log_sigma = _normal(6, D, seed=4), torch.tensor([-2.0, 0.5], dtype=torch.float64)
    grouped = network(y, log_sigma)
    torch.testing.assert_close(grouped, network(y, log_sigma.repeat_interleave(3)), rtol=1e-12, atol=1e-12)
    for rows, level in ((slice(0, 3), 0), (slice(3, 6), 1)):
        alone = network(y[rows], log_sigma[level : level + 1])
        torch.testing.assert_close(grouped[rows], alone, rtol=1e-12, atol=1e-12)
    assert (grouped[:3] - network(y[:3], log_sigma[1:])).abs().amax() > 1e-3


def test_settings_rebuild_the_network(network: nn.Module) -> None:
    again = build_network(network.settings).double()
    again.load_state_dict(network.state_dict())
    y, log_sigma = _normal(5, D, seed=5), torch.tensor([-1.0], dtype=torch.float64)
    # to rounding, which may hang on how a matrix lies in memory
    torch.testing.assert_close(again(y, log_sigma), network(y, log_sigma), rtol=1e-14, atol=1e-14)
    assert again.settings == network.settings
    assert describe_network(network.settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_and_device_are_those_of_the_weights(network: nn.Module, dtype: torch.dtype) -> None:
    # on the device without data a tensor that was made elsewhere is an error
    for device in ("cpu", "meta"):
        like = {"dtype": dtype, "device": device}
        there = copy.deepcopy(network).to(**like)
        y, log_sigma, directions = (torch.ones(shape, **like) for shape in ((6, D), (1,), (2, D)))
        field = field_at(there, log_sigma, dtype)
        for value in (
            there(y, log_sigma),
            field.v_predictions(y),
            *push_forward(there, y, log_sigma, directions),
            *field.push_forward(y, directions),
        ):
            assert (value.dtype, value.device.type) == (dtype, device)


@pytest.mark.parametrize("sigma", [0.003, 0.8, 12.0])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_field_is_the_denoiser_at_its_level(network: nn.Module, sigma: float, mode: type) -> None:
    denoiser = NetworkDenoiser(network)
    y, directions = _normal(9, D, seed=2), _normal(3, D, seed=4)
    expected, derivatives = Denoiser.push_forward(denoiser, y, sigma, directions)
    field = denoiser.at(sigma)
    with mode():
        value, moved = field.push_forward(y, directions)
        for given in (field.v_prediction(y), value):
            torch.testing.assert_close(given, expected.detach(), rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(moved, derivatives.detach(), rtol=1e-10, atol=1e-10)
        assert not any(each.requires_grad for each in (value, moved))
    assert moved.abs().amin() > 1e-6


def test_field_can_be_differentiated(network: nn.Module) -> None:
    denoiser, sigma = NetworkDenoiser(network), 0.5
    y, directions = _normal(6, D, seed=5), _normal(3, D, seed=6)
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
        difference = field.push_forward(y + step, directions)[1] - field.push_forward(y - step, directions)[1]
    torch.testing.assert_close(curved, difference / 2e-5, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rows", "count"), [(1, 1), (1, 3), (5, 1)])
def test_single_rows_and_directions(network: nn.Module, rows: int, count: int) -> None:
    # where one of the sizes is 1, broadcast tangents may share memory
    denoiser = NetworkDenoiser(network)
    y, directions = _normal(rows, D, seed=14), _normal(count, D, seed=15)
    with torch.no_grad():
        pairs = zip(
            denoiser.at(0.6).push_forward(y, directions),
            denoiser.push_forward(y, 0.6, directions),
            strict=True,
        )
    for given, expected in pairs:
        torch.testing.assert_close(given, expected, rtol=1e-10, atol=1e-10)


def test_field_leaves_what_it_is_given(network: nn.Module) -> None:
    field = NetworkDenoiser(network).at(1.3)
    y, directions = _normal(5, D, seed=7), _normal(2, D, seed=8)
    kept = y.clone(), directions.clone()
    with torch.no_grad():
        first, again = field.push_forward(y, directions), field.push_forward(y, directions)
        assert torch.equal(field.v_prediction(y), field.v_prediction(y))
    assert all(map(torch.equal, first, again))
    assert all(map(torch.equal, (y, directions), kept))


def test_rows_do_not_depend_on_their_batch(network: nn.Module) -> None:
    field, y = NetworkDenoiser(network).at(0.2), _normal(64, D, seed=10)
    order = torch.randperm(64, generator=_generator(11))
    with torch.no_grad():
        whole = field.v_prediction(y)
        shuffled = torch.cat([field.v_prediction(part) for part in y[order].split(7)])
    torch.testing.assert_close(shuffled, whole[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 3e-6), (torch.bfloat16, 0.1)])
def test_field_in_lower_precision(network: nn.Module, dtype: torch.dtype, error: float) -> None:
    denoiser = NetworkDenoiser(network)
    y, directions = _normal(32, D, seed=12), _normal(3, D, seed=13)
    with torch.no_grad():
        exact = denoiser.at(0.9).push_forward(y, directions)
        low = denoiser.at(0.9, dtype).push_forward(y, directions)
    for rough, truth in zip(low, exact, strict=True):
        assert rough.dtype == torch.float64
        assert 0 < (rough - truth).abs().amax() / truth.abs().amax() < error
    assert denoiser.at(0.9, dtype).v_prediction(y.to(dtype)).dtype == dtype


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


def test_separable_network_has_a_diagonal_jacobian_along_its_axes() -> None:
    network = SeparableNetwork(AXES, _generator()).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * _normal(*parameter.shape, seed=1))
        network.axes.copy_(torch.linalg.qr(_normal(D, D, seed=3))[0])
    y, log_sigma = _normal(1, D, seed=6), torch.tensor([-0.5], dtype=torch.float64)
    jacobian = network.push_forward(y, log_sigma, network.axes.T)[1][:, 0]
    along = jacobian @ network.axes
    assert (along - along.diag().diag()).abs().amax() < 1e-10
    assert along.diag().abs().amin() > 1e-3


def test_rows_at_once_follow_width_and_precision() -> None:
    rows = {
        (width, dtype): NetworkDenoiser(ResidualMLP(3, width, 2, _generator())).at(1.0, dtype).rows_at_once
        for width in (64, 128)
        for dtype in (torch.float32, torch.float64)
    }
    assert rows[64, torch.float32] == 2 * rows[128, torch.float32] == 2 * rows[64, torch.float64]
    separable, both = (
        NetworkDenoiser(NETWORKS[name](_generator()).double()) for name in ("separable", "sum")
    )
    assert both.at(1.0).rows_at_once == separable.at(1.0).rows_at_once
    weights, means = torch.ones(2), torch.zeros(2, 3)
    assert MixtureOracle(weights, means, torch.eye(3).expand(2, 3, 3)).at(1.0).rows_at_once > 0


def test_what_a_family_trains_is_of_its_kind_and_of_the_size_of_the_plan() -> None:
    plan = plan_training(1000, D, width=24, depth=2)
    trained = {kind: family.fresh for kind, family in FAMILIES.items() if family.fresh}
    assert list(trained) == ["residual", "conservative"]
    assert DEFAULT_FAMILY in trained
    for kind, fresh in trained.items():
        network = fresh(D, plan, _generator())
        assert network.settings["kind"] == kind
        assert network.settings.get("width", plan.width) == plan.width
        assert all(parameter.isfinite().all() for parameter in network.parameters())
