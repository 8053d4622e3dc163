"""A calibrated grid keeps its accuracy on rows that it has not seen, and never folds."""

import math

import numpy as np
import pytest
import torch

from latentflow.flow import calibration, descent
from latentflow.flow.calibration import calibrate, calibrate_steps
from latentflow.flow.descent import CalibrationObjective, Draft, evenly
from latentflow.flow.grids import blended_grid, log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.solvers import PREDICTOR_CORRECTORS, SOLVERS, solver_of
from latentflow.score.oracles import MixtureOracle

ENDS = (0.05, 10.0)
ACCURACIES = (1e-2, 1e-3, 1e-4, 1e-6)


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


def draws(law, n, seed):
    rng = np.random.default_rng(seed)
    which = rng.choice(len(law.weights), n, p=law.weights.numpy())
    local = rng.normal(size=(n, law.means.shape[1])) * law.eigenvalues.sqrt().numpy()[which]
    turned = np.einsum("nde,ne->nd", law.eigenvectors.numpy()[which], local)
    return law.means[which] + torch.as_tensor(turned)


def encode(law, solver, sigmas, x):
    method = SOLVERS[solver] if isinstance(solver, str) else solver
    start = x / math.sqrt(1 + sigmas[0] ** 2)
    v_prediction = lambda u, y: law.v_prediction(y, math.exp(u))  # noqa: E731
    with torch.no_grad():
        return method.integrate(v_prediction, start, np.log(sigmas).tolist())


def errors(law, solver, sigmas, x):
    exact = encode(law, "dp5", log_uniform_grid(sigmas[0], sigmas[-1], 400), x)
    return (encode(law, solver, sigmas, x) - exact).norm(dim=1)


@pytest.fixture(scope="module")
def calibrated():
    """Grids of three accuracies from the same rows."""
    x = draws(oracle(), 400, 0)
    return {accuracy: calibrate(oracle(), x, ENDS, accuracy) for accuracy in ACCURACIES}


@pytest.fixture
def hasty(monkeypatch):
    """Descent that is short, where the grid itself does not matter."""
    monkeypatch.setattr(calibration, "DESCENT", 3)
    monkeypatch.setattr(calibration, "POLISH", 2)
    monkeypatch.setattr(calibration, "BACK", 2)


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_accuracy_is_kept_on_new_rows(calibrated, accuracy):
    found = calibrated[accuracy]
    new = errors(oracle(), found.method, found.sigmas, draws(oracle(), 1000, 1))
    assert float(new.mean()) <= accuracy
    assert float(new.max()) <= 20 * accuracy
    # and the record tells what the calibration rows had
    assert found.mean_error <= descent.SAFETY * accuracy
    assert found.warnings() == []
    assert 0.5 < float(new.mean()) / found.mean_error < 2


def test_finer_accuracy_takes_more_steps(calibrated):
    lengths = [len(calibrated[accuracy].sigmas) for accuracy in ACCURACIES]
    assert lengths[0] < lengths[1] < lengths[2] < lengths[3]
    # at a fourth order each tenth costs less than twice the steps
    assert lengths[3] < 2**4 * lengths[0]


def test_ends_are_exact_and_levels_rise(calibrated):
    for found in calibrated.values():
        assert (found.sigmas[0], found.sigmas[-1]) == ENDS
        assert (np.diff(found.sigmas) > 0).all()


def test_the_record_has_everything_but_the_grid(calibrated):
    found = calibrated[1e-3]
    assert found.to_dict() == {
        "steps": len(found.sigmas) - 1,
        "solver": found.solver,
        "accuracy": 1e-3,
        "mean_error": found.mean_error,
        "max_error": found.max_error,
        "rows": found.rows,
        "folds": False,
        "log_det_gap": found.log_det_gap,
    }
    assert found.solver in PREDICTOR_CORRECTORS
    assert found.rows == 400


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_the_record_tells_how_far_two_log_dets_are_apart_on_new_rows(calibrated, accuracy):
    found = calibrated[accuracy]
    flow = ProbabilityFlow(oracle(), found.sigmas, found.method)
    new = draws(oracle(), 500, 1)
    gap = (flow.encode_with_discrete_log_det(new)[2] - flow.encode_with_log_det(new)[1]).abs()
    assert 0.4 < float(gap.mean()) / found.log_det_gap < 2.5
    # a derivative is less accurate than what it is taken of, though not by orders of magnitude
    assert found.log_det_gap < 30 * accuracy


