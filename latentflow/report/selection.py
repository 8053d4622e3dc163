"""Which rows of a long table the page shows, and what it calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latentflow.analysis.axes.account import LatentDetermination
from latentflow.analysis.axes.latent_facts import LatentFacts
from latentflow.analysis.results import IndependenceResult, Interval, LatentGaussianity, PairwiseDependence
from latentflow.orientation.registry import method_of
from latentflow.report import numbers
from latentflow.report.figures import worst_latents

TABLE_ROWS = 20
PAIR_ROWS = 8


@dataclass(frozen=True)
class Pair:
    """One pair of columns and its dependence, nats."""

    first: str
    second: str
    nats: float
    p_adjusted: float


@dataclass(frozen=True)
class LatentRow:
    """One latent with the FastICA component that it was matched with, and their rank correlation."""

    measured: LatentGaussianity
    component: str
    correlation: float | None


@dataclass(frozen=True)
class FactRow:
    """One latent by its place among the latents, and the FastICA component matched with it."""

    order: int
    facts: LatentFacts
    component: str
    correlation: float | None


@dataclass(frozen=True)
class SourceMatch:
    """One true source and the latent matched with it."""

    source: str
    coordinate: str
    correlation: float | None


def pair_count(result: IndependenceResult) -> int:
    """The number of pairs of latents."""
    d = len(result.pairwise["latents"].columns)
    return d * (d - 1) // 2


def ledger_differences(result: IndependenceResult) -> list[tuple[str, Interval]]:
    """What the latents removed beyond each other representation, as (label, interval)."""
    differences = result.ledger.differences
    return [
        (entry.label, differences[f"latents-{entry.name}"])
        for entry in result.ledger.entries
        if f"latents-{entry.name}" in differences
    ]


def strongest_pairs(pairwise: PairwiseDependence, limit: int = PAIR_ROWS) -> list[Pair]:
    """The most dependent pairs, strongest first, with Bonferroni-adjusted p-values."""
    pairs = len(pairwise.columns) * (len(pairwise.columns) - 1) // 2
    return [
        Pair(
            first=pairwise.columns[first],
            second=pairwise.columns[second],
            nats=float(pairwise.nats[first, second]),
            p_adjusted=min(1.0, pairs * float(pairwise.p_value[first, second])),
        )
        for first, second in pairwise.strongest(limit)
    ]


def latent_rows(result: IndependenceResult, limit: int = TABLE_ROWS) -> list[LatentRow]:
    """All latents in order, or the ``limit`` farthest from normal."""
    return [
        LatentRow(result.gaussianity.latents[index], *_matched_component(result, index))
        for index in worst_latents(result, limit)
    ]


def fact_rows(result: IndependenceResult, limit: int = TABLE_ROWS) -> list[FactRow]:
    """All latents in order, or the ``limit`` that explain most of the variance, the best first."""
    facts = result.latent_facts
    order = list(range(len(facts)))
    if len(order) > limit:
        order = sorted(order, key=lambda index: -facts[index].variance_explained)[:limit]
    return [FactRow(index + 1, facts[index], *_matched_component(result, index)) for index in order]


def axis_rows(result: IndependenceResult, limit: int = TABLE_ROWS) -> list[LatentDetermination]:
    """How well the axis of each latent is determined, in order; of many, those determined least."""
    axes = list(result.orientation.latents) if result.orientation else []
    return axes if len(axes) <= limit else sorted(axes, key=lambda axis: -axis.angle_error)[:limit]


def orientation_method(result: IndependenceResult) -> str:
    """The method of the orientation in words, with what was asked for where that differs."""
    account = result.orientation
    if account is None:
        return numbers.MISSING
    words = f"{account.method}: {method_of(account.method).label}"
    return words if account.asked == account.method else f"{words} (asked for: {account.asked})"


def source_count(result: IndependenceResult) -> int:
    """The number of true sources; 0 where none are known."""
    return max((len(entry.matched) for entry in result.recovery.entries), default=0) if result.recovery else 0


def source_matches(result: IndependenceResult, limit: int = TABLE_ROWS) -> list[SourceMatch]:
    """The latent matched with each source, in the order of the sources; of many, those recovered least."""
    if not result.recovery:
        return []
    for entry in result.recovery.entries:
        if entry.name == "latents":
            break
    else:
        return []
    order = list(range(len(entry.matched)))
    if len(order) > limit:
        order = sorted(order, key=lambda index: abs(entry.correlation[index] or 0.0))[:limit]
    return [
        SourceMatch(
            source=f"source {index}",
            coordinate=numbers.MISSING if match is None else result.latent_names[match],
            correlation=entry.correlation[index],
        )
        for index, match in ((index, entry.matched[index]) for index in order)
    ]


def treatment_rows(result: IndependenceResult, limit: int = TABLE_ROWS) -> list[Mapping[str, Any]]:
    """What was done to each column; on a wide table those to which something was done come first."""
    treatments = list(result.treatments)
    if len(treatments) <= limit:
        return treatments

    def plain(treatment: Mapping[str, Any]) -> bool:
        return (
            treatment.get("role", "flow") == "flow"
            and treatment.get("lattice", "none") == "none"
            and treatment.get("tails", "none") == "none"
        )

    return sorted(treatments, key=plain)[:limit]


def subject(result: IndependenceResult) -> str:
    """The table that was analysed: its file name, or that it came from memory."""
    file = result.provenance.get("file")
    return str(file).replace("\\", "/").rsplit("/", 1)[-1] if file else "a table in memory"


def rows_in_words(result: IndependenceResult) -> str:
    """Which rows the figures stand on, as it may stand in a sentence."""
    rows = result.rows
    which = "held-out row" if rows.which == "held out" else "row"
    return numbers.many(rows.n_eval, which)


def neg_log_prob_label(result: IndependenceResult) -> str:
    """−log p is called held out only where it is."""
    return "Held-out −log p" if result.rows.which == "held out" else "−log p of these rows"


def _matched_component(result: IndependenceResult, index: int) -> tuple[str, float | None]:
    """The FastICA component matched with latent ``index``, and their rank correlation."""
    if index >= len(result.fastica.matched):
        return numbers.MISSING, None
    matched = result.fastica.matched[index]
    components = result.pairwise["fastica"].columns if "fastica" in result.pairwise else ()
    name = components[matched] if matched < len(components) else f"component {matched}"
    return name, result.fastica.correlation[index]
