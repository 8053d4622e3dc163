"""A recording with one event: fitted, judged without it, and that is the first thing that is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter

from latentflow.analysis.independence import independence_report
from latentflow.data.tables import as_table
from latentflow.model.fit import fit_table
from latentflow.report.notebook import notebook_html
from latentflow.report.summary import summary_lines

TOLD = "The one event in which 'b' is extreme is not among the held-out rows."


@pytest.fixture(scope="module")
def fitted():
    """The table and its model: three series of which one has a spike."""
    rng = np.random.default_rng(0)
    rows = lfilter([1.0], [1.0, -0.8], rng.normal(size=(900, 3)), axis=0)
    rows[500:502, 1] = 150.0
    table = as_table(rows, ["a", "b", "c"])
    return table, fit_table(table, steps=40, width=16, depth=1, batch_size=64, device="cpu")


def test_the_fit_warns_and_the_headline_leads_with_it(fitted) -> None:
    table, model = fitted
    assert any(
        "the one event in which 'b' is extreme is not among" in each for each in model.record["warnings"]
    )
    result = independence_report(model, table, n_boot=20)
    assert result.verdict.headline.startswith(f"{TOLD} The latents ")
    assert result.alerts[0].startswith("The one event in which 'b' is extreme is not among the held-out rows")
    assert sum("in which 'b' is extreme" in alert for alert in result.alerts) == 1
    assert summary_lines(result)[0].startswith(TOLD)
    assert any(line.startswith("The rows look like a recording") for line in summary_lines(result)[1:3])
    assert TOLD.replace("'", "&#39;") in notebook_html(result)
    assert "The rows look like a recording" in notebook_html(result)


def test_on_another_table_only_the_alert_remains(fitted) -> None:
    table, model = fitted
    result = independence_report(model, table.read()[:300] + 0.01, n_boot=20)
    assert result.verdict.headline.startswith("The latents ")
    assert any("in which 'b' is extreme" in alert for alert in result.alerts)


def test_an_older_model_keeps_its_roles_and_says_nothing(fitted) -> None:
    table, model = fitted
    split = {name: value for name, value in model.record["split"].items() if name != "rare_events"}
    older = replace(model, record={**model.record, "split": split, "warnings": []})
    result = independence_report(older, table, n_boot=20)
    assert result.verdict.headline.startswith("The latents ")
    assert not any("is extreme" in alert for alert in result.alerts)
