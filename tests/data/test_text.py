"""Text tables: what is taken for delimiter, header, decimal mark and missing value, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentflow.data.tables import open_table
from latentflow.errors import DataError


@pytest.fixture
def opened(tmp_path):
    """Write a text to a file of the given suffix and open it."""

    def write_and_open(text, suffix=".csv", encoding="utf-8", **options):
        path = tmp_path / f"table{suffix}"
        path.write_bytes(text.encode(encoding))
        return open_table(path, **options)

    return write_and_open


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("a,b\n1,2\n3,4\n", ".csv"),
        ("a;b\n1;2\n3;4\n", ".csv"),
        ("a\tb\n1\t2\n3\t4\n", ".tsv"),
        ("a\tb\n1\t2\n3\t4\n", ".csv"),
        ("a\tb\n1\t2\n3\t4\n", ".txt"),
        ("a,b\n1,2\n3,4\n", ".txt"),
        ("a;b\n1;2\n3;4\n", ".dat"),
        ("  a   b \n 1  2\n\t3 4  \n", ".txt"),
        ("a b\n1 2\n3 4", ".dat"),
        ("a,b\r\n1,2\r\n3,4\r\n", ".csv"),
        ("a,b\r1,2\r3,4\r", ".csv"),
        ("\ufeffa,b\n1,2\n3,4\n", ".csv"),
        ('"a","b"\n"1","2"\n"3","4"\n', ".csv"),
        (" a , b \n 1 , 2 \n 3 , 4 \n", ".csv"),
        ("\n\na,b\n1,2\n\n   \n3,4\n\n", ".csv"),
        ("# by hand\n# on a Monday\na,b\n1,2\n3,4\n", ".csv"),
        ("#a,b\n1,2\n3,4\n", ".csv"),
        ("# some remark\n# a b\n1 2\n3 4\n", ".dat"),
        ("a,b\n+1,2.\n3e0,.4E1\n", ".csv"),
    ],
)
def test_ways_of_writing_the_same_table(opened, text, suffix):
    table = opened(text, suffix)
    assert table.columns == ("a", "b")
    assert table.n_rows == 2
    assert np.array_equal(table.read(), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("1,2\n3,4\n", ".csv"),
        ("   1 2\n   3 4\n", ".dat"),
        ("# nothing that fits\n1 2\n3 4\n", ".txt"),
        ("# 7 8\n1 2\n3 4\n", ".txt"),
    ],
)
def test_tables_without_a_header(opened, text, suffix):
    table = opened(text, suffix)
    assert table.columns == ("column00", "column01")
    assert np.array_equal(table.read(), [[1, 2], [3, 4]])


class TestHeader:
    def test_any_cell_that_is_not_a_number_makes_a_header(self, opened):
        assert opened("2019,2020,x\n1,2,3\n").columns == ("2019", "2020", "x")

    def test_missing_values_and_infinities_do_not(self, opened):
        table = opened("nan,,inf,-Infinity,1e5\n1,2,3,4,5\n")
        assert table.n_rows == 2
        assert table.missing_counts() == {"column00": 1, "column01": 1, "column02": 1, "column03": 1}

    def test_an_element_is_not_a_missing_value(self, opened):
        assert opened("Na\n1\n").columns == ("Na",)

    def test_names_that_pandas_made_up_are_a_header(self, opened):
        assert opened("0,1,2\n7,8,9\n").columns == ("0", "1", "2")
        assert opened("0,1\n7,8\n").n_rows == 2  # too short to tell from data

    def test_quoted_numbers_over_plain_ones_are_a_header(self, opened):
        assert opened('"1990","1991"\n7,8\n').columns == ("1990", "1991")
        assert opened('"1990","1991"\n"7","8"\n').n_rows == 2

    def test_quoted_names_may_hold_anything(self, opened):
        table = opened('"a,b","say ""x""","two\nlines"\n1,2,3\n')
        assert table.columns == ("a,b", 'say "x"', "two\nlines")
        assert table.read().tolist() == [[1, 2, 3]]

    def test_names_that_are_blank_or_repeated(self, opened):
        assert opened(",x,x\n1,2,3\n").columns == ("column00", "x", "x_2")

    def test_marks_in_names_do_not_delimit(self, opened):
        assert opened('"a;b;c",d\n1,2\n').columns == ("a;b;c", "d")
        assert opened("a;b;c,d\n1,2\n").columns == ("a;b;c", "d")
        assert opened("a;b\n1\n2\n").columns == ("a;b",)
        assert opened("a,b;c\n1;2\n").columns == ("a,b", "c")
        assert opened("x,y z\n1 2\n", ".dat").columns == ("x,y", "z")
        assert opened("x\n1\n2\n", ".dat").n_rows == 2


