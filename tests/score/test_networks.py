"""The networks' own tangent pass against automatic differentiation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from latentflow.score.denoisers import Denoiser, NetworkDenoiser
from latentflow.score.layers import VelocityNetwork
from latentflow.score.networks import NetworkSum, build_network
from latentflow.score.residual import ResidualMLP
from latentflow.score.separable import SeparableNetwork

AXES = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(3)).double())[0]


def _networks() -> dict[str, VelocityNetwork]:
    generator = torch.Generator().manual_seed(0)
    residual = ResidualMLP(4, 16, 3, generator)
    separable = SeparableNetwork(AXES.float(), generator)
    return {
        "residual": residual,
        "separable": separable,
        "sum": NetworkSum([separable, ResidualMLP(4, 8, 1, generator)]),
    }


def _shake(network: VelocityNetwork) -> VelocityNetwork:
    """Weights away from their start, where whole branches are zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network.double()


@pytest.mark.parametrize("kind", ["residual", "separable", "sum"])
@pytest.mark.parametrize("one_level", [True, False])
def test_push_forward_is_the_derivative_of_forward(kind: str, one_level: bool) -> None:
    network = _shake(_networks()[kind])
    generator = torch.Generator().manual_seed(2)
    y = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    directions = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    sigma: Tensor | float = 0.7 if one_level else torch.rand(6, generator=generator).double() + 0.1
    denoiser = NetworkDenoiser(network)
    value, moved = denoiser.push_forward(y, sigma, directions)
    expected_value, expected_moved = Denoiser.push_forward(denoiser, y, sigma, directions)
    torch.testing.assert_close(value, expected_value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(moved, expected_moved, rtol=1e-10, atol=1e-12)
    assert moved.abs().amin() > 0


@pytest.mark.parametrize("kind", ["residual", "separable", "sum"])
def test_levels_shared_by_groups_of_rows_are_the_levels_of_each_row(kind: str) -> None:
    network = _shake(_networks()[kind])
    y = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    log_sigma = torch.tensor([-2.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(network(y, log_sigma), network(y, log_sigma.repeat_interleave(3)))


@pytest.mark.parametrize("kind", ["residual", "separable", "sum"])
def test_settings_rebuild_the_network(kind: str) -> None:
    network = _networks()[kind]
    again = build_network(network.settings)
    again.load_state_dict(network.state_dict())
    y, log_sigma = torch.randn(5, 4, generator=torch.Generator().manual_seed(5)), torch.tensor([-1.0])
    torch.testing.assert_close(again(y, log_sigma), network(y, log_sigma), rtol=0, atol=0)


def test_separable_network_has_a_diagonal_jacobian_along_its_axes() -> None:
    network = _shake(SeparableNetwork(AXES.float(), torch.Generator().manual_seed(0)))
    with torch.no_grad():
        network.axes.copy_(AXES)
    y = torch.randn(1, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    jacobian = network.push_forward(y, torch.tensor([-0.5], dtype=torch.float64), AXES.T)[1][:, 0]
    along = jacobian @ AXES
    assert (along - along.diag().diag()).abs().amax() < 1e-10
    assert along.diag().abs().amin() > 1e-3
