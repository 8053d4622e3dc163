"""What the report says of the axes, for every way of choosing them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from latentflow.analysis.axes.account import (
    OrientationAccount,
    conclusion,
    determination,
    orientation_account,
    undetermined_planes,
)
from latentflow.analysis.independence import independence_report
from latentflow.analysis.results import FastICASummary
from latentflow.orientation.record import Orientation, undetermined
from latentflow.orientation.registry import METHODS, method_of
from latentflow.statistics.interval import Interval
from tests.analysis.exact_model import exact_setup

NAMES = ("latent00", "latent01", "latent02", "latent03")
FASTICA = FastICASummary(True, 9, "Converged.", 0.93, (1, 0, 2, 3), (0.95, -0.91, 0.9, 0.96))
CONTRAST = (Interval(0.2, 0.1, 0.3), 800)
RESIDUAL = {"kind": "residual", "dimension": 4, "width": 128, "depth": 5}
SEPARABLE = {"kind": "separable", "dimension": 4}


def errors(**planes: float) -> np.ndarray:
    """Angle errors of 0.01 but for planes given as ``p01=0.5``."""
    found = np.where(np.eye(4, dtype=bool), 0.0, 0.01)
    for name, value in planes.items():
        i, j = int(name[1]), int(name[2])
        found[i, j] = found[j, i] = value
    return found


def account(method: str = "jacobian", **changes) -> OrientationAccount:
    network = changes.pop("network", RESIDUAL)
    fastica = changes.pop("fastica", FASTICA)
    fields = {"asked": method, "angle_error": errors(), **changes}
    return orientation_account(
        Orientation(np.eye(4), method, **fields), NAMES, fastica, CONTRAST, network=network
    )


def test_agreement_is_reported_where_the_axes_were_found_without_ica() -> None:
    found = account("temporal", asked="auto", reason="Rows are in time order.")
    assert (found.agreement, found.matched, found.correlation) == (0.93, FASTICA.matched, FASTICA.correlation)
    assert "0.93" in found.evidence
    assert "FastICA had no part" in found.evidence
    assert (found.c_ima, found.c_ima_rows) == CONTRAST
    assert (found.method, found.asked, found.reason) == ("temporal", "auto", "Rows are in time order.")


@pytest.mark.parametrize(
    "found", [account("ica"), account("jacobian", details={"anchored_to_ica": True})], ids=["ica", "in part"]
)
def test_agreement_is_no_evidence_where_latents_were_anchored_to_it(found: OrientationAccount) -> None:
    assert found.agreement is found.matched is found.correlation is None
    assert "no evidence" in found.evidence
    assert "0.93" not in found.evidence


def test_a_network_whose_axes_started_from_fastica_is_not_called_free_of_it() -> None:
    found = account(network={"kind": "sum", "parts": [SEPARABLE, RESIDUAL]})
    assert "had no part" not in found.evidence
    assert "started from FastICA" in found.evidence
    assert found.agreement == 0.93


@pytest.mark.parametrize(
    ("method", "details", "told"),
    [
        (
            "gaussianization",
            {"start": "columns, 2 layers"},
            "the layers that gave the axes started from FastICA",
        ),
    ],
)
def test_axes_in_whose_choice_fastica_had_a_part_are_not_called_free_of_it(method, details, told) -> None:
    found = account(method, details=details)
    assert told in found.evidence
    assert "had no part" not in found.evidence
    assert found.agreement == 0.93


@pytest.mark.parametrize("details", [{}, {"agreement_metric_ica": 0.93}])
def test_a_metric_asked_for_or_chosen_is_free_of_fastica(details) -> None:
    assert "had no part" in account("metric", details=details).evidence


def test_a_small_model_that_explains_the_rows_speaks_for_its_axes_and_proves_nothing() -> None:
    told = account("gaussianization", details={"log_prob_layers": -2.3}).conclusion
    assert "speaks for that" in told
    assert "is no proof" in told
    assert "wrong axes" in told
    assert "speaks for" not in account("gaussianization").conclusion
    assert "speaks for" not in account("metric", details={"log_prob_layers": -2.3}).conclusion


def test_layers_that_a_flow_without_a_bend_cannot_follow_are_not_called_explained() -> None:
    details = {"log_prob_layers": -2.3, "bend_found": False}
    told = account("gaussianization", details=details).conclusion
    assert "speaks for" not in told
    assert "only resemble" in told
    assert "has not found their bend" in told


def test_what_speaks_against_the_axes_is_part_of_the_conclusion() -> None:
    told = account("temporal", details={"cautions": ["sources seem to share their trends"]}).conclusion
    assert told.endswith("scale, but sources seem to share their trends; other axes are as independent.")
    assert "but" not in account("temporal", details={"cautions": []}).conclusion.split(";")[0]


def test_agreement_with_an_ica_that_did_not_converge_shows_little() -> None:
    assert "did not converge" in account(fastica=replace(FASTICA, converged=False)).evidence


def test_determination_goes_by_the_largest_angle_error() -> None:
    found = determination(errors(p01=0.1, p12=0.35, p23=0.36), NAMES)
    assert [latent.words for latent in found] == [
        "well determined",
        "loosely determined",
        "undetermined",
        "undetermined",
    ]
    assert [latent.most_confused_with for latent in found] == [NAMES[1], NAMES[2], NAMES[3], NAMES[2]]
    assert [latent.angle_error for latent in found] == [0.1, 0.35, 0.36, 0.36]


def test_a_single_latent_is_determined() -> None:
    (found,) = determination(np.zeros((1, 1)), NAMES[:1])
    assert (found.angle_error, found.most_confused_with, found.words) == (0.0, None, "well determined")
    assert undetermined_planes(np.zeros((1, 1)), NAMES[:1]) == ()


def test_a_single_latent_has_no_axes_to_choose() -> None:
    found = orientation_account(Orientation.identity(1), NAMES[:1], FASTICA, CONTRAST)
    for words in (found.conclusion, found.evidence):
        assert "single" in words
        assert "arbitrary" not in words
        assert "not chosen" not in words


def test_undetermined_planes_are_named_the_worst_first() -> None:
    found = account(angle_error=errors(p02=0.4, p13=np.pi / 4, p01=0.3))
    assert found.undetermined == (("latent01", "latent03"), ("latent00", "latent02"))
    told = found.conclusion
    assert "within the plane of latent01 and latent03 and within the plane of latent00 and latent02" in told


def test_many_undetermined_planes_are_counted() -> None:
    found = account(angle_error=undetermined(4))
    assert len(found.undetermined) == 6
    assert "and 3 more" in found.conclusion


def test_plain_latents_are_arbitrary() -> None:
    found = orientation_account(Orientation.identity(4), NAMES, FASTICA, CONTRAST)
    assert "arbitrary" in found.conclusion
    assert "no single latent" in found.conclusion
    assert {latent.words for latent in found.latents} == {"undetermined"}
    assert "were not chosen" in found.evidence


def test_a_rotation_without_errors_is_undetermined() -> None:
    assert (
        account(angle_error=np.zeros((0, 0))).undetermined
        == account(angle_error=undetermined(4)).undetermined
    )


def test_axes_that_were_not_found_allow_nothing() -> None:
    found = account(converged=False)
    assert "did not converge" in found.conclusion
    assert "If " not in found.conclusion


def test_axes_that_were_not_found_are_not_called_determined() -> None:
    """However small the errors that the method gave where it stopped."""
    found = account(converged=False, angle_error=errors())
    assert {latent.words for latent in found.latents} == {"undetermined"}
    assert {latent.angle_error for latent in found.latents} == {np.pi / 4}
    assert len(found.undetermined) == 6
    assert account().undetermined == ()


@pytest.mark.parametrize("method", [*(name for name in METHODS if name != "none"), "something new"])
def test_the_conclusion_is_one_sentence_with_its_condition_and_its_limit(method: str) -> None:
    told = conclusion(Orientation(np.eye(4), method, method, angle_error=errors()), ())
    assert told.startswith("If ")
    assert method_of(method).assumption in told
    assert "up to order, sign and a monotone scale" in told
    assert "no figure of this report can show" in told
    assert told.count(".") == 1


@pytest.fixture(scope="module")
def mixed() -> tuple:
    return exact_setup(np.array([[1.0, 0.4, 0.2], [-0.3, 1.2, 0.1], [0.2, 0.5, 0.9]]), n=800)


def test_the_report_holds_the_account_and_its_meaning_tells_it(mixed, monkeypatch) -> None:
    model, X = mixed
    plain = independence_report(model, X, n_boot=50)
    assert plain.orientation.method == "none"
    assert plain.orientation.agreement == plain.fastica.agreement
    assert any("do not keep the order" in sentence for sentence in plain.verdict.meaning)

    chosen = Orientation(np.eye(3), "ica", "auto", "Few rows.", True, errors()[:3, :3])
    monkeypatch.setattr(type(model), "orientation", chosen, raising=False)
    found = independence_report(model, X, n_boot=50)
    told = found.orientation
    assert (told.method, told.asked, told.reason, told.agreement) == ("ica", "auto", "Few rows.", None)
    assert told.conclusion in found.verdict.meaning
    assert told.evidence in found.verdict.meaning
    assert not any("do not keep the order" in sentence for sentence in found.verdict.meaning)
    assert found.ledger.to_dict() == plain.ledger.to_dict()
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))["orientation"]
    assert written["latents"][0]["words"] == "well determined"
    assert written["c_ima"]["estimate"] == pytest.approx(0.0, abs=1e-9)
