"""The whole report on models whose latents are known in closed form."""

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.special import ndtr

from latentflow.analysis.independence import independence_report
from latentflow.analysis.preparation import prepare
from latentflow.analysis.results import IndependenceResult
from latentflow.errors import DataError
from tests.analysis.exact_model import (
    HELD_OUT,
    TRAIN,
    Treatment,
    degaussianise,
    exact_setup,
    gaussianise,
    true_total_correlation,
)

NAMES = ("raw", "pca", "fastica", "latents")


@pytest.fixture(scope="module")
def exact(mixing: np.ndarray) -> IndependenceResult:
    model, X = exact_setup(mixing, n=6000)
    return independence_report(model, X, n_boot=300, seed=1)


def test_exact_latents_are_found_independent(exact: IndependenceResult, mixing: np.ndarray) -> None:
    truth = true_total_correlation(mixing)
    removed = exact.ledger.entry("latents").removed
    assert removed.low <= truth <= removed.high
    assert exact.verdict.code == "independent"
    assert exact.pairwise["raw"].max_p_adjusted < 1e-6
    assert exact.pairwise["latents"].max_p_adjusted > 0.01
    assert min(latent.p_holm for latent in exact.gaussianity.latents) > 0.01
    assert exact.gaussianity.radius.p_value > 0.01
    assert exact.alerts == ()


def test_names_and_order_are_those_of_the_contract(exact: IndependenceResult) -> None:
    assert tuple(entry.name for entry in exact.ledger.entries) == NAMES
    assert tuple(exact.pairwise) == NAMES
    assert exact.pairwise["raw"].columns == exact.flow_columns == exact.columns == ("a", "b", "c", "d")
    assert exact.pairwise["latents"].columns == exact.latent_names
    assert exact.pairwise["fastica"].columns[0] == "ica00"
    assert exact.ledger.reference == "raw"
    assert exact.schema == 1


def test_log_density_figures_are_those_of_the_rows(exact: IndependenceResult, mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=6000)
    held_out = X[model.roles == HELD_OUT]
    train = X[model.roles == TRAIN]
    assert exact.neg_log_prob.estimate == pytest.approx(-model.encode(held_out).log_prob.mean())
    gap = exact.neg_log_prob_gaussian.estimate - exact.neg_log_prob.estimate
    assert exact.log_prob_gain.estimate == pytest.approx(gap)
    assert exact.log_prob_gain.half_width < exact.neg_log_prob_gaussian.half_width + 0.02
    assert exact.neg_log_prob_train is not None
    assert exact.neg_log_prob_train.estimate == pytest.approx(-model.encode(train).log_prob.mean(), abs=0.15)
    # On exact latents, product density and model density agree up to the entropy estimator.
    product = exact.ledger.entry("latents").product_neg_log_prob
    assert product == pytest.approx(exact.neg_log_prob.estimate, abs=0.06)


def test_rows_are_the_held_out_rows(exact: IndependenceResult) -> None:
    rows = exact.rows
    assert (rows.which, rows.n_eval, rows.n_table, rows.n_train) == ("held out", 3000, 6000, 3000)
    assert (rows.baselines, rows.dependent, rows.effective_n) == ("training rows", False, 3000.0)
    assert exact.provenance["fit"]["seed"] == 3
    assert exact.provenance["seed"] == 1
    assert exact.provenance["versions"]["numpy"] == np.__version__


def test_fastica_is_matched_with_the_latents(exact: IndependenceResult) -> None:
    assert exact.fastica.converged
    assert exact.fastica.agreement > 0.98
    assert sorted(exact.fastica.matched) == [0, 1, 2, 3]


def test_round_trip_both_ways(exact: IndependenceResult) -> None:
    assert exact.round_trip.data_max < 1e-9
    assert exact.round_trip.n == 2000
    assert (exact.round_trip.latent_n, exact.round_trip.latent_max) == (500, 0.0)


def test_result_is_strict_json(exact: IndependenceResult, tmp_path: Path) -> None:
    path = exact.to_json(tmp_path / "out.json")
    back = json.loads(path.read_text(encoding="utf-8"))
    assert back == json.loads(json.dumps(exact.to_dict(), allow_nan=False))
    assert back["schema"] == 1
    assert back["verdict"]["code"] == "independent"
    assert np.array(back["pairwise"]["latents"]["nats"]).shape == (4, 4)
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_seed_gives_the_same_figures(exact: IndependenceResult, mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=6000)
    again = independence_report(model, X, n_boot=300, seed=1)
    assert again.to_dict() == exact.to_dict()


def test_spoilt_latents_are_called_worse_than_ica(mixing: np.ndarray) -> None:
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0]
    model, X = exact_setup(mixing, n=4000, turn=turn)
    result = independence_report(model, X, n_boot=200)
    assert result.verdict.code == "worse"
    assert result.ledger.differences["latents-fastica"].high < 0.0


