"""Autocorrelation of rows: when it is called, and what it is worth."""

import numpy as np
import pytest
from scipy.signal import lfilter

from latentflow.statistics.ranks import normal_scores
from latentflow.statistics.serial import block_length, serial_structure, variance_inflation


def autoregressive(n: int, d: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal((n + 500, d))
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[500:]


@pytest.mark.parametrize("phi", [0.5, 0.9])
def test_inflation_of_an_autoregression(phi: float) -> None:
    rng = np.random.default_rng(0)
    found = [variance_inflation(autoregressive(6000, 1, phi, rng)[:, 0]) for _ in range(20)]
    assert np.median(found) == pytest.approx((1 + phi) / (1 - phi), rel=0.25)


def test_independent_rows_raise_no_alarm() -> None:
    alarms = [
        serial_structure(np.random.default_rng(s).standard_t(2, (300, 8))).dependent for s in range(200)
    ]
    assert sum(alarms) <= 3
    calm = serial_structure(np.random.default_rng(0).standard_normal((300, 8)))
    assert calm.block is None
    assert calm.inflation == 1.0


def test_a_series_under_enormous_spikes_is_seen() -> None:
    x = autoregressive(2000, 2, 0.9, np.random.default_rng(1))
    x[::300] *= 1e6
    found = serial_structure(x)
    assert found.dependent
    assert found.lag1 > 0.8
    assert found.block is not None
    assert 20 < found.block <= 100


def test_alternating_rows_are_dependent_but_lose_nothing() -> None:
    x = np.tile([1.0, -1.0], 500)[:, None] + 0.5 * np.random.default_rng(0).standard_normal((1000, 1))
    found = serial_structure(x)
    assert found.dependent
    assert found.lag1 < -0.5
    assert found.inflation == 1.0
    assert found.block is None


def test_blocks_leave_enough_of_them() -> None:
    assert block_length(1.0, 1000) is None
    assert block_length(4.0, 1000) == 20
    assert block_length(400.0, 1000) == 50
    assert block_length(3.0, 15) is None


def test_degenerate_series() -> None:
    assert variance_inflation(np.ones(50)) == 1.0
    assert variance_inflation(np.array([1.0, 2.0])) == 1.0


def test_normal_scores_share_ties() -> None:
    scores = normal_scores(np.array([[1.0], [2.0], [2.0], [9.0]]))
    assert scores[1, 0] == scores[2, 0] == pytest.approx(0.0)
    assert scores[0, 0] == pytest.approx(-scores[3, 0])
