"""The conclusion in plain words, from a small rule over effect sizes and intervals.

In this order, with TC the total correlation in nats, judged on the evaluated rows. The residual of the latents is the
larger of two lower bounds on their TC: that of a tree of pairs, and that of a classifier which sees all coordinates.

1. **worse**: the latents have more TC than FastICA's components or than the raw columns, the whole 95 % interval of
   the difference being on that side.
2. **independent** to within measurement: neither pairs nor the classifier tell the latents from independent ones
   (smallest p, Bonferroni-adjusted over pairs, and the classifier's p both above 0.025; both bounds have zero in their
   intervals) and the rows could have shown it (upper end of the tree bound below 0.05 nats for each edge of the tree,
   of which there is one less than latents); or whatever is found is too small to matter (upper end of the residual
   below 0.005 nats for each edge and no pair above 0.01 nats), however significant many rows make it.
3. **more_independent** than ICA: the latents have less TC than FastICA's components, the whole interval being on that
   side.
4. **no_better**: none of these.

No branch says that sources were found: independence cannot show that. Where latents are called independent, the same
sentence says whether their axes may be read as sources, and on how many rows that counts it stands. A lower bound whose
interval holds zero has found nothing, and is told so. What the judged rows lack, the headline says first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentflow.analysis.axes.account import OrientationAccount
from latentflow.analysis.axes.reading import reading
from latentflow.analysis.dependence.classifier import JointDependence
from latentflow.analysis.in_words import figure, rows_behind, told
from latentflow.analysis.results import FastICASummary, Gaussianity, Ledger, PairwiseDependence, Rows, Verdict
from latentflow.statistics.interval import Interval

SIGNIFICANT = 0.05
SIGNIFICANT_EACH = 0.025  # of the two tests of dependence: pairs, and all coordinates at once
COARSE_PER_LATENT = 0.05  # nats
NEGLIGIBLE_PER_LATENT = 0.005  # nats
NEGLIGIBLE_PAIR = 0.01  # nats
FEW_ROWS_PER_COLUMN = 100
MANY_TIES = 0.5  # share of columns
SMALLEST_TOLD = 1e-4  # nats; a bound on the left side of zero is chance, and no dependence is below zero
STILL_FALLING = 0.01  # share by which the validation loss fell over the last quarter of training


@dataclass(frozen=True)
class Evidence:
    """What the verdict is drawn from.

    Attributes
    ----------
    ledger : Ledger
        With entries ``raw``, ``fastica`` and ``latents``.
    pairwise : mapping of str to PairwiseDependence
        With ``fastica`` and ``latents``.
    gaussianity, fastica, rows
        As in the result.
    log_prob_gain : Interval
        How much better −log p of the model is than a Gaussian's, nats.
    overfit : Interval or None
        −log p on the evaluated rows less that on training rows, nats.
    tied_columns : float
        Share of columns with repeated values.
    history : mapping
        The training record.
    joint : JointDependence or None
        The classifier's test of the latents.
    orientation : OrientationAccount or None
        How the axes of the latents were chosen.
    hints : tuple of str
        What to know before the axes are read (:mod:`latentflow.analysis.axes.hints`).
    without : str
        One sentence on rare events of which the rows of the split lack some; or empty.
    """

    ledger: Ledger
    pairwise: Mapping[str, PairwiseDependence]
    gaussianity: Gaussianity
    fastica: FastICASummary
    rows: Rows
    log_prob_gain: Interval
    overfit: Interval | None
    tied_columns: float
    history: Mapping[str, Any]
    joint: JointDependence | None = None
    orientation: OrientationAccount | None = None
    hints: tuple[str, ...] = ()
    without: str = ""

    @property
    def latents(self) -> PairwiseDependence:
        """Pairwise dependence of the latents."""
        return self.pairwise["latents"]

    @property
    def residual(self) -> Interval:
        """The larger of the two lower bounds on the TC of the latents, nats."""
        bounds = [self.latents.tree] + ([] if self.joint is None else [self.joint.tc_bound])
        return max(bounds, key=lambda bound: bound.estimate)

    @property
    def against_ica(self) -> Interval:
        """TC(FastICA) − TC(latents), nats."""
        return self.ledger.differences["latents-fastica"]


def judge(evidence: Evidence) -> Verdict:
    """Apply the rule of this module."""
    code = decide(evidence)
    gap, gained = evidence.against_ica, evidence.ledger.entry("latents").removed
    sentences = [_ledger_sentence(gained, evidence.ledger.entry("fastica").removed), _ica_sentence(gap)]
    sentences += _peer_sentences(evidence.ledger)
    sentences.append(_residual_sentence(evidence.latents))
    if evidence.joint is not None:
        sentences.append(_joint_sentence(evidence.joint))
    sentences.append(_gaussian_sentence(evidence.gaussianity))
    if not evidence.fastica.converged:
        sentences.append("FastICA did not converge on these data, so this compares with where it stopped.")
    if code == "independent":
        headline = _independent_headline(evidence)
    elif code == "more_independent":
        headline = (
            f"The latents are more independent than FastICA's components by {told(gap)}; {_left(evidence)}."
        )
    elif code == "no_better":
        headline = (
            f"The latents are no more independent than FastICA's components: the difference is {told(gap)}."
        )
        sentences += likely_causes(evidence)
    else:
        worse_than_raw = gained.high < 0.0
        other = "the raw columns" if worse_than_raw else "FastICA's components"
        size = gained if worse_than_raw else gap
        turned = Interval(-size.estimate, -size.high, -size.low)
        headline = (
            f"The latents are less independent than {other}, by {told(turned)}: do not use them as they are."
        )
        sentences += likely_causes(evidence)
    headline = f"{evidence.without} {headline}".strip()
    notices = tuple(f"{hint[0].upper()}{hint[1:]}." for hint in evidence.hints)
    return Verdict(code, headline, tuple(sentences), meaning(evidence), notices)


def decide(evidence: Evidence) -> str:
    """The code of the verdict: ``worse``, ``independent``, ``more_independent`` or ``no_better``."""
    gap, gained = evidence.against_ica, evidence.ledger.entry("latents").removed
    if gap.high < 0.0 or gained.high < 0.0:
        return "worse"
    latents = evidence.latents
    several = max(len(latents.columns) - 1, 1)
    could_be_seen = latents.tree.high <= COARSE_PER_LATENT * several
    small = max(latents.tree.high, evidence.residual.high) <= NEGLIGIBLE_PER_LATENT * several
    negligible = small and latents.max_nats <= NEGLIGIBLE_PAIR
    if (not detected(evidence) and could_be_seen) or negligible:
        return "independent"
    return "more_independent" if gap.low > 0.0 else "no_better"


def detected(evidence: Evidence) -> bool:
    """Whether dependence is told from chance: in the worst pair, over the tree of pairs, or by the classifier."""
    pairs, joint = evidence.latents, evidence.joint
    by_pairs = pairs.max_p_adjusted <= SIGNIFICANT_EACH or pairs.tree.low > 0.0
    return by_pairs or (joint is not None and (joint.p_value <= SIGNIFICANT_EACH or joint.tc_bound.low > 0.0))


def meaning(evidence: Evidence) -> tuple[str, ...]:
    """What independence does and does not say, and what the residual is, in plain words."""
    return (
        "Independent means that knowing some latents of a row tells nothing about its other latents. It "
        "does not make a latent a cause, a mechanism or a signal of its own.",
        "Latents are not sources. A round cloud looks the same from every side: turn the latents by any "
        "rotation and they are exactly as independent as before. Independence cannot say which of these "
        "axes is the right one.",
        *_about_axes(evidence),
        "The residual is a lower bound on the dependence still left: what the strongest pairs that form no circle "
        "share, or what a classifier of all latents together finds, whichever is more. Forms too intricate for "
        "both would come on top.",
        "All of this holds for rows like the ones evaluated, and for nothing else.",
    )


def _about_axes(evidence: Evidence) -> tuple[str, ...]:
    """What the axes of the latents are, where they were chosen and where they were not."""
    chosen = evidence.orientation
    if chosen is not None and chosen.method != "none":
        return chosen.conclusion, chosen.evidence
    return (
        "For the same reason latents do not keep the order, the sign or the identity that FastICA's "
        f"components have: matched one to one, the mean absolute rank correlation is "
        f"{evidence.fastica.agreement:.2f} (1 would be the same components, in some order).",
    )


def likely_causes(evidence: Evidence) -> list[str]:
    """Why the latents may have gained nothing, and what to try; never empty."""
    rows, d = evidence.rows, max(len(evidence.latents.columns), 1)
    causes = []
    if rows.n_train < FEW_ROWS_PER_COLUMN * d:
        causes.append(
            f"Likely cause: too few rows ({rows.n_train} trained a model of {d} columns). Try more rows, "
            "fewer columns (--columns), or the leading directions only (--components)."
        )
    if evidence.overfit is not None and evidence.overfit.low > max(0.1, evidence.log_prob_gain.estimate):
        causes.append(
            f"Likely cause: over-fitting (−log p is {told(evidence.overfit)} worse on rows that were held "
            "out). Try fewer steps (--steps) or a smaller network (--width, --depth)."
        )
    if still_falling(evidence.history.get("validation_loss", ())):
        causes.append(
            "Likely cause: under-trained (the validation loss was still falling at the end). Try --preset "
            "best, more --steps, or a larger --time-budget."
        )
    if rows.dependent:
        split = ", and fit with --split blocked" if rows.mode == "random" else ""
        causes.append(
            f"Possible cause: neighbouring rows are alike (lag-1 autocorrelation {rows.lag1:.2f}), so "
            f"{rows.n_eval} rows say as much as about {rows.effective_n:.0f}. Try a longer recording{split}."
        )
    if evidence.tied_columns >= MANY_TIES:
        causes.append(
            f"Possible cause: ties ({100 * evidence.tied_columns:.0f} % of the columns hold repeated values, "
            "which were spread at random within their step). Try the data before rounding."
        )
    if (
        evidence.ledger.entry("fastica").removed.low > 0.0
        and not causes
        and evidence.against_ica.excludes() is False
    ):
        causes.append(
            "The data may simply be a linear mixture, on which FastICA has removed what there is to remove; "
            "the pairwise figures say how much is left."
        )
    return causes or [
        "No single cause stands out. Try --preset best, or another --seed, and compare the two reports."
    ]


def still_falling(losses: Sequence[float | None]) -> bool:
    """Whether a validation loss fell by more than 1 % over the last quarter of its record."""
    values = np.array([value for value in losses if value is not None], dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 8:
        return False
    quarter = len(values) // 4
    before, after = values[-2 * quarter : -quarter].mean(), values[-quarter:].mean()
    return bool(before - after > STILL_FALLING * abs(before))


def _independent_headline(evidence: Evidence) -> str:
    axes = reading(evidence.orientation).clause
    if detected(evidence):
        residual = evidence.residual
        size = (
            told(residual).replace(" (", ", ").rstrip(")")
            if residual.low > 0.0
            else "too little for a figure"
        )
        return (
            f"The latents are independent for practical purposes on {rows_behind(evidence.rows)} (the dependence "
            f"measured between them is real but small: {size}), and {axes}."
        )
    highest = max(evidence.latents.tree.high, SMALLEST_TOLD)
    return (
        f"The latents are independent to within measurement on {rows_behind(evidence.rows)} (what dependence their "
        f"pairs may still hold is below {figure(highest)} nats in all), and {axes}."
    )


def _left(evidence: Evidence) -> str:
    """What dependence is left between the latents, in a clause."""
    if evidence.residual.low > 0.0:
        return f"at least {told(evidence.residual)} of dependence is left between them"
    if detected(evidence):
        return "dependence is left between them, but no least amount of it is found"
    highest = figure(evidence.latents.tree.high)
    return f"no dependence is found between their pairs, which may still hold up to {highest} nats"


def _joint_sentence(joint: JointDependence) -> str:
    if joint.p_value > SIGNIFICANT_EACH:
        return (
            "A classifier that sees all latents at once cannot tell them from independent ones "
            f"(area under the curve {joint.auc.estimate:.2f}, a coin toss is 0.50)."
        )
    found = joint.tc_bound.low > 0.0
    amount = f"at least {told(joint.tc_bound)} of" if found else "but no least amount is found of their"
    return (
        f"A classifier that sees all latents at once tells them from independent ones: area under the curve "
        f"{joint.auc.estimate:.2f}, {amount} total correlation."
    )


def _peer_sentences(ledger: Ledger) -> list[str]:
    """Where another method than FastICA removed more than the latents, said plainly."""
    sentences = []
    for entry in ledger.entries:
        gap = ledger.differences.get(f"latents-{entry.name}")
        if entry.name not in ("raw", "pca", "fastica", "latents") and gap is not None and gap.high < 0.0:
            sentences.append(f"{entry.label} removed {figure(-gap.estimate)} nats more than the latents.")
    return sentences


def _ledger_sentence(latents: Interval, ica: Interval) -> str:
    return (
        f"Compared with the raw columns, the latents removed {told(latents)} of total correlation; FastICA "
        f"removed {told(ica)}."
    )


def _ica_sentence(gap: Interval) -> str:
    if gap.low > 0.0:
        return f"Row by row, the latents removed {told(gap)} more than FastICA."
    if gap.high < 0.0:
        return f"Row by row, the latents removed {figure(-gap.estimate)} nats less than FastICA."
    return f"Row by row, the latents and FastICA differ by {told(gap)}, which may be nothing."


def _residual_sentence(latents: PairwiseDependence) -> str:
    d = len(latents.columns)
    pairs = d * (d - 1) // 2
    if not pairs:
        return "There is a single latent, and so no pair to be dependent."
    i, j = latents.max_pair
    names = f"{latents.columns[i]} and {latents.columns[j]}"
    chance = latents.max_p_adjusted > SIGNIFICANT
    if pairs == 1:
        than = "no more than by chance" if chance else "which is more than by chance"
        return f"The only pair, {names}, shares {figure(latents.max_nats)} nats, {than}."
    strongest = f"The most dependent pair of latents, {names}, shares {figure(latents.max_nats)} nats"
    if chance:
        return f"{strongest}, and no pair stands out from chance among the {pairs} tested."
    return f"{strongest}; of {pairs} pairs tested, some are more dependent than by chance."


def _gaussian_sentence(gaussianity: Gaussianity) -> str:
    rejected = sum(latent.p_holm < SIGNIFICANT for latent in gaussianity.latents)
    total = len(gaussianity.latents)
    if rejected == 0:
        serial = gaussianity.effective_n < gaussianity.n_rows
        worth = f" (worth about {gaussianity.effective_n:.0f} independent ones)" if serial else ""
        they = "The latent is" if total == 1 else f"All {total} latents are"
        return f"{they} standard normal as far as {gaussianity.n_rows} rows{worth} can tell."
    widest = max(abs(latent.std - 1.0) for latent in gaussianity.latents)
    within = f"within {100 * widest:.1f} % of 1"
    if total == 1:
        return f"The latent departs measurably from a standard normal (standard deviation {within})."
    return (
        f"{rejected} of {total} latents depart measurably from a standard normal (standard deviations {within}); "
        "independence does not need them to be normal."
    )
