"""The independence report as a page, and its numbers as JSON beside it."""

from __future__ import annotations

import json
import os
from operator import attrgetter
from pathlib import Path
from typing import Any

from latentflow.analysis.axes.reading import reading
from latentflow.analysis.results import IndependenceResult
from latentflow.data.atomic import write_whole
from latentflow.report import drawings, methods, selection
from latentflow.report.numbers import many
from latentflow.report.page import Section, render
from latentflow.report.reproduction import commands

BADGES = {
    "independent": "Independent to within measurement",
    "more_independent": "More independent than FastICA",
    "no_better": "No better than FastICA",
    "worse": "Less independent than FastICA",
}
NULLS = {"chi2": "χ²", "simulated": "simulated ranks"}


def badge(result: IndependenceResult) -> str:
    """The verdict in a few words; of independent latents also what their axes are, and how many rows count."""
    code, rows = result.verdict.code, result.rows
    words = BADGES.get(code, code.replace("_", " "))
    if code != "independent":
        return words
    worth = f", {many(max(round(rows.effective_n), 1), 'effective row')}" if rows.dependent else ""
    return f"{words}{worth}, {reading(result.orientation).label}"


def _verdict(result: IndependenceResult) -> dict[str, Any]:
    return {
        "badge": badge(result),
        "removed": {entry.name: entry.removed for entry in result.ledger.entries},
        "n_pairs": selection.pair_count(result),
    }


def _pairs(result: IndependenceResult) -> dict[str, Any]:
    drawn = drawings.drawn_maps(result)
    null = result.pairwise["latents"].null
    return {
        "null": NULLS.get(null, null),
        "n_pairs": selection.pair_count(result),
        "strongest": {name: selection.strongest_pairs(result.pairwise[name]) for name in drawn},
        "confirmed": {name: result.confirmed[name] for name in drawn if result.confirmed.get(name)},
        "n_points": max((len(values) for values in result.samples.values()), default=0),
    }


def _latents(result: IndependenceResult) -> dict[str, Any]:
    rows = selection.fact_rows(result)
    return {"fact_rows": rows, "most_explained": max(row.facts.variance_explained for row in rows) or 1.0}


def _axes(result: IndependenceResult) -> dict[str, Any]:
    return {
        "axes": selection.axis_rows(result),
        "orientation_method": selection.orientation_method(result),
        "n_planes": selection.pair_count(result),
    }


def _recovery(result: IndependenceResult) -> dict[str, Any]:
    return {"matches": selection.source_matches(result), "n_sources": selection.source_count(result)}


def _methods(result: IndependenceResult) -> dict[str, Any]:
    return {"methods": methods.methods(result), "commands": commands(result)}


#: What the page has, in its order.
SECTIONS: tuple[Section[IndependenceResult], ...] = (
    Section("verdict", data=_verdict),
    Section("meaning"),
    Section("alerts"),
    Section("contents"),
    Section(
        "ledger",
        "Ledger",
        data=lambda result: {"differences": selection.ledger_differences(result)},
        figures={"ledger": drawings.ledger},
    ),
    Section("densities", "Densities", attrgetter("densities")),
    Section(
        "pairs",
        "Pairs",
        data=_pairs,
        figures={"maps": drawings.maps, "scatters": drawings.scatters, "magnitudes": drawings.magnitudes},
    ),
    Section("joint", "All at once", attrgetter("joint")),
    Section(
        "gaussianity",
        "Gaussianity",
        data=lambda result: {"latents": selection.latent_rows(result)},
        figures={"quantiles": drawings.quantiles},
    ),
    Section("latents", "Latents", attrgetter("latent_facts"), _latents),
    Section("orientation", "Axes", attrgetter("orientation"), _axes),
    Section("recovery", "True sources", attrgetter("recovery"), _recovery),
    Section("round-trip", "Round trip", figures={"round_trip": drawings.round_trip}),
    Section("training", "Training", figures={"training": drawings.training, "overfit": drawings.overfit}),
    Section("columns", "Columns", data=lambda result: {"treatments": selection.treatment_rows(result)}),
    Section("methods", "How it was measured", data=_methods),
)


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
        As :func:`~latentflow.report.page.render`.
    """
    rows, columns = selection.rows_in_words(result), many(len(result.columns), "column")
    return render(
        "independence",
        SECTIONS,
        result,
        title="Independence report",
        subject=selection.subject(result),
        counts=(rows, columns, many(len(result.latent_names), "latent")),
        neg_log_prob_label=selection.neg_log_prob_label(result),
        beside=json_name,
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
