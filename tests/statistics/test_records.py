"""Records say what their fields mean, once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np

from latentflow.statistics.records import Described, Result, described


@dataclass(frozen=True)
class Inner(Result):
    """What is inside."""

    size: Annotated[int, "Rows."]


@dataclass(frozen=True)
class Outer(Result):
    """A record of all kinds.

    Its summary goes on.
    """

    low: Annotated[float, "Both ends, nats."]
    high: float
    inner: Annotated[Inner | None, "The other record."] = None
    drawn: Annotated[Mapping[str, np.ndarray], "(n,): What is drawn.", "object of points"] = field(
        default_factory=dict
    )
    shared: ClassVar[Mapping[str, Any]] = {}


def test_fields_that_share_a_text_stand_together():
    assert described(Outer) == [
        Described(("low", "high"), (float, float), "Both ends, nats.", ""),
        Described(("inner",), (Inner | None,), "The other record.", ""),
        Described(("drawn",), (Mapping[str, np.ndarray],), "(n,): What is drawn.", "object of points"),
    ]


def test_help_has_the_attributes():
    assert inspect.getdoc(Outer) == (
        "A record of all kinds.\n\nIts summary goes on.\n\nAttributes\n----------\n"
        "low, high : float\n    Both ends, nats.\n"
        "inner : Inner | None\n    The other record.\n"
        "drawn : Mapping[str, ndarray]\n    (n,): What is drawn."
    )


def test_the_json_has_the_fields_alone():
    assert Outer(1.0, float("inf"), Inner(3)).to_dict() == {
        "low": 1.0,
        "high": None,
        "inner": {"size": 3},
        "drawn": {},
    }
