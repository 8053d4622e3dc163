"""A calibrated grid keeps its accuracy on rows that it has not seen, and never folds."""

import math

import numpy as np
import pytest
import torch

from latentflow.flow import calibration
from latentflow.flow.calibration import (
    DESCENT,
    Trial,
    calibrate,
    calibrate_steps,
    evenly,
    resampled,
)
from latentflow.flow.grids import blended_grid, log_uniform_grid
from latentflow.flow.solvers import PREDICTOR_CORRECTORS, SOLVERS
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
    start = x / math.sqrt(1 + sigmas[0] ** 2)
    velocity = lambda u, y: law.velocity(y, math.exp(u))  # noqa: E731
    with torch.no_grad():
        return SOLVERS[solver].integrate(velocity, start, np.log(sigmas).tolist())


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


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_accuracy_is_kept_on_new_rows(calibrated, accuracy):
    found = calibrated[accuracy]
    new = errors(oracle(), found.solver, found.sigmas, draws(oracle(), 1000, 1))
    assert float(new.mean()) <= accuracy
    assert float(new.max()) <= 20 * accuracy
    # and the record tells what the calibration rows had
    assert found.mean_error <= calibration.SAFETY * accuracy
    assert found.warnings() == []
    assert 0.5 < float(new.mean()) / found.mean_error < 2


def test_finer_accuracy_takes_more_steps(calibrated):
    lengths = [len(calibrated[accuracy].sigmas) for accuracy in ACCURACIES]
    assert lengths[0] < lengths[1] < lengths[2] < lengths[3]
    # at a fourth or third order each tenth costs less than twice the steps
    assert lengths[3] < 5 * lengths[0]


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
    }
    assert found.solver in PREDICTOR_CORRECTORS
    assert found.rows == 400


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
    assert float(errors(oracle(), found.solver, found.sigmas, new).mean()) < 0.6 * best


def test_descent_keeps_the_best_grid_that_it_met():
    trial = Trial.of(oracle(), draws(oracle(), 200, 0), ENDS, 1e-6)
    solver, start = PREDICTOR_CORRECTORS["pec4"], np.log(blended_grid(*ENDS, 12))

    def loss(grid):
        return float(trial.errors(solver, grid).square().mean())

    every = torch.arange(200)
    found = [loss(trial._descend(solver, start, every, n, 0.1)) for n in (1, 4, DESCENT)]
    np.testing.assert_allclose(found[0], loss(start), rtol=1e-6)
    assert found[2] < found[1] < found[0]


def test_descent_sees_the_worst_rows_and_some_of_the_others():
    trial = Trial.of(oracle(), draws(oracle(), 768, 0), ENDS, 1e-4)
    error = trial.errors(PREDICTOR_CORRECTORS["pec3"], np.log(blended_grid(*ENDS, 10)))
    rows = trial._some_and_worst(error)
    assert len(rows) == calibration.SOME + calibration.HARD
    assert set(error.argsort()[-calibration.HARD :].tolist()) <= set(rows.tolist())
    few = Trial.of(oracle(), draws(oracle(), 40, 0), ENDS, 1e-4)
    assert (
        len(few._some_and_worst(few.errors(PREDICTOR_CORRECTORS["pec3"], np.log(blended_grid(*ENDS, 10)))))
        == 50
    )


def test_a_row_without_an_end_counts_as_infinitely_wrong():
    trial = Trial.of(oracle(), draws(oracle(), 50, 0), ENDS, 1e-2)
    trial.start[3] = torch.nan
    assert trial.errors(PREDICTOR_CORRECTORS["pec4"], np.log(blended_grid(*ENDS, 12)))[3] == math.inf


def test_a_fold_is_seen_where_rows_change_their_order():
    # on one axis that is what folding means
    law, x = bimodal(), torch.linspace(-1.3, 1.3, 400, dtype=torch.float64)[:, None]
    trial, seen = Trial.of(law, x, ENDS, 1e-2), []
    for steps in (12, 24, 48, 96, 192):
        grid = log_uniform_grid(*ENDS, steps)
        ordered = bool((encode(law, "pec3", grid, x).diff(dim=0) > 0).all())
        seen.append(trial.folds(PREDICTOR_CORRECTORS["pec3"], np.log(grid)))
        assert seen[-1] != ordered
    assert seen == sorted(seen, reverse=True)
    assert seen[0]
    assert not seen[-1]


def test_a_calibrated_grid_does_not_fold_at_its_rows(hasty):
    law, x = bimodal(), torch.linspace(-1.3, 1.3, 400, dtype=torch.float64)[:, None]
    found = calibrate(law, x, ENDS, 1e-2)
    assert (encode(law, found.solver, found.sigmas, x).diff(dim=0) > 0).all()
    coarse = log_uniform_grid(*ENDS, 24)
    assert not (encode(law, found.solver, coarse, x).diff(dim=0) > 0).all()


def test_a_fold_makes_the_grid_finer(monkeypatch, hasty):
    asked = []

    def folds(self, solver, grid):
        asked.append(len(grid) - 1)
        return len(asked) < 4

    monkeypatch.setattr(Trial, "folds", folds)
    found = calibrate(oracle(), draws(oracle(), 100, 0), ENDS, 1e-2)
    assert asked[1:] == sorted(set(asked[1:]))  # the first try is the short grid without a descent
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


def test_resampling_keeps_ends_and_spread():
    grid = np.log(blended_grid(*ENDS, 20))
    longer = resampled(grid, 40)
    assert longer.shape == (41,)
    np.testing.assert_allclose(longer[[0, -1]], grid[[0, -1]], rtol=1e-12)
    np.testing.assert_allclose(longer[::2], grid, atol=0.04)
    np.testing.assert_allclose(resampled(np.linspace(0, 1, 11), 30), np.linspace(0, 1, 31), atol=1e-14)


def test_resampling_smooths_what_only_held_at_its_own_length():
    rough = np.concatenate([[0.0], np.cumsum(np.tile([1.0, 2.0], 10))])
    steps = np.diff(resampled(rough, 30))
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
