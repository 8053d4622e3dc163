"""`latentflow stability`: refits, told in a table and written as JSON."""

import json


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
