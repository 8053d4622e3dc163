"""One network in training: its optimiser, and the running average of its weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import Generator, Tensor, nn

from latentflow.score.objective import BATCH_LEVELS, NoiseLevels, denoising_errors
from latentflow.score.sizing import TrainingPlan

#: Width of the averaging window of the weights, as a share of the steps so far (Karras et al. 2024, arXiv
#: 2312.02696, power-function averaging): it needs no knowledge of how many steps will follow. torch's AveragedModel
#: would take more lines: it wraps the network, counts on the device, and starts from no average but its own.
AVERAGING_EXPONENT = 16.0
#: Share of the noise levels that is drawn uniformly, see :class:`~latentflow.score.objective.NoiseLevels`.
UNIFORM_SHARE = 0.45
#: A network over-fits after this many validations in a row (of 50 over a whole training) whose loss is above the best
#: by this share. A mere plateau does not count, for the loss falls again as the learning rate decays.
PATIENCE = 8
OVERFIT_SHARE = 0.005


class Trainer:
    """AdamW with warm-up and cosine decay on a network, whose averaged weights are what is used.

    Parameters
    ----------
    network : nn.Module
    plan : TrainingPlan
    generator : torch.Generator
        Of noise and noise levels, on the device of the network.
    steps : int
        Steps that count as done already, when the network takes over from another.
    """

    def __init__(
        self,
        network: nn.Module,
        plan: TrainingPlan,
        generator: Generator,
        *,
        steps: int = 0,
    ):
        self.network, self.plan, self.generator = network, plan, generator
        self.own_steps, self._before = 0, steps
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            betas=(0.9, 0.99),
            fused=True,
        )
        self._warm_up = min(200, max(1, plan.steps // 10))
        self._smoothed: Tensor | None = None
        self.best: nn.Module | None = None
        self.best_loss, self.best_step, self._worse = math.inf, 0, 0
        self._levels = NoiseLevels(plan, next(network.parameters()).device, UNIFORM_SHARE)

    @property
    def steps(self) -> int:
        """Steps of the plan that are done."""
        return self._before + self.own_steps

    def step(self, x0: Tensor, share: float) -> None:
        """One optimiser step on a batch, at a share of the whole training done."""
        warm_up = min(1.0, (self.own_steps + 1) / self._warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * share))
        noise = torch.randn(x0.shape, generator=self.generator, device=x0.device)
        log_sigma = self._levels.draw(math.gcd(len(x0), BATCH_LEVELS), self.generator)
        errors = denoising_errors(self.network, x0, log_sigma, noise)
        self.optimiser.zero_grad(set_to_none=True)
        errors.mean().backward()
        self.optimiser.step()
        self.own_steps += 1
        with torch.no_grad():
            keep = (1 - 1 / self.own_steps) ** (1 + AVERAGING_EXPONENT)
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - keep)
            # kept on the device: reading it every step would wait for an accelerator every step
            latest = (
                self._levels.weights(log_sigma) * errors.detach().reshape(len(log_sigma), -1).mean(1)
            ).mean()
            self._smoothed = latest if self._smoothed is None else self._smoothed.lerp(latest, 0.02)

    def judge(self, loss: float) -> None:
        """Keep the average if its validation loss is the lowest so far."""
        self._worse = self._worse + 1 if loss > self.best_loss * (1 + OVERFIT_SHARE) else 0
        if loss < self.best_loss:
            self.best, self.best_loss, self.best_step = copy.deepcopy(self.average), loss, self.steps

    @property
    def overfits(self) -> bool:
        """Whether the validation loss has been above its best for long."""
        return self._worse >= PATIENCE

    def loss(self) -> float:
        """Likelihood-weighted training loss, smoothed over about the last fifty steps."""
        return math.nan if self._smoothed is None else float(self._smoothed)
