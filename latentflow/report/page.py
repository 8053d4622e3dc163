"""The independence report as one HTML page that opens anywhere, offline, and its numbers as JSON beside it.

The page renders a finished :class:`~latentflow.analysis.results.IndependenceResult` and computes nothing. It
holds no script and asks for nothing outside itself, and says so to the browser.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from latentflow.analysis.results import IndependenceResult, Interval
from latentflow.errors import DataError
from latentflow.report import captions, figures, numbers, selection
from latentflow.report.drawing import curve, printable
from latentflow.report.svg import default_style, inline_svg

BADGES = {
    "independent": "Independent to within measurement",
    "more_independent": "More independent than FastICA",
    "no_better": "No better than FastICA",
    "worse": "Less independent than FastICA",
}
NULLS = {"chi2": "χ²", "simulated": "simulated ranks"}


@dataclass(frozen=True)
class Drawing:
    """One figure as markup, with what stands under it."""

    caption: str
    svg: Markup


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
    template = _environment().get_template("independence.html.j2")
    return template.render(
        result=result,
        badge=BADGES.get(result.verdict.code, result.verdict.code.replace("_", " ")),
        drawings=_drawings(result),
        removed={entry.name: entry.removed for entry in result.ledger.entries},
        differences=_differences(result),
        null=NULLS.get(result.pairwise["latents"].null, result.pairwise["latents"].null),
        strongest={name: selection.strongest_pairs(result.pairwise[name]) for name in _maps(result)},
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
    text = render_page(result, json_name=data.name)
    beside = page.with_name(f".{page.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(text, encoding="utf-8")
        result.to_json(data)
        os.replace(beside, page)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{page}: cannot write it and {data.name} ({reason}); name another place") from error
    finally:
        beside.unlink(missing_ok=True)
    return page, data


def _environment() -> Environment:
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


def _drawings(result: IndependenceResult) -> dict[str, list[Drawing]]:
    """The figures of the page by section; a section without anything to draw is empty."""
    latents = figures.worst_latents(result, figures.QUANTILE_PANELS)
    with default_style():
        ledger, ledger_alt = figures.ledger_chart(result), captions.ledger(result)
        errors, errors_alt = figures.round_trip_histogram(result), captions.round_trip_histogram(result)
        drawings = {
            "ledger": [_drawing("ledger", ledger, ledger_alt)],
            "maps": [_map(result, name) for name in _maps(result)],
            "quantiles": [_quantiles(result, index) for index in latents],
            "round_trip": [_drawing("round-trip", errors, errors_alt)],
            "training": [],
        }
        if any(curve(result.history, name)[0].size for name in ("train_loss", "validation_loss")):
            training, alt = figures.training_curve(result), captions.training_curve(result)
            drawings["training"] = [_drawing("training", training, alt)]
    return drawings


def _drawing(name: str, figure: Figure, alt: str, caption: str = "", *, themed: bool = True) -> Drawing:
    svg = inline_svg(figure, f"figure-{name}", printable(alt), themed=themed)
    return Drawing(caption, Markup(svg))


def _map(result: IndependenceResult, name: str) -> Drawing:
    figure, alt = figures.pairwise_map(result, name), captions.pairwise_map(result.pairwise[name])
    # A colour scale is not the page's to choose: the whole drawing is inverted on a dark screen.
    return _drawing(f"map-{name}", figure, alt, result.pairwise[name].label, themed=False)


def _quantiles(result: IndependenceResult, index: int) -> Drawing:
    latent = result.gaussianity.latents[index]
    figure, alt = figures.quantile_plot(result, index), captions.quantile_plot(latent)
    return _drawing(f"quantiles-{index}", figure, alt, latent.name)


def _maps(result: IndependenceResult) -> list[str]:
    """The representations whose pairs are drawn; none where there is but one coordinate."""
    return [name for name in figures.MAPS if name in result.pairwise and _pairs(result)]


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
