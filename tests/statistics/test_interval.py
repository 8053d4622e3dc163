"""Intervals and how results become JSON."""

import json
from dataclasses import dataclass

import numpy as np

from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result


@dataclass(frozen=True)
class Mixed(Result):
    matrix: np.ndarray
    counts: np.ndarray
    inner: Interval
    table: dict
    nothing: None = None


def test_results_become_strict_json() -> None:
    mixed = Mixed(
        matrix=np.array([[1.23456789, np.nan], [np.inf, 1e-300]]),
        counts=np.array([3, 4]),
        inner=Interval(1 / 3, float("-inf"), 2.0),
        table={"a": np.float64(0.1), "b": (np.int64(2), np.bool_(True)), 3: "text"},
    )
    back = json.loads(json.dumps(mixed.to_dict(), allow_nan=False))
    assert back["matrix"] == [[1.23457, None], [None, 1e-300]]
    assert back["counts"] == [3, 4]
    assert back["inner"] == {"estimate": 1 / 3, "low": None, "high": 2.0}
    assert back["table"] == {"a": 0.1, "b": [2, True], "3": "text"}
    assert back["nothing"] is None


def test_interval_says_what_it_excludes() -> None:
    interval = Interval(1.0, 0.5, 2.0)
    assert interval.half_width == 0.75
    assert interval.excludes()
    assert not interval.excludes(0.5)
    assert interval.excludes(2.1)
    assert str(interval) == "1.000 [0.500, 2.000]"
