"""Learning ∇log p_σ by denoising score matching (Vincent 2011; Karras et al. 2022, arXiv 2206.00364).

With y = cos θ x₀ + sin θ ε and θ = arctan σ, the preconditioned loss (1+σ²)/σ² ‖D − x₀‖² is plain regression of the
network F(y, σ) on sin θ x₀ − cos θ ε. σ is log-uniform and stratified over the batch.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Generator, Tensor, nn

from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.networks import ResidualMLP
from latentflow.score.sizing import TrainingPlan

#: A fresh draw of all whitened training rows, shape (n, d): dequantised columns differ from draw to draw.
DrawRows = Callable[[], Tensor]

#: Validations over a whole training, and how many without improvement end it.
VALIDATIONS = 50
PATIENCE = 15
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
    """How a training went: losses by step, the step whose weights were kept, and why it ended."""

    history: dict[str, list[float]]
    best_step: int
    steps: int
    seconds: float
    stopped: str


@dataclass
class _Curve:
    step: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)


def train_denoiser(
    draw_rows: DrawRows,
    validation: Tensor,
    plan: TrainingPlan,
    *,
    generator: Generator,
    redraw: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[NetworkDenoiser, TrainingRecord]:
    """Train a preconditioned residual perceptron on whitened rows.

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

    Returns
    -------
    denoiser : NetworkDenoiser
        With the averaged weights of lowest validation loss, in evaluation mode.
    record : TrainingRecord
    """
    rows = draw_rows()
    cpu_generator = Generator().manual_seed(int(torch.randint(2**62, (1,), generator=generator, device=rows.device)))
    network = ResidualMLP(rows.shape[1], plan.width, plan.depth, generator=cpu_generator).to(rows.device)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, betas=(0.9, 0.99), fused=True
    )
    batches = _batches(rows, draw_rows if redraw else None, plan.batch_size, generator)
    validate = _validator(validation, plan, generator)
    curve, best_loss, best_step, best_state = _Curve(), math.inf, 0, None
    smoothed, waited, stopped = math.nan, 0, "all steps done"
    clock = _Clock(plan)
    step = 0
    while clock.share(step) < 1:
        batch = next(batches)
        _set_learning_rate(optimiser, plan, step, clock.share(step))
        loss = _step(network, optimiser, batch, plan, generator)
        step += 1
        _update_average(average, network, step)
        smoothed = loss if math.isnan(smoothed) else smoothed + (loss - smoothed) / min(step, 100)
        if clock.validation_due(step):
            validation_loss = validate(average)
            curve.step.append(step)
            curve.train_loss.append(smoothed)
            curve.validation_loss.append(validation_loss)
            waited += 1
            if math.isnan(validation_loss) or validation_loss < best_loss:
                best_loss, best_step, waited = validation_loss, step, 0
                best_state = {k: v.clone() for k, v in average.state_dict().items()}
            if waited >= PATIENCE:
                stopped = "validation loss no longer falls"
                break
        if progress is not None and clock.report_due(step):
            latest = curve.validation_loss[-1] if curve.validation_loss else math.nan
            progress(Progress(step, plan.steps, smoothed, latest, *clock.rates(step)))
    if clock.out_of_time(step):
        stopped = "time budget spent"
    if best_state is None:
        best_step = step
    else:
        average.load_state_dict(best_state)
    if progress is not None:
        progress(Progress(step, step, smoothed, best_loss, clock.rates(step)[0], 0.0))
    return NetworkDenoiser(average), TrainingRecord(vars(curve), best_step, step, clock.elapsed(), stopped)


def denoising_loss(
    network: nn.Module, x0: Tensor, log_sigma: Tensor, noise: Tensor
) -> Tensor:
    """Mean squared error of F at given noise: E‖F(y, σ) − (sin θ x₀ − cos θ ε)‖²/d, a scalar.

    Parameters
    ----------
    network : nn.Module
        F(y, log σ).
    x0, noise : Tensor, shape (n, d)
        Whitened rows and standard normal draws.
    log_sigma : Tensor, shape (n,)
    """
    theta = log_sigma.exp().atan()[:, None]
    cos, sin = theta.cos(), theta.sin()
    return (network(cos * x0 + sin * noise, log_sigma) - (sin * x0 - cos * noise)).square().mean()


def stratified_log_sigma(n: int, plan: TrainingPlan, generator: Generator, device: torch.device) -> Tensor:
    """log σ, one in each of n equal strata of [log σ_min, log σ_max], shape (n,)."""
    low, high = math.log(plan.sigma_min), math.log(plan.sigma_max)
    position = torch.arange(n, device=device) + torch.rand(n, generator=generator, device=device)
    return low + (high - low) / n * position


def _step(
    network: nn.Module, optimiser: torch.optim.Optimizer, x0: Tensor, plan: TrainingPlan, generator: Generator
) -> float:
    noise = torch.randn(x0.shape, generator=generator, device=x0.device)
    loss = denoising_loss(network, x0, stratified_log_sigma(len(x0), plan, generator, x0.device), noise)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return float(loss.detach())


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


def _set_learning_rate(optimiser: torch.optim.Optimizer, plan: TrainingPlan, step: int, share: float) -> None:
    warm_up = min(1.0, (step + 1) / min(200, max(1, plan.steps // 10)))
    for group in optimiser.param_groups:
        group["lr"] = plan.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * share))


@torch.no_grad()
def _update_average(average: nn.Module, network: nn.Module, step: int) -> None:
    keep = (1 - 1 / step) ** (1 + AVERAGING_EXPONENT)
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)


class _Clock:
    """Where a training stands, by steps and, with a time budget, by seconds, whichever is further."""

    def __init__(self, plan: TrainingPlan):
        self.plan = plan
        self.start = time.monotonic()
        self.last_report = -math.inf
        self.next_validation = 1 / VALIDATIONS

    def elapsed(self) -> float:
        return time.monotonic() - self.start

    def out_of_time(self, step: int) -> bool:
        budget = self.plan.time_budget
        return step < self.plan.steps and budget is not None and self.elapsed() >= budget

    def share(self, step: int) -> float:
        by_time = 0.0 if self.plan.time_budget is None else self.elapsed() / self.plan.time_budget
        # one step is always made, however short the budget
        return min(1.0, max(step / self.plan.steps, by_time if step else 0.0))

    def validation_due(self, step: int) -> bool:
        share = self.share(step)
        due = share >= self.next_validation
        if due:
            self.next_validation = (math.floor(share * VALIDATIONS + 1e-9) + 1) / VALIDATIONS
        return due or share >= 1

    def report_due(self, step: int) -> bool:
        now = time.monotonic()
        due = now - self.last_report >= 0.1
        if due:
            self.last_report = now
        return due

    def rates(self, step: int) -> tuple[float, float]:
        elapsed, share = self.elapsed(), self.share(step)
        return step * self.plan.batch_size / max(elapsed, 1e-9), elapsed * (1 - share) / max(share, 1e-9)
