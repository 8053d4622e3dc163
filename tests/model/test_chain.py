"""Which chain a table gets, by validation rows; and what a model without a network does and keeps."""

from __future__ import annotations

import numpy as np
import pytest

from latentflow.analysis.verification.verification import verify
from latentflow.model import chain
from latentflow.model.fit import fit_flow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.score.denoisers import NetworkDenoiser, StandardNormal

SIZES = {"steps": 80, "width": 16, "depth": 1, "batch_size": 128, "device": "cpu"}


def _mixture(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    s = np.column_stack([rng.laplace(size=n), rng.uniform(-1, 1, n), rng.exponential(size=n)])
    return s @ np.array([[2.0, 0.3, -0.5], [0.1, 1.0, 0.8], [-0.4, 0.2, 1.5]])


def _ring(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([np.cos(angle), np.sin(angle)]) + 0.1 * rng.standard_normal((n, 2))


@pytest.fixture(scope="module")
def linear() -> FittedFlow:
    return fit_flow(_mixture(900, 0), "abc", **SIZES)


def test_of_a_linear_mixture_linear_ica_is_left_and_no_network(linear) -> None:
    assert linear.base.layers == 1
    assert isinstance(linear.denoiser, StandardNormal)
    assert linear.record["chain"]["chosen"] == "linear ICA"
    levels = linear.record["chain"]["log_prob"]
    assert levels["linear ICA"] > levels["flow, half trained"]
    assert linear.orientation.method == "base"
    assert linear.record["grid"] is None
    assert linear.record["network"]["structure"] == "none"


def test_it_is_a_bijection_like_any_other(linear) -> None:
    new = _mixture(300, 1)
    encoding = linear.encode(new, log_prob=True)
    np.testing.assert_allclose(linear.decode(encoding.latents, encoding.carried), new, atol=1e-9)
    steps = linear.encode(new, log_prob=True, log_det="discrete")
    np.testing.assert_allclose(steps.log_det, encoding.log_det, atol=1e-10)
    found = verify(linear, new, rows=60, draws=20, witness=20)
    assert found.passed
    assert found.witness.mean_distance < 1e-12
    drawn = linear.sample(2000, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(_mixture(20_000, 2).T), atol=0.8)


def test_it_is_saved_and_loaded(linear, tmp_path) -> None:
    loaded = FittedFlow.load(linear.save(tmp_path / "m.safetensors"), device="cpu")
    assert loaded.hash == linear.hash
    new = _mixture(50, 1)
    np.testing.assert_array_equal(loaded.encode(new).latents, linear.encode(new).latents)
    single = FittedFlow.load(tmp_path / "m.safetensors", device="cpu", dtype="float32")
    np.testing.assert_allclose(single.encode(new).latents, linear.encode(new).latents, atol=1e-4)


def test_of_a_ring_the_flow_is_left_and_no_base() -> None:
    model = fit_flow(_ring(900, 0), "ab", **{**SIZES, "steps": 1000, "width": 48, "depth": 2})
    assert model.base is None
    assert isinstance(model.denoiser, NetworkDenoiser)
    assert model.record["chain"]["chosen"] == "flow"
    levels = model.record["chain"]["log_prob"]
    assert levels["flow"] > levels["linear ICA"]


@pytest.mark.parametrize(
    ("asked", "layers", "network"),
    [
        ({"base": "none"}, None, True),
        ({"base": "ica", "flow": "always"}, 1, True),
        ({"base": "ica"}, 1, False),
    ],
)
def test_what_is_asked_for_is_done(asked, layers, network) -> None:
    model = fit_flow(_mixture(400, 0), "abc", orientation="none", **{**SIZES, "steps": 30}, **asked)
    assert (model.base.layers if model.base else None) == layers
    assert isinstance(model.denoiser, NetworkDenoiser) == network
    rows = _mixture(40, 3)
    np.testing.assert_allclose(model.decode(model.encode(rows).latents), rows, atol=1e-7)


def test_without_validation_rows_nothing_is_chosen() -> None:
    model = fit_flow(_mixture(60, 0), "abc", **{**SIZES, "steps": 10})
    assert model.base is None
    assert model.record["chain"]["chosen"] == "flow"


def test_a_lead_that_stretches_of_rows_do_not_share_is_no_lead() -> None:
    rng = np.random.default_rng(0)
    other = rng.normal(size=400)
    assert chain._ahead(other + 0.1, other, 2.0)
    in_one_stretch = np.where(np.arange(400) < 20, 2.0, 0.0)
    assert in_one_stretch.mean() == pytest.approx(0.1)
    assert not chain._ahead(other + in_one_stretch, other, 2.0)
    assert not chain._ahead(other, other, 2.0)
