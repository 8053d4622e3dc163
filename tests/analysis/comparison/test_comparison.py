"""Latents against components on models whose latents are known in closed form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from latentflow.analysis.comparison.comparison import Comparison, compare, match
from latentflow.data.tables import as_table
from latentflow.errors import DataError
from latentflow.orientation.record import Orientation
from tests.analysis.exact_model import HELD_OUT, TRAIN, exact_setup, two_mode

MIXING = np.array([[1.0, 0.4, 0.2], [-0.3, 1.2, 0.1], [0.2, 0.5, 0.9]])
TURN = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
RESIDUAL = {"kind": "residual", "dimension": 4, "width": 128, "depth": 5}
SEPARABLE = {"kind": "separable", "dimension": 4}


@pytest.fixture(scope="module")
def exact() -> tuple:
    return exact_setup(MIXING, n=4000)


@pytest.fixture(scope="module")
def found(exact) -> Comparison:
    return compare(*exact, n_boot=200)


def test_exact_latents_are_fasticas_components_one_to_one(found: Comparison) -> None:
    assert found.against == "FastICA"
    assert found.agreement > 0.98
    assert sorted(latent.component for latent in found.latents) == ["ica00", "ica01", "ica02"]
    assert [latent.name for latent in found.latents] == ["latent00", "latent01", "latent02"]
    assert found.unmatched == ()
    assert (found.which, found.n_rows, found.fitted_on) == ("held out", 2000, "training rows")


def test_where_both_are_independent_the_latents_add_nothing(found: Comparison) -> None:
    for latent in found.latents:
        assert latent.adds is None or abs(latent.adds.estimate) < 0.02
        assert abs(latent.dependence or 0.0) < 0.02
    assert abs(found.total.estimate) < 0.05


def test_variance_explained_is_that_of_the_linear_mixture(found: Comparison) -> None:
    share = (MIXING**2 / (MIXING**2).sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose([latent.variance_explained for latent in found.latents], share, atol=0.05)
    np.testing.assert_allclose(
        [latent.component_variance_explained for latent in found.latents], share, atol=0.05
    )


def test_latents_that_are_dependent_lose_what_the_components_have_not() -> None:
    model, X = exact_setup(MIXING, n=4000, turn=TURN)
    spoilt = compare(model, X, n_boot=200)
    assert spoilt.total.high < 0.0
    assert min(latent.adds.estimate for latent in spoilt.latents) < -0.02
    assert spoilt.agreement < 0.95


def test_a_bound_that_failed_is_said_to_say_nothing(exact, found: Comparison, monkeypatch) -> None:
    assert not any("below 0" in note for note in found.notes)
    monkeypatch.setattr(
        "latentflow.analysis.comparison.comparison.dependence_on_others",
        lambda values, block: np.full(values.shape, -0.3),
    )
    assert any("A bound below 0 says nothing" in note for note in compare(*exact, n_boot=20).notes)


def test_a_bound_that_found_nothing_is_no_figure_and_no_proof(exact, monkeypatch) -> None:
    def bounds(*learned: np.ndarray) -> Comparison:
        each = iter(learned)
        monkeypatch.setattr(
            "latentflow.analysis.comparison.comparison.dependence_on_others",
            lambda values, block: np.where(next(each), 0.1, 0.0) * np.ones(values.shape),
        )
        return compare(*exact, components=exact[1] @ np.linalg.inv(MIXING).T, n_boot=20)

    first = np.array([True, False, False])
    nothing = bounds(~first & first, first)
    assert [row.dependence for row in nothing.latents] == [None, None, None]
    assert [row.component_dependence for row in nothing.latents] == [pytest.approx(0.1), None, None]
    assert nothing.latents[0].adds.estimate == pytest.approx(0.1)
    assert nothing.latents[1].adds is nothing.latents[2].adds is None
    assert sum("no proof of independence" in note for note in nothing.notes) == 1
    json.dumps(nothing.to_dict(), allow_nan=False)
    everything = bounds(first | ~first, first | ~first)
    assert all(row.adds is not None for row in everything.latents)
    assert not any("no proof" in note for note in everything.notes)


def test_a_latent_without_a_component_is_no_bound_that_found_nothing(exact, monkeypatch) -> None:
    monkeypatch.setattr(
        "latentflow.analysis.comparison.comparison.dependence_on_others",
        lambda values, block: np.full(values.shape, 0.1),
    )
    fewer = compare(*exact, components=exact[1][:, :2], n_boot=20)
    assert None in [row.component_dependence for row in fewer.latents]
    assert not any("no proof" in note for note in fewer.notes)


def test_components_that_are_dependent_are_what_the_latents_add_to(exact) -> None:
    model, X = exact
    rng = np.random.default_rng(3)
    sources = X @ np.linalg.inv(MIXING).T
    own = sources.copy()
    own[:, 0] = 0.8 * sources[:, 0] + 0.6 * sources[:, 1]
    found = compare(model, X, components=own[:, [2, 0, 1]], n_boot=200)
    assert [latent.component for latent in found.latents] == ["component01", "component02", "component00"]
    assert found.latents[0].adds.low > 0.1
    assert found.latents[1].adds.low > 0.1
    assert found.latents[2].adds is None or found.latents[2].adds.high < 0.02
    assert found.latents[0].adds.estimate == pytest.approx(
        found.latents[0].component_dependence - (found.latents[0].dependence or 0.0)
    )
    # paired: the interval is that of the difference of rows, not of two unrelated means
    assert found.latents[0].adds.half_width < 0.1
    assert found.total is None
    assert found.fitted_on == ""
    assert any("components may have seen" in note for note in found.notes)
    more = compare(model, X, components=np.column_stack([own, rng.standard_normal(len(X))]), n_boot=20)
    assert more.unmatched == ("component03",)
    fewer = compare(model, X, components=own[:, 2], n_boot=20)
    assert [latent.component for latent in fewer.latents] == [None, None, "component00"]
    assert fewer.latents[0].adds is None
    assert fewer.latents[0].variance_explained > 0.1
    json.dumps(fewer.to_dict(), allow_nan=False)


def test_components_are_read_from_a_file_with_their_names(exact, tmp_path: Path) -> None:
    model, X = exact
    sources = X @ np.linalg.inv(MIXING).T
    path = tmp_path / "mine.csv"
    np.savetxt(path, sources[:, ::-1], delimiter=",", header="wind,sun,tide", comments="")
    found = compare(model, X, components=path, n_boot=20)
    assert found.against == "mine.csv"
    assert [latent.component for latent in found.latents] == ["tide", "sun", "wind"]
    assert found.agreement > 0.999


def test_components_of_other_rows_or_with_gaps_are_refused(exact) -> None:
    model, X = exact
    with pytest.raises(DataError, match="3999 rows of components do not go with the 4000 rows"):
        compare(model, X, components=X[:-1])
    gaps = X.copy()
    gaps[17, 1] = np.nan
    with pytest.raises(DataError, match="row 17 has a missing"):
        compare(model, X, components=gaps)
    flat = X.copy()
    flat[:, 2] = 1.0
    with pytest.raises(DataError, match="'component02' has a single value"):
        compare(model, X, components=flat)


def test_pearson_takes_latents_in_source_scale_where_there_is_one(exact, monkeypatch) -> None:
    model, X = exact
    plain = compare(model, X, n_boot=20)

    class Cubic:
        def forward(self, latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return latents**3, np.log(3 * latents**2).sum(axis=1)

    monkeypatch.setattr(type(model), "source_scale", Cubic(), raising=False)
    scaled = compare(model, X, n_boot=20)
    assert (plain.scale, scaled.scale) == ("latent", "source")
    assert abs(scaled.latents[0].pearson) < abs(plain.latents[0].pearson) - 0.05
    assert scaled.latents[0].spearman == plain.latents[0].spearman


def test_notes_say_what_the_agreement_is_worth(exact, monkeypatch, found) -> None:
    model, X = exact
    assert any("were not oriented" in note for note in found.notes)
    anchored = Orientation(np.eye(3), "ica", "ica", angle_error=np.zeros((3, 3)))
    monkeypatch.setattr(type(model), "orientation", anchored)
    notes = compare(model, X, n_boot=20).notes
    assert any("no evidence" in note for note in notes)
    assert not any("were not oriented" in note for note in notes)
    assert any("Training rows are among" in note for note in compare(model, X, rows="all", n_boot=20).notes)


@pytest.mark.parametrize(
    ("method", "network", "told"),
    [
        (
            "gaussianization",
            RESIDUAL,
            "The layers that gave the axes started from FastICA's",
        ),
        ("jacobian", SEPARABLE, "The network's own axes started from FastICA's"),
        ("metric", {"kind": "sum", "parts": [SEPARABLE, RESIDUAL]}, "The network's own axes started"),
        ("metric", RESIDUAL, None),
        ("none", SEPARABLE, None),
        ("ica", SEPARABLE, None),
    ],
)
def test_axes_that_started_from_fasticas_are_weaker_evidence(
    exact, monkeypatch, method, network, told
) -> None:
    model, X = exact
    turned = Orientation(np.eye(3), method, angle_error=np.zeros((3, 3)))
    monkeypatch.setattr(type(model), "orientation", turned)
    monkeypatch.setattr(model, "network", network)
    notes = [note for note in compare(model, X, n_boot=20).notes if "weaker evidence" in note]
    assert len(notes) == (told is not None)
    assert told is None or notes[0].startswith(told)


def test_matching_finds_signs_and_order_and_leaves_the_rest() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((500, 3))
    own, other, correlation = match(z, np.column_stack([rng.standard_normal(500), -np.exp(z[:, 2]), z[:, 0]]))
    assert next(zip(own, other, strict=True)) == (0, 2)
    assert correlation[2, 1] == pytest.approx(-1.0)
    assert correlation[0, 2] == pytest.approx(1.0)


def test_only_rows_held_out_are_compared(exact) -> None:
    model, X = exact
    altered = X.copy()
    altered[model.roles == TRAIN] = two_mode((2000, 3), np.random.default_rng(8))
    model.record["fingerprint"], kept = (
        as_table(altered, model.columns).fingerprint(),
        model.record["fingerprint"],
    )
    try:
        found = compare(model, altered, components=X @ np.linalg.inv(MIXING).T, n_boot=20)
    finally:
        model.record["fingerprint"] = kept
    assert found.n_rows == int((model.roles == HELD_OUT).sum())
    assert found.agreement > 0.999
