"""What holds for a table of any format: choice of columns, blocks, missing values, fingerprint."""

import tempfile
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latentflow.data.source import unique_names
from latentflow.data.tables import as_table, open_table
from latentflow.data.writing import TableWriter
from latentflow.errors import DataError

FORMATS = (".h5", ".csv", ".tsv", ".parquet", ".npy")

names_without_blanks_at_the_ends = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda name: name != "")
)


@st.composite
def tables(draw):
    """(column names, values) of a small table of floats or of integers that floats hold exactly."""
    rows, width = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    floats = st.floats(allow_nan=False, allow_infinity=False, width=64)
    integers = st.integers(-(2**53), 2**53).map(float)
    values = draw(hnp.arrays(np.float64, (rows, width), elements=draw(st.sampled_from([floats, integers]))))
    names = draw(st.lists(names_without_blanks_at_the_ends, min_size=width, max_size=width, unique=True))
    return names, values


def write(path, values, names, **options):
    with TableWriter(path, names, **options) as writer:
        writer.write(values)
    return path


def same_bits(a, b):
    return a.shape == b.shape and np.array_equal(a.view(np.int64), b.view(np.int64))


@pytest.fixture
def values():
    return np.random.default_rng(3).normal(size=(50, 4))


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=40)
@given(table=tables())
def test_every_format_gives_back_names_and_bits(suffix, table):
    names, values = table
    values = np.where(values == 0, np.copysign(0.0, -1.0), values)  # the sign of zero is a bit too
    with tempfile.TemporaryDirectory() as folder:
        read = open_table(write(Path(folder) / f"t{suffix}", values, names))
        assert same_bits(read.read(), values)
        assert read.n_rows == len(values)
        if suffix != ".npy":
            assert read.columns == tuple(names)


@pytest.mark.parametrize(
    "tiny", [5e-324, -5e-324, 2.2250738585072011e-308, 1.7976931348623157e308, 0.1 + 0.2]
)
@pytest.mark.parametrize("suffix", FORMATS)
def test_extreme_floats_survive(tmp_path, suffix, tiny):
    values = np.array([[tiny, 1.0], [2.0, -tiny]])
    assert same_bits(open_table(write(tmp_path / f"t{suffix}", values, ["a", "b"])).read(), values)


@pytest.mark.parametrize("suffix", FORMATS)
def test_blocks_and_picked_rows_agree_with_the_whole(tmp_path, suffix, values):
    names = ["a", "b", "c", "d"] if suffix != ".npy" else [f"column0{i}" for i in range(4)]
    table = open_table(write(tmp_path / f"t{suffix}", values, names), columns=[names[2], names[0]])
    expected = values[:, [2, 0]]
    assert table.columns == (names[2], names[0])
    blocks = list(table.chunks(7))
    assert all(block.dtype == np.float64 and 0 < len(block) <= 7 for block in blocks)
    assert np.array_equal(np.concatenate(blocks), expected)
    index = np.array([49, 0, 7, 7, 13])
    assert np.array_equal(table.read_rows(index), expected[index])
    assert table.read_rows([]).shape == (0, 2)
    with pytest.raises(IndexError, match=r"0 \.\.\. 49"):
        table.read_rows([50])
    with pytest.raises(IndexError, match=r"0 \.\.\. 49"):
        table.read_rows([-1])