def test_where_the_trace_is_an_estimate_no_gap_is_told(monkeypatch, hasty):
    monkeypatch.setattr(descent, "EXACT_TRACE_DIMENSION", 1)
    assert calibrate(oracle(), draws(oracle(), 64, 0), ENDS, 1e-2).log_det_gap is None


def test_the_same_rows_give_the_same_grid_and_no_gradient_is_left_behind(hasty):
    law = oracle()
    x = draws(law, 200, 0)
    first, second = (calibrate_steps(law, x, ENDS, 9) for _ in range(2))
    np.testing.assert_array_equal(first.sigmas, second.sigmas)
    assert all(each.grad is None and not each.requires_grad for each in (x, *law.buffers()))


def test_descent_beats_every_made_grid_on_new_rows():
    steps = 12
    found = calibrate_steps(oracle(), draws(oracle(), 400, 0), ENDS, steps)
    assert len(found.sigmas) == steps + 1
    new = draws(oracle(), 1000, 1)
    made = [blended_grid(*ENDS, steps), log_uniform_grid(*ENDS, steps)]
    best = min(
        float(errors(oracle(), name, grid, new).mean()) for grid in made for name in PREDICTOR_CORRECTORS
    )
    assert float(errors(oracle(), found.method, found.sigmas, new).mean()) < 0.6 * best


def test_descent_keeps_the_best_draft_that_it_met():
    objective = CalibrationObjective.of(oracle(), draws(oracle(), 200, 0), ENDS, 1e-6)
    start, every = Draft.first(ENDS, 12), torch.arange(200)

    def loss(draft):
        return float((objective.errors(draft) ** 2).mean())

    found = [loss(objective._descend(start, every, np.full(n, 0.05))) for n in (1, 4, 40)]
    np.testing.assert_allclose(found[0], loss(start), rtol=1e-6)
    assert found[2] < found[1] < found[0]


def test_orders_are_blended_for_less_error_than_the_steps_alone_can_have(monkeypatch):
    objective, start = (
        CalibrationObjective.of(oracle(), draws(oracle(), 300, 0), ENDS, 1e-4),
        Draft.first(ENDS, 12),
    )
    both = objective.descend(start, 60)
    monkeypatch.setattr(descent.Blended, "_weights", descent.Blended.__base__._weights)
    alone = objective.descend(start, 60)
    found = float(objective.errors(alone).mean())
    monkeypatch.undo()
    assert float(objective.errors(both).mean()) < 0.7 * found


def test_a_fine_accuracy_leaves_order_5_as_it_is():
    start = Draft.first(ENDS, 12, 1e-6)
    assert not start.blend_weights.any()
    found = CalibrationObjective.of(oracle(), draws(oracle(), 100, 0), ENDS, 1e-6).descend(start, 6)
    assert not found.blend_weights.any()
    assert (found.nodes != start.nodes).any()


def test_descent_sees_the_worst_rows_and_some_of_the_others():
    objective = CalibrationObjective.of(oracle(), draws(oracle(), 768, 0), ENDS, 1e-4)
    error = objective.errors(Draft.first(ENDS, 10))
    rows = objective._some_and_worst(error)
    assert len(rows) == descent.SOME + descent.HARD
    assert set(error.argsort()[-descent.HARD :].tolist()) <= set(rows.tolist())
    few = CalibrationObjective.of(oracle(), draws(oracle(), 40, 0), ENDS, 1e-4)
    assert len(few._some_and_worst(few.errors(Draft.first(ENDS, 10)))) == 50


def test_a_row_without_an_end_counts_as_infinitely_wrong():
    objective = CalibrationObjective.of(oracle(), draws(oracle(), 50, 0), ENDS, 1e-2)
    objective.start[3] = torch.nan
    assert objective.errors(Draft.first(ENDS, 12))[3] == math.inf


def test_a_fold_is_seen_where_rows_change_their_order():
    # on one axis that is what folding means
    law, x = bimodal(), torch.linspace(-1.3, 1.3, 400, dtype=torch.float64)[:, None]
    objective, seen = CalibrationObjective.of(law, x, ENDS, 1e-2), []
    for steps in (12, 24, 48, 96, 192):
        draft = Draft(np.log(log_uniform_grid(*ENDS, steps)), Draft.first(ENDS, steps).blend_weights)
        ordered = bool((encode(law, draft.solver, np.exp(draft.nodes), x).diff(dim=0) > 0).all())
        seen.append(objective.folds(draft))
        assert seen[-1] != ordered
    assert seen == sorted(seen, reverse=True)
    assert seen[0]
    assert not seen[-1]


