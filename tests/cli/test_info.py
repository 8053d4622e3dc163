"""`latentflow info`: models, and tables of every kind."""

import json

import numpy as np


def test_a_model_tells_its_hash_columns_rows_and_training(run, folder, model):
    text = run("info", folder / "data.latentflow.safetensors").output
    assert model.hash in text
    assert "fitted on   data.h5 (X), 300 rows" in text
    assert "voltage, current, phase" in text
    assert "210 train, 30 validate, 60 held out" in text
    assert f"{model.record['network']['structure']}; preset" in text
    grid = model.record["grid"]
    assert f"mean error of a latent {grid['mean_error']:.0e}" in text
    assert f"log|det| of steps and of flow {grid['log_det_gap']:.0e} nats apart" in text


def test_a_model_is_known_by_its_content(run, folder, model):
    path = (folder / "data.latentflow.safetensors").rename(folder / "renamed")
    told = json.loads(run("info", path, "--json").stdout)
    assert (told["kind"], told["hash"]) == ("model", model.hash)
    assert [treatment["name"] for treatment in told["treatments"]] == list(model.columns)
    assert told["size_bytes"] == path.stat().st_size


def test_a_table_tells_its_shape_type_columns_and_missing_values(run, tmp_path, write_table, tiny_rows):
    rows = tiny_rows()
    rows[[1, 2], 1] = np.nan
    data = write_table(tmp_path / "data.h5", rows.astype(np.float32))
    told = json.loads(run("info", data, "--json").stdout)
    assert told["table"] == {
        "key": "X",
        "shape": [300, 3],
        "dtype": "float32",
        "columns": ["voltage", "current", "phase"],
        "missing": {"current": 2},
    }
    text = run("info", data).output
    assert "300 rows, 3 columns of float32, in X" in text
    assert "missing     current 2" in text


def test_a_file_of_several_tables_lists_them(run, tmp_path, write_table, tiny_rows):
    data = write_table(tmp_path / "data.h5", tiny_rows(), key="left")
    write_table(data, tiny_rows(40), key="deep/right")
    result = run("info", data)
    assert "left  300 x 3  float64" in result.stdout
    assert "deep/right  40 x 3  float64" in result.stdout
    assert "--key" in result.stdout
    assert "40 rows" in run("info", data, "--key", "deep/right").stdout


def test_samples_and_text_files(run, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((7, 2, 3)))
    assert "of shape 2 x 3" in run("info", tmp_path / "a.npy").output
    (tmp_path / "a.csv").write_text("u,v\n1,2\n3,4\n")
    assert "u, v" in run("info", tmp_path / "a.csv").output


def test_a_file_of_neither_kind_is_one_line(run, tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 and more")
    assert run("info", tmp_path / "a.pdf", code=2).stderr.count("\n") == 1


def test_a_model_that_is_a_base_alone_says_so(run, tmp_path, write_table, tiny_rows):
    data = write_table(tmp_path / "data.h5", tiny_rows(900))
    told = run("fit", data, "--steps=60", "--width=8", "--depth=1", "--base=ica", "--device=cpu").stdout
    assert "base        linear ICA with free densities; no flow follows it" in told
    assert "network     none" in told
    told = run("info", tmp_path / "data.latentflow.safetensors").stdout
    assert "the identity: the base is the whole map" in told
    run("trajectory-report", data, "--rows=60")
    assert (tmp_path / "data.trajectories.html").is_file()
    report = run("independence-report", data, "--n-boot=50").stdout
    assert "base (asked for auto)" in report
