"""What a notebook shows of a result: small, of its own, and safe."""

from __future__ import annotations

from dataclasses import replace

from latentflow.report import notebook_html
from tests.report.records import BARE
from tests.report.test_page import Page


def test_fragment_says_the_verdict_the_figures_and_the_alerts(result):
    source = notebook_html(result)
    page = Page(source)
    assert not page.open
    assert len(source) < 40_000
    for words in (
        result.verdict.headline,
        *result.alerts,
        "8.33 [8.14, 8.52] nats",
        "0.507 [0.494, 0.520]",
        "1\u202f200 held-out rows",
    ):
        assert words in page.text.replace(" 200 held", "\u202f200 held")
    assert len(page.all("svg")) == 1
    assert not page.all("script")
    assert "http" not in source


def test_style_stays_inside_and_ids_differ_between_results(result):
    source = notebook_html(result)
    style = source[source.index("<style>") + 7 : source.index("</style>")]
    rules = [line for line in style.strip().splitlines() if line.strip()]
    assert all(
        part.strip().startswith(".latentflow-result")
        for rule in rules
        for part in rule.split("{")[0].split(",")
    )
    other = replace(result, verdict=replace(result.verdict, headline="Another."))
    ids = [
        {attributes["id"] for _, attributes in Page(text).elements if "id" in attributes}
        for text in (source, notebook_html(other))
    ]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


def test_fragment_does_without_further_records_and_escapes(result):
    verdict = replace(result.verdict, headline="<script>alert(1)</script>")
    page = Page(notebook_html(replace(result, verdict=verdict, **BARE)))
    assert "<script>alert(1)</script>" in page.text
    assert not page.all("script")
    assert "AUC" not in page.text
