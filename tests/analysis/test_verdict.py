"""Every branch of the verdict, and what it must never say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from latentflow.analysis.dependence.classifier import JointDependence
from latentflow.analysis.gaussianity.marginal import gaussianity
from latentflow.analysis.in_words import figure, told
from latentflow.analysis.verdict import Evidence, decide, judge, still_falling
from latentflow.statistics.interval import Interval
from tests.analysis.axes.test_account import account
from tests.analysis.evidence import evidence, span

INDEPENDENT = evidence(gap=span(1.5, 0.1))
NEGLIGIBLE = evidence(gap=span(1.5, 0.1), tree=span(0.01, 0.005), p_adjusted=1e-5, max_nats=0.006)
MORE = evidence(gap=span(1.5, 0.1), tree=span(0.2, 0.02), p_adjusted=1e-9, max_nats=0.1)
COARSE = evidence(gap=span(1.5, 0.1), tree=span(0.0, 0.5))
NO_BETTER = evidence(gap=span(0.01, 0.1), tree=span(0.2, 0.02), p_adjusted=1e-9, max_nats=0.1)
WORSE = evidence(gap=span(-0.6, 0.1), tree=span(0.2, 0.02), p_adjusted=1e-9, max_nats=0.1)
WORSE_THAN_RAW = evidence(gap=span(0.0, 0.1), removed=span(-0.4, 0.1))
WORSE_YET_NO_PAIR = evidence(gap=span(-0.6, 0.1))


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (INDEPENDENT, "independent"),
        (NEGLIGIBLE, "independent"),
        (MORE, "more_independent"),
        (COARSE, "more_independent"),
        (NO_BETTER, "no_better"),
        (WORSE, "worse"),
        (WORSE_THAN_RAW, "worse"),
        (WORSE_YET_NO_PAIR, "worse"),
    ],
)
def test_codes(case: Evidence, code: str) -> None:
    verdict = judge(case)
    assert verdict.code == decide(case) == code
    words = " ".join([verdict.headline, *verdict.sentences, *verdict.meaning]).lower()
    for claim in ("recover", "true source", "causal", "sources were"):
        assert claim not in words
    assert "not sources" in words
    assert "any rotation" in words
    assert "0.70" in words
    assert "nan" not in words.replace("nats", "")


def _of(columns: int, p_adjusted: float, *, scale: float = 1.0) -> str:
    """The words about latents so few."""
    names = tuple(f"latent{i:02d}" for i in range(columns))
    pairs = replace(INDEPENDENT.latents, columns=names, max_pair=(0, columns - 1), max_p_adjusted=p_adjusted)
    quantiles = np.tile(norm.ppf((np.arange(500) + 0.5) / 500)[:, None], columns)
    few = gaussianity(scale * np.random.default_rng(0).permuted(quantiles, axis=0), list(names))
    return " ".join(judge(replace(INDEPENDENT, pairwise={"latents": pairs}, gaussianity=few)).sentences)


def test_one_latent_and_two_are_spoken_of_as_such() -> None:
    alone = _of(1, 1.0)
    assert "single latent, and so no pair" in alone
    assert "The latent is standard normal as far as 500 rows" in alone
    assert "The latent departs measurably" in _of(1, 1.0, scale=2.0)
    assert "only pair, latent00 and latent01, shares 0.0020 nats, no more than by chance" in _of(2, 0.5)
    assert "nats, which is more than by chance" in _of(2, 1e-6)
    assert "All 3 latents are standard normal" in _of(3, 0.5)
    assert "among the 3 tested" in _of(3, 0.5)


def _classifier(p_value: float, bound: Interval) -> JointDependence:
    return JointDependence(
        "latents", "Latents", span(0.6, 0.02), p_value, bound, 1000, 1000, "boosted trees", "U"
    )


def test_dependence_that_only_a_classifier_sees_counts() -> None:
    """No pair shows anything; the classifier does, and the bound it gives is the residual that is told."""
    seen = replace(INDEPENDENT, joint=_classifier(1e-6, span(0.3, 0.1)))
    verdict = judge(seen)
    assert verdict.code == "more_independent"
    assert "at least 0.30 nats" in verdict.headline
    assert any("classifier" in sentence and "0.60" in sentence for sentence in verdict.sentences)
    unseen = judge(replace(INDEPENDENT, joint=_classifier(0.4, span(0.01, 0.1))))
    assert unseen.code == "independent"
    assert any("cannot tell" in sentence for sentence in unseen.sentences)


def test_a_peer_that_removed_more_is_named() -> None:
    account = INDEPENDENT.ledger
    flow = replace(account.entry("latents"), name="spline_flow", label="Spline flow")
    differences = {**account.differences, "latents-spline_flow": span(-0.2, 0.05)}
    both = replace(account, entries=(*account.entries[:2], flow, account.entries[2]), differences=differences)
    words = " ".join(judge(replace(INDEPENDENT, ledger=both)).sentences)
    assert "Spline flow removed 0.20 nats more than the latents." in words
    assert "Spline flow" not in " ".join(judge(INDEPENDENT).sentences)


def test_headlines_say_how_much() -> None:
    assert "below 0.010 nats" in judge(INDEPENDENT).headline
    assert "practical purposes" in judge(NEGLIGIBLE).headline
    assert "by 1.50 nats (95 % interval 1.40 to 1.60)" in judge(MORE).headline
    assert "0.20 nats (95 % interval 0.18 to 0.22) of dependence is left" in judge(MORE).headline
    assert "FastICA's components, by 0.60 nats (95 % interval 0.50 to 0.70)" in judge(WORSE).headline
    assert "the raw columns, by 0.40 nats" in judge(WORSE_THAN_RAW).headline


@pytest.mark.parametrize("case", [INDEPENDENT, NEGLIGIBLE])
def test_independent_is_never_said_without_axes_and_rows(case: Evidence) -> None:
    """In the same sentence, whether axes may be read as sources, and how many rows count."""
    headline = judge(case).headline
    assert headline.count(".") - headline.count("0.") == 1
    assert headline.endswith("and no latent may be read as a source, for no axes were chosen.")
    assert "on 2000 rows (" in headline
    rows = replace(case.rows, n_eval=1200, dependent=True, lag1=0.97, effective_n=51.2)
    follow = judge(replace(case, rows=rows, orientation=account("temporal", converged=False))).headline
    assert "on 1200 rows, worth about 51 independent ones (" in follow
    assert follow.endswith("for the search for the axes (temporal) did not converge.")
    assert "may be read as sources only if" in judge(replace(case, orientation=account())).headline


HOLDS_ZERO = Interval(0.029, -0.026, 0.083)


def test_a_lower_bound_that_holds_zero_has_found_nothing() -> None:
    """Not "at least 0.029 nats", whoever found that there is dependence."""
    unseen = replace(COARSE, joint=_classifier(0.4, HOLDS_ZERO))
    assert judge(unseen).headline.endswith(
        "no dependence is found between their pairs, which may still hold up to 0.50 nats."
    )
    seen = judge(replace(COARSE, joint=_classifier(1e-6, HOLDS_ZERO)))
    assert seen.code == "more_independent"
    assert seen.headline.endswith("dependence is left between them, but no least amount of it is found.")
    (joint,) = (sentence for sentence in seen.sentences if "classifier" in sentence)
    assert joint.endswith("0.60, but no least amount is found of their total correlation.")
    pairs = replace(NEGLIGIBLE.latents, tree=Interval(0.002, -0.001, 0.005))
    small = judge(replace(NEGLIGIBLE, pairwise={"latents": pairs}))
    assert "real but small: too little for a figure" in small.headline
    for verdict in (seen, small, judge(unseen)):
        words = " ".join([verdict.headline, *verdict.sentences])
        assert "at least" not in words
        assert "−0.0" not in words.replace("interval −0.05", "")


def test_what_the_judged_rows_lack_comes_first() -> None:
    lacking = "None of the 9 events in which 'Fp1' is extreme is among the held-out rows."
    for case in (INDEPENDENT, MORE, NO_BETTER, WORSE):
        headline = judge(replace(case, without=lacking)).headline
        assert headline == f"{lacking} {judge(case).headline}"


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"rows": replace(WORSE.rows, n_train=200)}, "too few rows (200 trained a model of 5 columns)"),
        ({"rows": replace(WORSE.rows, dependent=True, lag1=0.97, effective_n=40.0)}, "autocorrelation 0.97"),
        ({"overfit": span(3.0, 0.2)}, "over-fitting"),
        ({"tied_columns": 0.8}, "ties (80 % of the columns"),
        ({"history": {"validation_loss": list(np.linspace(2.0, 1.0, 40))}}, "under-trained"),
        ({}, "No single cause stands out"),
    ],
)
def test_causes_of_a_bad_result_come_with_a_way_out(change: dict, phrase: str) -> None:
    text = " ".join(judge(replace(WORSE, **change)).sentences)
    assert phrase in text
    assert "Try" in text


def test_no_better_on_a_linear_mixture_says_so() -> None:
    assert "linear mixture" in " ".join(judge(NO_BETTER).sentences)


def test_a_fastica_that_did_not_converge_is_mentioned() -> None:
    case = replace(MORE, fastica=replace(MORE.fastica, converged=False))
    assert any("did not converge" in sentence for sentence in judge(case).sentences)


def test_still_falling_needs_a_trend() -> None:
    assert still_falling(list(np.linspace(2.0, 1.0, 40)))
    assert not still_falling([1.0, 0.5] + [0.4] * 30)
    assert not still_falling([2.0, 1.0])
    assert not still_falling([None, float("nan")] * 10)


def test_figures_are_readable() -> None:
    assert [figure(x) for x in (1.2345, 0.01234, 0.00012, -0.5, -0.00001)] == [
        "1.23",
        "0.012",
        "0.0001",
        "−0.50",
        "0.0000",
    ]
    assert told(span(1.0, 0.25)) == "1.00 nats (95 % interval 0.75 to 1.25)"
