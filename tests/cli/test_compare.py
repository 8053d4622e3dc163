"""`latentflow compare`: one table, latents against components."""

import json

import numpy as np

from latentflow.data.tables import open_table

FEW = "--n-boot=50"


def test_the_table_has_a_line_for_every_latent(run, folder):
    text = run("compare", folder / "data.h5", FEW).stdout
    assert "latents against FastICA, 60 held-out rows" in text
    lines = [line.split() for line in text.splitlines() if line.startswith("latent0")]
    assert [line[0] for line in lines] == ["latent00", "latent01", "latent02"]
    assert sorted(line[1] for line in lines) == ["ica00", "ica01", "ica02"]
    assert "nats more of the dependence than FastICA" in text
    assert "mean |Spearman|" in text
    # 60 rows: nothing stands out from chance, and no figure is shown where none was found
    assert all(line[-3:] == ["–"] * 3 for line in lines)
    assert "0.000" not in text
    assert "note: Where no figure stands for the dependence" in text
    assert "note: The latents were aligned with ICA components" in text


def test_figures_are_those_of_the_library_and_files_are_left_alone(run, folder, model):
    from latentflow.analysis.comparison.comparison import compare

    before = sorted(path.name for path in folder.iterdir())
    told = json.loads(run("compare", folder / "data.h5", FEW, "--seed=4", "--rows=all", "--json").stdout)
    expected = compare(model, folder / "data.h5", rows="all", n_boot=50, seed=4)
    assert told["result"] == json.loads(json.dumps(expected.to_dict()))
    assert (told["command"], told["model_hash"]) == ("compare", model.hash)
    assert run("compare", folder / "data.h5", FEW, "--quiet").stdout == ""
    assert sorted(path.name for path in folder.iterdir()) == before


def test_own_components_come_from_a_file(run, folder, write_table):
    rows = open_table(folder / "data.h5").read()
    write_table(folder / "mine.h5", rows @ np.eye(3)[:, :2], ("eog", "ecg"), key="first")
    write_table(folder / "mine.h5", rows[:, ::-1], ("a", "b", "c"), key="second")
    words = ["compare", folder / "data.h5", FEW, "--components", folder / "mine.h5"]
    text = run(*words, "--components-key", "first").stdout
    assert "latents against mine.h5" in text
    assert " eog " in text
    assert "–" in text  # a latent without a component
    assert "second" in run(*words, code=2).stderr
    write_table(folder / "short.h5", rows[:10])
    refusal = run("compare", folder / "data.h5", FEW, "--components", folder / "short.h5", code=2).stderr
    assert "10 rows of components" in refusal
