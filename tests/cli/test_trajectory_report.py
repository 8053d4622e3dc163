"""`latentflow trajectory-report`: a page and its figures beside the data."""

import json

import pytest


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Trajectories on sixteen intervals and samples of few steps: figures are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentflow.analysis.trajectory_report.INTERVALS", 16)
        patch.setattr("latentflow.analysis.trajectory_report.STEP_COUNTS", (3, 6))
        yield


def test_page_and_figures_go_beside_the_data(run, folder, model):
    told = json.loads(run("trajectory-report", folder / "data.h5", "--rows", 25, "--json").stdout)
    assert told["output"] == str(folder / "data.trajectories.html")
    assert told["model_hash"] == model.hash
    record = json.loads((folder / "data.trajectories.json").read_text(encoding="utf-8"))
    assert record["model_hash"] == model.hash
    assert record["latentflow_version"]
    assert told["result"]["shape"] == record["shape"]
    assert record["shape"]["n_rows"] == 25
    page = (folder / "data.trajectories.html").read_text(encoding="utf-8")
    assert "data.h5" in page
    assert "data.trajectories.json" in page


def test_the_summary_names_what_was_found(run, folder):
    out = folder / "some.html"
    text = run("trajectory-report", folder / "data.h5", "--rows", 20, "--seed", 2, "-o", out).output
    for label in ("straight", "end", "curvature", "flat", "memory", "samples"):
        assert f"\n{label}" in text
    assert (folder / "some.json").exists()
    assert run("trajectory-report", folder / "data.h5", "--rows", 20, "--quiet").output == ""


def test_rows_of_another_file_are_not_training_rows(run, folder, write_table, tiny_rows):
    other = write_table(folder / "other.h5", tiny_rows(60, seed=9))
    model = folder / "data.latentflow.safetensors"
    text = run("trajectory-report", other, "--model", model, "--rows", 20).output
    assert "note: This is not the table of the fit" in text
    assert "memory" not in text


def test_bad_places_and_missing_models_are_one_line(run, folder):
    before = (folder / "data.h5").read_bytes()
    refusal = run("trajectory-report", folder / "data.h5", "-o", folder / "x.json", code=2).stderr
    assert "--json-output" in refusal
    assert refusal.count("\n") == 1
    run("trajectory-report", folder / "data.h5", "--json-output", folder / "data.h5", code=2)
    assert (folder / "data.h5").read_bytes() == before
    assert "none.h5 does not exist" in run("trajectory-report", folder / "none.h5", code=2).stderr
    (folder / "other.h5").write_bytes(before)
    assert "latentflow fit" in run("trajectory-report", folder / "other.h5", code=2).stderr
    assert not (folder / "data.trajectories.html").exists()
