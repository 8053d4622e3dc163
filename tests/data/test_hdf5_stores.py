"""HDF5 files written by pandas and AnnData."""

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from latentflow.data.tables import open_table

VALUES = np.random.default_rng(0).normal(size=(30, 3))
TEXT = h5py.string_dtype()


def fixed_frame(path, key="frame"):
    """A data frame laid out as in pandas' fixed format: two blocks of numbers, dates, pickled text."""
    with h5py.File(path, "w") as file:
        group = file.create_group(key)
        group.attrs["pandas_type"] = np.bytes_("frame")
        group.attrs["axis0_variety"] = np.bytes_("regular")
        group.attrs["nblocks"] = 4
        group["axis0"] = [label.encode() for label in ("x", "when", "ü n", "y", "who")]
        group["axis1"] = np.arange(30)
        group["block0_items"], group["block0_values"] = [b"y", b"x"], VALUES[:, :2]
        group["block1_items"], group["block1_values"] = ["ü n".encode()], np.arange(30)[:, None]
        group["block2_items"], group["block2_values"] = [b"when"], np.arange(30)[:, None]
        group["block2_values"].attrs["value_type"] = np.bytes_("datetime64[us]")
        group["block3_items"] = [b"who"]
        group.create_dataset("block3_values", (1,), dtype=h5py.vlen_dtype(np.uint8))
    return path


class TestPandas:
    def test_fixed_format_puts_blocks_back_in_the_order_of_the_columns(self, path, refused, refused_carry):
        fixed_frame(path)
        assert "'when' (dates), 'who' (text or objects)" in refused(path)
        table = open_table(path, drop_columns=["when", "who"])
        assert table.columns == ("x", "ü n", "y")
        assert np.array_equal(table.read(), np.column_stack([VALUES[:, 1], np.arange(30), VALUES[:, 0]]))
        assert np.array_equal(table.carried(["ü n"])["ü n"], np.arange(30))
        assert "no column or dataset 'who'" in refused_carry(table, "who")

    def test_several_levels_of_names_are_refused(self, path, refused):
        fixed_frame(path)
        with h5py.File(path, "a") as file:
            file["frame"].attrs["axis0_variety"] = np.bytes_("multi")
        assert "several levels" in refused(path)

    @pytest.mark.filterwarnings("ignore")
    def test_what_pandas_itself_writes(self, path):
        pytest.importorskip("tables")
        frame = pd.DataFrame(
            {
                "b": [1, 2, 3],
                "a": np.float32([0.5, 1.5, 2.5]),
                "flag": [True, False, True],
                "c": [1.5, 2.5, 3.5],
            },
            index=[7, 8, 9],
        )
        frame.to_hdf(path, key="deep/frame", mode="w", format="fixed")
        table = open_table(path)
        assert table.key == "deep/frame"
        assert table.columns == ("b", "a", "flag", "c")
        assert np.array_equal(table.read(), frame.to_numpy(np.float64))
        pd.DataFrame(VALUES).to_hdf(path, key="numbered", mode="w")
        assert open_table(path).columns == ("0", "1", "2")
        frame["c"].to_hdf(path, key="series", mode="w")
        assert np.array_equal(open_table(path).read()[:, 0], frame["c"])

    @pytest.mark.filterwarnings("ignore")
    def test_table_format_is_read_where_its_names_are_not_pickled(self, path, refused):
        pytest.importorskip("tables")
        frame = pd.DataFrame({"b": [1, 2, 3], "a": [0.5, 1.5, 2.5], "t": pd.date_range("2020", periods=3)})
        frame.to_hdf(path, key="frame", mode="w", format="table", data_columns=True)
        assert "'t' (dates)" in refused(path)
        table = open_table(path, drop_columns=["t"])
        assert table.columns == ("b", "a")
        assert np.array_equal(table.read(), frame[["b", "a"]].to_numpy())
        carried = table.carried(["a", "t"])
        assert np.array_equal(carried["a"], frame["a"])
        assert np.array_equal(carried["t"], frame["t"].astype("int64"))
        frame[["a", "b"]].to_hdf(path, key="frame", mode="w", format="table")
        assert "format='fixed'" in refused(path)


def anndata(path, x, width=3, index="gene"):
    """The parts of an AnnData file that matter here."""
    with h5py.File(path, "w") as file:
        if sparse.issparse(x):
            group = file.create_group("X")
            group.attrs["encoding-type"] = f"{x.format}_matrix"
            group.attrs["shape"] = x.shape
            group["data"], group["indices"], group["indptr"] = x.data, x.indices, x.indptr
        else:
            file["X"] = x
        file.create_group("var").attrs["_index"] = index
        file[f"var/{index}"] = np.array([f"G{i}" for i in range(width)], dtype=TEXT)
        file["obs/_index"] = np.array([f"cell{i}" for i in range(30)], dtype=TEXT)
        file["obs/cell_type/codes"] = np.arange(30, dtype="i1") % 3 - 1
        file["obs/cell_type/categories"] = np.array(["B", "T"], dtype=TEXT)
        file["obs/depth"] = np.arange(30)
    return path


class TestAnnData:
    def test_dense(self, path):
        table = open_table(anndata(path, VALUES))
        assert table.columns == ("G0", "G1", "G2")
        carried = table.carried(["obs/cell_type", "obs/depth", "obs/_index", "G1"])
        assert carried["obs/cell_type"].tolist() == ["", "B", "T"] * 10
        assert np.array_equal(carried["obs/depth"], np.arange(30))
        assert carried["obs/_index"][29] == "cell29"
        assert np.array_equal(carried["G1"], VALUES[:, 1])

    def test_before_version_0_7(self, path, fill):
        fill(
            X=VALUES,
            var=np.array([(b"p", 1), (b"q", 2), (b"r", 3)], dtype=[("index", "S1"), ("n", "i4")]),
        )
        assert open_table(path).columns == ("p", "q", "r")

    def test_sparse_rows_are_made_dense_a_block_at_a_time(self, path):
        dense = np.where(VALUES > 0.3, np.round(VALUES * 10), 0).astype("i4")
        dense[4:9] = 0
        table = open_table(anndata(path, sparse.csr_matrix(dense)))
        assert table.columns == ("G0", "G1", "G2")
        assert table.key == "X"
        assert table.dtype == np.int32
        assert np.array_equal(np.concatenate(list(table.chunks(4))), dense)
        assert np.array_equal(
            open_table(path, columns=["G2", "G0"]).read_rows([29, 5]), dense[[29, 5]][:, [2, 0]]
        )
        assert np.array_equal(table.carried(["G1"])["G1"], dense[:, 1])
        assert table.carried(["obs/cell_type"])["obs/cell_type"][1] == "B"

    def test_sparse_columns_are_refused(self, path, refused):
        assert "not in row order" in refused(anndata(path, sparse.csc_matrix(VALUES)))
