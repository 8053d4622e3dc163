"""A network without any derivative of its own goes all the way: trained, calibrated, encoded, decoded, saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentflow.model.fit import fit_flow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.score import training
from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.networks import FAMILIES
from tests.score.conservative import FAMILY, ConservativeNetwork


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "conservative", FAMILY)


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "DEFAULT_FAMILY", "conservative")


def _rows(n: int, seed: int) -> np.ndarray:
    """A ring with noise, of unit variance: far from any linear mixture."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, n)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) + 0.1 * rng.standard_normal((n, 2))
    return ring / 0.51**0.5


@pytest.mark.usefixtures("_alone")
def test_fitted_calibrated_encoded_decoded_and_saved(tmp_path) -> None:
    X = _rows(600, 0)
    model = fit_flow(
        X,
        ["a", "b"],
        width=48,
        depth=1,
        steps=400,
        accuracy=0.05,
        base="none",
        orientation="none",
        seed=1,
        device="cpu",
    )
    assert isinstance(model.denoiser, NetworkDenoiser)
    assert isinstance(model.denoiser.network, ConservativeNetwork)
    assert model.record["network"]["structure"] == "gradient of 48 units"
    # of whitened Gaussian rows F = 0 would be exact, and its loss is 1
    assert min(model.record["history"]["validation_loss"]) < 0.95

    # log|det| of the map on its own grid, against the Jacobian by central differences, row by row
    x = X[:5]
    encoded = model.encode(x, log_prob=True, log_det="discrete")
    step, columns = 1e-5, []
    for axis in np.eye(2):
        forward, back = (model.encode(x + sign * step * axis).latents for sign in (1, -1))
        columns.append((forward - back) / (2 * step))
    expected = np.linalg.slogdet(np.stack(columns, axis=2))[1]
    np.testing.assert_allclose(encoded.log_det, expected, atol=1e-6)
    # the integrated trace agrees to the accuracy of the grid
    trace = model.encode(x, log_prob=True)
    np.testing.assert_allclose(trace.log_det, encoded.log_det, atol=0.5)
    np.testing.assert_allclose(model.decode(encoded.latents, encoded.carried), x, atol=1e-8)

    model.save(tmp_path / "ring.safetensors")
    again = FittedFlow.load(tmp_path / "ring.safetensors", device="cpu")
    np.testing.assert_array_equal(again.encode(x).latents, encoded.latents)
    assert again.hash == model.hash


def test_field_is_the_gradient_of_a_scalar() -> None:
    network = ConservativeNetwork(3, 16, torch.Generator().manual_seed(0)).double()
    y = torch.randn(8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    jacobians = NetworkDenoiser(network).at(0.7).push_forward(y, torch.eye(3, dtype=torch.float64))[1]
    jacobians = jacobians.permute(1, 2, 0)
    torch.testing.assert_close(jacobians, jacobians.transpose(1, 2), rtol=1e-12, atol=1e-14)
    assert jacobians.abs().amin() > 1e-4
