"""Refits of a tiny table: what they share, in what they differ, and what is made of it."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from latentflow.analysis.comparison import stability as module
from latentflow.analysis.comparison.agreement import agreement
from latentflow.analysis.comparison.stability import Stability, expected_seconds, stability
from latentflow.analysis.preparation import prepare
from latentflow.data.splits import HELD_OUT
from latentflow.data.tables import open_table
from latentflow.errors import DataError
from latentflow.model.fit import fit_flow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.orient import orient
from latentflow.orientation.record import Orientation


@pytest.fixture(scope="module")
def fits() -> list[dict]:
    return []


@pytest.fixture(scope="module")
def found(fitted_folder, model, fits) -> Stability:
    def listed(rows, columns, settings, **beside):
        fitted = fit_flow(rows, columns, settings, **beside)
        fits.append({**vars(settings), **beside, "model": fitted, "rows": rows})
        return fitted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit_flow", listed)
        return stability(model, fitted_folder / "data.h5", runs=4, n_boot=50, seed=2, device="cpu")


def test_refits_differ_in_seed_and_size_and_share_everything_else(found, fits, model) -> None:
    assert [run.seed for run in found.runs] == [3, 2, 4, 5]  # 3 is the model's own, and not used again
    sizes = [(run.width, run.depth) for run in found.runs]
    assert sizes[0] == (model.record["plan"]["width"], model.record["plan"]["depth"])
    assert len(set(sizes)) == 4
    for fit in fits:
        assert (fit["steps"], fit["batch_size"]) == (60, 64)
        np.testing.assert_array_equal(fit["model"].roles, model.roles)


def test_figures_are_those_of_the_held_out_rows(found, fits, fitted_folder, model) -> None:
    held_out = fits[0]["rows"][model.roles == HELD_OUT]
    codes = [model.encode(held_out).latents, *(fit["model"].encode(held_out).latents for fit in fits)]
    again = agreement(codes, model.latent_names, "Latents")
    assert found.latents.coordinates == again.coordinates
    assert found.latents.distance_rotated == pytest.approx(again.distance_rotated)
    assert (found.n_rows, found.latents.n_runs, found.fastica.n_runs) == (60, 4, 4)
    log_probs = [model.log_prob(held_out), *(fit["model"].log_prob(held_out) for fit in fits)]
    for run, log_prob in zip(found.runs, log_probs, strict=True):
        assert run.neg_log_prob.estimate == pytest.approx(-log_prob.mean())
        assert run.log_prob_gain.estimate == pytest.approx((log_prob - log_probs[0]).mean())
    assert found.runs[0].log_prob_gain.half_width == 0.0
    spread = [np.sqrt(((a - b) ** 2).mean()) for i, a in enumerate(log_probs) for b in log_probs[:i]]
    assert found.log_prob_difference == pytest.approx(np.median(spread))
    json.dumps(found.to_dict(), allow_nan=False)


def test_fastica_is_as_stable_as_it_is(found, model, fitted_folder, monkeypatch) -> None:
    assert found.fastica.mean > 0.9
    assert [row.name for row in found.fastica.coordinates] == ["ica00", "ica01", "ica02"]
    assert found.fastica_converged == 4
    material = prepare(model, fitted_folder / "data.h5", rows="held_out", missing="error", seed=2)
    seeds = []

    def every_other(train, seed):
        seeds.append(seed)
        return replace(material.ica, converged=seed % 2 == 0)

    monkeypatch.setattr(module, "fit_fastica", every_other)
    assert module._fastica(material, 4, 2)[1] == 2  # its own and that of seed 4
    assert seeds == [3, 4, 5]


def test_the_words_follow_from_the_figures(model, found) -> None:
    assert "Over 4 fits, of 3 latents are" in found.sentences[0]
    assert "starting point alone" in found.sentences[-1]
    rng = np.random.default_rng(0)
    code = rng.standard_normal((500, 3))
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    turned, same = (agreement([code, other], "abc", "Latents") for other in (code @ turn, code))
    told = " ".join(module._sentences(found.runs, turned, same, one_size=True))
    assert "disagree on its axes" in told
    assert "has one size" in told
    told = " ".join(module._sentences(found.runs, same, same, one_size=False))
    assert "disagree on its axes" not in told
    assert "has one size" not in told


def test_sizes_of_separable_networks_do_not_count(model, fitted_folder, refits, monkeypatch) -> None:
    separable = {"kind": "separable", "dimension": 3}
    for network, one_size in ((separable, True), ({"kind": "sum", "parts": [separable]}, False)):
        monkeypatch.setattr(FittedFlow, "network", network)
        found = stability(model, fitted_folder / "data.h5", runs=2, n_boot=20, device="cpu")
        assert ("has one size" in " ".join(found.sentences)) == one_size


def test_what_the_orientations_mean_for_it_is_said(found) -> None:
    def told(*methods: str, anchored: tuple[str, ...] = ("ica",)) -> str:
        runs = [
            replace(run, orientation=method, anchored=method in anchored)
            for run, method in zip(found.runs, methods, strict=False)
        ]
        return " ".join(module._sentences(runs, found.latents, found.fastica, one_size=False))

    assert "not oriented" in told("none", "none", "none")
    assert "The latents are aligned with ICA components" in told("ica", "ica", "ica")
    assert "The latents are aligned with ICA" in told("jacobian", "jacobian", anchored=("jacobian",))
    alike = told("temporal", "temporal", "temporal")
    assert "oriented" not in alike
    assert "aligned" not in alike
    assert "turned in different ways" not in alike
    mixed = told("groups", "ica", "ica")
    assert "turned in different ways (groups, ica, ica): differences between their axes are those of" in mixed
    assert "The latents of 2 of 3 runs are aligned with ICA components" in mixed
    assert "not oriented" not in told("none", "ica", "none")


def test_a_run_says_how_it_was_turned_and_whether_by_fastica(model, found, fits) -> None:
    ways = [fitted.orientation.method for fitted in (model, *(fit["model"] for fit in fits))]
    assert [run.orientation for run in found.runs] == ways
    assert [run.anchored for run in found.runs] == [way == "ica" for way in ways]
    turned = Orientation(np.eye(3), "metric", details={"anchored_to_ica": True})
    other = replace(model, orientation=turned)
    runs = module._runs([model, other], np.zeros((20, 2)), np.random.default_rng(0), 10, None)
    assert [(run.orientation, run.anchored) for run in runs] == [
        (model.orientation.method, model.orientation.method == "ica"),
        ("metric", True),
    ]


@pytest.fixture
def refits(monkeypatch, model) -> list[dict]:
    """What the refits were told, in place of the refits, which give the model itself."""
    told: list[dict] = []

    def listed(rows, columns, settings, **beside):
        told.append({**vars(settings), **beside})
        return model

    monkeypatch.setattr(module, "fit_flow", listed)
    return told


@pytest.mark.parametrize(
    ("method", "option", "given"),
    [
        ("groups", "--groups COLUMN", {"groups": np.arange(300) // 100}),
        ("temporal", "--time-order", {"time": np.arange(300) * 0.5}),
        ("temporal", "--time COLUMN", {"time_order": True}),
    ],
)
def test_axes_found_by_what_is_no_longer_told_are_refused(
    model, fitted_folder, monkeypatch, refits, method, option, given
) -> None:
    turned = Orientation(np.eye(3), method, "auto", angle_error=np.zeros((3, 3)))
    monkeypatch.setattr(model, "orientation", turned)
    words = {"runs": 2, "n_boot": 20, "device": "cpu"}
    with pytest.raises(DataError, match=option) as refusal:
        stability(model, fitted_folder / "data.h5", **words)
    assert "\n" not in str(refusal.value)
    assert refits == []
    stability(model, fitted_folder / "data.h5", **words, **given)
    ((name, value),) = given.items()
    np.testing.assert_array_equal(refits[0][name], value)
    assert refits[0]["orientation"] == "auto"
    stability(model, fitted_folder / "data.h5", **words, orientation="jacobian")
    assert refits[1]["orientation"] == "jacobian"


def test_refits_are_oriented_as_the_model_is_now(model, fitted_folder, monkeypatch, refits) -> None:
    turned = Orientation(np.eye(3), "ica", "ica", angle_error=np.zeros((3, 3)))
    assert model.record["settings"]["orientation"] != "ica"
    monkeypatch.setattr(model, "orientation", turned)
    stability(model, fitted_folder / "data.h5", runs=2, n_boot=20, device="cpu")
    assert refits[0]["orientation"] == "ica"


def test_refits_go_by_what_the_model_was_oriented_by_last(model, fitted_folder, refits) -> None:
    rows = open_table(fitted_folder / "data.h5").read()
    turned = orient(model, rows, orientation="temporal", time_order=True)
    stability(turned, rows, runs=2, n_boot=20, device="cpu")
    assert (refits[0]["orientation"], refits[0]["time_order"]) == ("temporal", True)


def test_rows_left_out_stay_gaps_in_time(run, tmp_path, write_table, tiny_rows, tiny, refits) -> None:
    rows = tiny_rows(200)
    rows[[5, 90], 1] = np.nan
    data = write_table(tmp_path / "gaps.h5", rows)
    run("fit", data, *tiny, "--missing", "drop", "--time-order")
    fitted = FittedFlow.load(tmp_path / "gaps.latentflow.safetensors", device="cpu")
    stability(fitted, data, runs=2, missing="drop", n_boot=20, device="cpu")
    assert refits[0]["time_order"]
    np.testing.assert_array_equal(refits[0]["time"], np.delete(np.arange(200), [5, 90]))


def test_time_is_told_by_that_of_the_first_fit(model) -> None:
    record = model.record
    assert record["plan"]["width"] == 16
    assert expected_seconds(model, 2) == pytest.approx(record["training_seconds"] * 12 / 16)
    assert expected_seconds(model, 9) > 3 * expected_seconds(model, 3)


def test_another_table_or_a_single_run_is_refused(model, tiny_rows, fitted_folder) -> None:
    with pytest.raises(DataError, match="not the table this model was fitted on"):
        stability(model, tiny_rows(50, seed=9))
    with pytest.raises(DataError, match="at least 2 runs"):
        stability(model, fitted_folder / "data.h5", runs=1)


def test_rows_with_missing_values_keep_their_place_in_the_split(
    run, tmp_path, write_table, tiny_rows, tiny
) -> None:
    rows = tiny_rows(200)
    rows[[5, 90], 1] = np.nan
    data = write_table(tmp_path / "gaps.h5", rows)
    run("fit", data, *tiny, "--missing", "drop")
    fitted = FittedFlow.load(tmp_path / "gaps.latentflow.safetensors", device="cpu")
    complete = np.isfinite(rows).all(axis=1)
    split = module.common_split(fitted, complete)
    np.testing.assert_array_equal(split.role, fitted.roles[complete])
    found = stability(fitted, data, runs=2, missing="drop", n_boot=20, device="cpu")
    assert found.n_rows == int((fitted.roles == HELD_OUT).sum())


def test_columns_that_the_model_was_told_of_are_read_again(
    run, tmp_path, write_table, tiny_rows, tiny, refits
) -> None:
    data = write_table(tmp_path / "beside.h5", tiny_rows(200))
    with h5py.File(data, "a") as file:
        file["session"], file["clock"] = np.arange(200) // 50, np.arange(200) * 0.5
    run("fit", data, *tiny, "--groups", "session", "--time", "clock")
    fitted = FittedFlow.load(tmp_path / "beside.latentflow.safetensors", device="cpu")
    words = {"runs": 2, "n_boot": 20, "device": "cpu"}
    stability(fitted, data, **words)
    np.testing.assert_array_equal(refits[0]["groups"], np.arange(200) // 50)
    np.testing.assert_array_equal(refits[0]["time"], np.arange(200) * 0.5)
    stability(fitted, data, **words, groups=np.arange(200) // 40, time_order=True)
    np.testing.assert_array_equal(refits[1]["groups"], np.arange(200) // 40)
    assert refits[1]["time"] is None
    with pytest.raises(DataError, match="session"):
        stability(fitted, open_table(data).read(), **words)
