"""`latentflow verify`: a whole file there and back, with the exit code of a test."""

import json

import h5py
import numpy as np
import pytest

from latentflow.analysis.verification.verification import verify, verify_blocks
from latentflow.data.tables import open_table

FEW = ["--rows=60", "--draws=40", "--device=cpu"]


def told(run, *words, code=0):
    return json.loads(run("verify", *words, "--json", code=code).stdout)["result"]


def test_the_whole_file_comes_back(run, folder):
    before = sorted(path.name for path in folder.iterdir())
    result = run("verify", folder / "data.h5", "--device=cpu")
    lines = result.stdout.splitlines()
    assert "300 rows there and back, 300 draws back and there, float64" in lines[0]
    assert any(line.startswith("rows: latent residual") for line in lines)
    assert "det > 0     at 300 of 300 rows; at 300 of 300 draws" in lines
    assert lines[-1].startswith("All 300 rows and 300 draws come back within 1.0 × 10⁻⁹")
    assert "FAILED" not in result.stdout
    assert result.stderr == ""
    assert sorted(path.name for path in folder.iterdir()) == before


def test_figures_are_those_of_the_library(run, folder, model):
    rows = open_table(folder / "data.h5").read()
    index = np.linspace(0, 299, 60).astype(int)
    expected = verify_blocks(model, [(index, rows[index])], n_rows=60, draws=40, seed=7)
    assert verify(model, rows, rows=60, draws=40, seed=7).to_dict() == expected.to_dict()
    document = json.loads(run("verify", folder / "data.h5", *FEW, "--seed=7", "--json").stdout)
    assert document["result"] == json.loads(json.dumps(expected.to_dict()))
    assert (document["command"], document["model_hash"]) == ("verify", model.hash)


def test_a_row_that_fails_gives_exit_code_1_and_is_named(run, folder):
    words = [folder / "data.h5", *FEW, "--tolerance=1e-30"]
    found = told(run, *words, code=1)
    failed = found["data"]["not_restored"]
    assert len(failed) > 12
    assert not found["passed"]
    text = run("verify", *words, code=1).stdout
    assert f"{len(failed)} rows with a data error above" in text
    assert ", ".join(map(str, failed[:12])) + f" and {len(failed) - 12} more" in text
    assert "do not come back within" in text.splitlines()[-1]
    silent = run("verify", *words, "--quiet", code=1)
    assert silent.output == ""


def test_rows_are_evenly_spaced_and_rows_left_out_keep_the_places_of_the_others(run, folder):
    with h5py.File(folder / "data.h5", "r+") as file:
        file["X"][:50, 0] = np.nan
    assert "--missing drop" in run("verify", folder / "data.h5", *FEW, code=2).stderr
    words = [folder / "data.h5", "--missing=drop", "--tolerance=1e-30", "--draws=5"]
    every = told(run, *words, code=1)["data"]
    spaced = told(run, *words, "--rows=30", code=1)["data"]
    assert every["n"] == 250
    assert min(every["not_restored"]) >= 50
    wanted = {place for place in np.linspace(0, 299, 30).astype(int).tolist() if place >= 50}
    assert spaced["n"] == len(wanted)
    assert set(spaced["not_restored"]) <= wanted


@pytest.mark.parametrize(("dtype", "low", "high"), [("float64", 0, 1e-9), ("float32", 1e-9, 1e-5)])
def test_precision_is_that_asked_for(run, folder, dtype, low, high):
    found = told(run, folder / "data.h5", *FEW, "--dtype", dtype)
    assert (found["dtype"], found["tolerance"]) == (dtype, high)
    assert low < found["data"]["latent_residual"]["median"] <= high
    assert found["passed"]


def test_determinants_may_be_fewer(run, folder):
    text = run("verify", folder / "data.h5", *FEW, "--determinants=20").stdout
    assert "at 20 of 20 rows, evenly spaced among 60; at 20 of 20 draws, evenly spaced among 40" in text


def test_the_witness_stands_beside_the_accuracy_of_the_fit(run, folder, model):
    found = told(run, folder / "data.h5", *FEW, "--witness=20")
    assert found["witness"]["distance"]["n"] == 20
    assert 0 < found["witness"]["mean_distance"] <= found["witness"]["accuracy"] == 1e-4
    lines = run("verify", folder / "data.h5", *FEW, "--witness").stdout.splitlines()
    assert any(line.startswith("rows: distance to witness") for line in lines)
    (line,) = (line for line in lines if line.startswith("witness "))
    assert "60 rows by dopri8, tolerance 1.0 × 10⁻¹⁰: mean distance of a latent" in line
    assert line.endswith("the fit asked for 1.0 × 10⁻⁴")
    assert told(run, folder / "data.h5", *FEW)["witness"] is None


def test_a_table_of_few_decimals_is_exact_to_the_last_bit(run, tmp_path, tiny, tiny_rows, write_table):
    data = write_table(tmp_path / "coarse.h5", tiny_rows().round(1))
    run("fit", data, *tiny, "--quiet")
    lines = run("verify", data, *FEW).stdout.splitlines()
    assert "columns     largest errors: none" in lines
    assert "            60 rows exact to the last bit" in lines


@pytest.mark.parametrize("command", ["verify", "orient", "compare", "stability", "clean"])
def test_another_number_of_columns_is_refused_alike(run, folder, command):
    words = ["--columns", "voltage,phase", *(["--remove=latent00"] if command == "clean" else [])]
    error = run(command, folder / "data.h5", *words, code=2).stderr
    assert "--columns names 2 columns, the model has 3" in error
