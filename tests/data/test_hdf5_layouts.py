"""Matrices, samples, columns side by side and records in HDF5 files, their names and types."""

import h5py
import numpy as np
import pytest

from latentflow.data.tables import open_table

VALUES = np.random.default_rng(0).normal(size=(30, 3))
TEXT = h5py.string_dtype()


class TestColumnsSideBySide:
    def test_in_the_order_of_creation_where_the_file_keeps_it(self, path):
        with h5py.File(path, "w", track_order=True) as file:
            for name, column in zip("zay", VALUES.T, strict=True):
                file[name] = column
        table = open_table(path)
        assert table.columns == ("z", "a", "y")
        assert np.array_equal(table.read(), VALUES)

    def test_by_name_elsewhere_with_mixed_types(self, fill):
        flags, counts = VALUES[:, 0] > 0, np.arange(30, dtype="i2")
        table = open_table(fill(run__b=flags, run__a=VALUES[:, 1].astype("f4"), run__c=counts))
        assert table.key == "run"
        assert table.columns == ("a", "b", "c")
        assert table.dtype == np.float32
        expected = np.column_stack([VALUES[:, 1].astype("f4"), flags, counts])
        assert np.array_equal(table.read(), expected)
        assert table.carried(["b"])["b"].dtype == bool

    def test_of_different_length(self, path, fill, refused):
        fill(a=np.arange(5.0), b=np.arange(5.0), energy=np.arange(9.0))
        message = refused(path)
        assert "differ in length" in message
        assert "energy (9)" in message
        assert "--columns" in message
        assert open_table(path, columns=["b", "a"]).read().shape == (5, 2)
        assert "differ in length" in refused(path, columns=["a", "energy"])

    def test_text_of_the_same_length_is_refused_and_of_another_length_passed_by(self, path, fill, refused):
        fill(a=np.arange(4.0), label=np.array([b"p", b"q", b"r", b"s"]), units=np.array([b"mm"]))
        assert "'label' (text)" in refused(path)
        assert open_table(path, drop_columns=["label"]).columns == ("a",)
        assert open_table(path, columns=["a"]).carried(["label"])["label"].tolist() == ["p", "q", "r", "s"]

    def test_groups_of_columns_are_candidates(self, path, fill, refused):
        message = refused(fill(one__a=np.arange(4.0), two__b=np.arange(4.0), two__c=np.arange(4)))
        assert "one (a (4,) float64)" in message
        assert "two (b (4,) float64, c (4,) int64)" in message
        assert open_table(path, key="two").columns == ("b", "c")


class TestRecords:
    def test_fields_are_columns(self, path, fill, refused):
        kind = [("x", "f4"), ("id", "S3"), ("n", "i8"), ("vec", "f8", (2,)), ("name", TEXT)]
        records = np.zeros(4, dtype=kind)
        records["x"], records["n"], records["id"], records["name"] = [1.5, 2, 3, 4], range(4), b"ab", "ü"
        fill(table=records)
        message = refused(path)
        assert "'id' (text), 'vec' (records), 'name' (text)" in message
        table = open_table(path, columns=["n", "x"])
        assert np.array_equal(table.read(), [[0, 1.5], [1, 2], [2, 3], [3, 4]])
        carried = table.carried(["name", "id", "n"])
        assert carried["name"].tolist() == ["ü"] * 4
        assert carried["id"].tolist() == ["ab"] * 4
        assert carried["n"].dtype == np.int64

    def test_records_in_two_dimensions_are_refused(self, fill, refused):
        assert "not one a row" in refused(fill(r=np.zeros((2, 2), dtype=[("a", "f8")])))


class TestSamples:
    def test_images_are_flattened_and_their_shape_is_kept(self, path, fill):
        images = np.arange(5 * 2 * 3, dtype="u1").reshape(5, 2, 3)
        table = open_table(fill(images=images))
        assert table.sample_shape == (2, 3)
        assert table.dtype == np.uint8
        assert np.array_equal(table.read(), images.reshape(5, 6))
        some = open_table(path, columns=["column04", "column01"])
        assert some.sample_shape is None
        assert np.array_equal(some.read(), images.reshape(5, 6)[:, [4, 1]])
        assert np.array_equal(table.carried(["column04"])["column04"], images[:, 1, 1])

    def test_named_pixels(self, path, fill):
        fill(images=np.zeros((5, 2, 2)))
        with h5py.File(path, "a") as file:
            file["images"].attrs["names"] = ["a", "b", "c", "d"]
        assert open_table(path).columns == ("a", "b", "c", "d")


class TestColumnNames:
    @pytest.mark.parametrize("attribute", ["columns", "column_names", "names", "feature_names"])
    @pytest.mark.parametrize("kind", [TEXT, "S8"])
    @pytest.mark.parametrize("holder", ["X", "/"])
    def test_from_an_attribute_of_the_dataset_or_of_its_group(self, path, attribute, kind, holder, fill):
        fill(X=VALUES)
        with h5py.File(path, "a") as file:
            names = ["α", "b c", "d"] if kind == TEXT else [name.encode() for name in ("α", "b c", "d")]
            file[holder].attrs[attribute] = np.array(names, dtype=kind)
        assert open_table(path).columns == ("α", "b c", "d")

    def test_only_if_their_number_fits(self, path, fill):
        fill(X=VALUES)
        with h5py.File(path, "a") as file:
            file["X"].attrs["columns"] = ["a", "b"]
            file["X"].attrs["names"] = [1, 2, 3]
        assert open_table(path).columns == ("column00", "column01", "column02")


class TestTypes:
    def test_booleans_are_numbers_and_enumerations_are_not(self, path, fill, refused):
        assert open_table(fill(X=VALUES > 0)).read().sum() == (VALUES > 0).sum()
        with h5py.File(path, "w") as file:
            file.create_dataset("a", (3,), dtype=h5py.enum_dtype({"red": 0, "blue": 1}, basetype="i1"))
            file["b"] = np.arange(3.0)
        assert "'a' (categories)" in refused(path)

    def test_complex_numbers_are_refused(self, fill, refused):
        assert "complex numbers" in refused(fill(X=VALUES + 0j))

    @pytest.mark.parametrize("kind", [">f4", "<f2", ">i4", "u8", "f8"])
    def test_any_byte_order_and_width(self, kind, fill):
        whole = np.abs(VALUES * 10).astype(kind)
        table = open_table(fill(X=whole))
        assert np.array_equal(table.read(), whole.astype(np.float64))
        assert table.dtype == np.dtype(kind).newbyteorder("=")

    def test_big_integers_name_their_column(self, path, fill, refused):
        fill(a=np.array([1, 2]), id=np.array([2**53 + 1, 5]))
        assert "column 'id'" in refused(path)
        assert open_table(path, columns=["a"]).carried(["id"])["id"].tolist() == [2**53 + 1, 5]
