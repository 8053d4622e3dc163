"""The independence report as one HTML page that opens anywhere, offline, and its numbers as JSON beside it.

The page renders a finished :class:`~latentflow.analysis.results.IndependenceResult` and computes nothing. It
holds no script and asks for nothing outside itself, and says so to the browser.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from latentflow.analysis.results import IndependenceResult, Interval
from latentflow.data.atomic import write_whole
from latentflow.report import numbers, selection
from latentflow.report.drawings import draw_all, drawn_maps

BADGES = {
    "independent": "Independent to within measurement",
    "more_independent": "More independent than FastICA",
    "no_better": "No better than FastICA",
    "worse": "Less independent than FastICA",
}
NULLS = {"chi2": "χ²", "simulated": "simulated ranks"}


def render_page(result: IndependenceResult, *, json_name: str | None = None) -> str:
    """The whole report as HTML.

    Parameters
    ----------
    result : IndependenceResult
    json_name : str, optional
        File name of the JSON that goes with the page, to be named in it.

    Returns
    -------
    str
        A complete document: style and figures (SVG) inside, light and dark, for screen, phone and paper.
        Names of columns and files are escaped.
    """
    facts = selection.fact_rows(result)
    template = environment().get_template("independence.html.j2")
    return template.render(
        result=result,
        badge=BADGES.get(result.verdict.code, result.verdict.code.replace("_", " ")),
        drawings=draw_all(result),
        contents=selection.contents(result),
        removed={entry.name: entry.removed for entry in result.ledger.entries},
        differences=_differences(result),
        null=NULLS.get(result.pairwise["latents"].null, result.pairwise["latents"].null),
        strongest={name: selection.strongest_pairs(result.pairwise[name]) for name in drawn_maps(result)},
        confirmed={name: result.confirmed[name] for name in drawn_maps(result) if result.confirmed.get(name)},
        n_points=max((len(values) for values in result.samples.values()), default=0),
        fact_rows=facts,
        most_explained=max((row.facts.variance_explained for row in facts), default=0.0) or 1.0,
        axes=selection.axis_rows(result),
        orientation_method=selection.orientation_method(result),
        n_planes=len(result.latent_names) * (len(result.latent_names) - 1) // 2,
        matches=selection.source_matches(result),
        n_sources=selection.source_count(result),
        n_pairs=_pairs(result),
        latents=selection.latent_rows(result),
        treatments=selection.treatment_rows(result),
        subject=selection.subject(result),
        rows_in_words=selection.rows_in_words(result),
        neg_log_prob_label=selection.neg_log_prob_label(result),
        methods=selection.methods(result),
        commands=selection.commands(result),
        json_name=json_name,
    )


def write_report(
    result: IndependenceResult, html_path: str | os.PathLike[str], json_path: str | os.PathLike[str]
) -> tuple[Path, Path]:
    """Write the page and its JSON; either both are complete in the end or neither file was touched half-way.

    Parameters
    ----------
    result : IndependenceResult
    html_path, json_path : path
        Existing files are replaced.

    Returns
    -------
    tuple of Path
        The page and the JSON file.

    Raises
    ------
    DataError
        Where a file cannot be written; the message names it.
    """
    page, data = Path(html_path), Path(json_path)
    figures = json.dumps(result.to_dict(), allow_nan=False, ensure_ascii=False)
    write_whole({page: render_page(result, json_name=data.name), data: figures})
    return page, data


def environment() -> Environment:
    """Templates with what formats their numbers; every variable is escaped, an unknown one is an error."""
    environment = Environment(
        loader=PackageLoader("latentflow.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (
        numbers.bounds,
        numbers.count,
        numbers.estimate,
        numbers.fixed,
        numbers.many,
        numbers.nats,
        numbers.p_value,
        numbers.percent,
        numbers.small,
        numbers.with_bounds,
    ):
        environment.filters[function.__name__] = function
    return environment


def _pairs(result: IndependenceResult) -> int:
    """The number of pairs of latents."""
    d = len(result.pairwise["latents"].columns)
    return d * (d - 1) // 2


def _differences(result: IndependenceResult) -> list[tuple[str, Interval]]:
    """What the latents removed beyond each other representation, as (label, interval)."""
    differences = result.ledger.differences
    return [
        (entry.label, differences[f"latents-{entry.name}"])
        for entry in result.ledger.entries
        if f"latents-{entry.name}" in differences
    ]
