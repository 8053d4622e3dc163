"""Passes on differences find where a trajectory has to start for its end to move."""

import numpy as np
import pytest
import torch

from latentflow.flow.grids import blended_grid
from latentflow.flow.shooting import PASSES, Trajectory
from latentflow.flow.solvers import PREDICTOR_CORRECTORS
from latentflow.score.oracles import MixtureOracle

GRID = np.log(blended_grid(0.02, 15.0, 36)).tolist()


@pytest.fixture(scope="module")
def v_prediction():
    means = torch.tensor([[1.0, 0.5], [-1.0, 0.2], [0.1, -1.2]], dtype=torch.float64)
    covariances = 0.2 * torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
    oracle = MixtureOracle(torch.full((3,), 1 / 3, dtype=torch.float64), means, covariances)
    return lambda u, y: oracle.v_prediction(y, float(np.exp(u)))


def traced(v_prediction, start):
    kept = []
    end = PREDICTOR_CORRECTORS["pec4"].integrate(v_prediction, start, GRID, kept)
    return end, Trajectory.of(kept)


@pytest.mark.parametrize(("by", "left"), list(zip(PASSES, (0.2, 0.1, 0.01), strict=True)))
def test_a_pass_takes_most_of_the_miss_away(v_prediction, by, left):
    start = torch.tensor(np.random.default_rng(0).normal(size=(50, 2)))
    end, trajectory = traced(v_prediction, start)
    miss = 1e-4 * torch.tensor(np.random.default_rng(1).normal(size=(50, 2)))
    moved = trajectory.moved_start(v_prediction, GRID, miss, by)
    again = (traced(v_prediction, start + moved)[0] - end - miss).norm(dim=1)
    assert float((again / miss.norm(dim=1)).quantile(0.9)) < left


def test_no_miss_moves_nothing_and_rows_are_their_own(v_prediction):
    start = torch.tensor(np.random.default_rng(0).normal(size=(6, 2)))
    _, trajectory = traced(v_prediction, start)
    for by in PASSES:
        assert float(trajectory.moved_start(v_prediction, GRID, torch.zeros(6, 2), by).abs().max()) == 0
    miss = 1e-3 * torch.ones(6, 2, dtype=torch.float64)
    some = torch.tensor([4, 1])
    whole = trajectory.moved_start(v_prediction, GRID, miss, PASSES[-1])
    part = trajectory.rows(some).moved_start(v_prediction, GRID, miss[some], PASSES[-1])
    np.testing.assert_allclose(part, whole[some], atol=1e-14)
