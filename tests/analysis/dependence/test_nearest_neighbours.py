"""Mutual information from nearest neighbours: bias against closed forms, and its interval."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from latentflow.analysis.dependence.nearest_neighbours import (
    mutual_information,
    nearest_neighbour_information,
)
from latentflow.statistics.ranks import normal_scores


def bivariate(n: int, rho: float, rng: np.random.Generator, phi: float = 0.0) -> np.ndarray:
    noise = rng.standard_normal((n + 200, 2))
    z = lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=0)[200:]
    z[:, 1] = rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1]
    return normal_scores(z)


@pytest.mark.parametrize(("rho", "tolerance"), [(0.0, 0.004), (0.3, 0.005), (0.8, 0.012)])
def test_bivariate_normal(rho: float, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    found = [nearest_neighbour_information(*bivariate(2000, rho, rng).T) for _ in range(60)]
    assert np.mean(found) == pytest.approx(-0.5 * np.log(1 - rho**2), abs=tolerance)


def test_ring() -> None:
    """Uniform on a square ring of area 3 in a box of area 4: I = 2 H(x) − log 3."""
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (8000, 2))
    points = points[np.abs(points).max(axis=1) > 0.5]
    share = np.array([2 / 3, 1 / 3])  # of |x| > ½, where the density is 2/3, and of |x| < ½, where it is 1/3
    truth = 2 * -(share[0] * np.log(2 / 3) + share[1] * np.log(1 / 3)) - np.log(3)
    assert nearest_neighbour_information(*points.T) == pytest.approx(truth, abs=0.02)


@pytest.mark.parametrize(
    ("n", "rho", "phi", "seeds"), [(300, 0.0, 0.0, 150), (2000, 0.5, 0.0, 60), (2000, 0.3, 0.9, 60)]
)
def test_interval_covers(n: int, rho: float, phi: float, seeds: int) -> None:
    rng = np.random.default_rng(n)
    block = 30 if phi else None
    found = [mutual_information(*bivariate(n, rho, rng, phi).T, block=block) for _ in range(seeds)]
    truth = -0.5 * np.log(1 - rho**2)
    covered = sum(not interval.excludes(truth) for interval in found)
    assert covered >= binom.ppf(0.001, seeds, 0.93)
    spread = np.std([interval.estimate for interval in found])
    assert spread < np.mean([interval.half_width for interval in found]) < 5 * spread


def test_few_rows() -> None:
    found = mutual_information(*bivariate(40, 0.9, np.random.default_rng(0)).T)
    assert found.low < found.estimate < found.high
