"""`latentflow encode`: the latents of the model in the order of the rows, and all that goes beside them."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest

from latentflow import __version__
from latentflow.data.tables import open_table
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.model.fitted_flow import FittedFlow


@pytest.fixture
def rows(folder):
    return open_table(folder / "data.h5").read()


def contents(path):
    with h5py.File(path) as file:
        return {name: dataset[:] for name, dataset in file.items()}, dict(file.attrs)


def test_latents_go_beside_the_data_in_the_order_of_its_rows(run, folder, rows, model):
    text = run("encode", folder / "data.h5").output
    table = open_table(folder / "data.latents.h5")
    assert table.columns == ("latent00", "latent01", "latent02")
    np.testing.assert_array_equal(table.read(), model.encode(rows).latents)
    assert "300 rows, 3 latents" in text


def test_only_what_was_asked_for_is_written(run, folder):
    run("encode", folder / "data.h5")
    assert set(contents(folder / "data.latents.h5")[0]) == {"latents", "far"}


def test_log_prob_is_that_of_the_model(run, folder, rows, model):
    told = json.loads(run("encode", folder / "data.h5", "--log-prob", "--json").stdout)
    written, _ = contents(folder / "data.latents.h5")
    np.testing.assert_allclose(written["log_prob"], model.log_prob(rows), rtol=1e-12)
    assert told["mean_log_prob"] == pytest.approx(written["log_prob"].mean())
    assert (told["rows"], told["latents"], told["dropped_rows"]) == (300, 3, 0)


def test_log_prob_of_the_discrete_map(run, folder, rows, model):
    words = ("encode", folder / "data.h5", "--log-prob", "--json")
    told = {kind: json.loads(run(*words, "--log-det", kind).stdout) for kind in ("continuous", "discrete")}
    written, attributes = contents(folder / "data.latents.h5")
    np.testing.assert_allclose(written["log_prob"], model.log_prob(rows, log_det="discrete"), rtol=1e-12)
    assert attributes["log_det"] == told["discrete"]["log_det"] == "discrete"
    assert told["discrete"]["mean_log_prob"] == pytest.approx(written["log_prob"].mean(), rel=1e-12)
    assert told["discrete"]["folded_rows"] == 0
    without = json.loads(run(*words).stdout)
    assert without["log_det"] == "continuous"
    assert without["folded_rows"] is None
    assert (
        without["mean_log_prob"] == told["continuous"]["mean_log_prob"] != told["discrete"]["mean_log_prob"]
    )
    assert contents(folder / "data.latents.h5")[1]["log_det"] == "continuous"


def test_a_log_det_without_log_prob_is_refused(run, folder):
    refusal = run("encode", folder / "data.h5", "--log-det", "discrete", code=2).stderr
    assert "add --log-prob" in refusal
    assert refusal.count("\n") == 1
    assert "'exact'" in run("encode", folder / "data.h5", "--log-prob", "--log-det", "exact", code=2).stderr
    assert not (folder / "data.latents.h5").exists()
    run("encode", folder / "data.h5")
    assert "log_det" not in contents(folder / "data.latents.h5")[1]


@pytest.mark.parametrize("folds", [1, 300])
def test_rows_where_the_encoder_folds_have_no_log_prob_and_are_counted(run, folder, monkeypatch, folds):
    taken = ProbabilityFlow.encode_with_discrete_log_det

    def folded(flow, x):
        z, sign, log_det = taken(flow, x)
        sign[:folds] = -1
        return z, sign, log_det

    monkeypatch.setattr(ProbabilityFlow, "encode_with_discrete_log_det", folded)
    words = ("encode", folder / "data.h5", "--log-prob", "--log-det", "discrete")
    text = run(*words).output
    written, _ = contents(folder / "data.latents.h5")
    assert np.isnan(written["log_prob"][:folds]).all()
    assert f"the encoder folds at {folds} row" in text
    told = json.loads(run(*words, "--json").stdout)
    assert told["folded_rows"] == folds
    if folds == 300:
        assert told["mean_log_prob"] is None
        assert "mean log p" not in text
    else:
        assert told["mean_log_prob"] == pytest.approx(written["log_prob"][folds:].mean())


def test_the_file_says_what_made_it(run, folder, model):
    run("encode", folder / "data.h5", "--log-prob")
    _, attributes = contents(folder / "data.latents.h5")
    assert attributes["model_hash"] == model.hash
    assert attributes["latentflow_version"] == __version__
    assert attributes["command"] == f"latentflow encode {folder / 'data.h5'} --log-prob"
    assert (attributes["source"], attributes["source_key"]) == ("data.h5", "X")


def test_rows_far_from_the_training_data_are_flagged_and_counted(run, folder, write_table, rows):
    rows[[3, 250]] += 1000.0
    data = write_table(folder / "new.h5", rows)
    told = json.loads(run("encode", data, "--model", folder / "data.latentflow.safetensors", "--json").stdout)
    flags = contents(folder / "new.latents.h5")[0]["far"]
    assert flags[[3, 250]].all()
    assert told["far_rows"] == flags.sum()
    assert flags.sum() < 10


def test_columns_are_carried_along_untouched(run, folder, rows, model):
    names = np.array([f"é{i}" for i in range(300)], dtype=object)
    data = folder / "data.csv"
    pd.DataFrame(rows, columns=model.columns).assign(name=names, count=range(300)).to_csv(data, index=False)
    run("encode", data, "--carry", "name, count")
    with h5py.File(folder / "data.latents.h5") as file:
        assert list(file["name"].asstr()[:]) == list(names)
        assert file["count"].dtype.kind == "i"
        np.testing.assert_array_equal(file["count"][:], np.arange(300))


@pytest.mark.parametrize("name", ["latents", "far", "latent01"])
def test_a_carried_column_cannot_take_a_name_of_ours(run, folder, rows, model, name):
    data = folder / "data.csv"
    pd.DataFrame(rows, columns=model.columns).assign(**{name: 1}).to_csv(data, index=False)
    assert f"'{name}'" in run("encode", data, "--carry", name, code=2).stderr
    assert not (folder / "data.latents.h5").exists()


def test_a_carried_column_that_is_not_there_is_named(run, folder):
    assert "'label'" in run("encode", folder / "data.h5", "--carry", "label", code=2).stderr
    assert not (folder / "data.latents.h5").exists()


def test_rows_with_missing_values_are_refused_or_left_out_with_their_position(
    run, folder, write_table, rows, model
):
    whole = rows.copy()
    rows[[10, 20], 0] = np.nan
    data, words = write_table(folder / "gaps.h5", rows), ["--model", folder / "data.latentflow.safetensors"]
    refusal = run("encode", data, *words, code=2).stderr
    assert "(voltage: 2)" in refusal
    assert "--missing drop" in refusal
    assert sorted(path.name for path in folder.iterdir()) == [
        "data.h5",
        "data.latentflow.safetensors",
        "gaps.h5",
    ]

    text = run("encode", data, *words, "--missing", "drop").output
    written, _ = contents(folder / "gaps.latents.h5")
    kept = np.delete(np.arange(300), [10, 20])
    np.testing.assert_array_equal(written["row"], kept)
    np.testing.assert_array_equal(written["latents"], model.encode(whole[kept]).latents)
    assert "left out: 2 rows" in text


def test_a_csv_has_everything_as_columns(run, folder, rows, model):
    run("encode", folder / "data.h5", "--log-prob", "-o", folder / "out.csv")
    frame = pd.read_csv(folder / "out.csv")
    assert list(frame.columns) == ["latent00", "latent01", "latent02", "log_prob", "far"]
    np.testing.assert_allclose(frame.iloc[:, :3], model.encode(rows).latents, rtol=1e-12, atol=1e-14)


def test_npy_holds_the_latents_alone(run, folder, rows, model):
    run("encode", folder / "data.h5", "-o", folder / "out.npy")
    np.testing.assert_array_equal(np.load(folder / "out.npy"), model.encode(rows).latents)
    refusal = run("encode", folder / "data.h5", "--log-prob", "-o", folder / "other.npy", code=2).stderr
    assert "'log_prob'" in refusal
    assert not (folder / "other.npy").exists()


def test_columns_are_found_by_name_whatever_their_order(run, folder, rows, model):
    data = folder / "data.csv"
    pd.DataFrame(rows, columns=model.columns)[["phase", "voltage", "current"]].assign(extra="x").to_csv(
        data, index=False
    )
    run("encode", data)
    np.testing.assert_array_equal(open_table(folder / "data.latents.h5").read(), model.encode(rows).latents)


def test_columns_of_other_names_can_be_named(run, folder, rows, model):
    data = folder / "data.csv"
    pd.DataFrame(rows, columns=["u", "v", "w"]).to_csv(data, index=False)
    assert "'voltage'" in run("encode", data, code=2).stderr
    assert "2 columns" in run("encode", data, "--columns", "u,v", code=2).stderr
    run("encode", data, "--columns", "u,v,w")
    np.testing.assert_array_equal(open_table(folder / "data.latents.h5").read(), model.encode(rows).latents)


def test_without_a_model_the_way_out_is_told(run, folder):
    data = (folder / "data.h5").rename(folder / "alone.h5")
    refusal = run("encode", data, code=2).stderr
    assert "latentflow fit" in refusal
    assert "--model" in refusal
    assert "no such model file" in run("encode", data, "--model", folder / "none", code=2).stderr


def test_a_damaged_model_is_one_line(run, folder):
    path = folder / "data.latentflow.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refusal = run("encode", folder / "data.h5", code=2).stderr
    assert str(path) in refusal
    assert refusal.count("\n") == 1


def test_neither_data_nor_model_is_overwritten(run, folder):
    for name in ("data.h5", "data.latentflow.safetensors"):
        before = (folder / name).read_bytes()
        run("encode", folder / "data.h5", "-o", folder / name, code=2)
        assert (folder / name).read_bytes() == before


def test_an_interrupted_encode_leaves_the_old_file_and_nothing_else(run, folder, monkeypatch):
    out = folder / "data.latents.h5"
    out.write_bytes(b"old")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("latentflow.model.fitted_flow.FittedFlow.encode", interrupted)
    run("encode", folder / "data.h5", code=130)
    assert out.read_bytes() == b"old"
    assert len(list(folder.iterdir())) == 3


def test_the_key_of_the_fit_is_found_again(run, tmp_path, write_table, tiny_rows, tiny):
    data = write_table(tmp_path / "data.h5", tiny_rows(), key="left")
    write_table(data, tiny_rows(seed=1), key="right")
    run("fit", data, "--key", "right", *tiny)
    run("encode", data)
    assert contents(tmp_path / "data.latents.h5")[1]["source_key"] == "right"


def test_sources_are_written_where_they_are_asked_for(run, scaled_folder, rows):
    model = FittedFlow.load(scaled_folder / "data.latentflow.safetensors", device="cpu")
    told = json.loads(
        run("encode", scaled_folder / "data.h5", "--scale", "source", "--log-prob", "--json").stdout
    )
    written, attributes = contents(scaled_folder / "data.latents.h5")
    assert attributes["scale"] == told["scale"] == "source"
    np.testing.assert_allclose(written["latents"], model.encode(rows, scale="source").latents, atol=1e-12)
    np.testing.assert_allclose(written["log_prob"], model.log_prob(rows), rtol=1e-12)
    assert not np.allclose(written["latents"], model.encode(rows).latents, atol=0.05)


def test_a_model_without_a_source_scale_says_the_way_out(run, folder):
    path = folder / "data.latentflow.safetensors"
    replace(FittedFlow.load(path, device="cpu"), source_scale=None).save(path)
    assert "latentflow orient" in run("encode", folder / "data.h5", "--scale", "source", code=2).stderr
    assert not (folder / "data.latents.h5").exists()
