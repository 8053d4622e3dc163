"""The page on trajectories: whole, quiet, escaped, and with what was measured only."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from latentflow.analysis.trajectory_report import trajectory_report
from latentflow.data.tables import open_table
from latentflow.errors import DataError
from latentflow.report.trajectory_figures import FIGURES, distance_figure, memorisation_figure
from latentflow.report.trajectory_page import render_trajectories, write_trajectories


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Trajectories on sixteen intervals and samples of few steps: figures are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentflow.analysis.trajectory_report.INTERVALS", 16)
        patch.setattr("latentflow.analysis.trajectory_report.STEP_COUNTS", (3, 6))
        yield


@pytest.fixture(scope="module")
def report(fitted_folder, model, coarse):
    return trajectory_report(model, open_table(fitted_folder / "data.h5"), rows=30)


def test_every_drawing_is_there_and_well_formed(report):
    page = render_trajectories(report, subject="my <data>.h5", json_name="x.json")
    assert page.count("<svg") == len(FIGURES)
    assert "my &lt;data&gt;.h5" in page
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert "x.json" in page
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert "<script" not in page
    for claim in report.claims:
        assert claim.statement.replace("'", "&#39;") in page


def test_without_held_out_rows_the_score_is_not_judged(report):
    page = render_trajectories(
        replace(report, deviation=None, notes=("Nothing <was> held out.",)),
        subject="d.h5",
        json_name="x.json",
    )
    assert page.count("<svg") == len(FIGURES) - 2
    assert "Learned by heart" not in page
    assert "Nothing &lt;was&gt; held out." in page


def test_curves_are_the_record(report):
    lines = {line.get_label(): line.get_ydata() for line in distance_figure(report).axes[0].get_lines()}
    assert list(lines["sampling x(σ)"]) == list(report.shape.sampling_distance.median[:-1])
    assert list(lines["denoising D(x(σ); σ)"]) == list(report.shape.denoising_distance.median[:-1])
    by_heart = {
        line.get_label(): line.get_ydata() for line in memorisation_figure(report).axes[0].get_lines()
    }
    level = report.deviation.levels[0]
    expected = 1 - level.empirical_loss_train / level.empirical_loss_held_out
    assert by_heart["rows learned by heart"][0] == expected


def test_page_and_json_are_written_together(report, tmp_path):
    page, figures = tmp_path / "a.html", tmp_path / "a.json"
    write_trajectories(report, page, figures, subject="d.h5", facts={"model_hash": "abc"})
    record = json.loads(figures.read_text(encoding="utf-8"))
    assert (record["schema"], record["model_hash"]) == (1, "abc")
    assert record["shape"]["n_rows"] == 30
    assert {path.name for path in tmp_path.iterdir()} == {"a.html", "a.json"}


def test_nothing_half_written_is_left(report, tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_trajectories(report, tmp_path / "a.html", tmp_path / "a.json", subject="d.h5", facts={})
    assert {path.name for path in tmp_path.iterdir()} <= {"a.json", "a.html"}
