"""Which table is found in an HDF5 file, and what is said when there is none, or more than one."""

import h5py
import numpy as np
import pytest

from latentflow.data.tables import open_table
from latentflow.errors import DataError

VALUES = np.random.default_rng(0).normal(size=(30, 3))
TEXT = h5py.string_dtype()


class TestWhichTable:
    def test_the_only_matrix_at_any_depth(self, fill):
        table = open_table(fill(run__results__signal=VALUES, run__labels=np.arange(30), note="hello"))
        assert table.key == "run/results/signal"
        assert table.columns == ("column00", "column01", "column02")
        assert np.array_equal(table.read(), VALUES)

    def test_x_at_the_root_comes_first(self, fill):
        table = open_table(fill(A=VALUES, X=2 * VALUES, obsm__pca=VALUES))
        assert table.key == "X"
        assert np.array_equal(table.read(), 2 * VALUES)

    def test_several_tables_are_all_listed(self, path, fill, refused):
        fill(first=VALUES, deep__second=VALUES.astype("f4"), third=np.zeros((4, 5, 6), dtype="i2"))
        message = refused(path)
        assert "--key" in message
        for entry in ("first (30, 3) float64", "deep/second (30, 3) float32", "third (4, 5, 6) int16"):
            assert entry in message
        assert open_table(path, key="deep/second").dtype == np.float32

    def test_columns_are_not_listed_where_their_key_would_mean_a_matrix(self, path, fill, refused):
        fill(t=VALUES[:, 0], one__X=VALUES, one__t=VALUES[:, 0], two__X=VALUES)
        assert refused(path).endswith("--key: one/X (30, 3) float64; two/X (30, 3) float64")

    def test_a_key_names_a_dataset_or_a_group(self, path, fill):
        fill(lin__X=VALUES, lin__S=VALUES, lin__log_p=VALUES[:, 0], other__X=VALUES)
        assert open_table(path, key="lin").key == "lin/X"
        assert open_table(path, key="/lin/S").key == "lin/S"
        single = open_table(path, key="lin/log_p")
        assert single.columns == ("log_p",)
        assert np.array_equal(single.read(), VALUES[:, :1])

    def test_a_key_that_is_absent_lists_candidates(self, fill, refused):
        message = refused(fill(signal=VALUES, other=VALUES), key="singal")
        assert "no dataset 'singal'" in message
        assert "did you mean signal?" in message
        assert "other (30, 3) float64" in message

    def test_a_matrix_comes_before_records_and_records_before_columns(self, path, fill):
        records = np.zeros(30, dtype=[("u", "f8"), ("v", "i4")])
        fill(t=VALUES[:, 0], r=records, m=VALUES)
        assert open_table(path).key == "m"
        fill(t=VALUES[:, 0], r=records)
        assert open_table(path).columns == ("u", "v")

    def test_columns_that_are_asked_for_by_name_may_lie_beside_a_matrix(self, path, fill):
        fill(t=VALUES[:, 0], u=VALUES[:, 1], covariance=np.eye(2))
        assert open_table(path).key == "covariance"
        table = open_table(path, columns=["u", "t"])
        assert table.key == "/"
        assert np.array_equal(table.read(), VALUES[:, [1, 0]])

    def test_nothing_to_read(self, path, fill, refused):
        assert "holds no table of numbers" in refused(fill(note="hello", scalar=3.0))
        assert "no table at all" in refused(path, key="X")
        assert "single value" in refused(path, key="scalar")
        assert "'label' (text)" in refused(fill(label=np.array([b"a", b"b"])), key="label")
        assert "has no rows" in refused(fill(X=np.zeros((0, 3))))
        assert "has no columns" in refused(fill(X=np.zeros((3, 0))))

    def test_one_row_is_a_table(self, fill):
        assert open_table(fill(X=VALUES[:1])).n_rows == 1

    def test_links_that_lead_nowhere_or_round_in_circles_are_passed_by(self, path, fill, refused):
        fill(group__data=VALUES)
        with h5py.File(path, "a") as file:
            file["group/up"] = file["/"]
            file["dangling"] = h5py.SoftLink("/nowhere")
            file["outside"] = h5py.ExternalLink("missing.h5", "/x")
        assert open_table(path).key == "group/data"
        assert "no dataset 'dangling'" in refused(path, key="dangling")


class TestCarrying:
    def test_siblings_by_name_and_anything_by_path(self, path, fill, refused_carry):
        fill(
            g__X=VALUES,
            g__label=np.array(["a", "b"] * 15, dtype=TEXT),
            pos=VALUES[:, :2],
            short=np.zeros(4),
        )
        table = open_table(path, key="g/X")
        carried = table.carried(["label", "pos", "g/label"])
        assert list(carried) == ["label", "pos", "g/label"]
        assert carried["label"].tolist() == ["a", "b"] * 15
        assert all(type(value) is str for value in carried["label"])
        assert carried["pos"].shape == (30, 2)
        assert "no column or dataset 'short' with 30 entries; there are column00, column01" in refused_carry(
            table, "short"
        )


class TestDamage:
    def test_not_an_hdf5_file(self, path, refused):
        path.write_text("a,b\n1,2\n")
        assert "is not an HDF5 file, though it is named .h5" in refused(path)

    def test_cut_short(self, path, fill, refused):
        fill(X=np.zeros((500, 500)))
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert "cannot be read (damaged" in refused(path)

    def test_damaged_while_being_read(self, path):
        with h5py.File(path, "w") as file:
            data = file.create_dataset(
                "X", data=np.random.default_rng(0).normal(size=(500, 4)), chunks=(50, 4), fletcher32=True
            )
            place = data.id.get_chunk_info(7).byte_offset
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\0" * 64)
        table = open_table(path)
        with pytest.raises(DataError, match="cannot be read"):
            table.read()
