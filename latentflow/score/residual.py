"""A residual perceptron for F(y, log σ), on all coordinates at once."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from latentflow.score.frozen_residual import ResidualField
from latentflow.score.layers import (
    EMBEDDING,
    NoiseEmbedding,
    VelocityNetwork,
    initialise,
    linear,
    silu_and_slope,
)


class ResidualBlock(nn.Module):
    """h ↦ h + W₂ SiLU(a(σ) ⊙ W₁ h + b(σ)), the identity at initialisation.

    The noise level enters as a scale a and a shift b of the hidden units (FiLM; Perez et al. 2018,
    arXiv 1709.07871); b takes the place of a bias. There is no normalisation layer: the score must grow with its
    argument in the tails.

    Parameters
    ----------
    width : int
        Size of h.
    """

    def __init__(self, width: int):
        super().__init__()
        self.inner = linear(width, width, bias=False)
        self.outer = linear(width, width, bias=False)

    def forward(self, h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Next hidden state, shape (n, width); scale and shift have shape (g, width)."""
        hidden = functional.silu(self._modulate(self.inner(h), scale, shift))
        return torch.addmm(h, hidden.reshape(h.shape), self.outer.weight.T)

    def push_forward(
        self, h: Tensor, tangents: Tensor, scale: Tensor, shift: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Next hidden state, and its derivatives along tangents of shape (k, n, width)."""
        value, slope = silu_and_slope(self._modulate(self.inner(h), scale, shift))
        slope = (slope * scale[:, None]).reshape(h.shape)
        moved = (self.inner(tangents) * slope).reshape(-1, h.shape[1])
        return (
            torch.addmm(h, value.reshape(h.shape), self.outer.weight.T),
            torch.addmm(tangents.reshape(moved.shape), moved, self.outer.weight.T).reshape(tangents.shape),
        )

    @staticmethod
    def _modulate(hidden: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        groups = hidden.reshape(len(scale), -1, hidden.shape[1])
        return torch.addcmul(shift[:, None], groups, scale[:, None])


class ResidualMLP(VelocityNetwork):
    """A residual perceptron on all coordinates at once.

    Parameters
    ----------
    dimension : int
        d, the number of whitened coordinates.
    width, depth : int
        Hidden size and number of residual blocks.
    generator : torch.Generator, optional
        Source of the initial weights; without one they are left for a state dict to fill.
    """

    def __init__(self, dimension: int, width: int, depth: int, generator: Generator | None = None):
        super().__init__()
        self.settings = {"kind": "residual", "dimension": dimension, "width": width, "depth": depth}
        self.embed = NoiseEmbedding()
        self.inlet = linear(dimension, width)
        self.blocks = nn.ModuleList([ResidualBlock(width) for _ in range(depth)])
        self.modulation = linear(EMBEDDING, 2 * depth * width)
        self.outlet = linear(width, dimension)
        if generator is not None:
            last = [self.outlet, self.modulation, *(block.outer for block in self.blocks)]
            for layer in (m for m in self.modules() if isinstance(m, nn.Linear)):
                initialise(layer, generator, zero=any(layer is other for other in last))
            with torch.no_grad():
                bias = self.modulation.bias.view(depth, 2, width)
                bias[:, 0] = 1
                bias[:, 1].uniform_(-1 / math.sqrt(width), 1 / math.sqrt(width), generator=generator)

    def forward(self, y: Tensor, log_sigma: Tensor) -> Tensor:
        """F of shape (n, d)."""
        h: Tensor = self.inlet(y)
        for block, (scale, shift) in zip(self.blocks, self._modulations(log_sigma), strict=True):
            h = block(h, scale, shift)
        return self.outlet(h)

    def push_forward(self, y: Tensor, log_sigma: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F, shape (n, d), and its derivatives along directions, shape (k, n, d)."""
        h = self.inlet(y)
        tangents = (directions @ self.inlet.weight.T)[:, None].expand(-1, len(y), -1)
        for block, (scale, shift) in zip(self.blocks, self._modulations(log_sigma), strict=True):
            h, tangents = cast(ResidualBlock, block).push_forward(h, tangents, scale, shift)
        return self.outlet(h), tangents @ self.outlet.weight.T

    @torch.no_grad()
    def at(self, log_sigma: Tensor, dtype: torch.dtype) -> ResidualField:
        """F at one noise level, what depends on σ alone worked out; log σ of shape (1,)."""
        blocks = [cast(ResidualBlock, block) for block in self.blocks]
        return ResidualField(
            inlet=(self.inlet.weight, self.inlet.bias),
            inner=[block.inner.weight for block in blocks],
            outer=[block.outer.weight for block in blocks],
            modulations=[(scale[0], shift[0]) for scale, shift in self._modulations(log_sigma)],
            outlet=(self.outlet.weight, self.outlet.bias),
            dtype=dtype,
        )

    def _modulations(self, log_sigma: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Scale and shift of each block, shape (g, width) each, for log σ of shape (g,)."""
        # doubled: in effect the activation is SiLU(2x), whose sharper bend fits piecewise laws better
        film = 2 * self.modulation(self.embed(log_sigma)).reshape(len(log_sigma), 2 * len(self.blocks), -1)
        parts = film.unbind(1)
        return list(zip(parts[::2], parts[1::2], strict=True))
