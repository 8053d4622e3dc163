"""Words in the lines of a terminal."""

from latentflow.report.terminal.words import count, names, seconds


def test_words_for_numbers():
    assert (count(0, "row"), count(1, "row"), count(12345, "row")) == ("0 rows", "1 row", "12 345 rows")
    assert (seconds(5.26), seconds(600)) == ("5.3 s", "10.0 min")
    assert names(["a"] * 20).endswith("and 8 more")
