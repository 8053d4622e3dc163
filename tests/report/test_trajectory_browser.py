"""The page on trajectories in a real browser: quiet, self-contained and within its width."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from latentflow.analysis.trajectory_report import trajectory_report
from latentflow.data.tables import open_table
from latentflow.report.trajectory_figures import FIGURES
from latentflow.report.trajectory_page import render_trajectories

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def address(fitted_folder, model, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentflow.analysis.trajectory_report.INTERVALS", 16)
        patch.setattr("latentflow.analysis.trajectory_report.STEP_COUNTS", (3, 6))
        report = trajectory_report(model, open_table(fitted_folder / "data.h5"), rows=30)
    path = tmp_path_factory.mktemp("page") / "trajectories.html"
    path.write_text(render_trajectories(report, subject="data.h5", json_name="x.json"), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("width", [400, 1400])
def test_every_figure_is_seen_within_the_width_and_nothing_is_asked_for(address, width):
    trouble = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER)
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on(
            "request", lambda request: request.url in (address, "data:,") or trouble.append(request.url[:200])
        )
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.locator("figure svg").evaluate_all(
            "all => all.map(svg => { const box = svg.getBoundingClientRect(); return [box.width, box.height]; })"
        )
        browser.close()
    assert trouble == []
    assert len(boxes) == len(FIGURES)
    assert all(min(box) > 90 for box in boxes)
