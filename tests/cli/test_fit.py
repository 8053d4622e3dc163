"""`latentflow fit`: what it writes, what it tells, and what it refuses."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from latentflow.model import FittedFlow


@pytest.fixture
def data(tmp_path, write_table, tiny_rows):
    return write_table(tmp_path / "data.h5", tiny_rows())


def test_the_model_goes_beside_the_data_and_the_summary_says_what_is_next(run, data, tiny):
    text = run("fit", data, *tiny).output
    model = FittedFlow.load(data.with_name("data.latentflow.safetensors"), device="cpu")
    assert model.columns == ("voltage", "current", "phase")
    assert f"latentflow independence-report {data}" in text
    assert "210 train, 30 validate, 60 held out (random split)" in text
    assert sorted(path.name for path in data.parent.iterdir()) == ["data.h5", "data.latentflow.safetensors"]


def test_json_is_one_object_with_the_hash_of_the_file(run, data, tiny):
    result = run("fit", data, *tiny, "--json")
    told = json.loads(result.stdout)
    content = data.with_name("data.latentflow.safetensors").read_bytes()
    assert told["model_hash"] == hashlib.sha256(content).hexdigest()
    assert told["record"]["n_held_out"] == 60
    assert result.stderr == ""


def test_quiet_says_nothing(run, data, tiny):
    assert run("fit", data, *tiny, "--quiet").output == ""


def test_options_reach_the_fit(run, data, tiny):
    out = data.with_name("other.safetensors")
    words = [
        "--output",
        out,
        "--columns",
        "phase, voltage",
        "--components",
        "1",
        "--held-out",
        "0.4",
        "--split",
        "blocked",
    ]
    text = run(
        "fit", data, *tiny, *words, "--preset", "fast", "--tails", "asinh", "--time-budget", "30"
    ).output
    model = FittedFlow.load(out, device="cpu")
    assert model.columns == ("phase", "voltage")
    assert model.latent_names == ("latent00",)
    assert [treatment.tails for treatment in model.preprocessor.treatments] == ["asinh", "asinh"]
    record, plan = model.record, model.record["plan"]
    assert (record["n_held_out"], record["split"]["mode"], record["preset"], record["seed"]) == (
        120,
        "blocked",
        "fast",
        3,
    )
    assert (plan["steps"], plan["width"], plan["depth"], plan["batch_size"], plan["time_budget"]) == (
        60,
        16,
        1,
        64,
        30,
    )
    assert f"--model {out}" in text


def test_the_same_seed_gives_the_same_network_and_another_seed_another(run, data, tiny):
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run("fit", data, *tiny, "--seed", seed, "-o", data.with_name(name))
        weights.append(
            next(iter(FittedFlow.load(data.with_name(name), device="cpu").denoiser.parameters())).numpy()
        )
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_columns_that_are_not_numbers_are_refused_by_name_and_can_be_dropped(run, tmp_path, tiny_rows, tiny):
    frame = pd.DataFrame(tiny_rows(), columns=list("abc")).assign(label="x")
    data = tmp_path / "data.csv"
    frame.to_csv(data, index=False)
    refusal = run("fit", data, *tiny, code=2).stderr
    assert "'label'" in refusal
    assert "--drop-columns" in refusal
    run("fit", data, *tiny, "--drop-columns", "label,b")
    assert FittedFlow.load(tmp_path / "data.latentflow.safetensors", device="cpu").columns == ("a", "c")


def test_missing_values_are_counted_and_their_rows_can_be_dropped(
    run, tmp_path, write_table, tiny_rows, tiny
):
    rows = tiny_rows()
    rows[5, 1], rows[7, 1], rows[9, 2] = np.nan, np.inf, np.nan
    data = write_table(tmp_path / "data.h5", rows)
    refusal = run("fit", data, *tiny, code=2).stderr
    assert "current: 2" in refusal
    assert "phase: 1" in refusal
    assert "--missing drop" in refusal
    run("fit", data, *tiny, "--missing", "drop")
    assert FittedFlow.load(tmp_path / "data.latentflow.safetensors", device="cpu").record["n_rows"] == 297


def test_a_table_with_trouble_ahead_is_fitted_with_a_warning(run, tmp_path, write_table, tiny_rows, tiny):
    rows = tiny_rows()
    data = write_table(
        tmp_path / "data.h5",
        np.column_stack([rows, rows[:, 0] - rows[:, 1], np.full(300, 7.0)]),
        tuple("abcde"),
    )
    result = run("fit", data, *tiny, "--quiet")
    assert result.stdout == ""
    assert result.stderr.startswith("latentflow: warning: ")
    text = run("info", tmp_path / "data.latentflow.safetensors").output
    assert "constant    e" in text
    assert "dependent   " in text


def test_the_table_is_never_overwritten(run, data, tiny):
    before = data.read_bytes()
    assert "--output" in run("fit", data, *tiny, "-o", data, code=2).stderr
    assert data.read_bytes() == before


def test_a_folder_that_does_not_exist_is_named_before_the_work(run, data, tiny, monkeypatch):
    monkeypatch.delattr("latentflow.cli.fit.fit_table")
    out = data.parent / "none" / "model.safetensors"
    assert str(out) in run("fit", data, *tiny, "-o", out, code=2).stderr


def test_a_device_that_is_not_there_is_named(run, data, tiny):
    assert "'abacus'" in run("fit", data, *tiny, "--device", "abacus", code=2).stderr


def test_several_tables_in_a_file_are_listed_and_one_is_chosen_by_key(
    run, tmp_path, write_table, tiny_rows, tiny
):
    data = write_table(tmp_path / "data.h5", tiny_rows(), key="left")
    write_table(data, tiny_rows(seed=1), key="right")
    refusal = run("fit", data, *tiny, code=2).stderr
    assert "left" in refusal
    assert "right" in refusal
    run("fit", data, *tiny, "--key", "right")
    assert FittedFlow.load(tmp_path / "data.latentflow.safetensors", device="cpu").record["key"] == "right"


def test_an_empty_name_in_a_list_is_a_usage_error(run, data):
    assert "'a,,b'" in run("fit", data, "--columns", "a,,b", code=2).stderr
