"""The neural spline flow where zuko is installed, and nothing where it is not."""

import importlib.util

import numpy as np
import pytest
import torch

from latentflow.analysis.baselines.spline_flow import fit_spline_flow

installed = pytest.mark.skipif(importlib.util.find_spec("zuko") is None, reason="zuko is not installed")


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 2))
    x[:, 1] = x[:, 0] ** 2 + 0.5 * x[:, 1]
    return 10.0 * x + 100.0


@installed
def test_a_bent_plane_is_straightened_with_its_log_determinant(rows: np.ndarray) -> None:
    state = torch.random.get_rng_state()
    found = fit_spline_flow(rows[:2000], seed=3, steps=200)
    assert torch.equal(state, torch.random.get_rng_state())
    assert found is not None
    z, log_det = found.transform(rows[2000:])
    assert z.shape == (2000, 2)
    density = 0.5 * (z**2).sum(axis=1) + np.log(2 * np.pi) - log_det
    truth = np.log(2 * np.pi * np.e) + np.log(0.5) + 2 * np.log(10.0)
    gaussian = 0.5 * np.linalg.slogdet(np.cov(rows.T))[1] + np.log(2 * np.pi * np.e)
    assert truth - 0.05 < density.mean() < truth + 0.35 * (gaussian - truth)
    assert found.validation == pytest.approx(density.mean(), abs=0.25)
    # log|det| against the flow's own Jacobian.
    x = torch.tensor(found.whitening.transform(rows[:1])[0], dtype=torch.float32)
    jacobian = torch.autograd.functional.jacobian(lambda row: found.flow().transform(row), x)[0, :, 0]
    by_hand = float(torch.linalg.slogdet(jacobian)[1]) + found.whitening.log_det
    assert found.transform(rows[:1])[1][0] == pytest.approx(by_hand, abs=1e-4)


@installed
def test_the_same_seed_gives_the_same_flow(rows: np.ndarray) -> None:
    found = [fit_spline_flow(rows[:300], seed=5, steps=10) for _ in range(2)]
    first, second = (flow.transform(rows[300:310])[0] for flow in found if flow is not None)
    np.testing.assert_array_equal(first, second)


def test_none_where_it_is_not_installed(rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert fit_spline_flow(rows) is None
