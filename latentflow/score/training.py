"""Training a denoiser: for how long, and which of its weights are kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from latentflow.score.clock import Clock
from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.networks import DEFAULT_FAMILY, FAMILIES, describe_network
from latentflow.score.objective import Validation
from latentflow.score.sizing import TrainingPlan
from latentflow.score.trainer import Trainer

#: A fresh draw of all whitened training rows, shape (n, d): dequantised columns differ from draw to draw.
DrawRows = Callable[[], Tensor]

#: Standard errors of the paired difference by which earlier weights must beat the last to be kept.
LEAD_IN_ERRORS = 1.0


@dataclass(frozen=True)
class Progress:
    """What training tells whoever watches it.

    Parameters
    ----------
    step, steps : int
        Steps done, and most that will be.
    train_loss, validation_loss : float
        Likelihood-weighted squared error of F per coordinate: smoothed over recent steps, and on the validation rows
        at fixed noise (NaN before the first validation, or without validation rows).
    rows_per_s : float
        Training rows seen per second.
    seconds_left : float
    """

    step: int
    steps: int
    train_loss: float
    validation_loss: float
    rows_per_s: float
    seconds_left: float


@dataclass(frozen=True)
class TrainingRecord:
    """How a training went: losses by step, the step whose weights were kept, why it ended, which network."""

    history: dict[str, list[float]]
    best_step: int
    steps: int
    seconds: float
    stopped: str
    structure: str


class Training:
    """The training of one network on whitened rows; it can pause, be judged, and go on.

    Parameters
    ----------
    draw_rows : callable () -> Tensor, shape (n, d)
        Whitened training rows, float32 on the training device.
    validation : Tensor, shape (m, d)
        Whitened rows that choose the weights that are kept; m may be 0, then the last average is kept.
    plan : TrainingPlan
    generator : torch.Generator
        On the device of the rows; the only source of randomness.
    redraw : bool
        Draw the rows anew each epoch (dequantised columns).
    progress : callable, optional
        Called about ten times a second with a :class:`Progress`.
    after : Training, optional
        A training that gave way to this one, which goes on with its clock, its schedule and its curve.
    """

    def __init__(
        self,
        draw_rows: DrawRows,
        validation: Tensor,
        plan: TrainingPlan,
        *,
        generator: Generator,
        redraw: bool = False,
        progress: Callable[[Progress], None] | None = None,
        after: Training | None = None,
    ):
        rows = draw_rows()
        # weights are drawn on the CPU, so that they are the same whatever the device
        seed = int(torch.randint(2**62, (1,), generator=generator, device=rows.device))
        self._batches = _batches(rows, draw_rows if redraw else None, plan.batch_size, generator)
        self._judge = Validation(validation, plan, generator)
        self._plan, self._progress = plan, progress
        self._clock: Clock = Clock(plan) if after is None else after._clock
        self._curve: dict[str, list[float]] = (
            {"step": [], "train_loss": [], "validation_loss": []} if after is None else after._curve
        )
        fresh = FAMILIES[DEFAULT_FAMILY].fresh
        assert fresh is not None
        network = fresh(rows.shape[1], plan, Generator().manual_seed(seed))
        steps = 0 if after is None else after._trainer.steps
        self._trainer: Trainer = Trainer(network.to(rows.device), plan, generator, steps=steps)

    def advance(self, share: float) -> None:
        """Train up to a share of the whole, or until it over-fits; validate and report."""
        clock, trainer = self._clock, self._trainer
        while clock.share(trainer.steps) < share and not trainer.overfits:
            trainer.step(next(self._batches), clock.share(trainer.steps))
            step = trainer.steps
            if clock.validation_due(step):
                loss = self._judge.loss(trainer.average)
                trainer.judge(loss)
                for name, value in zip(self._curve, (step, trainer.loss(), loss), strict=True):
                    self._curve[name].append(value)
            if self._progress is not None and clock.report_due():
                latest = self._curve["validation_loss"][-1] if self._curve["step"] else math.nan
                self._progress(Progress(step, self._plan.steps, trainer.loss(), latest, *clock.rates(step)))

    def gain_over_normal(self) -> tuple[float, float]:
        """By how much the loss is below that of F = 0, the field of N(0, I), and the standard error of that."""
        return self._judge.gain(self._kept()[0], lambda y, log_sigma: torch.zeros_like(y))

    def denoiser(self) -> NetworkDenoiser:
        """The denoiser as it is now: of the last averaged weights, or those of lowest loss where clearly better."""
        return NetworkDenoiser(copy.deepcopy(self._kept()[0]))

    def finish(self) -> tuple[NetworkDenoiser, TrainingRecord]:
        """The denoiser that is kept, and how it was trained."""
        clock, trainer = self._clock, self._trainer
        stopped = "all steps done" if clock.share(trainer.steps) >= 1 else "nothing gained on the base"
        if trainer.overfits:
            stopped = "validation loss rose"
        elif clock.out_of_time(trainer.steps):
            stopped = "time budget spent"
        network, best_step = self._kept()
        if self._progress is not None:
            rate, _ = clock.rates(trainer.steps)
            self._progress(
                Progress(trainer.steps, trainer.steps, trainer.loss(), trainer.best_loss, rate, 0.0)
            )
        seconds, denoiser = clock.elapsed(), NetworkDenoiser(network)
        structure = describe_network(denoiser.settings)
        return denoiser, TrainingRecord(self._curve, best_step, trainer.steps, seconds, stopped, structure)

    def _kept(self) -> tuple[nn.Module, int]:
        """The network whose weights are kept, and their step."""
        trainer = self._trainer
        if trainer.best is not None and trainer.best_step < trainer.steps:
            gain, error = self._judge.gain(trainer.best, trainer.average)
            # a lead within its own error is chance, and the later average has seen more
            if gain > LEAD_IN_ERRORS * error:
                return trainer.best, trainer.best_step
        return trainer.average, trainer.steps


def train_denoiser(
    draw_rows: DrawRows, validation: Tensor, plan: TrainingPlan, **options: Any
) -> tuple[NetworkDenoiser, TrainingRecord]:
    """Train a preconditioned network on whitened rows from start to end; parameters as for :class:`Training`.

    Returns
    -------
    denoiser : NetworkDenoiser
        With the last averaged weights, or those of lowest validation loss where these are clearly better.
    record : TrainingRecord
    """
    training = Training(draw_rows, validation, plan, **options)
    training.advance(1.0)
    return training.finish()


def _batches(rows: Tensor, redraw: DrawRows | None, size: int, generator: Generator) -> Iterator[Tensor]:
    """Shuffled batches without end; a batch that reaches past one epoch goes on into the next."""
    order = torch.empty(0, dtype=torch.long, device=rows.device)
    epoch = 0
    while True:
        while len(order) < size:
            if redraw is not None and epoch > 0:
                rows = redraw()
            epoch += 1
            order = torch.cat([order, torch.randperm(len(rows), generator=generator, device=rows.device)])
        yield rows[order[:size]]
        order = order[size:]
