"""A solver whose orders are not blended gets the fewest steps that reach the accuracy, on rows it has not seen."""

import math

import numpy as np
import pytest
import torch

from latentflow.errors import LatentFlowError
from latentflow.flow import step_count
from latentflow.flow.adaptive import Adaptive, witness_latents
from latentflow.flow.descent import CalibrationObjective
from latentflow.flow.grids import blended_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.solver_names import ADAPTIVE
from latentflow.flow.solvers import SOLVERS
from latentflow.flow.step_count import Steps, calibrated_grid, steps_for
from latentflow.score.oracles import MixtureOracle

ENDS = (0.05, 10.0)


def oracle():
    """A mixture of two, of covariance about one."""
    means = torch.tensor([[-0.9, 0.3], [0.7, -0.3]], dtype=torch.float64)
    covariances = torch.tensor([[[0.2, 0.1], [0.1, 0.8]], [[0.4, -0.1], [-0.1, 0.7]]], dtype=torch.float64)
    return MixtureOracle(torch.tensor([0.4, 0.6], dtype=torch.float64), means, covariances)


def bimodal():
    """Two narrow modes on one axis: between them a long step throws neighbours across each other."""
    means = torch.tensor([[-0.95], [0.95]], dtype=torch.float64)
    narrow = torch.full((2, 1, 1), 0.15**2, dtype=torch.float64)
    return MixtureOracle(torch.tensor([0.5, 0.5], dtype=torch.float64), means, narrow)


def draws(n, seed):
    law, rng = oracle(), np.random.default_rng(seed)
    which = rng.choice(2, n, p=law.weights.numpy())
    local = rng.normal(size=(n, 2)) * law.eigenvalues.sqrt().numpy()[which]
    return law.means[which] + torch.as_tensor(np.einsum("nde,ne->nd", law.eigenvectors.numpy()[which], local))


def errors(grid, x):
    exact = witness_latents(oracle(), x, ENDS)
    return (ProbabilityFlow(oracle(), grid.sigmas, grid.method).encode(x) - exact).norm(dim=1)


@pytest.mark.parametrize("accuracy", [1e-2, 1e-4])
@pytest.mark.parametrize("solver", ["heun", "rk4", "ab4", "pec4", "unipc3", *ADAPTIVE])
def test_the_accuracy_is_reached_on_new_rows_with_few_steps(solver, accuracy):
    found = steps_for(oracle(), draws(300, 0), ENDS, accuracy, solver)
    assert float(errors(found, draws(400, 1)).mean()) <= accuracy
    assert (found.sigmas[0], found.sigmas[-1]) == ENDS
    assert found.warnings() == []
    assert found.solver == ADAPTIVE.get(solver, solver)
    record = found.to_dict()
    assert record["steps"] == len(found.sigmas) - 1
    assert record["steps_frozen_from"] == (solver if solver in ADAPTIVE else None)
    assert (record["folds"], record["rows"], record["accuracy"]) == (False, 300, accuracy)
    if solver not in ADAPTIVE:
        # one step in thirty-two could be saved at most
        objective = CalibrationObjective.of(oracle(), draws(300, 0), ENDS, accuracy)
        fewer = record["steps"] - max(1, math.ceil(record["steps"] / step_count.ONE_SAVED_IN))
        draft = Steps(np.log(blended_grid(*ENDS, max(fewer, 1))), SOLVERS[solver])
        assert fewer < step_count.FEWEST_STEPS or objective.excess(draft) > 1


