"""What the networks share: their interface, features of the noise level, initial weights, and SiLU's derivative."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from latentflow.score.frozen import FieldAt

#: Size of the noise-level embedding.
EMBEDDING = 64


def linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """A layer without initial weights: torch would draw them from its global generator."""
    layer: nn.Linear = skip_init(nn.Linear, inputs, outputs, bias=bias)
    return layer


@torch.no_grad()
def initialise(layer: nn.Linear, generator: Generator, *, zero: bool = False) -> None:
    """LeCun-uniform weights from the given generator, or zeros for the last map of a branch."""
    bound = 0.0 if zero else 1 / math.sqrt(layer.in_features)
    layer.weight.uniform_(-bound, bound, generator=generator)
    if layer.bias is not None:
        layer.bias.uniform_(-bound, bound, generator=generator)


class VelocityNetwork(nn.Module):
    """Base of the networks F(y, log σ); ``settings`` are the plain values that rebuild one without its weights."""

    settings: dict[str, Any]

    def push_forward(self, y: Tensor, log_sigma: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F and its derivatives along directions, in one pass.

        Parameters
        ----------
        y : Tensor, shape (n, d)
        log_sigma : Tensor, shape (g,)
            Of g equal groups of neighbouring rows.
        directions : Tensor, shape (k, d)
            The same for all rows.

        Returns
        -------
        value : Tensor, shape (n, d)
        derivatives : Tensor, shape (k, n, d)
            ∂F/∂y · direction.
        """
        raise NotImplementedError

    def at(self, log_sigma: Tensor, dtype: torch.dtype) -> FieldAt:
        """F at one noise level, what depends on σ alone worked out.

        Parameters
        ----------
        log_sigma : Tensor, shape (1,)
            In the network's own precision.
        dtype : torch.dtype
            Of the weights of the field.
        """
        raise NotImplementedError


class NoiseEmbedding(nn.Module):
    """Features of the noise level: sines and cosines of ¼ log σ and of θ = arctan σ, and one layer.

    log σ resolves the small noise levels, θ the large ones. Low frequencies only: F changes slowly with σ, and rows at
    one level then speak for those at the next.
    """

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.linspace(0.2, 2.0, EMBEDDING // 4))
        self.layer = linear(EMBEDDING, EMBEDDING)

    def forward(self, log_sigma: Tensor) -> Tensor:
        """Embedding of shape (g, EMBEDDING) for log σ of shape (g,)."""
        column = log_sigma[:, None]
        phases = torch.cat([column / 4 * self.frequencies, column.exp().atan() * self.frequencies], dim=1)
        return functional.silu(self.layer(torch.cat([phases.sin(), phases.cos()], dim=1)))


def silu_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    """SiLU(x) = x/(1+e⁻ˣ) and its derivative, both of the shape of x."""
    gate = torch.sigmoid(x)
    value = x * gate
    return value, torch.addcmul(gate, value, 1 - gate)
