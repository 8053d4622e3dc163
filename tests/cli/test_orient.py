"""`latentflow orient`: other axes for the same model, in place or in a file of its own, and what it must be told."""

import json

import numpy as np
import pytest

from latentflow.data.tables import open_table
from latentflow.model.fitted_flow import FittedFlow

MODEL = "data.latentflow.safetensors"


@pytest.fixture
def timed_folder(folder, tiny_rows, write_table):
    """The folder with a second table of the same columns, of which a time and a label go with each row."""
    write_table(folder / "timed.h5", tiny_rows())
    write_table(folder / "timed.h5", np.arange(300.0), (), key="t")
    write_table(folder / "timed.h5", np.arange(300) // 150, (), key="label")
    return folder


def test_the_model_is_replaced_and_only_its_axes_are_others(run, folder, model):
    rows = open_table(folder / "data.h5").read()
    result = run("orient", folder / "data.h5", "--orientation", "none")
    turned = FittedFlow.load(folder / MODEL, device="cpu")
    assert result.output.startswith(str(folder / MODEL))
    assert "orientation none: the axes of the latents mean nothing" in result.output
    assert (model.orientation.method != "none", turned.orientation.method) == (True, "none")
    assert turned.record["settings"]["orientation"] == "none"
    np.testing.assert_allclose(turned.log_prob(rows), model.log_prob(rows), atol=1e-9)
    turn = np.linalg.lstsq(model.encode(rows).latents, turned.encode(rows).latents, rcond=None)[0]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert turned.source_scale is None
    assert "per unit of the latent" in result.output
    refusal = run("encode", folder / "data.h5", "--scale", "source", code=2).stderr
    assert "no orientation chose its axes: `latentflow orient` adds one" in refusal


def test_another_file_leaves_the_model_alone(run, folder):
    before = (folder / MODEL).read_bytes()
    told = json.loads(
        run(
            "orient", folder / "data.h5", "--orientation", "ica", "-o", folder / "o.safetensors", "--json"
        ).stdout
    )
    assert (folder / MODEL).read_bytes() == before
    assert FittedFlow.load(folder / "o.safetensors", device="cpu").hash == told["model_hash"]
    assert (told["method"], told["asked"], told["latents"]) == (
        "ica",
        "ica",
        ["latent00", "latent01", "latent02"],
    )


def test_every_latent_is_told_by_the_columns_that_it_moves(run, folder):
    lines = run("orient", folder / "data.h5", "--orientation", "jacobian").output.splitlines()
    assert [line[:8] for line in lines[-3:]] == ["latent00", "latent01", "latent02"]
    assert all(name in line for line in lines[-3:] for name in ("voltage", "current", "phase"))
    assert "standard deviations per unit of the source" in lines[-4]


@pytest.mark.parametrize(
    ("words", "method", "reason"),
    [
        (["--time", "t"], "temporal", "the order of the rows in time was given"),
        (["--time-order", "--groups", "label"], "temporal", "the order of the rows in time was given"),
        (["--groups", "label"], "groups", "the group of each row was given"),
    ],
)
def test_auto_takes_what_it_is_told(run, timed_folder, words, method, reason):
    model = ["--key", "X", "--model", timed_folder / MODEL]
    told = json.loads(run("orient", timed_folder / "timed.h5", *model, *words, "--json").stdout)
    assert (told["method"], told["asked"], told["reason"]) == (method, "auto", reason)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--orientation", "groups"], "give --groups COLUMN"),
        (["--orientation", "temporal"], "say so with --time-order"),
        (["--time", "nope"], "no column or dataset 'nope'"),
    ],
)
def test_what_is_missing_is_told_with_the_way_out(run, folder, words, told):
    before = (folder / MODEL).read_bytes()
    assert told in run("orient", folder / "data.h5", *words, code=2).stderr
    assert (folder / MODEL).read_bytes() == before


def test_the_table_is_not_overwritten(run, folder):
    assert "name another file" in run("orient", folder / "data.h5", "-o", folder / "data.h5", code=2).stderr


@pytest.fixture
def told_folder(timed_folder):
    """The same, with a model that was told of the labels and the times of that table."""
    model = FittedFlow.load(timed_folder / MODEL, device="cpu")
    model.record |= {"groups": "label", "time": "t"}
    model.save(timed_folder / MODEL)
    return timed_folder


@pytest.mark.parametrize(
    ("words", "method", "told"),
    [
        ([], "temporal", ("label", "t")),
        (["--orientation", "groups"], "groups", ("label", "t")),
        (["--orientation", "temporal", "--time-order"], "temporal", ("label", None)),
        (["--orientation", "jacobian"], "jacobian", ("label", "t")),
        (["--groups", "label"], "groups", ("label", None)),
    ],
)
def test_columns_told_before_are_read_again(run, told_folder, words, method, told):
    model = ["--key", "X", "--model", told_folder / MODEL]
    result = json.loads(run("orient", told_folder / "timed.h5", *model, *words, "--json").stdout)
    record = FittedFlow.load(told_folder / MODEL, device="cpu").record
    assert (result["method"], (record["groups"], record["time"])) == (method, told)


def test_columns_told_before_may_be_missing_from_another_table(run, told_folder):
    data = [told_folder / "data.h5", "--model", told_folder / MODEL]
    result = run("orient", *data)
    assert "'label'" in result.stderr
    assert "'t'" in result.stderr
    assert result.stderr.count("orienting without it") == 2
    model = FittedFlow.load(told_folder / MODEL, device="cpu")
    assert model.orientation.method not in ("groups", "temporal")
    assert (model.record["groups"], model.record["time"]) == (None, None)
    assert (
        "no column or dataset 't'"
        in run("orient", *data, "--orientation", "temporal", "--time", "t", code=2).stderr
    )


def test_columns_told_before_are_kept_for_another_time_where_the_method_goes_by_none(run, told_folder):
    model = told_folder / MODEL
    result = run("orient", told_folder / "data.h5", "--model", model, "--orientation", "ica")
    assert result.stderr == ""
    record = FittedFlow.load(model, device="cpu").record
    assert (record["groups"], record["time"]) == ("label", "t")


def test_groups_told_before_must_be_there_where_they_are_what_counts(run, told_folder):
    words = [told_folder / "data.h5", "--model", told_folder / MODEL, "--orientation", "groups"]
    assert "'label'" in run("orient", *words, code=2).stderr
