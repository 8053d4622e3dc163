"""Linearly dependent columns are set aside and restored, and columns that only look dependent are not."""

from __future__ import annotations

import numpy as np

from latentflow.data.preprocess import Preprocessor


def test_earlier_columns_are_kept_and_later_ones_restored() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=(2, 500))
    level = rng.integers(0, 3, size=500)
    indicators = (level[:, None] == np.arange(3)).astype(float)
    table = np.column_stack([a, b, 2.0 * a - 0.5 * b + 3.0, indicators, np.full(500, 1e9) + 1e3 * b])
    preprocessor = Preprocessor.fit(table, ["a", "b", "mix", "i", "j", "k", "far"])
    roles = [t.role for t in preprocessor.treatments]
    assert roles == ["flow", "flow", "dependent", "flow", "flow", "dependent", "dependent"]
    assert preprocessor.treatments[2].note == "Set aside; restored as 2·a - 0.5·b + 3."
    assert preprocessor.treatments[5].note == "Set aside; restored as - 1·i - 1·j + 1."
    restored = preprocessor.inverse(preprocessor.forward(table)[0])
    assert np.array_equal(restored[:, 3:6], indicators)
    assert np.abs((restored - table) / table.std(axis=0)).max() < 1e-9


def test_near_dependence_is_not_dependence_and_inverts() -> None:
    rng = np.random.default_rng(9)
    a = rng.normal(size=2000).round(2)
    almost = a + 1e-5 * rng.normal(size=2000)
    rounded = (a / 3).round(2)
    table = np.column_stack([a, almost, rounded])
    preprocessor = Preprocessor.fit(table, ["a", "almost", "rounded"])
    assert preprocessor.n_flow == 3
    x, _ = preprocessor.forward(table)
    np.testing.assert_allclose(np.cov(x.T, bias=True), np.eye(3), atol=1e-6)
    restored = preprocessor.inverse(x)
    assert np.array_equal(restored[:, [0, 2]], table[:, [0, 2]])
    np.testing.assert_allclose(restored[:, 1], almost, rtol=0, atol=1e-12)


def test_a_column_that_breaks_its_rule_once_is_not_dependent() -> None:
    rng = np.random.default_rng(13)
    parts = rng.integers(0, 50, size=(5000, 2)).astype(float)
    total = parts.sum(axis=1)
    table = np.column_stack([parts, total])
    assert Preprocessor.fit(table, ["a", "b", "total"]).n_kept == 2
    table[4321, 2] += 1.0
    preprocessor = Preprocessor.fit(table, ["a", "b", "total"])
    assert preprocessor.n_kept == 3
    assert np.array_equal(preprocessor.inverse(preprocessor.forward(table)[0]), table)


def test_as_many_columns_as_rows_show_no_dependence() -> None:
    rng = np.random.default_rng(14)
    table = rng.integers(0, 5, size=(8, 8)).astype(float)
    preprocessor = Preprocessor.fit(table, [f"c{j}" for j in range(8)])
    assert all(t.role == "flow" for t in preprocessor.treatments)
    assert np.array_equal(preprocessor.inverse(preprocessor.forward(table)[0]), table)


def test_many_dependent_columns_need_no_order() -> None:
    rng = np.random.default_rng(15)
    sources = rng.normal(size=(400, 5))
    table = sources @ rng.normal(size=(5, 30)) + rng.normal(size=30)
    preprocessor = Preprocessor.fit(table, [f"c{j}" for j in range(30)])
    np.testing.assert_array_equal(preprocessor.kept, np.arange(5))
    restored = preprocessor.inverse(preprocessor.forward(table)[0])
    assert np.abs((restored - table) / table.std(axis=0)).max() < 1e-11
