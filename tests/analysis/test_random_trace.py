"""Log-densities of the report in many dimensions: random traces, unbiased, and said so."""

import numpy as np

from latentflow.analysis import preparation
from latentflow.analysis.independence import independence_report


def test_the_report_says_what_random_traces_add(model, fitted_folder, monkeypatch):
    data = fitted_folder / "data.h5"
    exact = independence_report(model, data, n_boot=50)
    assert not any("random directions" in alert for alert in exact.alerts)
    monkeypatch.setattr(preparation, "EXACT_TRACE_COLUMNS", 2)
    found = independence_report(model, data, n_boot=50)
    assert any("standard error of" in alert and "random directions" in alert for alert in found.alerts)
    spread = exact.neg_log_prob.high - exact.neg_log_prob.low
    assert found.neg_log_prob != exact.neg_log_prob
    np.testing.assert_allclose(found.neg_log_prob.estimate, exact.neg_log_prob.estimate, atol=0.5 * spread)
