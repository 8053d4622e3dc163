"""The geometry of a model's trajectories as one self-contained page, and its figures as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentflow.analysis.trajectory_report import TrajectoryReport
from latentflow.data.atomic import write_whole
from latentflow.report.page import environment
from latentflow.report.svg import default_style, inline_svg
from latentflow.report.trajectory_figures import FIGURES, OF_THE_SCORE, examples

SCHEMA = 1
WHICH = {"held out": "held-out row", "training": "training row", "all": "row"}


def render_trajectories(report: TrajectoryReport, *, subject: str, json_name: str) -> str:
    """The page as HTML, with every style and drawing inside it.

    Parameters
    ----------
    report : TrajectoryReport
    subject : str
        What was fitted: the name of the data.
    json_name : str
        Name of the file with the figures.
    """
    drawings = {}
    with default_style():
        for name, (draw, alt) in FIGURES.items():
            if report.deviation or name not in OF_THE_SCORE:
                drawings[name] = inline_svg(draw(report), f"trajectory-{name}", alt)
    return (
        environment()
        .get_template("trajectory.html.j2")
        .render(
            report=report,
            shape=report.shape,
            subject=subject,
            json_name=json_name,
            drawings=drawings,
            levels=examples(report.shape),
            compared=WHICH[report.compared_with],
        )
    )


def write_trajectories(
    report: TrajectoryReport, page: Path, figures: Path, *, subject: str, facts: Mapping[str, Any]
) -> None:
    """Write page and JSON, each beside its place and then into it.

    Parameters
    ----------
    report : TrajectoryReport
    page, figures : Path
    subject : str
    facts : mapping
        What made it (versions, model, table), put before the figures in the JSON.

    Raises
    ------
    DataError
        Where a file cannot be written; the message names it.
    """
    record = {"schema": SCHEMA, **facts, **report.to_dict()}
    text = {
        page: render_trajectories(report, subject=subject, json_name=figures.name),
        figures: json.dumps(record, allow_nan=False, indent=1) + "\n",
    }
    write_whole(text)