class TestDecimalComma:
    def test_is_understood_where_semicolons_or_tabs_delimit(self, opened):
        assert opened("a;b\n1,5;2\n-3,25e1;4,0\n").read().tolist() == [[1.5, 2], [-32.5, 4]]
        assert opened("1,5;2,5\n-3,5;4,5\n").read().tolist() == [[1.5, 2.5], [-3.5, 4.5]]
        assert opened("1,5\t2\n3\t4,5\n", ".tsv").read().tolist() == [[1.5, 2], [3, 4.5]]
        assert opened("x;d\n1,5;2\n", columns=["x"]).carried(["x", "d"])["x"].tolist() == [1.5]

    def test_is_not_invented(self, opened):
        assert opened("a;b\n1.5;2\n3.25;4\n").read().tolist() == [[1.5, 2], [3.25, 4]]
        with pytest.raises(DataError, match=r"'b' \(text\)"):
            opened("a;b\n1.5;2,5\n3.5;4\n")


class TestTypes:
    def test_whole_numbers_booleans_and_fractions(self, opened):
        assert opened("a,b\n1,2\n3,4\n").dtype == np.int64
        assert opened("a,b\n1,2\n3,4.5\n").dtype == np.float64
        flags = opened("a\nTrue\nFALSE\ntrue\n")
        assert flags.dtype == bool
        assert flags.read()[:, 0].tolist() == [1, 0, 1]
        some = opened("a,b\nTrue,1\n,2\n")
        assert some.missing_counts() == {"a": 1}
        assert some.read()[0, 0] == 1

    def test_what_stands_for_missing(self, opened):
        table = opened("a,b\n1,\nNA,2\nNaN,nan\nnull,N/A\n5,6\n")
        assert table.missing_counts() == {"a": 3, "b": 3}
        index, block = next(table.iter_complete())
        assert index.tolist() == [4]
        assert block.tolist() == [[5, 6]]

    def test_a_column_without_any_value_is_missing_not_text(self, opened):
        assert opened("a,b\n1,\n2,\n").missing_counts() == {"b": 2}

    @pytest.mark.parametrize("cell", ["x", "1_000", "0x1F", "1d5", "1 2", "12:30", "٣"])
    def test_text_far_down_is_found_before_anything_is_read(self, opened, monkeypatch, cell):
        monkeypatch.setattr("latentflow.data.text._SCAN_ROWS", 8)
        with pytest.raises(DataError, match=r"'b' \(text\); .*--drop-columns 'b'"):
            opened("a,b\n" + "1,2\n" * 30 + f"3,{cell}\n")

    def test_a_column_of_numbers_and_truth_values_is_refused(self, opened, monkeypatch):
        monkeypatch.setattr("latentflow.data.text._SCAN_ROWS", 2)
        with pytest.raises(DataError, match="both numbers and true/false"):
            opened("a\nTrue\nFalse\n1\n2\n")

    def test_values_do_not_depend_on_where_blocks_end(self, opened):
        table = opened("a,b,c\n1,,True\n2,7,False\n2.5,,\n3,8,True\n")
        whole = table.read()
        assert np.array_equal(np.concatenate(list(table.chunks(1))), whole, equal_nan=True)
        assert whole[:, 2].tolist()[:2] == [1, 0]

    @pytest.mark.parametrize("cell", [str(2**53 + 1), str(-(2**53) - 1), str(2**64), "9" * 30])
    @pytest.mark.parametrize("missing", ["", "\n,4"])
    def test_integers_beyond_double_precision_name_their_column(self, opened, cell, missing):
        text = f"id,b\n{cell},1{missing}\n3,4\n"
        with pytest.raises(DataError, match=r"'id' \(integers beyond 2\^53\); .*--drop-columns 'id'"):
            opened(text)
        assert opened(text, drop_columns=["id"]).read()[:, 0].tolist()[0] == 1

    def test_large_floats_and_the_last_exact_integer_are_fine(self, opened):
        table = opened(f"a,b\n1e300,{2**53}\n2.5e17,{-(2**53)}\n")
        assert table.read().tolist() == [[1e300, 2.0**53], [2.5e17, -(2.0**53)]]