def test_frozen_steps_are_those_that_the_adaptive_solver_accepts():
    objective = CalibrationObjective.of(oracle(), draws(300, 0), ENDS, 1e-4)
    nodes = step_count._accepted(oracle(), objective.start, ENDS, Adaptive("dopri5", 1e-6))
    v_prediction = lambda u, y: oracle().v_prediction(y, math.exp(u))  # noqa: E731
    frozen = SOLVERS["dp5"].integrate(v_prediction, objective.start, nodes.tolist())
    # but for the last step, which torchdiffeq interpolates
    adaptive = Adaptive("dopri5", 1e-6).integrate(v_prediction, objective.start, nodes[[0, -2]].tolist())
    short = SOLVERS["dp5"].integrate(v_prediction, objective.start, nodes[:-1].tolist())
    np.testing.assert_allclose(short, adaptive, atol=1e-12)
    assert float((frozen - objective.target).norm(dim=1).mean()) < 1e-5


def test_a_frozen_grid_encodes_a_row_alike_in_any_batch():
    x = draws(40, 2)
    found = steps_for(oracle(), draws(300, 0), ENDS, 1e-3, "dopri5")
    flow = ProbabilityFlow(oracle(), found.sigmas, found.method)
    alone = torch.cat([flow.encode(row[None]) for row in x])
    np.testing.assert_allclose(alone, flow.encode(x), rtol=0, atol=1e-13)
    left_adaptive = ProbabilityFlow(oracle(), found.sigmas, "dopri5")
    assert float((left_adaptive.encode(x[:1]) - left_adaptive.encode(x)[:1]).abs().max()) > 1e-9


@pytest.mark.parametrize("solver", ["rk4", "dopri5"])
def test_where_the_map_folds_steps_are_added(solver):
    x = torch.linspace(-1.3, 1.3, 100, dtype=torch.float64)[:, None]
    found = steps_for(bimodal(), x, ENDS, 0.05, solver)
    assert not found.folds
    assert bool((ProbabilityFlow(bimodal(), found.sigmas, found.method).encode(x).diff(dim=0) > 0).all())


def test_a_fold_lengthens_the_grid_until_it_is_gone(monkeypatch):
    asked = []

    def folds(self, draft):
        asked.append(draft.steps)
        return len(asked) < 4

    monkeypatch.setattr(CalibrationObjective, "folds", folds)
    found = steps_for(oracle(), draws(60, 0), ENDS, 1e-4, "pec4")
    assert asked == sorted(set(asked))
    assert (len(asked), len(found.sigmas) - 1) == (4, asked[-1])


def test_where_steps_do_not_suffice_the_record_says_so(monkeypatch):
    monkeypatch.setattr(step_count, "MOST_STEPS", 30)
    found = steps_for(oracle(), draws(60, 0), ENDS, 1e-4, "euler")
    assert len(found.sigmas) - 1 == 30
    assert "was not reached" in found.warnings()[0]


@pytest.mark.parametrize("enough_from", [1, 2, 7, 24, 25, 90, 1023])
def test_the_search_finds_where_the_error_is_no_longer_in_excess(enough_from):
    lengths = []

    def draft_of(size):
        lengths.append(min(max(round(size), 2), 1024))
        return Steps(np.zeros(lengths[-1] + 1), SOLVERS["rk4"])

    excess_of = lambda draft: (enough_from / draft.steps) ** 4  # noqa: E731
    _, found = step_count._fewest(draft_of, excess_of, 24, 4)
    assert max(enough_from, 2) <= found.steps <= max(enough_from, 2) * (1 + 1 / step_count.ONE_SAVED_IN)
    assert len(lengths) < 16


def test_the_solver_whose_orders_are_blended_is_calibrated(monkeypatch):
    asked = []
    monkeypatch.setattr(step_count, "calibrate", lambda *words: asked.append(words))
    calibrated_grid(oracle(), draws(10, 0), ENDS, 1e-2)
    calibrated_grid(oracle(), draws(10, 0), ENDS, 1e-2, "pec5")
    assert [words[2:] for words in asked] == [(ENDS, 1e-2)] * 2
    with pytest.raises(LatentFlowError, match="no solver 'magic'; choose from pec5, euler"):
        calibrated_grid(oracle(), draws(10, 0), ENDS, 1e-2, "magic")
