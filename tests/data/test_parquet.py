"""Parquet tables."""

import sys

import numpy as np
import pandas as pd
import pytest

from latentflow.data.tables import open_table
from latentflow.errors import DataError

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def test_types_and_index(tmp_path):
    frame = pd.DataFrame(
        {"a": [1, 2, 3], "b": [True, False, True], "c": ["x", None, "z"], "d": [1.5, None, 2.5]},
        index=pd.Index([10, 20, 30], name="row_id"),
    )
    frame["e"] = pd.array([1, None, 3], dtype="Int64")
    frame["t"] = pd.date_range("2020-01-01", periods=3)
    frame.to_parquet(tmp_path / "f.parquet")
    with pytest.raises(DataError, match=r"'c' \(text\), 't' \(dates\)"):
        open_table(tmp_path / "f.parquet")
    table = open_table(tmp_path / "f.parquet", drop_columns=["c", "t"])
    assert table.columns == ("a", "b", "d", "e")
    expected = [[1, 1, 1.5, 1], [2, 0, np.nan, np.nan], [3, 1, 2.5, 3]]
    assert np.array_equal(table.read(), expected, equal_nan=True)
    assert table.carried(["a"])["a"].dtype == np.int64
    assert table.carried(["c"])["c"].tolist() == ["x", None, "z"]


def test_big_integers_beside_missing_ones(tmp_path):
    table = arrow.table({"id": arrow.array([2**53 + 1, None])})
    parquet.write_table(table, tmp_path / "i.parquet")
    with pytest.raises(DataError, match="column 'id'"):
        open_table(tmp_path / "i.parquet").read()


def test_columns_of_one_name_are_told_apart(tmp_path):
    table = arrow.Table.from_arrays([arrow.array([1.0]), arrow.array([2.0])], names=["a", "a"])
    parquet.write_table(table, tmp_path / "d.parquet")
    read = open_table(tmp_path / "d.parquet", columns=["a_2"])
    assert read.read().tolist() == [[2.0]]


def test_missing_pyarrow_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "f.parquet").write_bytes(b"PAR1....PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install '\.\[parquet\]'"):
        open_table(tmp_path / "f.parquet")


def test_damage(tmp_path):
    (tmp_path / "f.parquet").write_bytes(b"PAR1 nothing like it PAR1")
    with pytest.raises(DataError, match=r"f\.parquet is not a readable Parquet file"):
        open_table(tmp_path / "f.parquet")
