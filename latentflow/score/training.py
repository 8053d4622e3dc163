"""Training a denoiser: which network, for how long, and which of its weights are kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from latentflow.score.clock import Clock
from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.networks import NetworkSum, describe_network
from latentflow.score.objective import Validation
from latentflow.score.residual import ResidualMLP
from latentflow.score.separable import SeparableNetwork
from latentflow.score.sizing import TrainingPlan
from latentflow.score.trainer import Trainer

#: A fresh draw of all whitened training rows, shape (n, d): dequantised columns differ from draw to draw.
DrawRows = Callable[[], Tensor]

#: Standard errors of the paired difference by which one network must beat another to be called better.
CLEARLY = 1.0


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


def train_denoiser(
    draw_rows: DrawRows,
    validation: Tensor,
    plan: TrainingPlan,
    *,
    generator: Generator,
    axes: Tensor | None = None,
    redraw: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[NetworkDenoiser, TrainingRecord]:
    """Train a preconditioned network on whitened rows.

    Where axes are given, the validation rows decide between a residual perceptron and a network that is separable
    along the axes, the form of the exact score of a linear mixture (see :func:`choose_network`).

    Parameters
    ----------
    draw_rows : callable () -> Tensor, shape (n, d)
        Whitened training rows, float32 on the training device.
    validation : Tensor, shape (m, d)
        Whitened rows that choose the weights that are kept; m may be 0, then the last average is kept.
    plan : TrainingPlan
    generator : torch.Generator
        On the device of the rows; the only source of randomness.
    axes : Tensor, shape (d, d), optional
        Orthogonal; the columns are the candidate axes of independent sources.
    redraw : bool
        Draw the rows anew each epoch (dequantised columns).
    progress : callable, optional
        Called about ten times a second with a :class:`Progress`.

    Returns
    -------
    denoiser : NetworkDenoiser
        With the last averaged weights, or those of lowest validation loss where these are clearly better.
    record : TrainingRecord
    """
    rows = draw_rows()
    # weights are drawn on the CPU, so that they are the same whatever the device
    seed = int(torch.randint(2**62, (1,), generator=generator, device=rows.device))
    run = _Run(
        batches=_batches(rows, draw_rows if redraw else None, plan.batch_size, generator),
        judge=Validation(validation, plan, generator),
        clock=Clock(plan),
        plan=plan,
        generator=generator,
        weights=Generator().manual_seed(seed),
        device=rows.device,
        progress=progress,
    )
    trainer = choose_network(run, rows.shape[1], axes)
    run.advance(trainer, 1.0)
    stopped = "all steps done"
    if trainer.overfits:
        stopped = "validation loss rose"
    elif run.clock.out_of_time(trainer.steps):
        stopped = "time budget spent"
    network, best_step = trainer.average, trainer.steps
    if trainer.best is not None and trainer.best_step < trainer.steps:
        gain, error = run.judge.gain(trainer.best, network)
        # a lead within its own error is chance, and the later average has seen more
        if gain > CLEARLY * error:
            network, best_step = trainer.best, trainer.best_step
    if progress is not None:
        rate, _ = run.clock.rates(trainer.steps)
        progress(Progress(trainer.steps, trainer.steps, trainer.loss(), trainer.best_loss, rate, 0.0))
    seconds, structure = run.clock.elapsed(), describe_network(network.settings)
    record = TrainingRecord(run.curve, best_step, trainer.steps, seconds, stopped, structure)
    return NetworkDenoiser(network), record


@dataclass(frozen=True)
class _Run:
    """What every network of one training shares."""

    batches: Iterator[Tensor]
    judge: Validation
    clock: Clock
    plan: TrainingPlan
    generator: Generator
    weights: Generator
    device: torch.device
    progress: Callable[[Progress], None] | None
    curve: dict[str, list[float]] = field(
        default_factory=lambda: {"step": [], "train_loss": [], "validation_loss": []}
    )

    def advance(self, trainer: Trainer, share: float, own_steps: float = math.inf) -> None:
        """Train up to a share of the whole, or a number of steps, or until it over-fits; validate and report."""
        clock = self.clock
        while clock.share(trainer.steps) < share and trainer.own_steps < own_steps and not trainer.overfits:
            trainer.step(next(self.batches), clock.share(trainer.steps))
            step = trainer.steps
            if clock.validation_due(step):
                loss = self.judge.loss(trainer.average)
                trainer.judge(loss)
                for name, value in zip(self.curve, (step, trainer.loss(), loss), strict=True):
                    self.curve[name].append(value)
            if self.progress is not None and clock.report_due():
                latest = self.curve["validation_loss"][-1] if self.curve["step"] else math.nan
                self.progress(Progress(step, self.plan.steps, trainer.loss(), latest, *clock.rates(step)))

    def residual(self, dimension: int, depth: int) -> ResidualMLP:
        """A fresh residual perceptron on the training device."""
        return ResidualMLP(dimension, self.plan.width, depth, self.weights).to(self.device)


def choose_network(run: _Run, dimension: int, axes: Tensor | None) -> Trainer:
    """The network that the validation rows prefer.

    A separable network and a residual perceptron are trained for a few steps each. If the perceptron is ahead, it
    goes on alone. Else the separable network has the first half of the training; then its sum with a perceptron of
    half the depth is given twice as many steps as the first race, and takes over only if it is clearly better: on a
    linear mixture, or where validation rows lie in other stretches of a drifting record, it is not. (In as many
    steps as the first race the perceptron, which starts at zero, makes up for no more than its own noise.)
    """
    plan, generator = run.plan, run.generator
    trainer = Trainer(run.residual(dimension, plan.depth), plan, generator)
    if axes is None or run.judge.n_rows == 0:
        return trainer
    separable = Trainer(
        SeparableNetwork(axes, run.weights).to(run.device),
        plan,
        generator,
        uniform=1.0,  # the edges of a source need every level
        pace=separable_pace(dimension),
    )
    for _ in range(race_steps(plan)):
        batch = next(run.batches)
        separable.step(batch, 0.0)
        trainer.step(batch, 0.0)
    if run.judge.gain(separable.average, trainer.average)[0] <= 0:
        return trainer
    run.advance(separable, 0.5)
    fresh = run.residual(dimension, -(-plan.depth // 2))
    joined = Trainer(
        NetworkSum([copy.deepcopy(separable.network), fresh]),
        plan,
        generator,
        steps=separable.steps,
        average=NetworkSum([separable.average, copy.deepcopy(fresh)]),
    )
    run.advance(joined, 1.0, 2 * race_steps(plan))
    gain, error = run.judge.gain(joined.average, separable.best or separable.average)
    return joined if gain > CLEARLY * error else separable


def race_steps(plan: TrainingPlan) -> int:
    """Steps that each candidate network is given before one is chosen."""
    return min(300, plan.steps // 20)


def separable_pace(dimension: int) -> int:
    """Steps of the separable network for one of the perceptron: their cost grows with the dimension."""
    return max(1, min(3, 15 // dimension))


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
