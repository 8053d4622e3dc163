"""The page is read back as a browser would: what it says, that it is whole and asks for nothing outside."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import pytest
from jinja2 import ChoiceLoader, DictLoader
from matplotlib.figure import Figure

from latentflow.errors import DataError
from latentflow.report import page as page_module
from latentflow.report import render_page, summary_lines, write_report
from latentflow.report.independence_page import BADGES
from latentflow.report.independence_page import SECTIONS as PAGE
from latentflow.report.page import Section, environment
from tests.report.records import BARE, oriented

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b 'c'", 'id="x" url(#y)')
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """The elements of a page with their attributes, its text, and whether every tag was closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text_of: dict[str, list[str]] = {}
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            if tag in ("h1", "h2", "title", "code"):
                self.text_of.setdefault(tag, []).append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)
        if self.open and self.open[-1] in self.text_of:
            self.text_of[self.open[-1]][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def source(result) -> str:
    return render_page(result, json_name="gas_turbine.independence.json")


@pytest.fixture(scope="module")
def page(source) -> Page:
    return Page(source)


@pytest.fixture(scope="module")
def drawn(result):
    return {section.key: page_module.drawings(section, result) for section in PAGE}


@pytest.fixture
def ready_drawings(drawn, monkeypatch) -> None:
    """For tests of words: the drawings of ``result``, whatever is asked for, since drawing takes the time."""
    draw = page_module.drawings
    monkeypatch.setattr(page_module, "drawings", lambda each, of: drawn.get(each.key) or draw(each, of))


def test_verdict_comes_first_then_what_it_does_not_mean_then_alerts_then_evidence(page, result):
    assert page.text_of["h1"] == ["Independence report"]
    assert page.text_of["h2"][:4] == [
        result.verdict.headline,
        "What this does and does not mean",
        "Alerts",
        "How much dependence each representation removed",
    ]
    for sentence in (*result.verdict.sentences, *result.verdict.meaning, *result.alerts):
        assert sentence in page.text
    assert page.text.index(result.verdict.meaning[0]) < page.text.index(result.alerts[0])


def test_headline_figures_are_on_the_page_with_their_intervals(page):
    head = page.text[: page.text.index("What this does and does not mean")]
    for figure in ("8.33 nats [8.14, 8.52]", "FastICA 1.38 [1.33, 1.43]", "5.81 nats [5.78, 5.84]"):
        assert figure in head
    assert "Gaussian 7.20 [7.17, 7.24]" in head
    assert "Held-out −log p" in head
    assert "2.2 × 10⁻¹¹" in head


def test_page_is_whole_and_in_english(page, source):
    assert source.lstrip().lower().startswith("<!doctype html>")
    assert not page.open
    assert page.all("html") == [{"lang": "en"}]
    assert page.text_of["title"] == ["Independence report: gas_turbine.csv"]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_page_asks_for_nothing_outside_itself(page, source):
    assert "http:" not in source
    assert "https:" not in source
    assert not page.all("script")
    for name, attributes in page.elements:
        for key in ("src", "href", "xlink:href", "srcset", "action", "data"):
            value = attributes.get(key)
            assert value is None or value.startswith(("#", "data:")), (name, key, value)
    assert "@import" not in source
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_links_inside_the_page_lead_somewhere(page):
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [attributes["href"][1:] for attributes in page.all("a")]
    links += [use["xlink:href"][1:] for use in page.all("use")]
    assert links
    assert set(links) <= ids


def test_every_figure_says_what_it_shows(page, result):
    drawings = page.all("svg")
    maps, scatters, magnitudes, quantiles = 3, 3 * 2, 3, 4
    assert len(drawings) == 1 + maps + scatters + magnitudes + quantiles + 3  # round trip, training, over-fit
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert len(drawing["aria-label"] or "") > 40
    assert "8.33 [8.14, 8.52]" in (drawings[0]["aria-label"] or "")
    assert not page.all("img")
    tables = page.all("table")
    assert len(tables) == page_regions(page)
    assert all("scope" in header for header in page.all("th"))


def page_regions(page: Page) -> int:
    """Scrolling regions around tables, each with a name; one more holds the commands."""
    regions = [attributes for attributes in page.all("div") if attributes.get("role") == "region"]
    assert all(region.get("aria-label") and region.get("tabindex") == "0" for region in regions)
    return len(regions) - 1


def test_dark_light_phone_and_paper_are_in_the_style(source):
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 560px", "overflow-x: auto"):
        assert rule in source
    assert "var(--fig-accent)" in source  # figures take their colours from the page
    for colour in ("ink", "muted", "line", "accent", "second", "band"):
        assert source.count(f"--fig-{colour}: #") == 2  # a value for light and one for dark


def test_names_are_escaped_everywhere(make_result):
    result = make_result(4, n=300, columns=HOSTILE)
    result = replace(
        result,
        provenance={**result.provenance, "file": "<b>x</b>.csv", "key": "<i>"},
        alerts=("Column <script>alert(2)</script> is odd.",),
    )
    page = Page(render_page(result, json_name="<u>.json"))
    assert not page.open
    assert {name for name, _ in page.elements}.isdisjoint({"script", "img", "b", "i", "u"})
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    for name in (*HOSTILE, "<b>x</b>.csv"):
        assert name in page.text


@pytest.mark.usefixtures("ready_drawings")
def test_commands_to_reproduce_are_quoted(make_result):
    result = make_result(2, n=300)
    provenance = {**result.provenance, "file": "my data/run 1.h5", "key": "a b"}
    text = Page(render_page(replace(result, provenance=provenance))).text_of["code"][0]
    assert text.splitlines() == [
        "latentflow fit 'my data/run 1.h5' --key 'a b' --preset default --seed 0",
        "latentflow independence-report 'my data/run 1.h5' --key 'a b' --seed 0",
    ]


@pytest.mark.usefixtures("ready_drawings")
def test_table_from_memory_is_reproduced_in_python(make_result):
    result = make_result(2, n=300)
    page = Page(render_page(replace(result, provenance={**result.provenance, "file": None})))
    assert "a table in memory" in page.text_of["title"][0]
    assert "independence_report(model, X, seed=0)" in page.text_of["code"][0]


@pytest.mark.usefixtures("ready_drawings")
def test_every_verdict_has_a_badge_in_words(result):
    for code, words in BADGES.items():
        verdict = replace(result.verdict, code=code)
        assert words in Page(render_page(replace(result, verdict=verdict))).text


def test_rows_that_were_not_held_out_are_not_called_so(result):
    rows = replace(result.rows, which="all", dependent=True, block=120, effective_n=37.4)
    page = Page(render_page(replace(result, rows=rows)))
    assert "held-out" not in page.text.lower()
    assert "held out" not in page.text.lower()
    assert "blocks of 120 rows" in page.text
    assert "Effective number of rows 37" in page.text


def test_missing_parts_are_said_not_drawn(make_result):
    result = make_result(1, n=300)
    result = replace(result, history={}, alerts=(), neg_log_prob_train=None)
    page = Page(render_page(result))
    assert "The model holds no record of its training." in page.text
    assert "There is one coordinate, and so no pair." in page.text
    assert "Alerts None was raised." in page.text
    assert len(page.all("svg")) == 3


HEADINGS = {  # of each section, in the order of the page
    "verdict": "The latents are more independent than FastICA by 6.95 nats [6.86, 7.04].",
    "meaning": "What this does and does not mean",
    "alerts": "Alerts",
    "ledger": "How much dependence each representation removed",
    "densities": "As a density, against others",
    "pairs": "Dependence of pairs, before and after",
    "joint": "All coordinates at once",
    "gaussianity": "Are the latents Gaussian?",
    "latents": "What each latent is",
    "orientation": "How the axes were chosen",
    "recovery": "Against the true sources",
    "round-trip": "There and back",
    "training": "Training",
    "columns": "What was done to each column",
    "methods": "How it was measured",
}


def test_the_page_has_its_sections_in_their_order(page):
    sections = [section for section in PAGE if section.key != "contents"]
    assert [section.key for section in sections] == list(HEADINGS)
    assert page.text_of["h2"] == list(HEADINGS.values())
    listed = [f"#{section.key}" for section in sections if section.title]
    assert [link["href"] for link in page.all("a")] == listed


@pytest.mark.usefixtures("ready_drawings")
@pytest.mark.parametrize("shown", [True, False])
def test_a_section_is_added_by_one_record_and_its_template(result, monkeypatch, shown):
    template = '<section><h2 id="colour">Colour</h2>{{ figure(drawings.wheel) }}{{ shade }}</section>'
    loader = ChoiceLoader([DictLoader({"independence/colour.html.j2": template}), environment().loader])
    monkeypatch.setattr(environment(), "loader", loader)
    colour = Section(
        "colour",
        "Of colours",
        show=lambda _: shown,
        data=lambda _: {"shade": "<teal>"},
        figures={"wheel": lambda _: page_module.drawing("wheel", Figure(), "A wheel.", "Its caption")},
    )
    monkeypatch.setattr("latentflow.report.independence_page.SECTIONS", (*PAGE[:-1], colour, PAGE[-1]))
    page = Page(render_page(result))
    assert not page.open
    assert ("Colour" in page.text_of["h2"]) == shown
    assert ({"href": "#colour"} in page.all("a")) == shown
    assert ("Its caption" in page.text and "<teal>" in page.text) == shown
    assert any(svg["aria-label"] == "A wheel." for svg in page.all("svg")) == shown


SECTIONS = {  # by the field that a section stands on: words that the page has with it alone
    "discoveries": "found dependent at a false discovery rate of 5 %",
    "confirmed": "The most dependent pairs, measured again",
    "joint": "All coordinates at once",
    "magnitudes": "Do magnitudes move together?",
    "joint_gaussianity": "Energy distance to N(0, I)",
    "terminal_mismatch": "At the largest noise level of the flow",
    "densities": "As a density, against others",
    "recovery": "Against the true sources",
    "latent_facts": "What each latent is",
    "orientation": "How the axes were chosen",
    "samples": "The most dependent pairs, point by point",
}


@pytest.mark.parametrize("field", BARE)
def test_part_that_was_not_measured_is_left_out_alone(result, page, field, request):
    if field not in ("magnitudes", "samples"):  # these two are drawn
        request.getfixturevalue("ready_drawings")
    without = Page(render_page(replace(result, **{field: BARE[field]})))
    assert not without.open
    for name, words in SECTIONS.items():
        assert words in page.text
        assert (words in without.text) == (name != field), name
    targets = {attributes["href"] for attributes in without.all("a")}
    assert targets <= {f"#{attributes['id']}" for _, attributes in without.elements if "id" in attributes}


def test_result_of_the_bare_minimum_is_a_whole_page(result):
    page = Page(render_page(replace(result, **BARE)))
    assert not page.open
    assert not any(words in page.text for words in SECTIONS.values())
    assert "The 6 most dependent" not in page.text
    assert "All pairs" in page.text


def test_figures_of_the_further_records_are_on_the_page(page, result):
    text = page.text
    pair = result.confirmed["latents"][0]
    assert f"{pair.names[0]}, {pair.names[1]}" in text
    for words in (
        "0.914 AUC [0.901, 0.927]",  # joint test of the raw columns
        "TC, at least none found [−0.04, 0.04]",  # of the latents, for the interval holds zero
        "0.0031, p = 0.24",  # energy distance
        "Largest A² of 100 random projections 2.71, p = 0.18",
        "0.0004 nats from the normal distribution",
        "FastICA 7.21 [7.17, 7.25] 6.46 [6.43, 6.49] 0.650 [0.630, 0.670]",  # densities
        "Latents 0.802 0.781 0.198",  # recovery
        "source 4 – –",  # a source that no coordinate was left for
    ):
        assert words in text
    first = result.latent_facts[0]
    assert f"1 {first.name}" in text
    assert first.strongest[0][0] in text


def test_the_axes_are_told_with_what_they_allow(page, result):
    account = result.orientation
    for words in (
        account.conclusion,
        account.evidence,
        "joint diagonalisation of the denoiser's Jacobians (asked for: auto)",
        account.reason,
        "C_IMA of the decoder, nats 0.214 [0.202, 0.226]",
        "Agreement with FastICA 0.71",
        "Undetermined planes 1 of 6",
        "latent01 loosely determined 11.5° latent00",
        "latent03 undetermined 45.0° latent02",
    ):
        assert words in page.text


@pytest.mark.usefixtures("ready_drawings")
def test_agreement_with_the_anchor_is_not_shown_as_evidence(result):
    anchored = oriented(result.latent_names, "ica")
    text = Page(render_page(replace(result, orientation=anchored))).text
    assert "Agreement with FastICA no evidence" in text
    assert "no evidence of anything, for the latents were aligned" in text


@pytest.mark.usefixtures("ready_drawings")
def test_axes_that_were_not_found_have_no_angles(result):
    stopped = oriented(result.latent_names, "temporal", converged=False)
    text = Page(render_page(replace(result, orientation=stopped))).text
    assert "latent01 undetermined – –" in text
    assert "Undetermined planes 6 of 6" in text
    assert "did not converge, so that none is called determined" in text
    assert "11.5°" not in text
    assert "well determined" not in text.replace("an axis is called well determined", "")
    lines = summary_lines(replace(result, orientation=stopped))
    assert any("temporal (asked for auto), did not converge, agreement" in line for line in lines)


@pytest.mark.usefixtures("ready_drawings")
def test_the_badge_of_independence_says_what_axes_and_rows_are_worth(result):
    verdict = replace(result.verdict, code="independent", notices=("The rows look like a recording.",))
    rows = replace(result.rows, dependent=True, effective_n=51.3)
    text = Page(render_page(replace(result, verdict=verdict, rows=rows))).text
    assert "Independent to within measurement, 51 effective rows, axes open" in text
    assert "The rows look like a recording." in text


@pytest.mark.usefixtures("ready_drawings")
def test_axes_that_were_not_chosen_have_no_table(result):
    plain = replace(oriented(result.latent_names, "none"), asked="none")
    text = Page(render_page(replace(result, orientation=plain))).text
    assert "none: the latents stand as the flow gives them" in text
    assert "Largest angle error" not in text


@pytest.mark.usefixtures("ready_drawings")
def test_numbers_that_do_not_exist_are_dashes(result):
    trip = replace(result.round_trip, latent_n=0, latent_max=None, latent_q50=None, latent_q99=None)
    latents = tuple(replace(latent, p_holm=float("nan")) for latent in result.gaussianity.latents)
    gaussianity = replace(result.gaussianity, latents=latents)
    text = Page(render_page(replace(result, round_trip=trip, gaussianity=gaussianity))).text
    assert "nan" not in text.lower().split()
    assert "None" not in text.split()
    assert "Latent → data → latent" not in text


@pytest.mark.parametrize("d", [64, 200])
def test_wide_tables_are_summarised(make_result, d):
    source = render_page(make_result(d, n=400))
    page = Page(source)
    assert len(source) < 2_500_000
    rows = len(page.all("tr"))
    assert rows < 160
    assert f"The 20 latents farthest from normal of {d}" in page.text
    assert f"20 of {d} columns" in page.text
    assert f"The 20 of {d} latents that explain most" in page.text
    assert f"The 20 of {d} latents that are determined least" in page.text
    assert f"The 20 of {d + 1} sources that were recovered least" in page.text
    assert len(page.all("svg")) == 1 + 3 + 6 + 3 + 8 + 3
    treated = page.text[page.text.index("What was done to each column") :]
    assert "asinh" in treated  # altered columns are among those shown


def test_ten_columns_stay_small(make_result):
    assert len(render_page(make_result(10)).encode()) < 1_000_000


def test_same_result_gives_the_same_bytes(result, source):
    assert render_page(result, json_name="gas_turbine.independence.json") == source


def test_the_users_matplotlib_settings_neither_show_nor_change(result, source):
    own = {"text.usetex": True, "font.size": 30.0, "svg.fonttype": "path", "figure.facecolor": "red"}
    with matplotlib.rc_context(own):
        assert render_page(result, json_name="gas_turbine.independence.json") == source
        assert {key: matplotlib.rcParams[key] for key in own} == own


def test_report_is_written_with_its_json(result, source, tmp_path):
    paths = tmp_path / "gas_turbine.independence.html", tmp_path / "gas_turbine.independence.json"
    assert write_report(result, *map(str, paths)) == paths
    assert paths[0].read_text(encoding="utf-8") == source
    assert json.loads(paths[1].read_text(encoding="utf-8")) == json.loads(json.dumps(result.to_dict()))
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in paths)


@pytest.mark.usefixtures("ready_drawings")
@pytest.mark.parametrize("broken", ["render", "write", "replace"])
def test_failure_leaves_what_was_there(result, tmp_path, monkeypatch, broken):
    page, data = tmp_path / "a.html", tmp_path / "a.json"
    page.write_text("old page")
    data.write_text("old data")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    target = {
        "render": "latentflow.report.independence_page.render_page",
        "write": "pathlib.Path.write_bytes",
        "replace": "os.replace",
    }[broken]
    monkeypatch.setattr(target, fail)
    with pytest.raises(OSError if broken == "render" else DataError, match="No space left"):
        write_report(result, page, data)
    monkeypatch.undo()
    assert (page.read_text(), data.read_text()) == ("old page", "old data")
    assert sorted(os.listdir(tmp_path)) == ["a.html", "a.json"]


@pytest.mark.usefixtures("ready_drawings")
def test_folder_that_does_not_exist_is_one_clear_line(result, tmp_path):
    with pytest.raises(DataError) as caught:
        write_report(result, tmp_path / "no" / "a.html", tmp_path / "no" / "a.json")
    assert "a.html" in str(caught.value)
    assert "\n" not in str(caught.value)
