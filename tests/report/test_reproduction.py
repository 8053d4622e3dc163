"""The commands that a report prints are run as they stand, and bring the same figures."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from latentflow import LatentFlow
from latentflow.analysis.independence import independence_report
from latentflow.report.reproduction import commands

COLUMNS = ["voltage", "current", "phase"]


def frame_of(rows: np.ndarray) -> pd.DataFrame:
    """The rows with a recording, a time, a remark and a number that is noise beside them, in another order."""
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame.insert(0, "subject", [f"s{i // 150}" for i in range(len(rows))])
    frame["t"] = np.arange(len(rows)) * 0.02
    frame["noise"] = np.random.default_rng(9).normal(size=len(rows))
    frame["remark"] = "x"
    return frame


def printed(page: Path) -> list[str]:
    """The commands on a page."""
    code = re.search(r"<pre><code>(.*?)</code></pre>", page.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    return html.unescape(code[1]).strip().splitlines()


def figures(path: Path) -> dict:
    """All that a report measured, without how long it took and the fingerprint, which holds that as well."""
    written = json.loads(path.read_text(encoding="utf-8"))
    provenance = written["provenance"]
    del provenance["model_hash"], provenance["fit"]["seconds"], provenance["model_file"]
    provenance["options"].pop("model", None)
    return written


@pytest.fixture
def reproduced(run, tmp_path, monkeypatch, tiny):
    """Function (write, fit words, report words): what both printed reports measured, and the commands between them."""

    def reproduce(write, fitting, reporting, data="data.csv", model=None):
        first, second = tmp_path / "first", tmp_path / "second"
        for folder in (first, second):
            folder.mkdir()
        write(first / data)
        shutil.copy(first / data, second / data)
        monkeypatch.chdir(first)
        named = [] if model is None else ["--model", model]
        run("fit", data, *tiny, *fitting, *([] if model is None else ["--output", model]))
        run("independence-report", data, "--n-boot=20", *reporting, *named)
        lines = printed(first / Path(data).with_suffix(".independence.html"))
        monkeypatch.chdir(second)
        for line in lines:
            name, *words = shlex.split(line, comments=True) or ["latentflow"]
            assert name == "latentflow"
            if words:
                run(*words)
        results = [
            figures(folder / Path(data).with_suffix(".independence.json")) for folder in (first, second)
        ]
        return lines, *results

    return reproduce


def test_every_option_that_acted_is_printed_and_acts_again(reproduced, tiny_rows):
    def write(path: Path) -> None:
        frame = frame_of(tiny_rows(600))
        frame.loc[[5, 77], "current"] = np.nan
        frame.to_csv(path, index=False)

    fitting = ["--time", "t", "--groups", "subject", "--drop-columns", "noise,remark", "--missing", "drop"]
    fitting += [
        "--preset",
        "fast",
        "--tails",
        "none",
        "--held-out",
        "0.3",
        "--split",
        "blocked",
        "--components",
        2,
    ]
    reporting = ["--seed", 5, "--rows", "held-out", "--missing", "drop"]
    lines, first, again = reproduced(write, fitting, reporting)
    assert first == again
    fit, report = lines
    for words in (
        "--time t",
        "--groups subject",
        "--drop-columns noise,remark",
        "--missing drop",
        "--preset fast",
        "--tails none",
        "--held-out 0.3",
        "--split blocked",
        "--components 2",
        "--steps 60",
        "--seed 3",
    ):
        assert words in fit
    for words in ("--seed 5", "--rows held-out", "--missing drop", "--n-boot 20"):
        assert words in report
    for default in ("--solver", "--accuracy", "--key", "--output", "--columns", "--device"):
        assert default not in fit.replace("--drop-columns", "")


def test_a_recording_in_time_order_with_chosen_columns_of_one_of_two_tables(
    reproduced, tiny_rows, write_table
):
    def write(path: Path) -> None:
        rows = np.column_stack([tiny_rows(400), np.random.default_rng(0).normal(size=(400, 4))])
        write_table(path, rows, (*COLUMNS, *"abcd"), key="run one")
        write_table(path, rows[:100], (*COLUMNS, *"abcd"), key="other")
        with h5py.File(path, "a") as file:
            file["truth"] = tiny_rows(400)

    fitting = ["--key", "run one", "--columns", "phase,voltage,current", "--time-order", "--solver", "heun"]
    lines, first, again = reproduced(
        write,
        fitting,
        ["--key", "run one", "--sources", "truth", "--rows", "all"],
        data="data.h5",
        model="a model.safetensors",
    )
    assert first == again
    assert first["recovery"] is not None
    assert "--key 'run one' --columns phase,voltage,current" in lines[0]
    assert "--time-order" in lines[0]
    assert "--output 'a model.safetensors'" in lines[0]
    assert "--model 'a model.safetensors'" in lines[1]
    assert "--sources truth" in lines[1]


def test_latents_turned_after_the_fit_are_fitted_as_they_were_turned(
    run, tmp_path, monkeypatch, tiny, tiny_rows
):
    folder, other = tmp_path / "one", tmp_path / "two"
    for each in (folder, other):
        each.mkdir()
        frame_of(tiny_rows(300)).to_csv(each / "data.csv", index=False)
    monkeypatch.chdir(folder)
    run("fit", "data.csv", *tiny, "--drop-columns", "remark,noise", "--groups", "subject", "--time", "t")
    run("orient", "data.csv", "--orientation", "ica")
    run("independence-report", "data.csv", "--n-boot=20")
    monkeypatch.chdir(other)
    for line in printed(folder / "data.independence.html"):
        run(*shlex.split(line)[1:])
    first, again = (figures(each / "data.independence.json") for each in (folder, other))
    assert first["orientation"]["method"] == "ica"
    assert first == again


def test_on_another_table_the_fit_is_that_of_its_own_file(run, folder, write_table, tiny_rows):
    new = write_table(folder / "new.h5", tiny_rows(120, seed=5))
    run("independence-report", new, "--model", folder / "data.latentflow.safetensors", "--n-boot=20")
    fit, report = printed(folder / "new.independence.html")
    assert fit.startswith("latentflow fit data.h5 --key X --columns voltage,current,phase ")
    assert f"latentflow independence-report {new} --key X" in report
    assert f"--model {folder / 'data.latentflow.safetensors'}" in report


def test_what_came_from_memory_is_printed_as_python_that_runs(tiny_rows):
    X, groups = tiny_rows(300), np.repeat(["a", "b"], 150)
    given = {"steps": 40, "width": 16, "depth": 1, "batch_size": 64, "random_state": 2, "tails": "none"}
    model = LatentFlow(**given).fit(X, groups=groups).model_
    first = independence_report(model, X, n_boot=20, sources=X[:, :2], seed=4)
    lines = commands(first)
    assert "LatentFlow(" in lines[0]
    assert ".fit(X, groups=groups)" in lines[0]
    assert "sources=sources" in lines[1]
    known = {"LatentFlow": LatentFlow, "independence_report": independence_report}
    known |= {"X": X, "groups": groups, "sources": X[:, :2]}
    for line in lines:
        exec(line, known)
    again = known["result"].to_dict()
    for one in (told := first.to_dict()), again:
        del one["provenance"]
    assert told == again


def test_values_beside_a_file_are_python_too(make_result):
    result = make_result(2, n=300)
    fit = {
        "file": "data.csv",
        "same_table": True,
        "settings": {"seed": 1},
        "arrays": ["time"],
        "drop_columns": ["id"],
    }
    found = commands(replace(result, provenance={**result.provenance, "fit_options": fit}))
    assert found[0] == "# X: the table in 'gas_turbine.csv' with drop_columns=['id']"
    assert found[1] == "model = LatentFlow(random_state=1).fit(X, time=time).model_"


def test_a_fit_that_was_given_a_time_says_that_another_ends_elsewhere(make_result):
    result = make_result(2, n=300)
    fit = {"file": "data.csv", "same_table": True, "settings": {"time_budget": 30.0, "seed": 1}}
    found = commands(replace(result, provenance={**result.provenance, "fit_options": fit}))
    assert found[0].startswith("# the fit was given a time")
    assert found[1] == "latentflow fit gas_turbine.csv --time-budget 30.0 --seed 1"
