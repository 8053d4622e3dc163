"""`latentflow traverse`: a page and a table beside the data."""

import json

import numpy as np
import pandas as pd


def test_page_and_table_go_beside_the_data(run, folder, model):
    told = json.loads(run("traverse", folder / "data.h5", "--json").stdout)
    assert told["output"] == str(folder / "data.traverse.html")
    table = pd.read_csv(folder / "data.traverse.csv")
    assert list(table.columns) == ["latent", "t", *model.columns]
    z = np.zeros((1, 3))
    z[0, 1] = -2.0
    row = table[(table["latent"] == "latent01") & (table["t"] == -2)]
    np.testing.assert_allclose(row[list(model.columns)], model.decode(z), rtol=1e-8)
    page = (folder / "data.traverse.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "data.h5" in page
    assert set(told["swing"]) == {"latent00", "latent01", "latent02"}


def test_latents_extent_and_steps_are_as_asked(run, folder):
    out = folder / "some.html"
    text = run(
        "traverse", folder / "data.h5", "--latents", "latent02", "--extent", 3, "--steps", 5, "-o", out
    ).output
    table = pd.read_csv(folder / "some.csv")
    assert set(table["latent"]) == {"latent02"}
    np.testing.assert_allclose(table["t"], [-3, -1.5, 0, 1.5, 3])
    assert "latent02" in text
    assert "latent01" not in text


def test_an_unknown_latent_and_a_bad_place_are_one_line(run, folder):
    refusal = run("traverse", folder / "data.h5", "--latents", "latent07", code=2).stderr
    assert "latent00 to latent02" in refusal
    assert refusal.count("\n") == 1
    refusal = run("traverse", folder / "data.h5", "-o", folder / "x.csv", code=2).stderr
    assert "--table-output" in refusal
    before = (folder / "data.h5").read_bytes()
    run("traverse", folder / "data.h5", "--table-output", folder / "data.h5", code=2)
    assert (folder / "data.h5").read_bytes() == before
    assert not (folder / "data.traverse.html").exists()
