"""The whole report on a tiny fitted model."""

import json
from dataclasses import replace

import numpy as np
import pytest

from latentflow.analysis.trajectory_report import trajectory_report
from latentflow.data.splits import TRAIN
from latentflow.data.tables import as_table, open_table
from latentflow.errors import DataError


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Trajectories on sixteen intervals and samples of few steps: figures are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentflow.analysis.trajectory_report.INTERVALS", 16)
        patch.setattr("latentflow.analysis.trajectory_report.STEP_COUNTS", (3, 6))
        yield


@pytest.fixture(scope="module")
def table(fitted_folder):
    return open_table(fitted_folder / "data.h5")


@pytest.fixture(scope="module")
def report(model, table, coarse):
    return trajectory_report(model, table, rows=40)


def test_it_holds_training_against_held_out_rows(model, report):
    assert (report.compared_with, report.notes) == ("held out", ())
    assert report.n_points == int((model.roles == TRAIN).sum())
    assert report.shape.n_rows == 40
    assert len(report.shape.sigmas) == len(report.shape.turning.high)
    assert report.mean_shift_gap < 1e-10
    assert [each.steps for each in report.convergence] == [3, 6]
    assert report.deviation.levels[0].sigma == pytest.approx(model.sigmas[0])
    assert {claim.name for claim in report.claims} == {"a", "b", "c", "e"}
    json.dumps(report.to_dict(), allow_nan=False)


def test_it_is_the_same_twice_and_not_with_another_seed(model, table, report):
    again = trajectory_report(model, table.read(), rows=40)  # the same values as an array
    assert again.to_dict() == report.to_dict()
    other = trajectory_report(model, table, rows=40, seed=1)
    assert other.shape.chord_length != report.shape.chord_length


def test_another_table_has_no_training_rows(model, tiny_rows):
    rows = tiny_rows(80, seed=5)
    report = trajectory_report(model, as_table(rows, model.columns), rows=30)
    assert (report.compared_with, report.n_points, report.deviation) == ("all", 0, None)
    assert "not the table of the fit" in report.notes[0]
    rows[3, 1] = np.nan
    holed = as_table(rows, model.columns)
    with pytest.raises(DataError, match="missing"):
        trajectory_report(model, holed, rows=30)
    assert trajectory_report(model, holed, rows=30, missing="drop").n_compared == 79


def test_nothing_held_out_says_so(model, table):
    report = trajectory_report(replace(model, roles=np.zeros_like(model.roles)), table, rows=20)
    assert (report.compared_with, report.deviation) == ("training", None)
    assert "held no row out" in report.notes[0]


def test_too_few_rows(model, tiny_rows):
    with pytest.raises(DataError, match="5 complete rows"):
        trajectory_report(model, as_table(tiny_rows(5), model.columns), rows=20)
