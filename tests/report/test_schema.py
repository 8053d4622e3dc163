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
from latentflow.report.schema import DOCUMENTS, records_in, schema_text
from latentflow.statistics.records import Result, described

DOCUMENT = Path(latentflow.report.__file__).parent / "SCHEMA.md"


def values_in(value: Any) -> Iterator[Result]:
    """All records inside a result, itself included."""
    if isinstance(value, Result):
        yield value
        for field in dataclasses.fields(value):
            yield from values_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from values_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from values_in(item)


def test_the_document_is_that_of_the_records():
    assert DOCUMENT.read_text(encoding="utf-8") == schema_text(), (
        "write it again: python -m latentflow.report.schema > latentflow/report/SCHEMA.md"
    )
    assert f"Schema version {SCHEMA_VERSION}" in schema_text()


@pytest.mark.parametrize(
    "record",
    dict.fromkeys(record for _, outermost in DOCUMENTS for record in records_in(outermost)),
    ids=lambda record: record.__name__,
)
def test_every_key_has_a_meaning(record):
    fields = described(record)
    names = [name for each in fields for name in each.names]
    assert names == [field.name for field in dataclasses.fields(record)]
    assert all(len(each.words) > 4 for each in fields), fields
    for each in fields:  # and whoever asks for help sees it
        assert f"\n{', '.join(each.names)} : " in record.__doc__


def test_the_fixture_has_every_record_that_a_result_can_hold(result):
    assert {type(record) for record in values_in(result)} == set(records_in(type(result)))


def test_json_of_every_record_has_exactly_the_keys_described(result):
    for record in values_in(result):
        written = json.loads(json.dumps(record.to_dict(), allow_nan=False))
        assert list(written) == [name for each in described(type(record)) for name in each.names]


def test_shown_samples_are_the_points_of_the_strongest_pairs(result):
    shown = json.loads(json.dumps(result.shown_samples(), allow_nan=False))
    assert set(shown) == {"raw", "fastica", "latents"}
    pairs = result.pairwise["raw"].strongest()
    assert pairs[0] == result.pairwise["raw"].max_pair
    for entry, (i, j) in zip(shown["raw"], pairs, strict=True):
        assert entry["columns"] == [result.columns[i], result.columns[j]]
        assert entry["x"] == pytest.approx(result.samples["raw"][:, i].tolist(), rel=1e-5)
        assert entry["y"] == pytest.approx(result.samples["raw"][:, j].tolist(), rel=1e-5)
