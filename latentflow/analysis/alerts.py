"""What a reader must know before the figures: one sentence each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentflow.analysis.preparation import Material
from latentflow.analysis.results import Rows
from latentflow.analysis.rows import Choice
from latentflow.analysis.verdict import Evidence
from latentflow.data.missing_events import missing_events
from latentflow.statistics.entropy import tied_fraction

FEW_ROWS = 50
TIED = 0.01
REPEATED = 0.01
OVERFIT_PER_COLUMN = 0.05  # nats
NAMED_AT_MOST = 6


def collect_alerts(model: Any, material: Material, evidence: Evidence) -> tuple[str, ...]:
    """All alerts that hold: about the rows, the columns, the fit, and what the fit itself warned of."""
    rows = evidence.rows
    treatments = [treatment.to_dict() for treatment in model.preprocessor.treatments]
    alerts = [
        *about_events(model.record.get("split") or {}, model.columns),
        *about_rows(material.choice, rows),
        *about_columns(treatments),
        *about_fit(evidence, material.encoding.latents, int(np.count_nonzero(material.encoding.far))),
    ]
    error = getattr(material.encoding, "trace_error", None)
    if error is not None:
        alerts.append(
            f"Log-determinants were estimated along random directions, without bias: that adds a standard error of "
            f"{error:.2g} nats to the mean −log p, which its interval holds."
        )
    return tuple(
        alerts + [text for text in model.record.get("warnings") or () if _sentence(text) not in alerts]
    )


def about_events(split: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """Rare events of which a role of the split has none."""
    return [_sentence(text) for text in missing_events(split, columns)]


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}{'' if clause.endswith('.') else '.'}"


def about_rows(choice: Choice, rows: Rows) -> list[str]:
    """Few rows, training rows among them, rows of another table, rows that are alike."""
    alerts = []
    if rows.n_eval < FEW_ROWS:
        alerts.append(
            f"Only {rows.n_eval} rows were evaluated: intervals are wide and tests weak, and below "
            f"{FEW_ROWS} rows no figure here should carry a conclusion."
        )
    if choice.which == "all" and choice.same_table:
        alerts.append(
            "All rows of the fitted table were evaluated, training rows among them: figures look better "
            "than on new rows. Use the held-out rows instead."
        )
    if choice.which == "all" and not choice.same_table:
        alerts.append(
            "This is not the table the model was fitted on: all its rows were evaluated, and PCA, FastICA "
            "and the Gaussian were fitted on these same rows, which favours them."
        )
    if choice.thinned:
        alerts.append(f"{rows.n_eval} evenly spaced rows of {choice.thinned} were evaluated.")
    if rows.dependent:
        alerts.append(
            f"Neighbouring rows are alike (lag-1 autocorrelation {rows.lag1:.2f}): {rows.n_eval} rows are "
            f"worth about {rows.effective_n:.0f} independent ones in the slowest column. Intervals use "
            f"blocks of {rows.block or 1} rows, and dependence is judged against circular shifts."
        )
    if rows.dependent and rows.mode == "random":
        alerts.append(
            "Rows are autocorrelated but were split at random, so held-out rows have training rows as "
            "neighbours and look better than they are; fit again with --split blocked."
        )
    return alerts


def about_columns(treatments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Dependent, constant and tied columns, from what the preprocessor says it did to each."""
    alerts = []
    constant = [t["name"] for t in treatments if t.get("role") == "constant"]
    dependent = [t["name"] for t in treatments if t.get("role") == "dependent"]
    tied = [t["name"] for t in _flowing(treatments) if _is_tied(t)]
    if dependent:
        alerts.append(
            f"{named(dependent)} follow{_s(dependent)} exactly from other columns and {_is(dependent)} left "
            "out: with them the total correlation of the raw columns would be infinite."
        )
    if constant:
        alerts.append(f"{named(constant)} {_is(constant)} constant and left out.")
    if tied:
        alerts.append(
            f"{named(tied)} hold{_s(tied)} repeated values: they are spread evenly within their own step, "
            "and structure finer than that step is neither in the data nor in these figures."
        )
    return alerts


def about_fit(evidence: Evidence, latents: np.ndarray, far: int) -> list[str]:
    """Repeated rows, rows far outside the training data, a FastICA that did not converge, over-fitting."""
    alerts = []
    rows, ica, overfit = evidence.rows, evidence.fastica, evidence.overfit
    if rows.n_eval <= latents.shape[1]:
        alerts.append(
            f"{rows.n_eval} rows were evaluated for {latents.shape[1]} latents: with no more rows than latents "
            "neither pairs nor the whole can be judged well; evaluate more rows."
        )
    repeated = min(tied_fraction(column) for column in latents.T)
    if repeated > REPEATED:
        alerts.append(
            f"{100 * repeated:.1f} % of the evaluated rows are repeats of others: they count as rows of "
            "their own, and intervals are too narrow by that much."
        )
    if far > 0:
        alerts.append(
            f"{far} of {rows.n_eval} evaluated rows lie far outside the training data, where the map is a "
            "guess."
        )
    if not ica.converged:
        alerts.append(
            f"FastICA did not converge, so the comparison with it is with what it reached. {ica.note}"
        )
    if overfit is not None and overfit.low > OVERFIT_PER_COLUMN * latents.shape[1]:
        alerts.append(
            f"Over-fitting: −log p is {overfit.estimate:.2f} nats worse on held-out rows than on training "
            "rows. More rows, fewer steps or a smaller network would narrow this; the figures here are from "
            "held-out rows."
        )
    return alerts


def tied_share(treatments: Sequence[Mapping[str, Any]]) -> float:
    """The share, 0 … 1, of the columns in the flow of which more than 1 % of the values are repeats."""
    flowing = _flowing(treatments)
    return sum(map(_is_tied, flowing)) / max(len(flowing), 1)


def _flowing(treatments: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [treatment for treatment in treatments if treatment.get("role", "flow") == "flow"]


def _is_tied(treatment: Mapping[str, Any]) -> bool:
    repeats = float(treatment.get("tied_fraction") or 0.0)
    return treatment.get("lattice", "none") != "none" and repeats > TIED


def named(names: Sequence[str]) -> str:
    """Names as a phrase: "a", "a and b", "a, b, c and 4 more columns"."""
    shown = [f"'{name}'" for name in names[:NAMED_AT_MOST]]
    if len(names) > NAMED_AT_MOST:
        return f"{', '.join(shown)} and {len(names) - NAMED_AT_MOST} more columns"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _s(names: Sequence[str]) -> str:
    return "s" if len(names) == 1 else ""


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
