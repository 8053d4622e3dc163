"""The description of the JSON is held against the records, and the records against a JSON that was written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import latentflow.report
from latentflow.analysis.results import SCHEMA_VERSION
from latentflow.analysis.samples import shown_samples, worst_pairs
from latentflow.report.schema import (
    DOCUMENTS,
    RECORDS,
    meanings,
    schema_text,
)
from latentflow.statistics.interval import Result

DOCUMENT = Path(latentflow.report.__file__).parent / "SCHEMA.md"


def records_in(value: Any) -> Iterator[Result]:
    """All records inside a result, itself included."""
    if isinstance(value, Result):
        yield value
        for field in dataclasses.fields(value):
            yield from records_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from records_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from records_in(item)


def test_the_document_is_that_of_the_records():
    assert DOCUMENT.read_text(encoding="utf-8") == schema_text(), (
        "write it again: python -m latentflow.report.schema > latentflow/report/SCHEMA.md"
    )
    assert f"Schema version {SCHEMA_VERSION}" in schema_text()


@pytest.mark.parametrize(
    "record", [record for _, records in DOCUMENTS for record in records], ids=lambda record: record.__name__
)
def test_every_key_has_a_meaning(record):
    words = meanings(record)
    assert list(words) == [field.name for field in dataclasses.fields(record)]
    assert all(len(text) > 4 for text in words.values()), words


def test_every_record_of_a_result_is_described(result):
    assert {type(record) for record in records_in(result)} <= set(RECORDS)
    assert {type(record) for record in records_in(result)} == set(
        RECORDS
    )  # and none is missing from the fixture


def test_json_of_every_record_has_exactly_the_keys_described(result):
    for record in records_in(result):
        written = json.loads(json.dumps(record.to_dict(), allow_nan=False))
        assert set(written) == set(meanings(type(record)))


def test_shown_samples_are_the_points_of_the_worst_pairs(result):
    shown = json.loads(json.dumps(shown_samples(result.samples, result.pairwise), allow_nan=False))
    assert set(shown) == {"raw", "fastica", "latents"}
    pairs = worst_pairs(result.pairwise["raw"])
    assert pairs[0] == result.pairwise["raw"].max_pair
    for entry, (i, j) in zip(shown["raw"], pairs, strict=True):
        assert entry["columns"] == [result.columns[i], result.columns[j]]
        assert entry["x"] == pytest.approx(result.samples["raw"][:, i].tolist(), rel=1e-5)
        assert entry["y"] == pytest.approx(result.samples["raw"][:, j].tolist(), rel=1e-5)
