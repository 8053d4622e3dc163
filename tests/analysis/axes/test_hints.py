"""What is said before the axes are read: of recordings whose time was not told, of rows that ICA explains better."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from latentflow.analysis.axes.hints import axis_hints, report_hints
from latentflow.analysis.ledger.densities import BaselineDensity
from latentflow.analysis.verdict import judge
from latentflow.orientation.record import Orientation
from latentflow.statistics.interval import Interval
from tests.analysis.evidence import evidence, span

RECORDING = {"split": {"lag1": 0.94, "mode": "blocked"}, "n_rows": 6000}


def _model(record: dict, details: dict | None = None, k: int = 8, **orientation) -> SimpleNamespace:
    found = Orientation(
        np.eye(k), **{"method": "jacobian", "asked": "auto", "details": details or {}, **orientation}
    )
    names = tuple(f"latent{i:02d}" for i in range(k))
    return SimpleNamespace(record=record, orientation=found, latent_names=names)


def hints(record: dict, details: dict | None = None, **changes) -> list[str]:
    return axis_hints(_model(record, details, **changes))


def test_rows_that_look_like_a_recording_are_told_what_time_would_bring() -> None:
    (told,) = hints(RECORDING)
    assert told.startswith(
        "the rows look like a recording (lag-1 autocorrelation 0.94): --time-order would find"
    )
    assert hints(RECORDING, method="groups") == [told]


@pytest.mark.parametrize(
    "case",
    [
        {"method": "temporal"},  # time was told
        {"asked": "jacobian"},  # so were the axes
        {"k": 1},
    ],
)
def test_nothing_is_told_where_time_is_known_or_would_not_matter(case: dict) -> None:
    assert hints(RECORDING, **case) == []


def test_autocorrelation_that_may_be_chance_is_not_told() -> None:
    assert hints({"split": {"lag1": 0.15}, "n_rows": 6000}) == []
    assert hints({"split": {"lag1": 0.3}, "n_rows": 60}) == []
    assert hints({}) == []  # a closed form


def test_linear_ica_that_explains_the_rows_better_is_told() -> None:
    better = {"log_prob_flow": -9.28, "log_prob_linear": -8.34}
    (told,) = hints({}, better)
    assert told == "linear ICA explains the validation rows better than the flow, by 0.94 nats a row (log p)"
    assert len(hints(RECORDING, better)) == 2
    assert hints({}, {**better, "log_prob_flow": -8.30}) == []
    assert hints({}, {**better, "log_prob_flow": -8.41}) == []  # below 0.01 nats a latent: much the same
    assert hints({}, {"log_prob_flow": -9.28}) == []


def test_a_report_has_compared_the_flow_with_fastica_itself() -> None:
    def told(details: dict, gain: Interval) -> list[str]:
        rival = BaselineDensity("fastica", "FastICA", span(15.0, 0.1), span(14.5, 0.1), gain)
        return report_hints(_model({}, details), (replace(rival, name="pca"), rival))

    (words,) = told({}, span(-0.6, 0.1))
    assert (
        words
        == "FastICA with fitted marginals explains these rows better than the flow, by 0.60 nats a row (log p)"
    )
    assert told({}, span(-0.05, 0.1)) == told({}, span(0.6, 0.1)) == []
    (words,) = told({"log_prob_flow": -9.28, "log_prob_linear": -8.34}, span(-0.6, 0.1))
    assert words.startswith("linear ICA explains the validation rows better")


def test_a_single_latent_has_nothing_to_be_told() -> None:
    assert hints({}, {"log_prob_flow": -2.0, "log_prob_linear": -1.0}, k=1) == []


def test_the_hints_stand_beside_the_verdict() -> None:
    told = judge(replace(evidence(gap=span(1.5, 0.1)), hints=("the rows look like a recording",)))
    assert told.notices == ("The rows look like a recording.",)
