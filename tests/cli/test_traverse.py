"""`latentflow traverse`: a page and a table beside the data."""

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from latentflow.orientation.record import Orientation, undetermined


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


def oriented(folder, model, method="jacobian", *, converged=True, errors=None) -> None:
    """The model of the folder with another account of its axes."""
    found = np.zeros((3, 3)) if errors is None else errors
    turned = Orientation(model.orientation.rotation, method, converged=converged, angle_error=found)
    replace(model, orientation=turned).save(folder / "data.latentflow.safetensors")


def test_latents_that_mean_nothing_alone_are_warned_of(run, folder, model):
    def warnings(*words):
        return run("traverse", folder / "data.h5", "--steps=2", "--quiet", *words).stderr.splitlines()

    assert warnings() == []
    oriented(folder, model, "none")
    (told,) = warnings("--latents", "latent01")
    assert told.startswith("latentflow: warning: the latents of this model were not oriented")
    assert "`latentflow orient`" in told
    oriented(folder, model, converged=False)
    (told,) = warnings()
    assert "did not converge" in told
    errors = np.zeros((3, 3))
    errors[0, 1] = errors[1, 0] = 0.5
    oriented(folder, model, errors=errors)
    assert warnings("--latents", "latent02") == []
    for words in ([], ["--latents", "latent00"], ["--latents", "latent00,latent01"]):
        (told,) = warnings(*words)
        assert "the data do not fix the axes in the plane of latent00/latent01" in told


@pytest.mark.parametrize(
    ("planes", "told"),
    [
        ([(0, 1)], "axes undetermined in the plane of latent00/latent01"),
        ([(1, 2), (0, 1)], "axes undetermined in the planes of latent00/latent01, latent01/latent02"),
    ],
)
def test_info_names_undetermined_planes(run, folder, model, planes, told):
    errors = np.zeros((3, 3))
    for size, (i, j) in enumerate(planes, start=4):
        errors[i, j] = errors[j, i] = 0.1 * size
    oriented(folder, model, errors=errors)
    text = run("info", folder / "data.latentflow.safetensors").stdout
    assert f"jacobian: {told}" in text
    assert "standard errors" not in text


def test_info_gives_no_error_of_axes_that_were_not_found(run, folder, model):
    found = Orientation(np.eye(3), "temporal", "auto", converged=False, angle_error=0.01 * (1 - np.eye(3)))
    replace(model, orientation=found).save(folder / "data.latentflow.safetensors")
    text = run("info", folder / "data.latentflow.safetensors").stdout
    assert "orientation temporal: did not converge, so that no axis is determined" in text
    assert "standard errors" not in text


def test_a_few_of_many_planes_are_named_and_the_rest_is_counted():
    from latentflow.report.terminal.model import orientation_lines

    class Wide:
        record: ClassVar[dict] = {}
        orientation = Orientation(np.eye(4), "ica", angle_error=undetermined(4))
        latent_names = tuple(f"latent0{i}" for i in range(4))

    (line,) = orientation_lines(Wide())
    assert line.endswith("planes of latent00/latent01, latent00/latent02, latent00/latent03 and 3 more")
    # errors that were never written down are those of axes of which nothing is known
    Wide.orientation = Orientation(np.eye(4), "ica")
    assert orientation_lines(Wide()) == [line]
