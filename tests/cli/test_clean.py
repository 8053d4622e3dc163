"""`latentflow clean`: the table in its own shape, key, names and type, less some latents."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest

from latentflow.data.tables import open_table
from latentflow.orientation.record import Orientation


@pytest.fixture
def rows(folder):
    return open_table(folder / "data.h5").read()


@pytest.mark.filterwarnings("ignore::latentflow.LatentFlowWarning")
def test_rows_are_those_of_the_library_with_the_names_and_key_of_the_input(run, folder, rows, model):
    result = run("clean", folder / "data.h5", "--remove", "latent00,latent02")
    table = open_table(folder / "data.clean.h5")
    assert (table.columns, table.key) == (("voltage", "current", "phase"), "X")
    np.testing.assert_array_equal(table.read(), model.clean(rows, remove=[0, 2]))
    assert "removed: latent00, latent02; 1 latent kept" in result.output
    assert "variance removed:" in result.output
    with h5py.File(folder / "data.clean.h5") as file:
        assert file.attrs["removed_latents"] == "latent00,latent02"
        assert file.attrs["model_hash"] == model.hash
        assert set(file) == {"X"}


def test_keep_is_the_complement_of_remove(run, folder):
    run("clean", folder / "data.h5", "--remove", "latent01")
    removed = open_table(folder / "data.clean.h5").read()
    told = json.loads(run("clean", folder / "data.h5", "--keep", "latent00,latent02", "--json").stdout)
    np.testing.assert_array_equal(open_table(folder / "data.clean.h5").read(), removed)
    assert (told["removed"], told["kept"]) == (["latent01"], ["latent00", "latent02"])


def test_variance_removed_is_that_of_the_written_columns(run, folder, rows):
    told = json.loads(run("clean", folder / "data.h5", "--remove", "latent00", "--json").stdout)
    cleaned = open_table(folder / "data.clean.h5").read()
    shares = 1 - cleaned.var(axis=0) / rows.var(axis=0)
    assert list(told["variance_removed"]) == ["voltage", "current", "phase"]
    np.testing.assert_allclose(list(told["variance_removed"].values()), shares, atol=1e-9)
    changes = ((cleaned - rows) ** 2).mean(0) / rows.var(0)
    np.testing.assert_allclose(list(told["mean_squared_change"].values()), changes, atol=1e-9)
    assert (told["rows"], told["dropped_rows"], told["clipped_values"]) == (300, 0, 0)


def test_block_by_block_is_the_same(run, folder, monkeypatch):
    run("clean", folder / "data.h5", "--remove", "latent00")
    whole = open_table(folder / "data.clean.h5").read()
    monkeypatch.setattr("latentflow.data.tables._BLOCK_BYTES", 8 * 3 * 120)
    run("clean", folder / "data.h5", "--remove", "latent00")
    np.testing.assert_allclose(open_table(folder / "data.clean.h5").read(), whole, atol=1e-9)


def test_samples_in_a_group_keep_their_shape_type_and_key(run, tmp_path, tiny):
    images = np.random.default_rng(0).gamma(2.0, size=(300, 2, 2)).astype(np.float32)
    data = tmp_path / "data.h5"
    with h5py.File(data, "w") as file:
        file["day1/images"] = images
        file["day1/time"] = np.arange(300)
    run("fit", data, *tiny, "--key", "day1/images")
    run("clean", data, "--remove", "latent00", "--carry", "time")
    with h5py.File(tmp_path / "data.clean.h5") as file:
        back = file["day1/images"]
        assert (back.shape, back.dtype) == ((300, 2, 2), np.float32)
        assert np.abs(back[:] - images).max() > 0.1
        np.testing.assert_array_equal(file["time"][:], np.arange(300))
    assert open_table(tmp_path / "data.clean.h5").key == "day1/images"


def test_integers_stay_integers_in_the_range_of_their_type(run, tmp_path, tiny, monkeypatch):
    rng = np.random.default_rng(1)
    level = rng.poisson(2, 300)
    counts = np.column_stack([rng.poisson(1, 300) + level, rng.poisson(1, 300) + 2 * level]).astype(np.uint8)
    data, output = tmp_path / "data.npy", tmp_path / "cleaned.npy"
    np.save(data, counts)
    run("fit", data, *tiny)
    run("clean", data, "--remove", "latent00", "-o", output)
    cleaned = np.load(output)
    assert (cleaned.dtype, cleaned.shape) == (np.uint8, counts.shape)
    assert (cleaned != counts).any()

    monkeypatch.setattr(
        "latentflow.model.fitted_flow.FittedFlow.decode", lambda *_: np.tile([[-2.0, 300.0]], (300, 1))
    )
    result = run("clean", data, "--remove", "latent00", "-o", output, "--json")
    assert (np.load(output) == [0, 255]).all()
    assert json.loads(result.stdout)["clipped_values"] == 600
    assert "600 values cut to the range of uint8" in result.stderr


@pytest.mark.filterwarnings("ignore::latentflow.LatentFlowWarning")
def test_text_comes_back_as_text_with_what_is_carried(run, folder, rows, model):
    frame = pd.DataFrame(rows, columns=model.columns).assign(label=["a"] * 300)
    frame.iloc[7, 1] = np.nan
    frame.to_csv(folder / "new.csv", index=False)
    words = ["--model", folder / "data.latentflow.safetensors", "--remove", "latent01", "--carry", "label"]
    assert "--missing drop" in run("clean", folder / "new.csv", *words, code=2).stderr
    assert not (folder / "new.clean.h5").exists()
    output = folder / "new.clean.csv"
    text = run("clean", folder / "new.csv", *words, "--missing", "drop", "-o", output).output
    written = pd.read_csv(output)
    assert list(written.columns) == [*model.columns, "row", "label"]
    assert 7 not in written["row"].to_numpy()
    np.testing.assert_allclose(
        written[list(model.columns)], model.clean(np.delete(rows, 7, axis=0), remove=1), rtol=1e-9
    )
    assert "left out: 1 row" in text


def test_rows_far_from_the_training_data_are_warned_of(run, folder, rows, write_table, model):
    rows[3] += 1000.0
    data = write_table(folder / "new.h5", rows)
    words = ["--model", folder / "data.latentflow.safetensors", "--remove", "latent00", "--quiet"]
    result = run("clean", data, *words)
    far = np.flatnonzero(model.encode(rows).far).tolist()
    assert 3 in far
    assert f"{len(far)} rows ({', '.join(map(str, far))}) lie far outside the training data" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("changes", "words", "told"),
    [
        (
            {"method": "none"},
            ["--remove", "latent01"],
            "were not oriented: one of them is an arbitrary direction",
        ),
        ({"method": "none"}, ["--keep", "latent01"], "see `latentflow orient`"),
        ({"method": "none"}, ["--remove", "latent00,latent01,latent02"], None),
        ({"converged": False}, ["--remove", "latent01"], "(method jacobian) did not converge"),
        (
            {"plane": (0, 2)},
            ["--remove", "latent02"],
            "do not fix the axes in the plane of latent00/latent02",
        ),
        ({"plane": (0, 2)}, ["--remove", "latent00,latent02"], None),
        ({"plane": (0, 2)}, ["--remove", "latent01"], None),
        ({}, ["--remove", "latent01"], None),
    ],
)
def test_latents_that_mean_nothing_alone_are_warned_of(run, folder, model, changes, words, told):
    errors = np.where(np.eye(3, dtype=bool), 0.0, 0.35)  # loosely determined, which is not yet undetermined
    if plane := changes.get("plane"):
        errors[plane] = errors[plane[::-1]] = 0.36
    turned = Orientation(
        model.orientation.rotation,
        changes.get("method", "jacobian"),
        converged=changes.get("converged", True),
        angle_error=errors,
    )
    replace(model, orientation=turned).save(folder / "data.latentflow.safetensors")
    stderr = run("clean", folder / "data.h5", *words, "--quiet").stderr
    said = [line for line in stderr.splitlines() if "far outside" not in line]
    assert len(said) == (told is not None)
    if told is not None:
        assert said[0].startswith("latentflow: warning: ")
        assert told in said[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--remove", "latent09"], "it has latent00, latent01, latent02"),
        (["--keep", "blink"], "no latent 'blink'"),
        ([], "--remove"),
        (["--remove", "latent00", "--keep", "latent01"], "one of the two"),
        (["--remove", "latent00", "--carry", "voltage"], "that name is taken"),
        (["--remove", "latent00", "-o", "DATA"], "is read by this very command"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, folder, words, expected):
    words = [str(folder / "data.h5") if word == "DATA" else word for word in words]
    error = run("clean", folder / "data.h5", *words, code=2).stderr
    assert expected in error
    assert error.count("\n") == 1
    assert not (folder / "data.clean.h5").exists()
