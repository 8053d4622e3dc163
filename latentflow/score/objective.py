"""Denoising score matching (Vincent 2011; Karras et al. 2022, arXiv 2206.00364): loss, noise levels, validation.

With y = cos θ x₀ + sin θ ε and θ = arctan σ, the preconditioned loss (1+σ²)/σ² ‖D − x₀‖² is plain regression of the
network F(y, σ) on sin θ x₀ − cos θ ε.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from torch import Generator, Tensor

from latentflow.score.sizing import TrainingPlan
from latentflow.score.tensors import as_array

#: (y, log σ) ↦ F, such as a network.
VPrediction = Callable[[Tensor, Tensor], Tensor]

#: Noise levels in a batch, where they divide it: a stratum each, shared by a group of rows.
BATCH_LEVELS = 64
#: Centre and width of the hill in the density of log σ; nodes of its table of quantiles.
HILL = (math.log(0.2), 1.2)
QUANTILE_NODES = 2049
#: Noise draws per validation row, and most (row, draw) pairs in one validation.
VALIDATION_DRAWS = 8
VALIDATION_PAIRS = 16_384
#: Stretches of validation rows over which two networks are compared; neighbours may be alike, stretches less so.
VALIDATION_STRETCHES = 20


def denoising_errors(network: VPrediction, x0: Tensor, log_sigma: Tensor, noise: Tensor) -> Tensor:
    """Squared error of F at given noise: ‖F(y, σ) − (sin θ x₀ − cos θ ε)‖²/d of each row, shape (n,).

    Parameters
    ----------
    network : callable (y, log σ) -> Tensor, shape (n, d)
        F, such as a network.
    x0, noise : Tensor, shape (n, d)
        Whitened rows and standard normal draws.
    log_sigma : Tensor, shape (g,)
        Of g equal groups of neighbouring rows.
    """
    theta = log_sigma.exp().atan().repeat_interleave(len(x0) // len(log_sigma))[:, None]
    cos, sin = theta.cos(), theta.sin()
    residual: Tensor = network(cos * x0 + sin * noise, log_sigma) - (sin * x0 - cos * noise)
    return residual.square().mean(1)


def likelihood_weight(log_sigma: Tensor) -> Tensor:
    """1/(1+σ²), of the shape of log σ: what an error of F at one noise level costs in likelihood.

    With it the loss, integrated over log σ and times d, is the bound on −log p of Song et al. (2021, arXiv
    2101.09258, theorem 1), up to a constant.
    """
    return 1 / (1 + (2 * log_sigma).exp())


class NoiseLevels:
    """Stratified draws of log σ from a uniform density with a normal hill around σ = 0.2.

    The hill is where most of the shape of whitened data comes and goes, as in the training of Karras et al. (2022,
    arXiv 2206.00364, table 1: log σ ~ N(−1.2, 1.2²)); the uniform part serves an encoder that starts at a small σ
    and must be right at every level.

    Parameters
    ----------
    plan : TrainingPlan
    device : torch.device
    uniform : float
        Share of the uniform part.
    """

    def __init__(self, plan: TrainingPlan, device: torch.device, uniform: float = 1.0):
        low, high = math.log(plan.sigma_min), math.log(plan.sigma_max)
        log_sigma = np.linspace(low, high, QUANTILE_NODES)
        hill = stats.norm.cdf((log_sigma - HILL[0]) / HILL[1])
        hill = (hill - hill[0]) / (hill[-1] - hill[0])
        below = uniform * (log_sigma - low) / (high - low) + (1 - uniform) * hill
        weight = likelihood_weight(torch.as_tensor(log_sigma)).numpy()
        weight = weight / weight.mean() / (np.gradient(below, log_sigma) * (high - low))
        self._low, self._width = low, high - low
        self._weights = torch.as_tensor(weight, dtype=torch.float32, device=device)
        nodes = np.interp(np.linspace(0, 1, QUANTILE_NODES), below, log_sigma)
        self._nodes = torch.as_tensor(nodes, dtype=torch.float32, device=device)

    def draw(self, n: int, generator: Generator) -> Tensor:
        """log σ, one in each of n strata of equal probability, shape (n,)."""
        device = self._nodes.device
        position = (torch.arange(n, device=device) + torch.rand(n, generator=generator, device=device)) / n
        position = position * (len(self._nodes) - 1)
        left = position.long().clamp(max=len(self._nodes) - 2)
        return torch.lerp(self._nodes[left], self._nodes[left + 1], position - left)

    def weights(self, log_sigma: Tensor) -> Tensor:
        """Weights, of mean one over draws, that turn errors at drawn levels into the likelihood-weighted loss."""
        position = (log_sigma - self._low) * ((QUANTILE_NODES - 1) / self._width)
        return self._weights[position.round().long().clamp(0, QUANTILE_NODES - 1)]


class Validation:
    """The likelihood-weighted loss on the validation rows, at noise levels and draws that stay the same throughout.

    Parameters
    ----------
    rows : Tensor, shape (m, d)
        Whitened; m may be 0.
    plan : TrainingPlan
    generator : torch.Generator
    """

    def __init__(self, rows: Tensor, plan: TrainingPlan, generator: Generator):
        self.n_rows = len(rows)
        if self.n_rows == 0:
            return
        draws = max(VALIDATION_DRAWS, -(-1024 // len(rows)))
        self._x0 = rows.repeat(draws, 1)[:VALIDATION_PAIRS]
        n, device = len(self._x0), rows.device
        levels = NoiseLevels(plan, device)
        log_sigma = levels.draw(n, generator)
        # each row meets noise levels from all over the range, not from the one stratum of its position
        self._log_sigma = log_sigma[torch.randperm(n, generator=generator, device=device)]
        self._weights = levels.weights(self._log_sigma)
        self._noise = torch.randn(self._x0.shape, generator=generator, device=device)

    def errors(self, network: VPrediction) -> Tensor:
        """Weighted error of each (row, draw) pair; empty without validation rows."""
        if self.n_rows == 0:
            return torch.empty(0)
        with torch.inference_mode():
            return self._weights * denoising_errors(network, self._x0, self._log_sigma, self._noise)

    def loss(self, network: VPrediction) -> float:
        """Mean weighted error; NaN without validation rows."""
        return float(self.errors(network).mean())

    def gain(self, network: VPrediction, other: VPrediction) -> tuple[float, float]:
        """By how much the loss of ``network`` is below that of ``other``, and the standard error of that."""
        difference = as_array(self.errors(other) - self.errors(network))
        stretch = np.arange(len(difference)) % self.n_rows * VALIDATION_STRETCHES // self.n_rows
        means = np.array([difference[stretch == k].mean() for k in np.unique(stretch)])
        error = float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else math.inf
        return float(difference.mean()), error
