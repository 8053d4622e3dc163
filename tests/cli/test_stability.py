"""`latentflow stability`: refits, told in a table and written as JSON."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from latentflow.orientation.record import Orientation


def test_refits_are_told_and_written(run, folder, model):
    told = run("stability", folder / "data.h5", "--runs=3", "--n-boot=20", "--seed=1", "--device=cpu")
    assert "2 further fits: about" in told.stderr
    assert "3 fits on 60 held-out rows" in told.stdout
    lines = [line.split() for line in told.stdout.splitlines() if line.startswith("latent0")]
    assert [line[0] for line in lines] == list(model.latent_names)
    assert all(0 <= float(line[2]) <= float(line[1]) <= 1 for line in lines)
    assert "FastICA" in told.stdout
    document = json.loads((folder / "data.stability.json").read_text(encoding="utf-8"))
    assert (document["command"], document["model_hash"]) == ("stability", model.hash)
    assert [fit["seed"] for fit in document["result"]["runs"]] == [3, 1, 2]
    assert not list(folder.glob(".data.stability*"))
    seeds = [line for line in told.stdout.splitlines() if line.startswith("seed ")]
    for line, fit in zip(seeds, document["result"]["runs"][1:], strict=True):
        assert f"orientation {fit['orientation']}: log p" in line


def test_json_and_quiet_say_nothing_else(run, folder, tmp_path):
    words = [
        "stability",
        folder / "data.h5",
        "--runs=2",
        "--n-boot=20",
        "--device=cpu",
        "-o",
        tmp_path / "s.json",
    ]
    told = run(*words, "--json", "--preset=fast")
    assert told.stderr == ""
    assert json.loads(told.stdout) == json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert run(*words, "--quiet").output == ""


def test_another_table_is_refused_in_one_line(run, folder, write_table, tiny_rows):
    data = write_table(folder / "new.h5", tiny_rows(120, seed=5))
    words = ["--model", folder / "data.latentflow.safetensors", "--runs=2"]
    assert "not the table this model was fitted on" in run("stability", data, *words, code=2).stderr
    assert not list(folder.glob("new.stability*"))


@pytest.mark.parametrize(
    ("method", "word", "named"), [("groups", "--groups", "session"), ("temporal", "--time", "clock")]
)
def test_groups_and_times_of_which_the_model_kept_no_name_are_named_anew(
    run, folder, model, method, word, named
):
    with h5py.File(folder / "data.h5", "a") as file:
        file["session"] = np.arange(300) // 75
        file["clock"] = np.arange(300) * 0.5
    turned = Orientation(
        model.orientation.rotation, method, "auto", angle_error=model.orientation.angle_error
    )
    replace(model, orientation=turned).save(folder / "data.latentflow.safetensors")
    words = ["stability", folder / "data.h5", "--runs=2", "--n-boot=20", "--device=cpu"]
    refusal = run(*words, "--quiet", code=2).stderr
    assert word in refusal
    assert refusal.count("\n") == 1
    assert not (folder / "data.stability.json").exists()
    fits = json.loads(run(*words, word, named, "--json").stdout)["result"]["runs"]
    assert [fit["orientation"] for fit in fits] == [method, method]
    if word == "--time":
        fits = json.loads(run(*words, "--time-order", "--json").stdout)["result"]["runs"]
        assert [fit["orientation"] for fit in fits] == [method, method]
