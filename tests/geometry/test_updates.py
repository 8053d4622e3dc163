"""Second-order samplers are finite differences of the denoising trajectory."""

import numpy as np
import pytest
import torch

from reports.geometry import updates
from reports.geometry.updates import PUBLISHED, local_orders, taylor_run, update_gaps
from tests.geometry.mixtures import latents, mixture

GRID = np.geomspace(10.0, 0.05, 11)


def test_every_published_update_is_taylors_step_with_its_difference():
    gaps = update_gaps(mixture(), 10 * latents(20, 3), GRID)
    assert set(gaps) == set(PUBLISHED)
    assert max(gaps.values()) < 1e-11


def test_the_check_can_fail(monkeypatch):
    monkeypatch.setitem(updates.ONE_STEP, "Heun", lambda *words: 1.01 * updates.heun_slope(*words))
    gaps = update_gaps(mixture(), 10 * latents(20, 3), GRID)
    assert gaps["Heun"] > 1e-3
    assert gaps["DPM-Solver-2"] < 1e-11


def test_without_a_slope_it_is_eulers_convex_step():
    oracle, x = mixture(), 10 * latents(5, 3)
    ours = taylor_run(oracle, x, [10.0, 4.0])
    torch.testing.assert_close(ours, 0.4 * x + 0.6 * oracle(x, 10.0))


def test_local_orders():
    orders = local_orders(mixture(), latents(30, 3), 0.7)
    assert orders.pop("Euler") == pytest.approx(2, abs=0.2)
    assert set(orders) == {"exact slope", *PUBLISHED}
    for name, order in orders.items():
        assert order == pytest.approx(3, abs=0.25), name
