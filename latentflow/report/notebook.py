"""A result at a glance, as a notebook shows it: verdict, headline figures, ledger."""

from __future__ import annotations

import hashlib

from latentflow.analysis.results import IndependenceResult
from latentflow.report import drawings, figures, numbers, selection
from latentflow.report.page import drawing, environment
from latentflow.report.svg import default_style


def notebook_html(result: IndependenceResult) -> str:
    """A compact, self-contained fragment: no script, nothing from outside, legible on light and dark.

    Parameters
    ----------
    result : IndependenceResult

    Returns
    -------
    str
        One ``<div>`` with its own style, which touches nothing else in the notebook. The whole report is
        :func:`~latentflow.report.independence_page.write_report`.
    """
    alt = drawings.ledger_in_words(result)
    # Many outputs share one document, where an id must not come twice.
    digest = hashlib.sha256((alt + result.verdict.headline).encode()).hexdigest()[:12]
    with default_style():
        ledger = drawing(f"notebook-{digest}", figures.ledger_chart(result), alt)
    return (
        environment()
        .get_template("notebook.html.j2")
        .render(
            result=result,
            ledger=ledger.svg,
            rows=_headline(result),
            rows_in_words=selection.rows_in_words(result),
        )
    )


def _headline(result: IndependenceResult) -> list[tuple[str, str]]:
    """The figures that matter most, as (term, value)."""
    rows = [
        (f"{entry.label}: dependence removed", f"{numbers.with_bounds(entry.removed)} nats")
        for entry in result.ledger.entries
        if entry.name in ("fastica", "latents")
    ]
    rows += [
        (f"{pairs.label}: strongest pair", f"{numbers.nats(pairs.max_nats)} nats")
        for name, pairs in result.pairwise.items()
        if name in ("fastica", "latents") and len(pairs.columns) > 1
    ]
    rows += [
        (f"{test.label}: AUC of all columns against shuffled ones", numbers.with_bounds(test.auc))
        for name, test in result.joint.items()
        if name in ("fastica", "latents")
    ]
    rows.append((selection.neg_log_prob_label(result), f"{numbers.with_bounds(result.neg_log_prob)} nats"))
    rows.append(("Largest round-trip error", f"{numbers.small(result.round_trip.data_max)} std. dev."))
    return rows


IndependenceResult.notebook_view = staticmethod(notebook_html)
