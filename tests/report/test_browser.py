"""The page in a real browser: quiet, self-contained, within its width, every figure to be seen, in any light."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from latentflow.report import render_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")

COLUMNS = (5, 64, 200)
PHONE, DESK, PAPER = 400, 1400, 680  # pixels; the last is what margins leave of A4

# How far an element stands from its left end once it has moved, or after five seconds. Playwright's own waiting wants
# eval, which the page's content security policy refuses on every look but the first.
MOVED = """box => new Promise(done => {
  const tell = () => { if (box.scrollLeft > 0) done(box.scrollLeft); };
  box.addEventListener('scroll', tell); tell();
  setTimeout(() => done(box.scrollLeft), 5000);
})"""

BEYOND_THE_EDGE = """() => [...document.querySelectorAll('body *')]
  .filter(element => !element.closest('.scroll') || element.matches('.scroll'))
  .map(element => [element, element.getBoundingClientRect()])
  .filter(([_, box]) => box.width > 0 && (box.right > innerWidth + 1 || box.left < -1))
  .map(([element, box]) => `${element.tagName} ${element.textContent.slice(0, 40)}: ${box.left} to ${box.right}`)"""

# Contrast (WCAG 2) of every text against the nearest painted background; heat maps have colours of their own.
LOW_CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const parse = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest('style, svg.scaled')) continue;
    const style = getComputedStyle(element);
    const ink = light(parse(element.closest('svg') ? style.fill : style.color)), paper = light(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    seen += 1;
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return [seen, found];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(make_result, tmp_path_factory) -> Callable[..., Path]:
    """Function (d, columns=None): the report on that many columns as a file, rendered once."""
    folder = tmp_path_factory.mktemp("pages")

    def page(d: int, columns: tuple[str, ...] | None = None) -> Path:
        path = folder / f"{d}{'-named' if columns else ''}.html"
        if not path.exists():
            result = make_result(d, n=400, columns=columns)
            path.write_text(render_page(result, json_name="data.json"), encoding="utf-8")
        return path

    return page


@pytest.fixture
def visit(browser, pages) -> Iterator[Callable[..., Page]]:
    """Function (d, width, scheme="light", columns=None) that opens a report, where nothing may go wrong."""
    contexts, trouble = [], []

    def visit(d: int, width: int, scheme: str = "light", columns: tuple[str, ...] | None = None) -> Page:
        address = pages(d, columns).as_uri()
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(f"console: {message.type} {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                request.url in (address, "data:,") or trouble.append(f"request: {request.url[:200]}")
            ),
        )
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not trouble


def assert_within_the_width(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(BEYOND_THE_EDGE) == []


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("d", COLUMNS)
def test_page_is_quiet_within_its_width_and_shows_every_figure(visit, d, width):
    page = visit(d, width)
    assert_within_the_width(page, width)
    figures = page.locator("figure svg")
    boxes = figures.evaluate_all(
        """all => all.map(svg => { const box = svg.getBoundingClientRect();
           return [svg.getAttribute('aria-label'), box.width, box.height, svg.checkVisibility({opacityProperty: true,
           visibilityProperty: true})]; })"""
    )
    assert len(boxes) == 1 + 3 + 6 + 3 + min(d, 8) + 3
    for label, across, down, visible in boxes:
        assert visible, label
        assert min(across, down) > 90, label


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_long_and_hostile_names_stay_within_the_width(visit, width):
    names = ("a" * 90, "Gas_turbine/stage.2:exhaust_temperature", "<script>alert(1)</script>", "温度 " * 12)
    page = visit(len(names), width, columns=names)
    assert_within_the_width(page, width)
    assert page.get_by_text(names[0]).count() > 0


def test_figures_are_painted(visit):
    page = visit(5, DESK)
    for figure in page.locator("figure svg").all():
        mean_jacobians = figure.screenshot()
        figure.evaluate("svg => { svg.replaceChildren(); }")
        assert mean_jacobians != figure.screenshot(), figure.get_attribute("aria-label")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(visit, scheme):
    page = visit(5, DESK, scheme)
    seen, faint = page.evaluate(LOW_CONTRAST)
    assert seen > 300
    assert faint == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in background.removeprefix("rgb(").removesuffix(")").split(","))
    assert brightness < 150 if scheme == "dark" else brightness > 600


def test_paper_is_white_and_wide_enough_even_from_a_dark_screen(visit):
    page = visit(64, PAPER, "dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(LOW_CONTRAST)[1] == []
    assert page.locator("nav").is_hidden()
    assert_within_the_width(page, PAPER)
    cut = """() => [...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth + 1)
             .map(box => box.getAttribute('aria-label'))"""
    assert page.evaluate(cut) == []  # paper does not scroll
    assert page.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF")


def test_wide_tables_scroll_on_a_phone_and_by_keyboard(visit):
    page = visit(5, PHONE)
    region = page.locator(".scroll", has=page.locator("table.wide"))
    region.focus()
    page.keyboard.press("ArrowRight")
    assert region.evaluate(MOVED) > 0
    assert page.evaluate("document.documentElement.scrollLeft") == 0  # the table moved, not the page


def test_links_lead_to_their_sections(visit):
    page = visit(5, DESK)
    for link in page.locator("nav a").all():
        link.click()
        target = page.locator(link.get_attribute("href"))
        assert -2 < target.bounding_box()["y"] < 900
