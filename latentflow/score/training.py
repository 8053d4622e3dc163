"""Training a denoiser: which network, for how long, and which of its weights are kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor, nn

from latentflow.score.clock import Clock
from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.networks import FAMILIES, Family, NetworkSum, describe_network
from latentflow.score.objective import Validation
from latentflow.score.sizing import TrainingPlan
from latentflow.score.trainer import Trainer

#: A fresh draw of all whitened training rows, shape (n, d): dequantised columns differ from draw to draw.
DrawRows = Callable[[], Tensor]

#: Standard errors of the paired difference by which one network must beat another to be called better.
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

    The validation rows decide between the families of networks that are raced; where axes are given, one that is
    separable along them is among these, the form of the exact score of a linear mixture (see :func:`choose_network`).

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
        if gain > LEAD_IN_ERRORS * error:
            network, best_step = trainer.best, trainer.best_step
    if progress is not None:
        rate, _ = run.clock.rates(trainer.steps)
        progress(Progress(trainer.steps, trainer.steps, trainer.loss(), trainer.best_loss, rate, 0.0))
    seconds, denoiser = run.clock.elapsed(), NetworkDenoiser(network)
    structure = describe_network(denoiser.settings)
    return denoiser, TrainingRecord(run.curve, best_step, trainer.steps, seconds, stopped, structure)


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

    def fresh(self, family: Family, dimension: int, plan: TrainingPlan, axes: Tensor | None) -> nn.Module:
        """A network to train, on the training device."""
        assert family.fresh is not None
        return family.fresh(dimension, plan, axes, self.weights).to(self.device)


def choose_network(run: _Run, dimension: int, axes: Tensor | None) -> Trainer:
    """The network that the validation rows prefer.

    One of each family that is raced is trained for a few steps. If the one ahead is not separable, it goes on alone.
    Else the separable network has the first half of the training; then its sum with a network of the first family, of
    half the depth, is given twice as many steps as the first race, and takes over only if it is clearly better: on a
    linear mixture, or where validation rows lie in other stretches of a drifting record, it is not. (In as many
    steps as the first race the other network, which starts at zero, makes up for no more than its own noise.)
    """
    plan, generator = run.plan, run.generator
    families = [
        family for family in FAMILIES.values() if family.raced and (axes is not None or not family.separable)
    ]
    if run.judge.n_rows == 0:
        families = families[:1]
    entrants = [
        Trainer(
            run.fresh(family, dimension, plan, axes),
            plan,
            generator,
            uniform=family.uniform,
            pace=family.pace(dimension),
        )
        for family in families
    ]
    for _ in range(race_steps(plan) if len(entrants) > 1 else 0):
        batch = next(run.batches)
        for entrant in reversed(entrants):  # the order of the draws that a seed has always meant
            entrant.step(batch, 0.0)
    family, ahead = families[0], entrants[0]
    for other, entrant in zip(families[1:], entrants[1:], strict=True):
        if run.judge.gain(entrant.average, ahead.average)[0] > 0:
            family, ahead = other, entrant
    return _with_the_rest(run, ahead, families[0], dimension) if family.separable else ahead


def _with_the_rest(run: _Run, separable: Trainer, rest: Family, dimension: int) -> Trainer:
    """The separable network after half of the training, or its sum with one of another family if that is better."""
    plan = run.plan
    run.advance(separable, 0.5)
    fresh = run.fresh(rest, dimension, replace(plan, depth=-(-plan.depth // 2)), None)
    joined = Trainer(
        NetworkSum([copy.deepcopy(separable.network), fresh]),
        plan,
        run.generator,
        steps=separable.steps,
        average=NetworkSum([separable.average, copy.deepcopy(fresh)]),
    )
    run.advance(joined, 1.0, 2 * race_steps(plan))
    gain, error = run.judge.gain(joined.average, separable.best or separable.average)
    return joined if gain > LEAD_IN_ERRORS * error else separable


def race_steps(plan: TrainingPlan) -> int:
    """Steps that each candidate network is given before one is chosen."""
    return min(300, plan.steps // 20)


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
