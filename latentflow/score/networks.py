"""The network behind the score: a residual perceptron on (y, log σ)."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer without initial weights: torch would draw them from its global generator."""
    layer: nn.Linear = skip_init(nn.Linear, inputs, outputs)
    return layer


class ResidualBlock(nn.Module):
    """h ↦ h + W₂ SiLU((1 + a(σ)) ⊙ W₁ LayerNorm(h) + b(σ)), the identity at initialisation.

    The noise level enters as a scale a and a shift b of the hidden units (FiLM; Perez et al. 2018,
    arXiv 1709.07871).

    Parameters
    ----------
    width : int
        Size of h.
    embedding : int
        Size of the noise-level embedding.
    """

    def __init__(self, width: int, embedding: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.inner = _linear(width, width)
        self.outer = _linear(width, width)
        self.modulation = _linear(embedding, 2 * width)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Next hidden state, shape (n, width)."""
        scale, shift = self.modulation(embedding).chunk(2, -1)
        hidden = torch.addcmul(shift, self.inner(self.norm(h)), 1 + scale)
        return h + self.outer(functional.silu(hidden))


class ResidualMLP(nn.Module):
    """F(y, log σ): what :class:`~latentflow.score.denoisers.NetworkDenoiser` preconditions.

    Parameters
    ----------
    dimension : int
        d, the number of whitened coordinates.
    width, depth : int
        Hidden size and number of residual blocks.
    embedding : int
        Size of the noise-level embedding; a multiple of 4.
    generator : torch.Generator, optional
        Source of the initial weights; without one they are left for a state dict to fill.

    Notes
    -----
    The embedding sees ¼ log σ and θ = arctan σ through sines and cosines of a few frequencies: log σ resolves the
    small noise levels, θ the large ones. A scalar σ is embedded once and broadcast over the rows.
    """

    frequencies: Tensor

    def __init__(
        self,
        dimension: int,
        width: int = 128,
        depth: int = 4,
        embedding: int = 64,
        generator: Generator | None = None,
    ):
        super().__init__()
        self.settings = {"dimension": dimension, "width": width, "depth": depth, "embedding": embedding}
        self.register_buffer("frequencies", torch.linspace(0.4, 6.3, embedding // 4))
        self.embed = _linear(embedding, embedding)
        self.inlet = _linear(dimension, width)
        self.blocks = nn.ModuleList([ResidualBlock(width, embedding) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.outlet = _linear(width, dimension)
        if generator is not None:
            self._initialise(generator)

    @torch.no_grad()
    def _initialise(self, generator: Generator) -> None:
        """LeCun-uniform weights from the given generator; the last map of every branch starts at zero."""
        for layer in (m for m in self.modules() if isinstance(m, nn.Linear)):
            bound = 1 / math.sqrt(layer.in_features)
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
        last = [self.outlet] + [b.outer for b in self.blocks] + [b.modulation for b in self.blocks]
        for layer in last:
            layer.weight.zero_()
            layer.bias.zero_()

    def forward(self, y: Tensor, log_sigma: Tensor) -> Tensor:
        """F of shape (n, d) at states y (n, d) and log noise levels of shape (n,) or (1,)."""
        log_sigma = log_sigma[:, None]
        phases = torch.cat(
            [log_sigma / 4 * self.frequencies, log_sigma.exp().atan() * self.frequencies], dim=1
        )
        embedding = functional.silu(self.embed(torch.cat([phases.sin(), phases.cos()], dim=1)))
        h = self.inlet(y)
        for block in self.blocks:
            h = block(h, embedding)
        return self.outlet(self.norm(h))
