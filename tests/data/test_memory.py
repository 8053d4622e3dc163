"""Tables in memory and in .npy files."""

import numpy as np
import pandas as pd
import pytest

from latentflow.data.tables import Table, as_table, open_table
from latentflow.errors import DataError


@pytest.fixture
def values():
    return np.random.default_rng(3).normal(size=(50, 4))


class TestInMemory:
    def test_arrays_of_any_numeric_type_and_order(self, values):
        for array in (
            values.astype(">f4"),
            np.asfortranarray(values),
            values[::2],
            (values > 0),
            values.tolist(),
        ):
            table = as_table(array)
            assert np.array_equal(table.read(), np.asarray(array, dtype=np.float64))
            assert table.path is None
            assert table.key == ""
        assert as_table(values.astype(">f4")).dtype == np.dtype("float32")

    def test_read_gives_memory_of_its_own(self, values):
        copy = values.copy()
        as_table(values).read()[:] = 0
        next(as_table(values).chunks())[:] = 0
        as_table(values).fingerprint()
        assert np.array_equal(values, copy)

    def test_samples_of_several_dimensions_are_flattened(self):
        samples = np.arange(24.0).reshape(2, 3, 4)
        table = as_table(samples)
        assert table.sample_shape == (3, 4)
        assert np.array_equal(table.read(), samples.reshape(2, 12))
        assert as_table(np.arange(3.0)).columns == ("column00",)

    def test_names_must_fit(self, values):
        assert as_table(values, ["w", "x", "y", "z"]).columns == ("w", "x", "y", "z")
        with pytest.raises(DataError, match="2 column names for 4 columns"):
            as_table(values, ["a", "b"])

    def test_a_table_passes_through(self, values):
        table = as_table(values)
        assert as_table(table) is table
        assert isinstance(table, Table)
        assert "50 rows, 4 columns" in repr(table)

    @pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.zeros((3, 0)), 5.0, None])
    def test_nothing_to_read_is_an_error(self, bad):
        with pytest.raises(DataError, match=r"no rows|no columns|not a table|without usable numbers"):
            as_table(bad)

    def test_text_and_complex_arrays_are_refused(self):
        with pytest.raises(DataError, match=r"'column00' \(text\)"):
            as_table(np.array([["a"], ["b"]]))
        with pytest.raises(DataError, match="complex numbers"):
            as_table(np.array([[1j]]))

    def test_frames_with_pandas_own_types(self):
        frame = pd.DataFrame(
            {
                "whole": pd.array([1, None, 3], dtype="Int64"),
                "flag": pd.array([True, None, False], dtype="boolean"),
                "plain": [1.5, 2.5, 3.5],
                "name": ["u", "v", None],
                "kind": pd.Categorical(["p", "q", "p"]),
                "day": pd.date_range("2020-01-01", periods=3),
                "zoned": pd.date_range("2020-01-01", periods=3, tz="UTC"),
            }
        )
        table = as_table(frame, ["flag", "whole", "plain"])
        assert np.array_equal(table.read(), [[1, 1, 1.5], [np.nan, np.nan, 2.5], [0, 3, 3.5]], equal_nan=True)
        with pytest.raises(
            DataError, match=r"'name' \(text\), 'kind' \(categories\), 'day' \(dates\), 'zoned' \(dates\)"
        ):
            as_table(frame)
        carried = table.carried(["kind", "day"])
        assert carried["kind"].tolist() == ["p", "q", "p"]
        assert carried["day"].dtype.kind == "M"

    def test_big_integers_are_refused_where_floats_cannot_hold_them(self):
        edge = as_table(np.array([[2**53, 1], [-(2**53), 2]]))
        assert edge.read()[:, 0].tolist() == [2.0**53, -(2.0**53)]
        for beyond in (2**53 + 1, -(2**53) - 1):
            with pytest.raises(DataError, match=r"column 'b' .*2\^53.*--drop-columns 'b'"):
                as_table(np.array([[1, beyond]]), ["a", "b"]).read()
        with pytest.raises(DataError, match="'a'"):
            as_table(np.array([[2**64 - 1]], dtype=np.uint64), ["a"]).read()
        with pytest.raises(DataError, match="'id'"):
            as_table(pd.DataFrame({"id": pd.array([2**60 + 1, None], dtype="Int64")})).read()


class TestNpy:
    def test_records_are_named_columns(self, tmp_path):
        records = np.array(
            [(1, 2.5, b"x"), (3, 4.5, b"\xc3\xbc")], dtype=[("i", "i4"), ("f", "f8"), ("s", "S4")]
        )
        np.save(tmp_path / "r.npy", records)
        table = open_table(tmp_path / "r.npy", columns=["f", "i"])
        assert np.array_equal(table.read(), [[2.5, 1], [4.5, 3]])
        assert table.carried(["s", "i"])["s"].tolist() == ["x", "ü"]

    def test_samples_and_column_order_of_memory(self, tmp_path):
        samples = np.asfortranarray(np.arange(24.0).reshape(4, 3, 2))
        np.save(tmp_path / "s.npy", samples)
        table = open_table(tmp_path / "s.npy")
        assert table.sample_shape == (3, 2)
        assert np.array_equal(table.read(), samples.reshape(4, 6))
        assert open_table(tmp_path / "s.npy", columns=["column00"]).sample_shape is None

    def test_python_objects_are_never_unpickled(self, tmp_path):
        np.save(tmp_path / "o.npy", np.array([[{}]], dtype=object), allow_pickle=True)
        with pytest.raises(DataError, match="never unpickled"):
            open_table(tmp_path / "o.npy")

    def test_damage_and_archives(self, tmp_path):
        (tmp_path / "bad.npy").write_bytes(b"not an array at all")
        with pytest.raises(DataError, match=r"bad\.npy is not a readable"):
            open_table(tmp_path / "bad.npy")
        np.save(tmp_path / "none.npy", np.zeros((0, 3)))
        with pytest.raises(DataError, match="no rows"):
            open_table(tmp_path / "none.npy")
        np.savez(tmp_path / "many.npz", a=np.zeros(3))
        (tmp_path / "many.npz").rename(tmp_path / "many.npy")
        with pytest.raises(DataError, match="not a readable"):
            open_table(tmp_path / "many.npy")
