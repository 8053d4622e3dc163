"""`latentflow decode`: the table comes back, with its names, its types and the shape of its samples."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from latentflow.data.tables import open_table
from latentflow.flow.probability_flow import ProbabilityFlow


def encode_and_decode(run, data, tiny, *words):
    run("fit", data, *tiny, *words)
    run("encode", data)
    run("decode", data.with_name("data.latents.h5"))
    return data.with_name("data.decoded.h5")


def test_rows_and_names_come_back(run, folder):
    run("encode", folder / "data.h5")
    told = json.loads(run("decode", folder / "data.latents.h5", "--json").stdout)
    before, after = open_table(folder / "data.h5"), open_table(folder / "data.decoded.h5")
    assert after.columns == before.columns
    np.testing.assert_allclose(after.read(), before.read(), atol=1e-6)
    assert (told["rows"], told["output"]) == (300, str(folder / "data.decoded.h5"))


def test_components_come_back_whole_with_the_carried_directions_in_every_format(run, folder, tiny):
    data, rows = folder / "data.h5", open_table(folder / "data.h5").read()
    run("fit", data, *tiny, "--components", "1")
    for suffix in ("h5", "csv", "parquet"):
        run("encode", data, "-o", folder / f"data.latents.{suffix}")
        result = run("decode", folder / f"data.latents.{suffix}", "-o", folder / "out.h5")
        np.testing.assert_allclose(open_table(folder / "out.h5").read(), rows, atol=1e-6)
        assert "warning" not in result.stderr


def test_without_the_carried_directions_there_is_a_warning(run, folder, tiny):
    run("fit", folder / "data.h5", *tiny, "--components", "1")
    run("encode", folder / "data.h5")
    np.save(folder / "data.latents.npy", open_table(folder / "data.latents.h5").read())
    result = run("decode", folder / "data.latents.npy")
    assert "warning" in result.stderr
    assert "'carried'" in result.stderr
    assert open_table(folder / "data.decoded.h5").n_rows == 300


def test_samples_come_back_in_their_shape_and_type(run, tmp_path, tiny):
    images = np.random.default_rng(0).gamma(2.0, size=(300, 2, 2)).astype(np.float32)
    data = tmp_path / "data.h5"
    with h5py.File(data, "w") as file:
        file["images"] = images
    with h5py.File(encode_and_decode(run, data, tiny)) as file:
        back = file["X"]
        assert (back.shape, back.dtype) == ((300, 2, 2), np.float32)
        np.testing.assert_allclose(back[:], images, rtol=1e-5)


def test_integers_come_back_bit_by_bit(run, tmp_path, tiny):
    rng = np.random.default_rng(1)
    counts = np.column_stack([rng.poisson(4, 300), rng.integers(0, 2, 300), np.full(300, -3)]).astype(
        np.int16
    )
    counts[:, 1] += counts[:, 0]
    data = tmp_path / "data.npy"
    np.save(data, counts)
    with h5py.File(encode_and_decode(run, data, tiny)) as file:
        assert file["X"].dtype == np.int16
        np.testing.assert_array_equal(file["X"][:], counts)


def test_latents_without_names_are_taken_when_there_are_as_many(run, folder, model):
    np.save(folder / "data.latents.npy", np.zeros((5, 3)))
    run("decode", folder / "data.latents.npy", "-o", folder / "out.csv")
    np.testing.assert_allclose(pd.read_csv(folder / "out.csv"), model.decode(np.zeros((5, 3))), rtol=1e-9)
    np.save(folder / "data.latents.npy", np.zeros((5, 2)))
    refusal = run("decode", folder / "data.latents.npy", code=2).stderr
    assert "2 columns" in refusal
    assert "3 latents" in refusal


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_latents_of_another_model_are_refused(run, folder, tiny, suffix):
    run("encode", folder / "data.h5", "-o", folder / f"data.latents{suffix}")
    run("fit", folder / "data.h5", *tiny, "--seed", "9")
    refusal = run("decode", folder / f"data.latents{suffix}", code=2).stderr
    assert "another model" in refusal
    assert "--model" in refusal
    assert not (folder / "data.decoded.h5").exists()


def test_latents_that_are_not_there_are_named(run, folder):
    assert "data.latents.h5" in run("decode", folder / "data.latents.h5", code=2).stderr


@pytest.mark.parametrize("suffix", ["h5", "parquet"])
def test_sources_come_back_as_the_file_says(run, scaled_folder, suffix):
    latents, out = scaled_folder / f"data.latents.{suffix}", scaled_folder / "out.h5"
    run("encode", scaled_folder / "data.h5", "--scale", "source", "-o", latents)
    told = json.loads(run("decode", latents, "-o", out, "--json").stdout)
    assert told["scale"] == "source"
    rows = open_table(scaled_folder / "data.h5").read()
    np.testing.assert_allclose(open_table(out).read(), rows, atol=1e-6)
    refusal = run("decode", latents, "-o", out, "--scale", "latent", code=2).stderr
    assert "--scale source" in refusal


def test_sources_in_a_csv_are_told_from_latents_by_the_option(run, scaled_folder):
    latents, out = scaled_folder / "data.latents.csv", scaled_folder / "out.h5"
    run("encode", scaled_folder / "data.h5", "--scale", "source", "-o", latents)
    run("decode", latents, "-o", out, "--scale", "source")
    rows = open_table(scaled_folder / "data.h5").read()
    np.testing.assert_allclose(open_table(out).read(), rows, atol=1e-6)
    assert run("decode", latents, "-o", out, "--scale", "source").stderr == ""
    assert run("decode", latents, "-o", out, "--quiet").output == ""
    (note,) = run("decode", latents, "-o", out).stderr.splitlines()
    assert f"{latents} does not say its scale" in note
    assert "taken as latents (standard normal)" in note
    assert "--scale source" in note
    assert np.abs(open_table(out).read() - rows).max() > 0.01


@pytest.mark.parametrize("scale", ["latent", "source"])
@pytest.mark.parametrize(("suffix", "notes"), [("h5", 0), ("parquet", 0), ("tsv", 1), ("npy", 1)])
def test_only_of_a_file_that_does_not_say_its_scale_it_is_noted(run, folder, suffix, notes, scale):
    latents, out = folder / f"data.latents.{suffix}", folder / "out.h5"
    run("encode", folder / "data.h5", "--scale", scale, "-o", latents)
    told = run("decode", latents, "-o", out, "--json")
    assert told.stderr.count("does not say its scale") == notes
    assert json.loads(told.stdout)["scale"] == ("latent" if notes else scale)


def test_latents_that_no_row_has_are_named(run, folder, monkeypatch):
    """A row that cannot be inverted is never passed over."""
    run("encode", folder / "data.h5")
    exact = ProbabilityFlow.decode

    def astray(self, z, **settings):
        x, residual = exact(self, z, **settings)
        residual[[1, 4]] = 0.02
        return x, residual

    monkeypatch.setattr(ProbabilityFlow, "decode", astray)
    done = run("decode", folder / "data.latents.h5", "--json")
    told = json.loads(done.stdout)
    assert (told["unsolved_rows"], told["largest_residual"]) == ([1, 4], 0.02)
    assert "rows 1, 4" in done.stderr


def test_single_precision_is_decoded_in_single_precision(run, folder):
    run("encode", folder / "data.h5", "--dtype", "float32")
    told = json.loads(run("decode", folder / "data.latents.h5", "--json").stdout)
    assert told["unsolved_rows"] == []
    assert 1e-9 < told["largest_residual"] < 1e-5
    before, after = open_table(folder / "data.h5").read(), open_table(folder / "data.decoded.h5").read()
    np.testing.assert_allclose(after, before, atol=1e-4)