def test_a_calibrated_grid_does_not_fold_at_its_rows(hasty):
    law, x = bimodal(), torch.linspace(-1.3, 1.3, 400, dtype=torch.float64)[:, None]
    found = calibrate(law, x, ENDS, 1e-2)
    assert (encode(law, found.method, found.sigmas, x).diff(dim=0) > 0).all()
    coarse = log_uniform_grid(*ENDS, 24)
    assert not (encode(law, "pec4", coarse, x).diff(dim=0) > 0).all()


def test_a_fold_makes_the_grid_finer(monkeypatch, hasty):
    asked = []

    def folds(self, draft):
        asked.append(draft.steps)
        return len(asked) < 4

    monkeypatch.setattr(CalibrationObjective, "folds", folds)
    found = calibrate(oracle(), draws(oracle(), 100, 0), ENDS, 1e-2)
    assert asked == sorted(set(asked))
    assert (len(asked), len(found.sigmas) - 1) == (4, asked[-1])


def test_where_the_steps_do_not_reach_the_record_says_so(monkeypatch, hasty):
    monkeypatch.setattr(calibration, "MOST", 14)
    found = calibrate(oracle(), draws(oracle(), 100, 0), ENDS, 1e-6)
    assert len(found.sigmas) - 1 <= 14
    assert found.mean_error > 1e-6
    (warning,) = found.warnings()
    assert (
        f"the accuracy 1e-06 of the latents was not reached: their mean error is {found.mean_error:.1g}"
        in warning
    )


def test_resampling_keeps_ends_spread_and_blend():
    draft = Draft(np.log(blended_grid(*ENDS, 20)), np.linspace(0, 1, 20)[:, None, None] * np.ones((20, 2, 3)))
    longer = draft.resampled(40)
    assert longer.nodes.shape == (41,)
    assert longer.blend_weights.shape == (40, 2, 3)
    np.testing.assert_allclose(longer.nodes[[0, -1]], draft.nodes[[0, -1]], rtol=1e-12)
    np.testing.assert_allclose(longer.nodes[::2], draft.nodes, atol=0.04)
    np.testing.assert_allclose(longer.blend_weights[:, 1, 2], np.linspace(0, 1, 40), atol=0.02)
    even = Draft(np.linspace(0, 1, 11), np.ones((10, 2, 3))).resampled(30)
    np.testing.assert_allclose(even.nodes, np.linspace(0, 1, 31), atol=1e-14)
    np.testing.assert_allclose(even.blend_weights, 1.0)


def test_resampling_smooths_what_only_held_at_its_own_length():
    rough = np.concatenate([[0.0], np.cumsum(np.tile([1.0, 2.0], 10))])
    steps = np.diff(Draft(rough, np.zeros((20, 2, 3))).resampled(30).nodes)
    assert steps.max() / steps.min() < 1.5


def test_rows_are_spread_evenly():
    np.testing.assert_array_equal(evenly(torch.arange(101), 3), [0, 50, 100])
    np.testing.assert_array_equal(evenly(torch.arange(4), 30), np.arange(4))


def test_a_fold_that_is_left_is_told(monkeypatch, hasty):
    monkeypatch.setattr(calibration, "MOST", 30)
    law, x = bimodal(), torch.linspace(-1.3, 1.3, 400, dtype=torch.float64)[:, None]
    found = calibrate(law, x, ENDS, 0.5)
    assert found.folds
    assert any("folds" in words for words in found.warnings())


def test_the_way_back_retraces_the_way_there():
    """Blended for it, the plain way back misses the rows by less than order 4 does."""
    objective = CalibrationObjective.of(oracle(), draws(oracle(), 300, 0), ENDS, 1e-4)
    draft = objective.descend(Draft.first(ENDS, 14), 30)
    v_prediction = lambda u, y: oracle().v_prediction(y, math.exp(u))  # noqa: E731
    start = draws(oracle(), 500, 1)
    end = draft.solver.integrate(v_prediction, start, draft.nodes.tolist())
    found = {}
    for name, blend_weights in (
        ("order 4", Draft.first(ENDS, 14).blend_weights),
        ("blended", objective.way_back(draft, 60)),
    ):
        solver = solver_of("pec5", np.stack([draft.blend_weights, blend_weights])).returning
        found[name] = float(
            (solver.integrate(v_prediction, end, draft.nodes[::-1].tolist()) - start).norm(dim=1).mean()
        )
    assert found["blended"] < 0.7 * found["order 4"]
