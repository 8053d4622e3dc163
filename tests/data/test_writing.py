"""The table writer: what it writes can be opened again, exactly, and nothing half-written is left behind."""

import csv

import h5py
import numpy as np
import pandas as pd
import pytest

from latentflow.data.tables import open_table
from latentflow.data.writing import TableWriter
from latentflow.errors import DataError

VALUES = np.random.default_rng(1).normal(size=(20, 3))
NAMES = ("first", "second, half", "третий")
WITH_EXTRAS = (".h5", ".csv", ".tsv", ".parquet")


@pytest.mark.parametrize("suffix", [*WITH_EXTRAS, ".npy"])
def test_blocks_are_joined(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with TableWriter(path, NAMES) as writer:
        for block in np.split(VALUES, [3, 3, 11]):
            writer.write(block)
        assert writer.n_rows == 20
    table = open_table(path)
    assert np.array_equal(table.read(), VALUES)
    assert table.columns == NAMES or suffix == ".npy"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", WITH_EXTRAS)
def test_extras_lie_beside_the_rows(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    log_prob, far, word = VALUES[:, 0] - 1, VALUES[:, 1] > 1, np.array(["ü", "b,c"] * 10, dtype=object)
    ids = np.arange(20) + 2**60
    with TableWriter(path, NAMES) as writer:
        assert writer.takes_extras
        for start in (0, 10):
            rows = slice(start, start + 10)
            writer.write(VALUES[rows])
            writer.write_extra("log_prob", log_prob[rows])
            writer.write_extra("residual", VALUES[rows, :2])
            writer.write_extra("far", far[rows])
        writer.write_extra("word", word)
        writer.write_extra("id", ids)
    table = open_table(path, columns=list(NAMES))
    assert np.array_equal(table.read(), VALUES)
    carried = table.carried(["log_prob", "far", "word", "id"])
    assert np.array_equal(carried["log_prob"], log_prob)
    assert carried["far"].dtype == bool
    assert np.array_equal(carried["far"], far)
    assert carried["word"].tolist() == word.tolist()
    assert np.array_equal(carried["id"], ids)
    assert carried["id"].dtype == np.int64
    if suffix == ".h5":
        assert np.array_equal(table.carried(["residual"])["residual"], VALUES[:, :2])
    else:
        residual = table.carried(["residual00", "residual01"])
        assert np.array_equal(np.column_stack(list(residual.values())), VALUES[:, :2])


class TestHDF5:
    def test_layout(self, tmp_path):
        path = tmp_path / "out.h5"
        attrs = {"command": "latentflow encode x.h5", "rows": 20, "seconds": 1.5} | {
            f"more{i}": i for i in range(12)
        }
        with TableWriter(path, NAMES, key="latents", attrs=attrs) as writer:
            writer.write(VALUES)
            writer.write_extra("obs/cell", np.arange(20))
            writer.write_extra("other", VALUES)
        with h5py.File(path) as file:
            assert file["latents"].shape == (20, 3)
            assert file["latents"].chunks is not None
            assert list(file["latents"].attrs["columns"]) == list(NAMES)
            assert {name: file.attrs[name] for name in attrs} == attrs
            assert file["obs/cell"].shape == (20,)
        # Two matrices lie in the file; the main one is known.
        assert open_table(path).key == "latents"

    def test_samples_get_their_shape_back(self, tmp_path):
        images = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
        with h5py.File(tmp_path / "in.h5", "w") as file:
            file["images"] = images
        table = open_table(tmp_path / "in.h5")
        options = {"key": table.key, "dtype": table.dtype, "sample_shape": table.sample_shape}
        with TableWriter(tmp_path / "out.h5", table.columns, **options) as writer:
            for block in table.chunks(3):
                writer.write(block)
        with h5py.File(tmp_path / "out.h5") as file:
            assert file["images"].dtype == np.uint8
            assert np.array_equal(file["images"], images)
        again = open_table(tmp_path / "out.h5")
        assert again.sample_shape == (2, 3)
        assert again.fingerprint() == table.fingerprint()

    def test_thousands_of_columns_keep_their_names(self, tmp_path):
        names = [f"gene number {i}" for i in range(6000)]
        with TableWriter(tmp_path / "out.h5", names, dtype="i1") as writer:
            writer.write(np.ones((2, 6000)))
        assert open_table(tmp_path / "out.h5").columns == tuple(names)

    def test_small_tables_are_small_files(self, tmp_path):
        with TableWriter(tmp_path / "out.h5", ["a"]) as writer:
            writer.write([[1.0]])
        assert (tmp_path / "out.h5").stat().st_size < 20_000

    def test_text_of_every_kind_and_dates(self, tmp_path):
        days = np.array(["2020-01-01T12:00", "2021-06-30T00:00", "NaT"], dtype="M8[m]")
        with TableWriter(tmp_path / "out.h5", ["a"]) as writer:
            writer.write(np.ones((3, 1)))
            writer.write_extra("bytes", np.array([b"x", "ü".encode(), b""]))
            writer.write_extra("fixed", np.array(["x", "ü", ""]))
            writer.write_extra("objects", np.array(["x", None, np.nan], dtype=object))
            writer.write_extra("days", days)
            writer.write_extra("na", np.array(["x", pd.NA, "y"], dtype=object))
        carried = open_table(tmp_path / "out.h5").carried(["bytes", "fixed", "objects", "days", "na"])
        assert carried["bytes"].tolist() == ["x", "ü", ""]
        assert carried["fixed"].tolist() == ["x", "ü", ""]
        assert carried["objects"].tolist() == ["x", "", ""]
        assert carried["days"].tolist() == ["2020-01-01T12:00", "2021-06-30T00:00", ""]
        assert carried["na"].tolist() == ["x", "", "y"]


class TestText:
    def test_a_plain_header_has_no_quotes_and_a_doubtful_one_has(self, tmp_path):
        path = tmp_path / "out.csv"
        for names, head in (
            (["a", "b"], "a,b"),
            (["1", "2"], '"1","2"'),
            (["#a", "b"], '"#a","b"'),
            (["nan", "-inf"], '"nan","-inf"'),
        ):
            with TableWriter(path, names) as writer:
                writer.write([[0.1, np.nan], [1e-300, -np.inf]])
            assert path.read_text() == f"{head}\n0.1,nan\n1e-300,-inf\n"
            assert open_table(path).columns == tuple(names)

    def test_extras_of_the_same_name_as_a_column_get_a_suffix(self, tmp_path):
        with TableWriter(tmp_path / "out.tsv", ["a", "b"]) as writer:
            writer.write([[1.0, 2.0]])
            writer.write_extra("a", ["text"])
        with (tmp_path / "out.tsv").open(newline="") as file:
            assert next(csv.reader(file, delimiter="\t")) == ["a", "b", "a_2"]

    def test_long_tables_are_poured_piece_by_piece(self, tmp_path, monkeypatch):
        monkeypatch.setattr("latentflow.data.writing._POUR_ROWS", 7)
        for suffix in (".csv", ".parquet", ".npy"):
            with TableWriter(tmp_path / f"out{suffix}", NAMES) as writer:
                writer.write(VALUES)
            assert np.array_equal(open_table(tmp_path / f"out{suffix}").read(), VALUES)


def test_parquet_keeps_provenance_and_types(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    with TableWriter(
        tmp_path / "out.parquet", ["a"], dtype=np.float32, attrs={"version": "1", "rows": 2}
    ) as writer:
        writer.write([[1.5], [2.5]])
    schema = parquet.read_schema(tmp_path / "out.parquet")
    assert schema.metadata[b"version"] == b"1"
    assert schema.metadata[b"rows"] == b"2"
    assert open_table(tmp_path / "out.parquet").dtype == np.float32


def test_npy_has_the_samples_shape_and_no_room_for_more(tmp_path):
    with TableWriter(tmp_path / "out.npy", list("abcdef"), dtype="f4", sample_shape=(2, 3)) as writer:
        writer.write(np.arange(24.0).reshape(4, 6))
        assert not writer.takes_extras
        with pytest.raises(DataError, match="no room for 'log_prob'"):
            writer.write_extra("log_prob", np.zeros(4))
    read = np.load(tmp_path / "out.npy")
    assert read.dtype == np.float32
    assert np.array_equal(read, np.arange(24.0).reshape(4, 2, 3))


class TestTypes:
    @pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "?", "f4"])
    @pytest.mark.parametrize("suffix", [".h5", ".parquet", ".npy"])
    def test_are_kept(self, tmp_path, dtype, suffix):
        values = np.array([[0, 1], [1, 0]])
        with TableWriter(tmp_path / f"t{suffix}", ["a", "b"], dtype=dtype) as writer:
            writer.write(values.astype(float))
        table = open_table(tmp_path / f"t{suffix}")
        assert table.dtype == np.dtype(dtype)
        assert np.array_equal(table.read(), values)

    @pytest.mark.parametrize(
        ("dtype", "value"),
        [
            ("i4", 1.5),
            ("i1", 128),
            ("u1", -1),
            ("?", 2),
            ("i8", 2.0**63),
            ("i4", np.nan),
            ("u8", np.inf),
            ("f4", 1e39),
        ],
    )
    def test_never_change_a_value(self, tmp_path, dtype, value):
        with (
            pytest.raises(DataError, match=r"in column 'b' cannot be stored as"),
            TableWriter(tmp_path / "t.h5", ["a", "b"], dtype=dtype) as writer,
        ):
            writer.write(np.array([[1.0, value]]))
        assert list(tmp_path.iterdir()) == []

    def test_floats_may_be_missing_or_infinite(self, tmp_path):
        values = np.array([[np.nan, np.inf, -np.inf]])
        with TableWriter(tmp_path / "t.h5", list("abc"), dtype="f4") as writer:
            writer.write(values)
        assert np.array_equal(open_table(tmp_path / "t.h5").read(), values, equal_nan=True)


def fail_after_writing(writer):
    writer.write(VALUES)
    raise ZeroDivisionError


class TestNothingHalfWritten:
    @pytest.mark.parametrize("suffix", [".h5", ".csv", ".parquet", ".npy"])
    def test_an_error_leaves_what_was_there(self, tmp_path, suffix):
        path = tmp_path / f"out{suffix}"
        path.write_text("precious")
        writer = TableWriter(path, NAMES)
        with pytest.raises(ZeroDivisionError), writer:
            fail_after_writing(writer)
        assert path.read_text() == "precious"
        assert list(tmp_path.iterdir()) == [path]

    def test_the_file_appears_only_at_the_end(self, tmp_path):
        path = tmp_path / "out.csv"
        path.write_text("old")
        with TableWriter(path, NAMES) as writer:
            writer.write(VALUES)
            assert path.read_text() == "old"
        assert open_table(path).n_rows == 20
        assert list(tmp_path.iterdir()) == [path]

    def test_a_table_may_be_written_over_the_one_being_read(self, tmp_path):
        path = tmp_path / "t.h5"
        for shift in (0.0, 1.0):
            rows = [VALUES] if shift == 0 else open_table(path).chunks(6)
            with TableWriter(path, NAMES) as writer:
                for block in rows:
                    writer.write(block + shift)
        assert np.array_equal(open_table(path).read(), VALUES + 1.0)

    @pytest.mark.parametrize(
        ("write", "message"),
        [
            (lambda writer: None, "no rows to write"),
            (lambda writer: writer.write(VALUES[:, :2]), r"shape \(20, 2\) do not fit 3 columns"),
            (lambda writer: writer.write(VALUES[0]), r"shape \(3,\)"),
            (
                lambda writer: (writer.write(VALUES), writer.write_extra("far", [1])),
                "'far' has 1 entries for 20 rows",
            ),
            (lambda writer: writer.write_extra("X", [1]), "'X' is the name of the main dataset"),
            (
                lambda writer: (
                    writer.write(VALUES),
                    writer.write_extra("t", np.array(["a\0b"] * 20, dtype=object)),
                ),
                "'t' cannot be written",
            ),
            (
                lambda writer: (
                    writer.write_extra("e", np.zeros((2, 2))),
                    writer.write_extra("e", np.zeros((2, 3))),
                ),
                "'e' cannot be written",
            ),
        ],
    )
    def test_misuse_is_named_and_cleaned_up(self, tmp_path, write, message):
        with pytest.raises(DataError, match=message), TableWriter(tmp_path / "out.h5", NAMES) as writer:
            write(writer)
        assert list(tmp_path.iterdir()) == []

    def test_places_that_cannot_be_written(self, tmp_path):
        with pytest.raises(DataError, match=r"the folder .*nowhere does not exist"):
            TableWriter(tmp_path / "nowhere" / "out.h5", NAMES).__enter__()
        (tmp_path / "folder.h5").mkdir()
        with pytest.raises(DataError, match="is a folder"):
            TableWriter(tmp_path / "folder.h5", NAMES).__enter__()
        with pytest.raises(DataError, match=r"cannot write this format; use one of \.h5"):
            TableWriter(tmp_path / "out.xlsx", NAMES)
        with pytest.raises(DataError, match=r"3 columns do not fill samples of shape \(2, 2\)"):
            TableWriter(tmp_path / "out.h5", NAMES, sample_shape=(2, 2))

    def test_a_full_disk_is_reported_in_one_line(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("latentflow.data.writing.os.replace", full)
        with (
            pytest.raises(DataError, match="No space left"),
            TableWriter(tmp_path / "out.h5", NAMES) as writer,
        ):
            writer.write(VALUES)
        assert list(tmp_path.iterdir()) == []
