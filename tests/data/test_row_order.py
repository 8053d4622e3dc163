"""Which row follows which: times of every kind, in order, out of order and on several clocks."""

import datetime

import numpy as np
import pandas as pd
import pytest

from latentflow.data.row_order import group_codes, time_steps, unlabelled
from latentflow.errors import DataError

N = 600
STEPS = np.arange(N)


@pytest.fixture
def shuffled():
    return np.random.default_rng(0).permutation(N)


@pytest.mark.parametrize(
    "time",
    [
        0.25 * STEPS - 7,
        pd.date_range("2024-03-31", periods=N, freq="h"),
        pd.date_range("2024-03-31", periods=N, freq="h", tz="Europe/Rome"),
        pd.date_range("1850-01-01", periods=N, freq="D").strftime("%Y-%m-%d").to_numpy(object),
        np.array([datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(N)]),
        np.array([f"2024-03-31T{i // 60:02d}:{i % 60:02d}:00Z" for i in range(N)]),
        [str(i) for i in range(N)],
        np.arange(N) * np.timedelta64(10, "ms"),
    ],
)
def test_times_of_any_kind_are_steps(time):
    positions, recordings = time_steps(time, None, N)
    np.testing.assert_array_equal(positions, STEPS)
    assert recordings is None


def test_rows_in_no_order_get_theirs_though_some_were_taken_at_once(shuffled):
    times = shuffled.astype(float)
    times[times == 300] = 301  # one stamp twice
    positions, recordings = time_steps(times, None, N)
    np.testing.assert_array_equal(positions, times)
    # a repeated stamp is where another recording begins, as it is in rows that stand in order
    assert len(np.unique(recordings)) == 2
    assert (np.diff(recordings[np.argsort(positions, kind="stable")]) >= 0).all()


def test_the_newest_row_may_come_first():
    positions, recordings = time_steps(-STEPS, None, N)
    np.testing.assert_array_equal(positions, STEPS[::-1])
    assert recordings is None
    labels = STEPS // 300
    positions, recordings = time_steps(299 - STEPS % 300, labels, N)
    np.testing.assert_array_equal(positions, 299 - STEPS % 300)
    np.testing.assert_array_equal(recordings, labels)


def test_a_clock_that_starts_again_is_another_recording():
    positions, recordings = time_steps(STEPS % 200, None, N)
    np.testing.assert_array_equal(positions, STEPS % 200)
    np.testing.assert_array_equal(recordings, STEPS // 200)


def test_rows_of_recordings_taken_in_turn_follow_those_of_their_own():
    labels = STEPS % 3
    positions, recordings = time_steps(None, labels, N)
    np.testing.assert_array_equal(positions, STEPS // 3)
    np.testing.assert_array_equal(recordings, labels)
    np.testing.assert_array_equal(time_steps(None, None, N)[0], STEPS)


def missing(value):
    times = np.array([f"2024-03-{1 + i % 28:02d}T{i // 28:02d}" for i in range(N)], dtype=object)
    times[[17, 40]] = value
    return times


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (np.arange(10), r"one number or date for each of 600 rows, not shape \(10,\)"),
        (np.where(STEPS == 17, np.nan, STEPS), "missing or infinite at 1 of 600 rows, the first is row 17"),
        (
            np.where(STEPS > 300, np.inf, STEPS),
            "missing or infinite at 299 of 600 rows, the first is row 301",
        ),
        (missing(None), "missing or infinite at 2 of 600 rows, the first is row 17"),
        (missing(""), "missing or infinite at 2 of 600 rows, the first is row 17"),
        (np.array(missing(None), "datetime64[ns]"), "missing or infinite at 2 of 600 rows"),
        (missing("noon"), r"dates such as 2024-03-31 .*, not 'noon' \(row 17\)"),
        (np.zeros(N), "the same at every row"),
        (STEPS // 2, "stands still at 300 of 599 steps"),
        (STEPS[::-1] % 200, "falls at 597 of 599 steps .* --groups"),
        (np.random.default_rng(0).permutation(N) % 300, "cannot order the rows, .* --groups"),
    ],
)
def test_times_that_say_nothing_are_one_line_with_a_way_out(time, words):
    with pytest.raises(DataError, match=words) as caught:
        time_steps(time, None, N)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "codes", "without"),
    [
        ([3, 1, 3], [1, 0, 1], 0),
        (["b", "a", ""], [2, 1, 0], 1),
        (np.array(["b", None, float("nan")], dtype=object), [1, 0, 0], 2),
        ([2.0, np.nan, np.nan], [0, 1, 1], 2),
        ([b"b", b"a", b"b"], [1, 0, 1], 0),
        (pd.Series(["x", None, "x"]), [1, 0, 1], 1),
    ],
)
def test_labels_of_any_kind_and_rows_without_one(labels, codes, without):
    np.testing.assert_array_equal(group_codes(labels, 3), codes)
    assert unlabelled(labels) == without


def test_no_labels_are_no_groups():
    assert group_codes(None, 3) is None
    assert unlabelled(None) == 0
