"""Fitting a table: roles, missing values, the choice of the starting noise level."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentflow.data.splits import GAP, HELD_OUT, TRAIN, Split
from latentflow.data.tables import as_table
from latentflow.errors import DataError, LatentFlowError
from latentflow.flow.calibration import choose_start
from latentflow.model.fit import fit_flow, fit_table
from latentflow.model.settings import FitSettings
from latentflow.score.oracles import EmpiricalOracle, GaussianOracle

QUICK = {"steps": 5, "width": 8, "depth": 1}


def test_an_exact_score_starts_low_and_a_memorised_one_high():
    """The start is where new rows are likeliest: low for the truth, high for rows learned by heart."""
    generator = torch.Generator().manual_seed(0)
    train, new = (torch.randn(200, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    ends = (0.002, 15.0)
    sharp = GaussianOracle(torch.zeros(3), torch.diag(torch.tensor([1.0, 1.0, 2e-4]))).double()
    thin = new * torch.tensor([1.0, 1.0, 2e-4]).double().sqrt()
    assert choose_start(sharp, thin, ends) == ends[0]
    assert choose_start(EmpiricalOracle(train), new, ends) == 0.2
    assert choose_start(sharp, new[:0], ends) == ends[0]


def test_roles_cover_the_table_with_its_gaps():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 2)), columns=["a", "b"])
    frame.iloc[[3, 50], 0] = np.nan
    table = as_table(frame)
    with pytest.raises(DataError, match=r"a: 2.*--missing drop"):
        fit_table(table, **QUICK)
    model = fit_table(table, missing="drop", **QUICK)
    assert (np.flatnonzero(model.roles == GAP) == [3, 50]).all()
    assert model.record["n_missing"] == 2
    assert (model.roles == HELD_OUT).sum() == model.record["n_held_out"] == 23
    assert model.record["fingerprint"] == table.fingerprint()


def test_blocked_split_where_neighbours_are_alike():
    walk = np.cumsum(np.random.default_rng(0).normal(size=(600, 2)), axis=0)
    model = fit_flow(walk, ["a", "b"], **QUICK)
    assert model.record["split"]["mode"] == "blocked"
    held, train = model.roles == HELD_OUT, model.roles == TRAIN
    assert not (held[:-1] & train[1:]).any()
    assert not (train[:-1] & held[1:]).any()


def test_the_record_says_what_was_asked_for_and_the_grid_reaches_its_accuracy():
    X = np.random.default_rng(0).normal(size=(100, 2))
    model = fit_flow(
        X, ["a", "b"], FitSettings(accuracy=3e-3, preset="fast", held_out=0.4), seed=5, batch_size=64, **QUICK
    )
    record, plan = model.record, model.record["plan"]
    asked = FitSettings(accuracy=3e-3, preset="fast", held_out=0.4, batch_size=64, **QUICK)
    assert record["settings"] == asked.recorded()
    assert (record["n_held_out"], record["preset"], record["seed"]) == (40, "fast", 5)
    assert (plan["steps"], plan["width"], plan["depth"], plan["batch_size"]) == (5, 8, 1, 64)
    assert record["grid"]["accuracy"] == 3e-3
    assert record["grid"]["mean_error"] <= 3e-3


def test_a_split_may_be_given():
    X = np.random.default_rng(0).normal(size=(100, 2))
    given = Split(np.repeat(np.uint8([TRAIN, HELD_OUT]), 50), "blocked", 0.0, 0, 0)
    model = fit_table(as_table(X), split=given, **QUICK)
    np.testing.assert_array_equal(model.roles, given.role)
    assert model.record["settings"]["split"] == model.record["split"]["mode"] == "blocked"


def test_fewer_rows_than_columns_is_a_warning_with_the_way_out():
    X = np.random.default_rng(0).normal(size=(12, 20))
    model = fit_flow(X, [f"c{i}" for i in range(20)], **QUICK)
    assert any("--components" in w for w in model.record["warnings"])
    assert any("do not orient" in w for w in model.record["warnings"])
    assert (model.orientation.method, model.record["settings"]["orientation"]) == ("none", "auto")
    encoding = model.encode(X)
    np.testing.assert_allclose(model.decode(encoding.latents, encoding.carried), X, atol=1e-8)


def test_one_row_is_an_error():
    with pytest.raises(LatentFlowError, match="n_samples = 1"):
        fit_flow(np.ones((1, 3)), ["a", "b", "c"], **QUICK)