def test_picked_rows_may_span_many_blocks(tmp_path):
    values = np.arange(200_000.0).reshape(-1, 1)
    index = np.random.default_rng(0).integers(0, len(values), size=500)
    for suffix in (".h5", ".csv"):
        table = open_table(write(tmp_path / f"t{suffix}", values, ["a"]))
        assert np.array_equal(table.read_rows(index), values[index])


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_reading_never_holds_the_whole_file(tmp_path, suffix):
    values = np.random.default_rng(0).normal(size=(40_000, 8)).round(3)
    table = open_table(write(tmp_path / f"t{suffix}", values, list("abcdefgh")))
    tracemalloc.start()
    total = sum(block.sum() for block in table.chunks(1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == pytest.approx(values.sum())
    assert peak < values.nbytes / 2


def test_wide_tables_come_in_smaller_blocks(monkeypatch):
    monkeypatch.setattr("latentflow.data.tables._BLOCK_BYTES", 8000)
    wide = as_table(np.ones((30, 300)))
    assert [len(block) for block in wide.chunks()] == [3] * 10
    assert wide.read().sum() == 9000
    assert len(next(as_table(np.ones((30, 3000))).chunks())) == 1


def test_fingerprint_is_the_same_in_every_format_and_feels_every_bit(tmp_path, values):
    values[3, 1] = np.nan
    names = [f"column0{i}" for i in range(4)]
    marks = {open_table(write(tmp_path / f"t{suffix}", values, names)).fingerprint() for suffix in FORMATS}
    marks |= {as_table(values).fingerprint(), as_table(pd.DataFrame(values, columns=names)).fingerprint()}
    assert len(marks) == 1
    changed = values.copy()
    changed[-1, -1] = np.nextafter(changed[-1, -1], 9)
    others = {
        as_table(changed).fingerprint(),
        as_table(values, ["a", "b", "c", "d"]).fingerprint(),
        as_table(values[:, :3]).fingerprint(),
        as_table(values.reshape(100, 2)).fingerprint(),
        as_table(values[::-1]).fingerprint(),
    }
    assert len(others | marks) == 6


def test_fingerprint_takes_all_kinds_of_nan_for_one(values):
    values[0, 0] = np.nan
    other = values.copy()
    other.view(np.uint64)[0, 0] = 0xFFF8000000000001
    assert np.isnan(other[0, 0])
    assert as_table(other).fingerprint() == as_table(values).fingerprint()


def test_fingerprint_does_not_depend_on_the_size_of_blocks(values, monkeypatch):
    whole = as_table(values).fingerprint()
    monkeypatch.setattr("latentflow.data.tables._BLOCK_BYTES", 100)
    assert as_table(values).fingerprint() == whole


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing_values_are_counted_by_column_and_left_out_row_by_row(tmp_path, suffix, values):
    values[[3, 9], 0] = np.nan
    values[9, 2], values[40, 2] = np.inf, -np.inf
    names = [f"column0{i}" for i in range(4)]
    table = open_table(write(tmp_path / f"t{suffix}", values, names))
    assert table.missing_counts() == {"column00": 2, "column02": 2}
    index, blocks = zip(*table.iter_complete(8), strict=True)
    kept = np.setdiff1d(np.arange(50), [3, 9, 40])
    assert np.array_equal(np.concatenate(index), kept)
    assert np.array_equal(np.concatenate(blocks), values[kept])


def test_blocks_without_a_complete_row_are_left_out():
    values = np.array([[1.0], [np.nan], [np.nan], [4.0]])
    assert [index.tolist() for index, _ in as_table(values).iter_complete(2)] == [[0], [3]]


def test_columns_are_chosen_and_dropped_by_name(tmp_path, values):
    path = write(tmp_path / "t.h5", values, ["time", "a", "b", "c"])
    assert open_table(path, drop_columns=["b", "time"]).columns == ("a", "c")
    assert np.array_equal(open_table(path, columns=["c", "b"]).read(), values[:, [3, 2]])
    both = open_table(path, columns=["c", "a", "time"], drop_columns=["a"])
    assert both.columns == ("c", "time")
    assert np.array_equal(both.read(), values[:, [3, 0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["tmie"]}, "no column 'tmie'; did you mean time"),
        ({"drop_columns": ["zzz"]}, "no column 'zzz'; it has time, a, b, c"),
        ({"columns": ["a", "a"]}, "'a' is named twice"),
        ({"columns": ["a"], "drop_columns": ["a"]}, "no columns left"),
        ({"columns": []}, "no columns left"),
    ],
)
def test_a_wrong_choice_of_columns_says_what_there_is(tmp_path, values, options, message):
    path = write(tmp_path / "t.h5", values, ["time", "a", "b", "c"])
    with pytest.raises(DataError, match=message) as caught:
        open_table(path, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_long_list_of_columns_is_shortened():
    with pytest.raises(DataError, match=r"column09, \.\.\. \(40 in all\)"):
        as_table(np.zeros((2, 40))).carried(["q"])


def test_columns_that_are_not_numbers_are_refused_by_name_with_the_way_out(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,x,when,y\nab,1,2020-01-01,2\ncd,3,2020-01-02,4\n")
    with pytest.raises(
        DataError, match=r"'id' \(text\), 'when' \(text\); .*--drop-columns 'id,when'.*--columns"
    ):
        open_table(path)
    assert np.array_equal(open_table(path, columns=["y", "x"]).read(), [[2, 1], [4, 3]])
    assert open_table(path, drop_columns=["id", "when"]).columns == ("x", "y")


def test_missing_folder_and_unknown_formats_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.csv does not exist"):
        open_table(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="is not a file"):
        open_table(tmp_path)
    other = tmp_path / "t.xlsx"
    other.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"unknown format; expected one of \.h5"):
        open_table(other)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match=r"empty\.csv is empty"):
        open_table(tmp_path / "empty.csv")


def test_hdf5_is_known_by_its_content_and_key_belongs_to_it(tmp_path, values):
    path = write(tmp_path / "t.h5", values, list("abcd"))
    renamed = path.rename(tmp_path / "t.dat")
    assert np.array_equal(open_table(renamed).read(), values)
    with pytest.raises(DataError, match="--key X names nothing"):
        open_table(write(tmp_path / "t.csv", values, list("abcd")), key="X")


def test_repeated_and_blank_names_become_unique():
    assert unique_names(["a", "a", "a_2", "a", " ", 7]) == ["a", "a_3", "a_2", "a_4", "column04", "7"]
    frame = pd.DataFrame(np.arange(6.0).reshape(2, 3), columns=["a", "b", "a"])
    table = as_table(frame)
    assert table.columns == ("a", "b", "a_2")
    assert np.array_equal(table.carried(["a_2"])["a_2"], [2.0, 5.0])


@given(st.lists(st.sampled_from(["a", "a_2", "a_3", "b", "", "column01"]), max_size=7))
def test_unique_names_are_unique_and_keep_first_comers(names):
    result = unique_names(names)
    assert len(set(result)) == len(names)
    assert all(name == old for name, old in zip(result, names, strict=True) if old and names.count(old) == 1)


def test_tables_outlive_their_opening_without_holding_the_file(tmp_path, values):
    path = write(tmp_path / "t.h5", values, list("abcd"))
    table = open_table(path)
    with h5py.File(path, "a") as file:  # refused by HDF5 if the table still had the file open
        file["note"] = 1
    assert np.array_equal(table.read(), values)


def test_what_goes_with_the_rows_is_set_aside(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "day": ["mon", "tue"], "t": [0.5, 1.5], "b": [3.0, 4.0]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = open_table(tmp_path / "t.csv", aside=("day", "t", None))
    assert table.columns == ("a", "b")
    np.testing.assert_array_equal(table.read(), [[1, 3], [2, 4]])
    carried = table.carried(["day", "t"])
    assert carried["day"].tolist() == ["mon", "tue"]
    assert carried["t"].tolist() == [0.5, 1.5]
    # together with columns to drop; and a column that is asked for as data stays
    assert open_table(tmp_path / "t.csv", drop_columns=["b"], aside=("day", "t")).columns == ("a",)
    assert open_table(tmp_path / "t.csv", columns=["t", "a"], aside=("t",)).columns == ("t", "a")
    with pytest.raises(DataError, match="'day'"):
        open_table(tmp_path / "t.csv", aside=("t",))


def test_what_goes_with_the_rows_need_be_no_column_of_the_table(tmp_path, values):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["X"], file["obs/day"] = values, np.arange(50) // 10
    table = open_table(tmp_path / "t.h5", key="X", aside=("obs/day",))
    assert len(table.columns) == 4
    assert table.carried(["obs/day"])["obs/day"].tolist() == (np.arange(50) // 10).tolist()
    # a name that is nowhere is told of by whoever reads it
    with pytest.raises(DataError, match="'nowhere'"):
        open_table(tmp_path / "t.h5", key="X", aside=("nowhere",)).carried(["nowhere"])
