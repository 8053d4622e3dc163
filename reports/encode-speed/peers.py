"""The peers: torchdiffeq on the same network, zuko's CNF, and conditional flow matching integrated by torchdiffeq."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import zuko
from torch import Tensor, nn
from torchdiffeq import odeint

from latentflow.score.denoisers import Denoiser

#: Rows of a training step of the peers.
BATCH = 256


@dataclass
class Counted:
    """A drift that counts its evaluations."""

    drift: Callable[[Tensor, Tensor], Tensor]
    calls: int = 0

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        """The drift at (t, x)."""
        self.calls += 1
        return self.drift(t, x)


def by_torchdiffeq(drift: Counted, x: Tensor, span: tuple[float, float], tolerance: float = 1e-4) -> Tensor:
    """State at the end of the span by dopri5 with rtol = atol = tolerance."""
    times = torch.tensor(span, dtype=x.dtype, device=x.device)
    with torch.no_grad():
        end: Tensor = odeint(drift, x, times, method="dopri5", rtol=tolerance, atol=tolerance)[-1]
    return end


def in_sigma(denoiser: Denoiser) -> Counted:
    """dx/dσ = (x − D(x; σ))/σ, the probability flow as it is published, on a fitted model's own denoiser."""
    return Counted(lambda sigma, x: (x - denoiser(x, sigma)) / sigma)


def latents_in_sigma(
    drift: Counted, x: Tensor, levels: tuple[float, float], rows: int | None = None
) -> Tensor:
    """Latents x(σ_max)/√(1+σ_max²) by dopri5, on all rows at once or so many at a time, shape (n, d)."""
    parts = x.split(rows or len(x))
    return torch.cat([by_torchdiffeq(drift, part, levels) for part in parts]) / math.sqrt(1 + levels[1] ** 2)


class MatchedDrift(nn.Module):
    """The perceptron of torchcfm's examples, (x, t) → four linear maps with SELU between, at a given width."""

    def __init__(self, dimension: int, width: int):
        super().__init__()
        sizes = [dimension + 1, width, width, width, dimension]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.SELU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """v(t, x), shape (n, d)."""
        out: Tensor = self.layers(torch.cat([x, t.reshape(1, 1).expand(len(x), 1)], dim=1))
        return out

    def many(self, t: Tensor, x: Tensor) -> Tensor:
        """v at a time of each row, t of shape (n, 1)."""
        out: Tensor = self.layers(torch.cat([x, t], dim=1))
        return out


def train(network: nn.Module, loss: Callable[[Tensor], Tensor], rows: Tensor, seconds: float) -> int:
    """Adam on batches of rows for some seconds; returns the steps taken."""
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    generator, steps, started = torch.Generator().manual_seed(0), 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        batch = rows[torch.randint(len(rows), (BATCH,), generator=generator)]
        optimiser.zero_grad()
        loss(batch).backward()
        optimiser.step()
        steps += 1
    network.requires_grad_(False)
    return steps


def flow_matching(rows: Tensor, width: int, seconds: float) -> tuple[MatchedDrift, int]:
    """Conditional flow matching (Lipman et al. 2023; Tong et al. 2024, arXiv 2302.00482, eq. 14 with σ → 0)."""
    torch.manual_seed(0)
    network = MatchedDrift(rows.shape[1], width).to(rows)

    def loss(batch: Tensor) -> Tensor:
        noise, t = torch.randn_like(batch), torch.rand(len(batch), 1).to(batch)
        return (network.many(t, t * batch + (1 - t) * noise) - (batch - noise)).square().mean()

    return network, train(network, loss, rows, seconds)


def continuous_flow(rows: Tensor, width: int, depth: int, seconds: float) -> tuple[zuko.flows.CNF, int]:
    """zuko's CNF with hidden layers of the given width, by maximum likelihood with its stochastic trace."""
    torch.manual_seed(0)
    flow = zuko.flows.CNF(rows.shape[1], hidden_features=(width,) * depth, exact=False).to(rows)
    return flow, train(flow, lambda batch: -flow().log_prob(batch).mean(), rows, seconds)


def latents_of_zuko(flow: zuko.flows.CNF, x: Tensor, tolerance: float = 1e-4) -> tuple[Tensor, int]:
    """Latents by zuko's own adaptive solver with rtol = atol = tolerance, and its evaluations."""
    transform = flow.transform()
    transform.f = counted = Counted(transform.f)
    transform.atol = transform.rtol = tolerance
    with torch.no_grad():
        z: Tensor = transform(x)
    return z, counted.calls
