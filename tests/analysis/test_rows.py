"""Which rows are evaluated: never silently training rows."""

import numpy as np
import pytest

from latentflow.analysis import rows as module
from latentflow.analysis.rows import choose_rows
from latentflow.data.tables import as_table
from latentflow.errors import DataError
from latentflow.statistics.thinning import thin
from tests.analysis.exact_model import HELD_OUT, TRAIN, exact_setup


def test_own_table_gives_exactly_the_held_out_rows(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=200)
    choice = choose_rows(model, as_table(X, model.columns))
    np.testing.assert_array_equal(choice.evaluate, np.flatnonzero(model.roles == HELD_OUT))
    np.testing.assert_array_equal(choice.train, np.flatnonzero(model.roles == TRAIN))
    assert (choice.which, choice.same_table, choice.in_sample, choice.thinned) == ("held out", True, False, 0)


def test_another_table_gives_all_rows_and_baselines_in_sample(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=200)
    X[0, 0] += 1e-9
    choice = choose_rows(model, as_table(X, model.columns))
    np.testing.assert_array_equal(choice.evaluate, np.arange(200))
    assert (choice.which, choice.same_table, choice.in_sample) == ("all", False, True)
    with pytest.raises(DataError, match="not the table this model was fitted on"):
        choose_rows(model, as_table(X, model.columns), "held_out")


def test_without_held_out_rows_nothing_is_judged(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=200)
    model.roles[:] = TRAIN
    table = as_table(X, model.columns)
    with pytest.raises(DataError, match=r"--held-out 0\.2"):
        choose_rows(model, table)
    choice = choose_rows(model, table, "all")
    assert choice.which == "all"
    assert choice.same_table
    assert not choice.in_sample


def test_too_few_rows_and_unknown_choices_are_refused(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=200)
    with pytest.raises(DataError, match="9 rows to evaluate"):
        choose_rows(model, as_table(X[:9], model.columns))
    with pytest.raises(DataError, match="'held_out'"):
        choose_rows(model, as_table(X, model.columns), "some")


def test_large_tables_are_thinned_evenly(mixing: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 30)
    model, X = exact_setup(mixing, n=200)
    choice = choose_rows(model, as_table(X, model.columns))
    assert len(choice.evaluate) == 30
    assert choice.thinned == 100
    assert set(np.unique(np.diff(choice.evaluate))) <= {6, 8}
    np.testing.assert_array_equal(thin(np.arange(5), 10), np.arange(5))
    other = choose_rows(model, as_table(X + 1.0, model.columns))
    assert other.in_sample
    assert len(other.train) == 30
