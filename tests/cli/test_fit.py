"""`latentflow fit`: what it writes, what it tells, and what it refuses."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from latentflow import LatentFlowError
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.settings import FitSettings
from latentflow.orientation import methods as orientation_ways


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


def test_rows_that_may_be_a_recording_call_for_a_hint_unless_it_is_told(
    run, tmp_path, write_table, tiny, tiny_rows
):
    recording = np.cumsum(tiny_rows(400), axis=0)
    data = write_table(tmp_path / "recording.h5", 0.05 * recording + tiny_rows(400, seed=1))
    told = "orientation the rows look like a recording (lag-1 autocorrelation 0."
    model = data.with_name("recording.latentflow.safetensors")
    assert told in run("fit", data, *tiny).output
    assert told in run("info", model).output
    for words in (["--time-order"], ["--orientation", "ica"]):
        assert "look like a recording" not in run("fit", data, *tiny, *words).output
        assert "look like a recording" not in run("info", model).output


@pytest.fixture
def handed(run, data, monkeypatch):
    """Function (*words) that runs the command on data.h5, and gives the table and the keywords of the fit instead."""
    calls = []

    def listed(table, settings, **beside):
        calls.append((table, settings, beside))
        raise LatentFlowError("no fit")

    monkeypatch.setattr("latentflow.model.fit.fit_table", listed)

    def hand(*words):
        assert run("fit", data, *words, code=2).stderr == "latentflow: error: no fit\n"
        return calls[-1]

    return hand


def test_without_options_the_fit_has_its_defaults(handed):
    table, settings, beside = handed()
    assert settings == FitSettings()
    assert table.columns == ("voltage", "current", "phase")
    assert (beside["groups"], beside["time"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("missing", "drop"),
        ("tails", "asinh"),
        ("split", "blocked"),
        ("held_out", 0.4),
        ("components", 1),
        ("preset", "fast"),
        ("width", 16),
        ("depth", 3),
        ("steps", 60),
        ("batch_size", 64),
        ("time_budget", 30.0),
        ("accuracy", 0.1),
        ("accuracy", 1e-8),
        ("solver", "heun"),
        ("orientation", "ica"),
        ("device", "cpu"),
        ("seed", 4),
    ],
)
def test_options_reach_the_fit(handed, name, value):
    assert handed(f"--{name.replace('_', '-')}", value)[1] == FitSettings(**{name: value})


def test_what_is_no_setting_reaches_the_fit(handed):
    words = ["--columns", "phase, voltage", "--groups", "g", "--time", "t", "--time-order"]
    table, settings, beside = handed(*words)
    assert table.columns == ("phase", "voltage")
    assert (beside["groups"], beside["time"], settings) == ("g", "t", FitSettings(time_order=True))


def test_a_model_of_one_latent_in_a_file_of_its_own(run, data, tiny):
    out = data.with_name("other.safetensors")
    text = run("fit", data, *tiny, "--output", out, "--components", 1).output
    assert FittedFlow.load(out, device="cpu").latent_names == ("latent00",)
    assert "orientation a single latent: no axes to choose" in text
    assert f"--model {out}" in text


@pytest.mark.parametrize("accuracy", ["0.2", "1e-9", "0", "-1e-4", "nan", "fine"])
def test_another_accuracy_is_refused_in_one_line(run, data, tiny, accuracy):
    refusal = run("fit", data, *tiny, "--accuracy", accuracy, code=2).stderr
    (line,) = (line for line in refusal.splitlines() if "accuracy" in line)
    assert accuracy in line.replace("e-09", "e-9").replace("-0.0001", "-1e-4")
    assert not list(data.parent.glob("*.safetensors"))


def test_help_says_what_accuracy_is_of(run):
    text = " ".join(run("fit", "--help").output.split())
    for words in (
        "usually 1e-2, 1e-3, 1e-4 or 1e-6",
        "[default: 1e-4; 1e-08<=x<=0.1]",
        "log|det| is off by about ten times as much",
        "where a coarse encoder folds (1e-2, 1e-3: see `latentflow verify`)",
    ):
        assert words in text


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
    monkeypatch.setattr("latentflow.model.fit.fit_table", None)  # which cannot be called
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


@pytest.fixture
def told(tmp_path, tiny_rows):
    """A text file with a label and a time for each row."""
    frame = pd.DataFrame(tiny_rows(), columns=list("abc"))
    frame["subject"], frame["t"] = [f"s{i // 75}" for i in range(300)], np.arange(300) * 0.02
    frame.to_csv(tmp_path / "told.csv", index=False)
    return tmp_path / "told.csv"


@pytest.mark.parametrize(
    ("words", "left_out", "method"),
    [
        (["--groups", "subject"], {"subject"}, "groups"),
        (["--groups", "subject", "--time", "t"], {"subject", "t"}, "temporal"),
        (["--groups", "subject", "--time", "t", "--orientation", "groups"], {"subject", "t"}, "groups"),
        (["--time", "t", "--drop-columns", "subject"], {"subject", "t"}, "temporal"),
        (["--time-order", "--drop-columns", "subject"], {"subject"}, "temporal"),
    ],
)
def test_groups_and_times_orient_the_latents_and_are_not_fitted(run, told, tiny, words, left_out, method):
    text = run("fit", told, *tiny, *words).output
    model = FittedFlow.load(told.with_suffix(".latentflow.safetensors"), device="cpu")
    assert set(model.columns) == {"a", "b", "c", "subject", "t"} - left_out
    assert model.orientation.method == method
    assert model.orientation.asked == ("groups" if "--orientation" in words else "auto")
    assert model.record["groups"] == ("subject" if "--groups" in words else None)
    assert model.record["time"] == ("t" if "--time" in words else None)
    assert model.record["settings"]["time_order"] == ("--time-order" in words)
    assert f"orientation {method}: " in text
    # the table is encoded as it is, labels and all
    run("encode", told)


def test_dates_are_times_and_rows_without_a_label_are_told(run, told, tiny):
    frame = pd.read_csv(told)
    frame["t"] = pd.date_range("2024-02-28", periods=300, freq="6h").strftime("%Y-%m-%d %H:%M")
    frame.loc[:11, "subject"] = ""
    frame.to_csv(told, index=False)
    result = run("fit", told, *tiny, "--time", "t", "--groups", "subject")
    assert "orientation temporal: " in result.output
    assert "12 of 300 rows have no label" in result.stderr
    frame.loc[7, "t"] = ""
    frame.to_csv(told, index=False)
    refusal = run("fit", told, *tiny, "--time", "t", "--groups", "subject", code=2).stderr
    assert "time is missing or infinite at 1 of 300 rows, the first is row 7: " in refusal


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["--groups", "subjet", "--drop-columns", "subject"], "'subjet'"),
        (["--groups", "subject", "--time", "subject"], "numbers"),
        (["--orientation", "groups", "--drop-columns", "subject"], "--groups COLUMN"),
        (["--orientation", "temporal", "--drop-columns", "subject"], "--time-order"),
        (["--orientation", "sideways"], "sideways"),
    ],
)
def test_groups_and_times_that_cannot_be_used_are_refused(run, told, tiny, words, refusal):
    assert refusal in run("fit", told, *tiny, *words, code=2).stderr
    assert not list(told.parent.glob("*.safetensors"))


def test_rows_left_out_leave_a_gap_in_time(run, tmp_path, write_table, tiny_rows, tiny, monkeypatch):
    seen, axes = [], orientation_ways.temporal_axes

    def watched(z, positions, recordings):
        seen.append(positions)
        return axes(z, positions, recordings)

    monkeypatch.setattr(orientation_ways, "temporal_axes", watched)
    rows = tiny_rows()
    rows[3::4, 0] = np.nan
    data = write_table(tmp_path / "data.h5", rows)
    run("fit", data, *tiny, "--missing", "drop", "--time-order", "--held-out", "0")
    np.testing.assert_array_equal(seen[0], np.flatnonzero(np.arange(300) % 4 != 3))
