"""Training finds the optimum where it is known, keeps the best weights, and gives the same bits for the same seed."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from latentflow.errors import LatentFlowError
from latentflow.score.objective import Validation
from latentflow.score.oracles import GaussianOracle
from latentflow.score.sizing import plan_training
from latentflow.score.training import Training, train_denoiser


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


def test_a_training_goes_on_after_another_with_its_schedule_and_its_curve():
    """Half of the steps each; the second learns what the first could not, its rows being others."""
    plan = _plan(steps=60, batch_size=64)
    generator = torch.Generator().manual_seed(0)
    first = Training(lambda: _rows(300), _rows(50, seed=1), plan, generator=generator)
    first.advance(0.5)
    judged = first.denoiser()
    rates = []
    second = Training(lambda: 2 * _rows(300), _rows(50, seed=1), plan, generator=generator, after=first)
    second._trainer.step = _recorded(second._trainer.step, rates)
    second.advance(1.0)
    _, record = second.finish()
    assert len(rates) == 30
    assert rates == sorted(rates)
    assert rates[0] >= 0.5
    assert record.steps == 60
    assert record.history["step"] == sorted(record.history["step"])
    assert len(record.history["step"]) > 30
    assert torch.isfinite(judged(_rows(3), 0.5)).all()


def _recorded(step, shares):
    def recorded(x0, share):
        shares.append(share)
        step(x0, share)

    return recorded


def test_what_is_gained_on_a_normal_law_is_nothing_of_normal_rows_and_much_of_others():
    plan, generator = _plan(steps=200, learning_rate=3e-3), torch.Generator().manual_seed(0)
    normal = Training(lambda: _rows(2000), _rows(400, seed=1), plan, generator=generator)
    normal.advance(1.0)
    gain, error = normal.gain_over_normal()
    assert abs(gain) < 0.01
    split = Training(lambda: _rows(2000).sign(), _rows(400, seed=1).sign(), plan, generator=generator)
    split.advance(1.0)
    gain, error = split.gain_over_normal()
    assert gain > max(0.1, 10 * error)
