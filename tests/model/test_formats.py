"""Model files of every format, made by the code of their time, load and encode as they did (``files/README.md``)."""

from pathlib import Path

import numpy as np
import pytest

from latentflow import FittedFlow, LatentFlowError

FILES = sorted((Path(__file__).parent / "files").glob("*.safetensors"))


def test_every_format_is_there():
    assert {path.name[:7] for path in FILES} == {f"format{n}" for n in (1, 2, 3, 4)}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def opened(request):
    return FittedFlow.load(request.param, device="cpu"), np.load(request.param.with_suffix(".npz"))


@pytest.mark.parametrize("by", ["made", "read"])
def test_an_old_model_encodes_as_it_did(opened, by):
    model, kept = opened
    expected = {name.removeprefix(f"{by}_"): kept[name] for name in kept.files if name.startswith(by)}
    found = model.encode(kept["X"], log_prob=True)
    for name in ("latents", "carried", "log_prob", "log_det"):
        np.testing.assert_allclose(getattr(found, name), expected[name], rtol=0, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(found.far, expected["far"])
    if "log_prob_discrete" in expected:
        discrete = model.log_prob(kept["X"], log_det="discrete")
        np.testing.assert_allclose(discrete, expected["log_prob_discrete"], rtol=0, atol=1e-12)
    if "sources" in expected and expected["sources"].dtype == np.float64:
        sources = model.encode(kept["X"], scale="source").latents
        np.testing.assert_allclose(sources, expected["sources"], rtol=0, atol=1e-12)
    elif "sources" not in expected and by == "read":
        with pytest.raises(LatentFlowError, match="no source scale"):
            model.encode(kept["X"], scale="source")


def test_an_old_model_decodes_to_the_same_rows(opened):
    """The decoder stops once what is left is below 1e-11 of a latent, so another may stop elsewhere."""
    model, kept = opened
    spread = kept["X"].std(axis=0) + 1.0
    for name, found in (
        ("decoded", model.decode(kept["read_latents"], kept["read_carried"])),
        ("cleaned", model.clean(kept["X"], remove=[0])),
        ("sample", model.sample(20, np.random.default_rng(5))),
    ):
        assert np.abs((found - kept[f"read_{name}"]) / spread).max() < 1e-9, name


def test_the_hash_of_an_old_model_is_what_it_was(opened):
    """A file of latents names its model by the hash: another one would refuse to decode it."""
    model, kept = opened
    assert model.hash == str(kept["read_hash"])
