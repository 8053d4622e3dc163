"""Learning ∇log p_σ by denoising score matching (Vincent 2011; Karras et al. 2022, arXiv 2206.00364).

With y = cos θ x₀ + sin θ ε and θ = arctan σ, the preconditioned loss (1+σ²)/σ² ‖D − x₀‖² is plain regression of the
network F(y, σ) on sin θ x₀ − cos θ ε. σ is log-uniform and stratified over the batch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from latentflow.score.clock import Clock
from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.layers import VelocityNetwork
from latentflow.score.networks import NetworkSum
from latentflow.score.residual import ResidualMLP
from latentflow.score.separable import SeparableNetwork
from latentflow.score.sizing import TrainingPlan

#: A fresh draw of all whitened training rows, shape (n, d): dequantised columns differ from draw to draw.
DrawRows = Callable[[], Tensor]

#: A training ends after this many validations in a row (of 50 over its whole length) whose loss is above the best by
#: this share: over-fitting. A mere plateau does not end it, for the loss falls again as the learning rate decays.
PATIENCE = 8
WORSE = 0.005
#: Noise levels in a batch, where they divide it: a stratum of log σ each, shared by a group of rows.
LEVELS = 64
#: Noise draws per validation row, and most (row, draw) pairs in one validation.
VALIDATION_DRAWS = 8
VALIDATION_PAIRS = 16_384
#: Width of the averaging window of the weights, as a share of the steps so far (Karras et al. 2024, arXiv
#: 2312.02696, power-function averaging): it needs no knowledge of how many steps will follow.
AVERAGING_EXPONENT = 16.0


@dataclass(frozen=True)
class Progress:
    """What training tells whoever watches it.

    Parameters
    ----------
    step, steps : int
        Steps done, and most that will be.
    train_loss, validation_loss : float
        Mean squared error of F per coordinate: smoothed over recent steps, and on the validation rows at fixed noise
        (NaN before the first validation, or without validation rows).
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

    Where axes are given, a network that is separable along them (the form of the exact score of a linear mixture) and
    a residual perceptron are first trained for a few steps each. If the perceptron describes the validation rows
    better, training goes on with it alone; else with the separable one for half of the time, then with their sum.

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
        With the averaged weights of lowest validation loss, in evaluation mode.
    record : TrainingRecord
    """
    rows = draw_rows()
    device = rows.device
    # weights are drawn on the CPU, so that they are the same whatever the device
    seed = int(torch.randint(2**62, (1,), generator=generator, device=device))
    weights = Generator().manual_seed(seed)
    batches = _batches(rows, draw_rows if redraw else None, plan.batch_size, generator)
    validate = _validator(validation, plan, generator)
    clock = Clock(plan)
    trainer = _Trainer(
        ResidualMLP(rows.shape[1], plan.width, plan.depth, weights).to(device), plan, generator
    )
    structure = "residual"
    if axes is not None and len(validation):
        separable = _Trainer(SeparableNetwork(axes, weights).to(device), plan, generator)
        for _ in range(race_steps(plan)):
            batch = next(batches)
            separable.step(batch, 0.0)
            trainer.step(batch, 0.0)
        if validate(separable.average) < validate(trainer.average):
            # its steps are cheap: three of them count as one, until a residual of half the depth joins at half-time
            half = plan.steps // 2
            while separable.steps < 3 * half and clock.share(separable.steps // 3) < 0.5:
                separable.step(next(batches), 0.0)
                if progress is not None and clock.report_due():
                    step = separable.steps // 3
                    progress(Progress(step, plan.steps, separable.loss(), math.nan, *clock.rates(step)))
            fresh = ResidualMLP(rows.shape[1], plan.width, -(-plan.depth // 2), weights).to(device)
            trainer = _Trainer(NetworkSum([separable.network, fresh]), plan, generator, half)
            trainer.average = (
                NetworkSum([separable.average, copy.deepcopy(fresh)]).eval().requires_grad_(False)
            )
            structure = "separable and residual"
    curve: dict[str, list[float]] = {"step": [], "train_loss": [], "validation_loss": []}
    best_loss, best_step, best_state, waited, stopped = math.inf, 0, None, 0, "all steps done"
    while clock.share(trainer.steps) < 1:
        trainer.step(next(batches), clock.share(trainer.steps))
        step = trainer.steps
        if clock.validation_due(step):
            loss = validate(trainer.average)
            for name, value in zip(curve, (step, trainer.loss(), loss), strict=True):
                curve[name].append(value)
            waited = waited + 1 if loss > best_loss * (1 + WORSE) else 0
            if math.isnan(loss) or loss < best_loss:
                best_loss, best_step = loss, step
                best_state = {k: v.clone() for k, v in trainer.average.state_dict().items()}
            if waited >= PATIENCE:
                stopped = "validation loss rose"
                break
        if progress is not None and clock.report_due():
            latest = curve["validation_loss"][-1] if curve["step"] else math.nan
            progress(Progress(step, plan.steps, trainer.loss(), latest, *clock.rates(step)))
    if clock.out_of_time(trainer.steps):
        stopped = "time budget spent"
    if best_state is not None:
        trainer.average.load_state_dict(best_state)
    if progress is not None:
        rate, _ = clock.rates(trainer.steps)
        progress(Progress(trainer.steps, trainer.steps, trainer.loss(), best_loss, rate, 0.0))
    record = TrainingRecord(curve, best_step, trainer.steps, clock.elapsed(), stopped, structure)
    return NetworkDenoiser(trainer.average), record


def race_steps(plan: TrainingPlan) -> int:
    """Steps that each candidate network is given before one is chosen."""
    return min(500, plan.steps // 12)


class _Trainer:
    """A network, its optimiser, and the running average of its weights."""

    def __init__(self, network: VelocityNetwork, plan: TrainingPlan, generator: Generator, steps: int = 0):
        self.network, self.plan, self.generator, self.steps = network, plan, generator, steps
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            betas=(0.9, 0.99),
            fused=True,
        )
        self._warm_up = min(200, max(1, plan.steps // 10))
        self._started_at = steps
        self._smoothed: Tensor | None = None

    def step(self, x0: Tensor, share: float) -> None:
        """One optimiser step on a batch, at a share of the whole training done."""
        warm_up = min(1.0, (self.steps - self._started_at + 1) / self._warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * share))
        noise = torch.randn(x0.shape, generator=self.generator, device=x0.device)
        levels = math.gcd(len(x0), LEVELS)
        log_sigma = stratified_log_sigma(levels, self.plan, self.generator, x0.device)
        loss = denoising_loss(self.network, x0, log_sigma, noise)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.steps += 1
        with torch.no_grad():
            keep = (1 - 1 / self.steps) ** (1 + AVERAGING_EXPONENT)
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - keep)
            # kept on the device: reading it every step would wait for an accelerator every step
            latest = loss.detach()
            self._smoothed = latest if self._smoothed is None else self._smoothed.lerp(latest, 0.02)

    def loss(self) -> float:
        """Training loss, smoothed over about the last fifty steps."""
        return math.nan if self._smoothed is None else float(self._smoothed)


def denoising_loss(network: nn.Module, x0: Tensor, log_sigma: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of F at given noise: E‖F(y, σ) − (sin θ x₀ − cos θ ε)‖²/d, a scalar.

    Parameters
    ----------
    network : nn.Module
        F(y, log σ).
    x0, noise : Tensor, shape (n, d)
        Whitened rows and standard normal draws.
    log_sigma : Tensor, shape (g,)
        Of g equal groups of neighbouring rows.
    """
    theta = log_sigma.exp().atan().repeat_interleave(len(x0) // len(log_sigma))[:, None]
    cos, sin = theta.cos(), theta.sin()
    return (network(cos * x0 + sin * noise, log_sigma) - (sin * x0 - cos * noise)).square().mean()


def stratified_log_sigma(n: int, plan: TrainingPlan, generator: Generator, device: torch.device) -> Tensor:
    """log σ, one in each of n equal strata of [log σ_min, log σ_max], shape (n,)."""
    low, high = math.log(plan.sigma_min), math.log(plan.sigma_max)
    position = torch.arange(n, device=device) + torch.rand(n, generator=generator, device=device)
    return low + (high - low) / n * position


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


def _validator(validation: Tensor, plan: TrainingPlan, generator: Generator) -> Callable[[nn.Module], float]:
    """The loss on the validation rows at noise levels and draws that stay the same throughout."""
    if len(validation) == 0:
        return lambda network: math.nan
    draws = max(VALIDATION_DRAWS, -(-1024 // len(validation)))
    x0 = validation.repeat(draws, 1)[:VALIDATION_PAIRS]
    log_sigma = stratified_log_sigma(len(x0), plan, generator, x0.device)
    # each row meets noise levels from all over the range, not from the one stratum of its position
    log_sigma = log_sigma[torch.randperm(len(x0), generator=generator, device=x0.device)]
    noise = torch.randn(x0.shape, generator=generator, device=x0.device)

    def loss(network: nn.Module) -> float:
        with torch.inference_mode():
            return float(denoising_loss(network, x0, log_sigma, noise))

    return loss
