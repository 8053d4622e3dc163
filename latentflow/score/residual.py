"""A residual perceptron for F(y, log σ), on all coordinates at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from latentflow.score.fields import Field
from latentflow.score.layers import (
    EMBEDDING,
    NoiseEmbedding,
    activated,
    initialise,
    linear,
    rows_in_cache,
    silu_and_slope,
    times,
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


class ResidualMLP(nn.Module):
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


class ResidualField(Field):
    """F(·, σ) of a residual perceptron: h ← h + W₂ SiLU(a ⊙ W₁ h + b), block by block, with a and b known.

    The scale a goes into the rows of W₁. The first W₁ is applied to the inlet, which is linear, and the outlet to the
    last W₂, so L blocks take 2 (L − 1) products of full width in place of 2 L.

    Parameters
    ----------
    inlet, outlet : tuple of Tensor
        Weight and bias of the first layer, shapes (width, d) and (width,), and of the last, (d, width) and (d,).
    inner, outer : sequence of Tensor, shape (width, width)
        W₁ and W₂ of each block.
    modulations : sequence of tuples of Tensor
        a and b of each block, shape (width,) each.
    dtype : torch.dtype
        Of the folded weights. The state of a caller in another precision is converted on the way in and out.
    """

    def __init__(
        self,
        inlet: tuple[Tensor, Tensor],
        inner: Sequence[Tensor],
        outer: Sequence[Tensor],
        modulations: Sequence[tuple[Tensor, Tensor]],
        outlet: tuple[Tensor, Tensor],
        dtype: torch.dtype,
    ):
        def ready(weight: Tensor) -> Tensor:
            return weight.detach().to(dtype).contiguous()

        scaled = [(weight * scale[:, None]).T for weight, (scale, _) in zip(inner, modulations, strict=True)]
        shifts = [shift for _, shift in modulations]
        weight, bias = inlet
        self.inlet, self.inlet_bias = ready(weight.T), ready(bias)
        self.first, self.first_shift = ready(weight.T @ scaled[0]), ready(bias @ scaled[0] + shifts[0])
        self.blocks = [
            (before.detach().to(dtype).T, ready(matrix), ready(shift))
            for before, matrix, shift in zip(outer[:-1], scaled[1:], shifts[1:], strict=True)
        ]
        self.outlet, self.outlet_bias = ready(outlet[0].T), ready(outlet[1])
        self.last = ready(outer[-1].T @ outlet[0].T)

    @property
    def rows_at_once(self) -> int:
        """Rows, or rows times directions, in one call that make it fastest."""
        return rows_in_cache(self.inlet.shape[1], self.inlet)

    def v_prediction(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d)."""
        start = y.to(self.inlet.dtype)
        h = torch.addmm(self.inlet_bias, start, self.inlet)
        hidden = activated(torch.addmm(self.first_shift, start, self.first))
        for outer, inner, shift in self.blocks:
            h = h.addmm_(hidden, outer)
            hidden = activated(torch.addmm(shift, h, inner))
        return torch.addmm(self.outlet_bias, h, self.outlet).addmm_(hidden, self.last).to(y.dtype)

    def push_forward(self, y: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F(y, σ), shape (n, d), and its derivatives along directions (k, d), shape (k, n, d)."""
        start, along = y.to(self.inlet.dtype), directions.to(self.inlet.dtype)
        width = self.inlet.shape[1]
        h = torch.addmm(self.inlet_bias, start, self.inlet)
        hidden, slope = silu_and_slope(torch.addmm(self.first_shift, start, self.first))
        # along the inlet and the first matrix a direction is the same for every row
        moved = slope * (along @ self.first)[:, None]
        tangents = (along @ self.inlet)[:, None].expand(moved.shape).contiguous().reshape(-1, width)
        for outer, inner, shift in self.blocks:
            h = h.addmm_(hidden, outer)
            hidden, slope = silu_and_slope(torch.addmm(shift, h, inner))
            tangents = tangents.addmm_(moved.reshape(-1, width), outer)
            moved = times(torch.mm(tangents, inner).reshape(moved.shape), slope)
        value = torch.addmm(self.outlet_bias, h, self.outlet).addmm_(hidden, self.last)
        derivatives = torch.mm(tangents, self.outlet).addmm_(moved.reshape(-1, width), self.last)
        return value.to(y.dtype), derivatives.reshape(len(along), *y.shape).to(y.dtype)