class TestCarrying:
    def test_columns_come_as_they_are_written(self, opened):
        table = opened(
            "id,zip,big,word,flag,x,part\n"
            f"1,007,{2**53 + 1},a b,True,1.50,\n"
            f"-2,123,{2**53 + 2},ü,false,2e3,4\n",
            columns=["x"],
        )
        carried = table.carried(["id", "zip", "big", "word", "flag", "x", "part"])
        assert carried["id"].dtype == np.int64
        assert carried["id"].tolist() == [1, -2]
        assert carried["zip"].tolist() == ["007", "123"]
        assert carried["big"].tolist() == [2**53 + 1, 2**53 + 2]
        assert carried["word"].tolist() == ["a b", "ü"]
        assert carried["flag"].tolist() == [True, False]
        assert carried["x"].tolist() == [1.5, 2000.0]
        assert np.isnan(carried["part"][0])
        assert carried["part"][1] == 4

    def test_quotes_may_follow_a_blank(self, opened):
        table = opened('x, name\n1, "p, q"\n 2, "r"\n', columns=["x"])
        assert table.carried(["name"])["name"].tolist() == ["p, q", "r"]

    def test_long_ids_stay_text_where_no_number_holds_them(self, opened):
        digits = "9" * 25
        table = opened(f"x,id,gap\n1,{digits},{2**53 + 1}\n2,3,\n", columns=["x"])
        carried = table.carried(["id", "gap"])
        assert carried["id"].tolist() == [digits, "3"]
        assert carried["gap"].tolist() == [str(2**53 + 1), ""]

    def test_a_column_that_is_not_there(self, opened):
        with pytest.raises(DataError, match="no column 'z'; it has a, b"):
            opened("a,b\n1,2\n").carried(["z"])


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "suffix", "message"),
        [
            ("a,b\n1,2\n3\n5,6\n", ".csv", "line 3 has 1 values where 2 are expected"),
            ("a,b\n1,2\n3,4,5\n", ".csv", "line 3 has 3 values where 2 are expected"),
            ("1,2\n3\n4,5,6\n", ".txt", "line 2 has 1 values where 2 are expected"),
            ("# c\n\n1 2\n3 4\n5\n", ".dat", "line 5 has 1 values where 2 are expected"),
            ('a,"b\nc"\n1,2\n3\n', ".csv", "line 4 has 1 values"),
            ("a,b\n1,2\n# a remark\n3,4\n", ".csv", "line 3 has 1 values"),
        ],
    )
    def test_lines_of_the_wrong_length_are_named(self, opened, text, suffix, message):
        with pytest.raises(DataError, match=message):
            opened(text, suffix)

    @pytest.mark.parametrize("text", ["a,b\n", "a,b", "# only a remark\n", "\n\n"])
    def test_no_rows(self, opened, text):
        with pytest.raises(DataError, match="no rows"):
            opened(text)

    def test_other_encodings(self, opened):
        with pytest.raises(DataError, match="is not UTF-8 text"):
            opened("größe,b\n1,2\n", encoding="latin-1")
        with pytest.raises(DataError, match="is not UTF-8 text"):
            opened("a,b\n" + "1,2\n" * 100_000 + "µ,3\n", encoding="latin-1")

    def test_a_quote_that_never_ends(self, opened):
        with pytest.raises(DataError, match=r"table\.csv"):
            opened('a,b\n1,"2\n' + "3,4\n" * 60_000)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.floats(width=64), min_size=2, max_size=2), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t", " "]),
    st.booleans(),
)
def test_any_floats_between_any_delimiters(tmp_path_factory, rows, delimiter, header):
    values = np.array(rows)
    path = tmp_path_factory.mktemp("floats") / ("t.tsv" if delimiter == "\t" else "t.txt")
    pd.DataFrame(values, columns=["u", "v"]).to_csv(
        path, sep=delimiter, index=False, header=header, na_rep="nan"
    )
    table = open_table(path)
    assert np.array_equal(table.read(), values, equal_nan=True)
    assert np.array_equal(np.signbit(table.read())[~np.isnan(values)], np.signbit(values)[~np.isnan(values)])
    assert table.columns == (("u", "v") if header else ("column00", "column01"))
