"""The table that goes with a model, found in whatever the user has."""

from types import SimpleNamespace

import numpy as np
import pytest

from latentflow.data.splits import TRAIN
from latentflow.data.tables import as_table
from latentflow.errors import DataError
from latentflow.model.tables import is_table_of_fit, open_for

ROWS = np.random.default_rng(4).normal(size=(12, 3))


@pytest.fixture
def fitted():
    """A model of the columns that :func:`write_table` names, fitted on the data set ``right`` of data.h5."""
    return SimpleNamespace(
        columns=("voltage", "current", "phase"), record={"file": "data.h5", "key": "right"}
    )


def test_the_file_of_the_fit_is_opened_where_the_fit_read_it(tmp_path, write_table, fitted):
    data = write_table(tmp_path / "data.h5", ROWS[:5], key="left")
    write_table(data, ROWS, key="right")
    assert open_for(fitted, data).n_rows == 12
    assert open_for(fitted, str(data), key="left").n_rows == 5


def test_another_file_has_its_own_key_or_where_it_has_several_tables_that_of_the_fit(
    tmp_path, write_table, fitted
):
    lone = write_table(tmp_path / "lone.h5", ROWS, key="other")
    assert open_for(fitted, lone).key == "other"
    several = write_table(tmp_path / "several.h5", ROWS, key="one")
    write_table(several, ROWS, key="two")
    with pytest.raises(DataError, match="--key"):
        open_for(fitted, several)
    write_table(several, ROWS, key="right")
    assert open_for(fitted, several).key == "right"
    text = tmp_path / "text.csv"
    np.savetxt(text, ROWS, delimiter=",", header="voltage,current,phase", comments="")
    assert open_for(fitted, text).n_rows == 12


def test_a_file_may_call_the_columns_otherwise(tmp_path, write_table, fitted):
    data = write_table(tmp_path / "other.h5", ROWS, ("c", "a", "b"))
    np.testing.assert_array_equal(open_for(fitted, data, columns=("a", "b", "c")).read(), ROWS[:, [1, 2, 0]])
    with pytest.raises(DataError, match="--columns names 2 columns, the model has 3"):
        open_for(fitted, data, columns=("a", "b"))


def test_the_table_of_the_fit_is_known_by_its_values(fitted):
    table = as_table(ROWS, fitted.columns)
    fitted.roles, fitted.record["fingerprint"] = np.full(12, TRAIN), table.fingerprint()
    assert is_table_of_fit(fitted, as_table(ROWS.copy(), fitted.columns))
    assert not is_table_of_fit(fitted, as_table(ROWS + 1e-9, fitted.columns))
    assert not is_table_of_fit(fitted, as_table(ROWS[:11], fitted.columns))
