"""Sources and peers reach the report: known sources are matched with the rows they belong to, peers are baselines."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from latentflow.analysis.axes.recovery import read_sources
from latentflow.analysis.independence import independence_report
from latentflow.data.tables import as_table, open_table
from latentflow.errors import DataError
from tests.analysis.exact_model import exact_setup


def test_exact_latents_recover_the_sources_and_raw_columns_do_not(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=3000)
    sources = X @ np.linalg.inv(mixing).T
    result = independence_report(model, X, sources=sources[:, ::-1], n_boot=20)
    assert result.recovery is not None
    entries = {entry.name: entry for entry in result.recovery.entries}
    assert entries["latents"].mcc_spearman > 0.999
    assert entries["latents"].matched == (3, 2, 1, 0)
    assert entries["fastica"].mcc_pearson > 0.99
    assert entries["raw"].mcc_spearman < 0.95
    assert entries["raw"].amari > 5 * entries["fastica"].amari
    # the verdict stays silent about it: it is drawn from independence alone
    assert "recover" not in " ".join([result.verdict.headline, *result.verdict.sentences])


def test_sources_of_other_rows_do_not_match(mixing: np.ndarray) -> None:
    """Were rows of the sources not those evaluated, nothing would correlate."""
    model, X = exact_setup(mixing, n=3000)
    sources = np.roll(X @ np.linalg.inv(mixing).T, 1, axis=0)
    result = independence_report(model, X, sources=sources, n_boot=20)
    assert result.recovery is not None
    assert max(entry.mcc_spearman for entry in result.recovery.entries) < 0.1


def test_sources_are_read_by_key_at_the_rows_asked_for(tmp_path) -> None:
    rng = np.random.default_rng(0)
    X, S = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["X"], file["S"], file["short"] = X, S, S[:5]
    table = open_table(tmp_path / "data.h5", key="X")
    index = np.array([3, 8, 21])
    np.testing.assert_array_equal(read_sources("S", table, index), S[index])
    np.testing.assert_array_equal(read_sources(S[:, 0], table, index), S[index, :1])
    with pytest.raises(DataError, match="'short' has 5 rows and the table 30"):
        read_sources("short", table, index)
    with pytest.raises(DataError, match="one row for each row"):
        read_sources(S[:5], table, index)
    with pytest.raises(DataError, match="file"):
        read_sources("S", as_table(X, ["a", "b", "c"]), index)
    S[8, 1] = np.nan
    with pytest.raises(DataError, match="1 values of the sources are missing"):
        read_sources(S, table, index)


def test_peers_stand_in_the_ledger_before_the_latents(mixing: np.ndarray) -> None:
    pytest.importorskip("picard")
    model, X = exact_setup(mixing, n=3000)
    result = independence_report(model, X, peers=["picard"], n_boot=20)
    names = [entry.name for entry in result.ledger.entries]
    assert names == ["raw", "pca", "fastica", "picard", "latents"]
    gap = result.ledger.differences["picard-fastica"]
    assert abs(gap.estimate) < 0.02  # both unmix a linear mixture
    assert "latents-picard" in result.ledger.differences
    assert [density.name for density in result.densities] == ["raw", "pca", "fastica", "picard"]


def test_an_unknown_peer_is_refused(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=400)
    with pytest.raises(DataError, match="peer 'jade' is not known: choose from picard, spline_flow"):
        independence_report(model, X, peers=["jade"])
