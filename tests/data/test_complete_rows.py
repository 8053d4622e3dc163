"""Complete rows of a table: their labels and times go with them, and rows left out leave gaps in time."""

import numpy as np
import pandas as pd
import pytest

from latentflow.data.complete_rows import beside_rows, complete_rows
from latentflow.data.tables import as_table, open_table
from latentflow.errors import DataError


@pytest.fixture
def path(tmp_path):
    frame = pd.DataFrame(
        {"a": [1.0, np.nan, 3.0, 4.0], "b": [0.5, 1.5, 2.5, np.inf], "subject": list("uvwx")}
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def test_labels_and_times_go_with_their_rows(path):
    table = open_table(path, aside=["subject"])
    rows = complete_rows(table, missing="drop", groups="subject", time=[0.0, 0.1, 0.3, 0.4], time_order=True)
    np.testing.assert_array_equal(rows.values, [[1.0, 0.5], [3.0, 2.5]])
    assert rows.complete.tolist() == [True, False, True, False]
    assert rows.groups.tolist() == ["u", "w"]
    assert rows.time.tolist() == [0.0, 0.3]


def test_rows_left_out_leave_gaps_in_time():
    holes = as_table(np.array([[1.0], [np.nan], [3.0]]))
    assert complete_rows(holes, missing="drop", time_order=True).time.tolist() == [0, 2]
    assert complete_rows(holes, missing="drop").time is None
    assert complete_rows(as_table(np.ones((3, 1))), time_order=True).time is None


def test_missing_values_are_counted_or_left_out(path):
    with pytest.raises(DataError, match=r"a: 1, b: 1.*--missing drop"):
        complete_rows(open_table(path, aside=["subject"]))
    with pytest.raises(DataError, match="no row without missing values"):
        complete_rows(as_table(np.full((2, 2), np.nan)), missing="drop")


def test_what_lies_beside_the_rows_is_one_value_for_each(path):
    table = open_table(path, aside=["subject"])
    assert beside_rows(table, None) is None
    with pytest.raises(DataError, match="'speaker'"):
        beside_rows(table, "speaker")
    with pytest.raises(DataError, match="each of 4 rows, not shape \\(3,\\)"):
        beside_rows(table, [1, 2, 3])
