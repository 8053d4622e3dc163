"""What cannot be judged is refused in one line, or the report says so: never a traceback, never a figure of nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from latentflow.analysis.independence import independence_report
from latentflow.data.tables import as_table
from latentflow.errors import DataError
from tests.analysis.exact_model import HELD_OUT, TRAIN, Encoding, ExactModel, Treatment, exact_setup


def refused(model: Any, X: Any, **settings: Any) -> str:
    """The one line that refuses this."""
    with pytest.raises(DataError) as caught:
        independence_report(model, X, n_boot=20, **settings)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


@pytest.mark.parametrize("other", [np.zeros((50, 3)), np.zeros((50, 5)), np.zeros(50), np.zeros((50, 2, 3))])
def test_an_array_of_another_width(mixing: np.ndarray, other: np.ndarray) -> None:
    model, _ = exact_setup(mixing, n=100)
    assert "4 columns, and this array has" in refused(model, other)


def test_a_model_for_other_columns(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=100)
    assert "'d'" in refused(model, pd.DataFrame(X, columns=list("abcx")))
    line = refused(model, as_table(X, tuple("wxyz")))
    assert "column 'a' of the model is not in it" in line
    assert "--columns" in line


def test_things_that_are_no_table(mixing: np.ndarray) -> None:
    model, _ = exact_setup(mixing, n=100)
    assert "not a table" in refused(model, 3.0)
    assert refused(model, np.zeros((0, 4)))
    assert refused(model, np.array([["a", "b", "c", "d"]] * 60))
    assert "does not exist" in refused(model, "nowhere.h5")


@pytest.mark.parametrize(("n", "told"), [(18, "9 rows to evaluate"), (2, "1 rows to evaluate")])
def test_a_handful_of_held_out_rows(mixing: np.ndarray, n: int, told: str) -> None:
    model, X = exact_setup(mixing, n=n)
    assert told in refused(model, X)


@pytest.mark.parametrize("n", [20, 60, 98])
def test_fewer_than_fifty_held_out_rows_are_told_of(mixing: np.ndarray, n: int) -> None:
    model, X = exact_setup(mixing, n=n)
    result = independence_report(model, X, n_boot=50)
    assert any(f"Only {n // 2} rows were evaluated" in alert for alert in result.alerts)
    assert result.verdict.code != "independent"
    json.dumps(result.to_dict(), allow_nan=False)


def test_fifty_held_out_rows_are_not(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=100)
    assert not any("Only" in alert for alert in independence_report(model, X, n_boot=50).alerts)


@pytest.mark.parametrize(
    ("roles", "told"),
    [(("flow", "constant"), "'a' is the only one"), (("constant", "constant"), "there is none")],
)
def test_data_of_one_column_or_none(roles: tuple[str, str], told: str) -> None:
    treatments = tuple(Treatment(name, role=role) for name, role in zip("ab", roles, strict=True))
    model, X = exact_setup(np.eye(2), n=100, treatments=treatments)
    assert told in refused(model, X)


@dataclass
class Spoilt(ExactModel):
    """The exact model, with one latent (or density) overwritten."""

    latent: float | None = None
    density: float | None = None
    every: int = 1

    def encode(self, X: np.ndarray, *, log_prob: bool = False) -> Encoding:
        found = super().encode(X, log_prob=log_prob)
        latents, density = found.latents.copy(), found.log_prob.copy()
        if self.latent is not None:
            latents[:: self.every, 1] = self.latent
        if self.density is not None:
            density[:: self.every] = self.density
        return replace(found, latents=latents, log_prob=density)


def spoilt(mixing: np.ndarray, **settings: Any) -> tuple[Spoilt, np.ndarray]:
    model, X = exact_setup(mixing, n=200)
    return Spoilt(**{**vars(model), **settings}), X


def test_a_constant_latent(mixing: np.ndarray) -> None:
    line = refused(*spoilt(mixing, latent=0.5))
    assert "latent 'latent01' has a single value on these 100 rows" in line
    assert "fit again" in line


@pytest.mark.parametrize("settings", [{"latent": np.nan}, {"latent": np.inf}, {"density": -np.inf}])
def test_latents_that_are_not_finite(mixing: np.ndarray, settings: dict[str, float]) -> None:
    line = refused(*spoilt(mixing, every=10, **settings))
    assert "10 of 100 rows have latents or densities that are not finite" in line


def test_a_column_that_is_constant_on_the_evaluated_rows(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=200)
    X[model.roles == HELD_OUT, 2] = 0.25
    model.record["fingerprint"] = as_table(X, model.columns).fingerprint()
    line = refused(model, X)
    assert "'c'" in line
    assert "single value" in line


def test_a_column_that_is_constant_on_the_training_rows(mixing: np.ndarray) -> None:
    model, X = exact_setup(mixing, n=200)
    X[model.roles == TRAIN, 2] = 0.25
    model.record["fingerprint"] = as_table(X, model.columns).fingerprint()
    assert "single value on the training rows" in refused(model, X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_missing_values(mixing: np.ndarray, bad: float) -> None:
    model, _ = exact_setup(mixing, n=100)
    _, other = exact_setup(mixing, n=200, seed=3)
    other[[4, 40], 1] = bad
    line = refused(model, other)
    assert "(b: 2)" in line
    assert "--missing drop" in line
    assert independence_report(model, other, missing="drop", n_boot=20).rows.n_eval == 198
    assert "complete rows" in refused(model, np.full((60, 4), bad), missing="drop")


def test_no_more_training_rows_than_columns() -> None:
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    model, X = exact_setup(mixing, n=24)
    model.roles[:] = HELD_OUT
    model.roles[:10] = TRAIN
    line = refused(model, X)
    assert "10 training rows are too few to whiten 10 columns" in line
    assert "--columns" in line


def test_no_more_evaluated_rows_than_latents() -> None:
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    model, X = exact_setup(mixing, n=200)
    model.roles[:] = TRAIN
    model.roles[-10:] = HELD_OUT
    result = independence_report(model, X, n_boot=20)
    assert any("10 rows were evaluated for 10 latents" in alert for alert in result.alerts)
    assert result.verdict.code != "independent"
    json.dumps(result.to_dict(), allow_nan=False)
