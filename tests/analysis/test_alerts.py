"""Alerts: each fires when it should and only then."""

from dataclasses import replace

import numpy as np
import pytest

from latentflow.analysis.alerts import about_columns, about_fit, about_rows, named
from latentflow.analysis.results import Rows
from latentflow.analysis.rows import Choice
from latentflow.statistics.interval import Interval
from tests.analysis.evidence import evidence, span

INDEPENDENT = evidence(gap=span(1.5, 0.1))
ROWS = Rows("held out", "random", 500, 1000, 500, "training rows", 0.01, False, None, 500.0)
HELD_OUT = Choice("held out", np.arange(500, 1000), np.arange(500), same_table=True, thinned=0)
LATENTS = np.random.default_rng(0).standard_normal((500, 5))


def test_nothing_to_say_about_good_data() -> None:
    assert about_rows(HELD_OUT, ROWS) == []
    assert about_columns([{"name": "a", "role": "flow", "lattice": "none", "tied_fraction": 0.5}]) == []
    assert about_fit(INDEPENDENT, LATENTS, far=0) == []


@pytest.mark.parametrize(
    ("choice", "rows", "phrase"),
    [
        (HELD_OUT, replace(ROWS, n_eval=49), "Only 49 rows"),
        (replace(HELD_OUT, which="all"), ROWS, "training rows among them"),
        (replace(HELD_OUT, which="all", same_table=False), ROWS, "favours them"),
        (replace(HELD_OUT, thinned=9000), ROWS, "500 evenly spaced rows of 9000"),
        (
            HELD_OUT,
            replace(ROWS, dependent=True, lag1=0.9, effective_n=26.0, block=25, mode="blocked"),
            "worth about 26 independent",
        ),
        (HELD_OUT, replace(ROWS, dependent=True, lag1=0.9), "--split blocked"),
    ],
)
def test_rows(choice: Choice, rows: Rows, phrase: str) -> None:
    assert any(phrase in alert for alert in about_rows(choice, rows))


def test_columns() -> None:
    found = about_columns(
        [
            {"name": "sum", "role": "dependent"},
            {"name": "flat", "role": "constant"},
            {"name": "flat2", "role": "constant"},
            {"name": "count", "role": "flow", "lattice": "regular", "tied_fraction": 0.9},
        ]
    )
    assert len(found) == 3
    assert found[0].startswith("'sum' follows exactly from other columns and is left out")
    assert found[1] == "'flat' and 'flat2' are constant and left out."
    assert found[2].startswith("'count' holds repeated values")


def test_fit() -> None:
    repeated = np.repeat(LATENTS[:250], 2, axis=0)
    assert "100.0 % of the evaluated rows are repeats" in about_fit(INDEPENDENT, repeated, 0)[0]
    far = replace(INDEPENDENT, rows=replace(INDEPENDENT.rows, n_eval=500))
    assert "6 of 500" in about_fit(far, LATENTS, 6)[0]
    stuck = replace(INDEPENDENT, fastica=replace(INDEPENDENT.fastica, converged=False, note="Told."))
    assert about_fit(stuck, LATENTS, 0)[0].endswith("Told.")
    overfit = replace(INDEPENDENT, overfit=Interval(1.0, 0.9, 1.1))
    assert "1.00 nats worse on held-out rows" in about_fit(overfit, LATENTS, 0)[0]


def test_names_as_a_phrase() -> None:
    assert named(["a"]) == "'a'"
    assert named(["a", "b", "c"]) == "'a', 'b' and 'c'"
    assert named([str(i) for i in range(9)]).endswith("'5' and 3 more columns")
