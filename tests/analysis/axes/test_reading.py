"""Whether axes may be read as sources, in one clause."""

from __future__ import annotations

from dataclasses import replace

import pytest

from latentflow.analysis.axes.account import orientation_account
from latentflow.analysis.axes.reading import Reading, reading
from latentflow.orientation.record import Orientation, undetermined
from tests.analysis.axes.test_account import CONTRAST, FASTICA, NAMES, account, errors


@pytest.mark.parametrize(
    ("case", "clause", "label"),
    [
        (account("none", angle_error=undetermined(4)), "for no axes were chosen", "axes arbitrary"),
        (
            account("temporal", converged=False),
            "the search for the axes (temporal) did not",
            "axes not found",
        ),
        (account(angle_error=errors(p01=0.5)), "2 of the 4 latents may not be read as a source", "axes open"),
        (account(angle_error=undetermined(4)), "no latent may be read as a source", "axes open"),
        (account("gaussianization", details={"bend_found": False}), "not found the bend", "axes doubtful"),
        (account("temporal", details={"cautions": ["trends are shared"]}), "doubt: trends", "axes doubtful"),
        (
            account("ica"),
            "assumption of the method ica holds (axes fixed to within 0.6°)",
            "axes on a condition",
        ),
    ],
)
def test_what_stands_in_the_way_is_named(case, clause: str, label: str) -> None:
    found = reading(case)
    assert clause in found.clause
    assert found.label == label
    assert not found.clause.endswith(".")


def test_agreement_is_told_where_it_is_evidence() -> None:
    assert "0.6°; agreement with FastICA 0.93)" in reading(account()).clause
    other = replace(FASTICA, agreement=0.71)
    assert "FastICA has others, agreement 0.71)" in reading(account(fastica=other)).clause
    assert "FastICA" not in reading(account("ica")).clause


def test_without_axes_there_is_nothing_to_read() -> None:
    assert reading(None).label == "axes arbitrary"
    alone = orientation_account(Orientation.identity(1), NAMES[:1], FASTICA, CONTRAST)
    assert reading(alone) == Reading("with a single latent there are no axes to choose", "a single latent")
