"""Shares of variance are held against a regression, and names against a known mixture."""

from __future__ import annotations

import numpy as np
import pytest

from latentflow.analysis.axes.latent_facts import latent_facts


def test_shares_of_uncorrelated_latents_add_up_to_the_regression(mixing):
    rng = np.random.default_rng(0)
    z = np.linalg.qr(rng.standard_normal((500, 4)))[0]
    z = np.linalg.qr(z - z.mean(axis=0))[0]  # exactly uncorrelated
    x = z @ mixing * 22.0 + 0.3 * rng.standard_normal((500, 4)) + [0.0, 1e6, -3.0, 5.0]
    centred = x - x.mean(axis=0)
    residual = centred - z @ (z.T @ centred)
    explained = np.mean(1.0 - (residual**2).sum(axis=0) / (centred**2).sum(axis=0))
    facts = latent_facts(z, ["a", "b", "c", "d"], x, ["p", "q", "r", "s"])
    assert sum(fact.variance_explained for fact in facts) == pytest.approx(explained, rel=1e-9)
    assert 0.5 < explained < 1.0


def test_strongest_columns_come_first_with_their_sign():
    rng = np.random.default_rng(1)
    z = rng.standard_normal((4000, 2))
    x = np.column_stack([z[:, 1], -z[:, 0] + 0.1 * z[:, 1], z[:, 0] + 2.0 * z[:, 1]]) * [1e-3, 1e4, 1.0]
    first, second = latent_facts(z, ["z0", "z1"], x, ["a", "b", "c"], most=2)
    assert [name for name, _ in first.strongest] == ["b", "c"]
    assert first.strongest[0][1] == pytest.approx(-1 / np.sqrt(1.01), abs=0.02)
    assert first.strongest[1][1] == pytest.approx(1 / np.sqrt(5), abs=0.04)
    assert [name for name, _ in second.strongest] == ["a", "c"]
    assert first.name == "z0"


def test_what_does_not_vary_explains_nothing_and_is_not_counted():
    rng = np.random.default_rng(2)
    z = np.column_stack([rng.standard_normal(300), np.full(300, 0.1)])
    x = np.column_stack([z[:, 0], np.full(300, 7.3), 3.0 - z[:, 0]])
    moving, still = latent_facts(z, ["moving", "still"], x, ["a", "constant", "b"])
    assert moving.variance_explained == pytest.approx(1.0)
    assert {name for name, _ in moving.strongest} == {"a", "b"}
    assert (still.variance_explained, still.strongest) == (0.0, ())
    assert moving.to_dict()["strongest"][0][1] == pytest.approx(1.0)


def test_names_and_rows_must_fit():
    z = np.zeros((5, 2))
    with pytest.raises(ValueError, match="4 rows"):
        latent_facts(z, ["a", "b"], np.zeros((4, 2)), ["c", "d"])
    with pytest.raises(ValueError, match="one name"):
        latent_facts(z, ["a"], np.zeros((5, 2)), ["c", "d"])
