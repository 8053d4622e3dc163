"""Training finds the optimum where it is known, keeps the best weights, and gives the same bits for the same seed."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from latentflow.errors import LatentFlowError
from latentflow.score import training
from latentflow.score.objective import Validation
from latentflow.score.oracles import GaussianOracle
from latentflow.score.sizing import plan_training
from latentflow.score.training import train_denoiser


def _rows(n, d=2, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def _plan(**changes):
    plan = plan_training(1000, 2, width=24, depth=1, steps=150, batch_size=128)
    return dataclasses.replace(plan, **changes)


def _train(rows, validation, plan, seed=0, **options):
    return train_denoiser(
        lambda: rows, validation, plan, generator=torch.Generator().manual_seed(seed), **options
    )


def test_learns_the_denoiser_of_a_correlated_gaussian():
    """A law far from the initial guess D = x/(1+σ²): the learned D is near the closed form, held-out rows."""
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
    root = torch.linalg.cholesky(covariance)
    denoiser, _ = _train(
        _rows(4000) @ root.T, _rows(500, seed=1) @ root.T, _plan(steps=600, learning_rate=3e-3)
    )
    oracle = GaussianOracle(torch.zeros(2), covariance)
    for sigma in (0.3, 1.0, 4.0):
        x = _rows(400, seed=2) @ root.T + sigma * _rows(400, seed=3)
        error = (denoiser(x, sigma) - oracle(x, sigma)).square().mean()
        untrained = (x / (1 + sigma**2) - oracle(x, sigma)).square().mean()
        assert error < 0.15 * untrained


def test_same_seed_same_bits_and_no_global_randomness():
    rows, validation, plan = _rows(300), _rows(50, seed=1), _plan(steps=20)
    first, _ = _train(rows, validation, plan, seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        before = torch.random.get_rng_state()
        second, _ = _train(rows, validation, plan, seed=3)
        assert torch.equal(torch.random.get_rng_state(), before)
    other, _ = _train(rows, validation, plan, seed=4)
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_overfitting_stops_early_and_the_best_weights_are_kept():
    """Twelve rows and a large net: validation worsens, and what is returned is the best that was seen."""
    plan = _plan(width=64, depth=2, steps=1500, batch_size=32, learning_rate=5e-3)
    validation = _rows(300, seed=1)
    denoiser, record = _train(_rows(12), validation, plan)
    losses = record.history["validation_loss"]
    assert record.stopped == "validation loss rose"
    assert record.steps < 1500
    assert record.best_step == record.history["step"][int(np.argmin(losses))]
    assert min(losses) < losses[-1]
    # the kept weights do on fresh noise what the best validation says, not what the last one says
    loss = Validation(validation, plan, torch.Generator().manual_seed(5)).loss(denoiser.network)
    assert abs(loss - min(losses)) < 0.5 * (losses[-1] - min(losses))


def test_time_budget_ends_training():
    plan = plan_training(1000, 2, width=8, depth=1, batch_size=32, time_budget=0.3)
    _, record = _train(_rows(100), _rows(0), plan)
    assert record.stopped == "time budget spent"
    assert 1 <= record.steps < plan.steps


def test_progress_is_told():
    events = []
    _train(_rows(300), _rows(50, seed=1), _plan(steps=10), progress=events.append)
    assert events[-1].step == 10
    assert events[-1].seconds_left == 0
    assert all(e.rows_per_s > 0 for e in events)
    assert math.isfinite(events[-1].train_loss)


def test_dequantised_rows_are_drawn_anew_each_epoch():
    draws = []

    def draw():
        draws.append(len(draws))
        return _rows(64, seed=len(draws))

    plan = _plan(steps=10, batch_size=64)
    train_denoiser(draw, _rows(10), plan, generator=torch.Generator().manual_seed(0), redraw=True)
    assert len(draws) == 10


def test_without_validation_rows_the_last_average_is_kept():
    denoiser, record = _train(_rows(50), _rows(0), _plan(steps=15))
    assert record.best_step == 15
    assert all(math.isnan(v) for v in record.history["validation_loss"])
    assert torch.isfinite(denoiser(_rows(3), 0.5)).all()


def test_plans_follow_table_preset_and_user():
    small, large = plan_training(200, 5), plan_training(100_000, 5)
    assert small.width < large.width
    assert plan_training(10_000, 5, preset="fast").steps < plan_training(10_000, 5, preset="best").steps
    assert plan_training(10_000, 5, width=7, steps=3).width == 7
    with pytest.raises(LatentFlowError, match="preset 'huge' is not known"):
        plan_training(10_000, 5, preset="huge")
    with pytest.raises(LatentFlowError, match="steps must be positive"):
        plan_training(10_000, 5, steps=0)


def _mixed(n, bend, more, seed):
    """Laplace and uniform sources, rotated, ``bend`` times the square of the first added to the second.

    ``more`` independent exponential columns follow.
    """
    rng = np.random.default_rng(seed)
    s = np.column_stack([rng.laplace(0, 0.5**0.5, n), rng.uniform(-(3**0.5), 3**0.5, n)])
    s[:, 1] = (1 - 0.7 * bend) * s[:, 1] + bend * (s[:, 0] ** 2 - 1)
    rows = np.column_stack([s @ _ROTATION.numpy().T, rng.exponential(size=(n, more)) - 1])
    return torch.tensor(rows, dtype=torch.float32)


_ROTATION = torch.tensor([[0.8, -0.6], [0.6, 0.8]])


@pytest.mark.parametrize(
    ("bend", "more", "structure"),
    [
        (0, 0, "separable along learned axes"),
        (0.15, 3, "separable along learned axes + residual perceptron of 1 × 32"),
        (1, 0, "residual perceptron of 2 × 32"),
    ],
)
def test_network_is_as_separable_as_the_rows(bend, more, structure, monkeypatch):
    monkeypatch.setattr(training, "race_steps", lambda plan: 400)
    plan = plan_training(4000, 2, width=32, depth=2, steps=600)
    plan = dataclasses.replace(plan, sigma_max=10.0, learning_rate=2e-3)
    axes = torch.block_diag(_ROTATION, torch.eye(more))
    rows, validation = _mixed(4000, bend, more, 0), _mixed(2000, bend, more, 1)
    _, record = _train(rows, validation, plan, axes=axes)
    assert record.structure == structure
