"""What the networks share: features of the noise level, initial weights, SiLU and its derivative, rows at once."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

#: Size of the noise-level embedding.
EMBEDDING = 64
#: Bytes of one hidden state that leave the second-level cache of a core room for its neighbours and the weights:
#: measured fastest in double and in single precision (reports/encode-speed).
CACHE_BYTES = 1 << 19
#: The same on a GPU, where a large product wants many rows and memory is the only limit; a guess, not measured.
GPU_BYTES = 1 << 28


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


def activated(hidden: Tensor) -> Tensor:
    """SiLU, in place where nothing has to be kept for a backward pass."""
    return functional.silu(hidden, inplace=not torch.is_grad_enabled())


def times(product: Tensor, factor: Tensor) -> Tensor:
    """Element by element, in place of the first where nothing has to be kept for a backward pass."""
    return product * factor if torch.is_grad_enabled() else product.mul_(factor)


def rows_in_cache(width: int, like: Tensor) -> int:
    """Rows whose hidden states of the given width stay in cache, in the precision and on the device of a tensor.

    At least 256, over which the weights of a wide network are read once.
    """
    budget = CACHE_BYTES if like.device.type == "cpu" else GPU_BYTES
    return max(256, budget // (width * like.element_size()))
