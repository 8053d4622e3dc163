"""The geometry of a model's trajectories as one self-contained page, and its figures as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from latentflow.analysis.trajectory_report import TrajectoryReport
from latentflow.data.atomic import write_whole
from latentflow.report.numbers import count, many
from latentflow.report.page import Drawing, Section, drawing, render
from latentflow.report.trajectory_figures import FIGURES, examples

SCHEMA = 1
WHICH = {"held out": "held-out row", "training": "training row", "all": "row"}


def _draw(name: str, report: TrajectoryReport) -> Drawing:
    """The drawing of that name."""
    figure, alt = FIGURES[name]
    return drawing(f"trajectory-{name}", figure(report), alt)


def _card(
    key: str,
    *figures: str,
    show: Callable[[TrajectoryReport], Any] = lambda _: True,
    data: Callable[[TrajectoryReport], Mapping[str, Any]] = lambda _: {},
) -> Section[TrajectoryReport]:
    """A section that shares a box with others, with the drawings of these names."""
    drawn = {name: partial(_draw, name) for name in figures}
    return Section(key, show=show, data=data, figures=drawn, box="cards")


#: What the page has, in its order.
SECTIONS: tuple[Section[TrajectoryReport], ...] = (
    Section("claims"),
    _card("straight", "chord"),
    _card("end", "distance"),
    _card("bend", "turning"),
    _card("speed", "speed"),
    _card("flat", data=lambda report: {"levels": examples(report.shape)}),
    _card("samples", "convergence"),
    _card("deviation", "deviation", show=attrgetter("deviation")),
    _card("memory", "memorisation", show=attrgetter("deviation")),
    Section("figures"),
)


def render_trajectories(report: TrajectoryReport, *, subject: str, json_name: str) -> str:
    """The page as HTML, as by :func:`~latentflow.report.page.render`.

    Parameters
    ----------
    report : TrajectoryReport
    subject : str
        What was fitted: the name of the data.
    json_name : str
        Name of the file with the figures.
    """
    rows = report.shape.n_rows
    return render(
        "trajectories",
        SECTIONS,
        report,
        title="Trajectories",
        subject=subject,
        counts=(many(report.n_latents, "latent"), f"{count(rows)} trajector{'y' if rows == 1 else 'ies'}"),
        compared=WHICH[report.compared_with],
        beside=json_name,
    )


def write_trajectories(
    report: TrajectoryReport, page: Path, figures: Path, *, subject: str, facts: Mapping[str, Any]
) -> None:
    """Write page and JSON, both or neither.

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