def test_carried_directions_count_among_the_latents_of_the_ledger(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=4000, n_carried=1)
    result = independence_report(model, X, n_boot=200)
    removed = result.ledger.entry("latents").removed
    assert removed.low <= true_total_correlation(mixing) <= removed.high
    assert result.pairwise["latents"].columns == ("latent00", "latent01", "latent02", "carried00")
    assert len(result.gaussianity.latents) == len(result.fastica.matched) == 3
    assert result.round_trip.data_max < 1e-9
    material = prepare(model, X, rows="auto", missing="error", seed=0)
    encoding = model.encode(X[model.roles == HELD_OUT])
    np.testing.assert_array_equal(material.representations[3].values[:, :3], encoding.latents)
    np.testing.assert_array_equal(material.representations[3].values[:, 3:], encoding.carried)


def test_every_face_of_a_table_is_the_same_table(mixing: np.ndarray, tmp_path: Path) -> None:
    model, X = exact_setup(mixing, n=600)
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["X"] = X
        file["X"].attrs["columns"] = np.array(model.columns, dtype=h5py.string_dtype())
    frame = pd.DataFrame(X, columns=list(model.columns))
    found = [independence_report(model, face, n_boot=20) for face in (X, frame, path, str(path))]
    assert {result.rows.which for result in found} == {"held out"}
    assert len({result.neg_log_prob.estimate for result in found}) == 1
    assert found[2].provenance["file"] == str(path)
    assert found[0].provenance["file"] is None


def test_another_table_is_judged_on_all_its_rows_and_says_so(mixing: np.ndarray) -> None:
    model, _ = exact_setup(mixing, n=600)
    _, other = exact_setup(mixing, n=500, seed=9)
    result = independence_report(model, other, n_boot=50)
    assert (result.rows.which, result.rows.n_eval, result.rows.baselines) == ("all", 500, "same rows")
    assert result.neg_log_prob_train is None
    assert any("favours them" in alert for alert in result.alerts)


def test_serial_rows_widen_intervals_and_change_the_null(mixing: np.ndarray) -> None:
    n, phi = 4000, 0.9
    model, _ = exact_setup(mixing, n=n)
    noise = np.random.default_rng(0).standard_normal((n + 200, 4))
    series = lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[200:]
    X = degaussianise(series) @ mixing.T
    np.testing.assert_allclose(ndtr(gaussianise(degaussianise(series))[0]), ndtr(series), atol=1e-9)
    plain = independence_report(model, exact_setup(mixing, n=n, seed=5)[1], n_boot=200)
    result = independence_report(model, X, n_boot=200)
    assert result.rows.dependent
    assert result.rows.block == result.ledger.block
    assert result.rows.effective_n < n / 5
    assert result.pairwise["latents"].null == "circular shifts"
    assert result.pairwise["latents"].max_p_adjusted > 0.01
    assert min(latent.p_holm for latent in result.gaussianity.latents) > 0.01
    assert (
        result.ledger.entry("latents").removed.half_width
        > 1.5 * plain.ledger.entry("latents").removed.half_width
    )
    assert any("circular shifts" in alert for alert in result.alerts)


def test_missing_values_are_counted_or_dropped(mixing: np.ndarray) -> None:
    model, _ = exact_setup(mixing, n=600)
    _, other = exact_setup(mixing, n=300, seed=9)
    other[5, 1] = np.nan
    other[7, 1] = np.inf
    with pytest.raises(DataError, match=r"missing or infinite values \(b: 2\).*--missing drop"):
        independence_report(model, other)
    assert independence_report(model, other, missing="drop", n_boot=20).rows.n_eval == 298
    with pytest.raises(DataError, match="'drop'"):
        independence_report(model, other, missing="ignore")
    with pytest.raises(DataError, match="6 complete rows"):
        independence_report(model, np.where(np.arange(300)[:, None] < 8, other, np.nan)[:100], missing="drop")


def test_other_columns_are_refused(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=100)
    with pytest.raises(DataError, match="4 columns, and this array has 3"):
        independence_report(model, X[:, :3])
    with pytest.raises(DataError, match="'d'"):
        independence_report(model, pd.DataFrame(X, columns=["a", "b", "c", "e"]))


def test_a_single_varying_column_is_refused() -> None:
    treatments = (Treatment("a"), Treatment("b", role="constant"))
    model, X = exact_setup(np.eye(2), n=100, treatments=treatments)
    with pytest.raises(DataError, match="'a' is the only one"):
        independence_report(model, X)


def test_few_rows_give_a_report_and_an_alert(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=60)
    result = independence_report(model, X, n_boot=100)
    assert result.rows.n_eval == 30
    assert any("Only 30 rows" in alert for alert in result.alerts)
    assert result.verdict.code != "independent"
    json.dumps(result.to_dict(), allow_nan=False)
