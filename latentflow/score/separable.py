"""A network for F(y, log σ) that is separable along learned axes: the exact form for a linear mixture."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from latentflow.score.frozen_separable import Perceptrons, SeparableField
from latentflow.score.layers import (
    EMBEDDING,
    NoiseEmbedding,
    VelocityNetwork,
    initialise,
    linear,
    silu_and_slope,
)

#: Hidden units for each coordinate.
UNITS = 32


class SeparableNetwork(VelocityNetwork):
    """F = R f(Rᵀy), one small perceptron fᵢ for each axis: the score of independent sources along the columns of R.

    If the table is a linear mixture, the exact F has this form with R the ICA rotation, at every noise level.

    Parameters
    ----------
    axes : Tensor, shape (d, d)
        R, orthogonal, to start from. It is learned with the rest: where sources have sharp edges, the likelihood
        knows the axes better than FastICA's contrast does.
    generator : torch.Generator, optional
        Source of the initial weights.
    """

    def __init__(self, axes: Tensor, generator: Generator | None = None):
        super().__init__()
        d = len(axes)
        self.settings = {"kind": "separable", "dimension": d}
        self.axes = nn.Parameter(axes.clone())
        self.embed = NoiseEmbedding()
        self.slopes, self.offsets = (nn.Parameter(torch.zeros(d, UNITS)) for _ in range(2))
        self.mixing = nn.Parameter(torch.zeros(d, UNITS, UNITS))
        self.mixing_offsets, self.readout = (nn.Parameter(torch.zeros(d, UNITS)) for _ in range(2))
        self.modulation = linear(EMBEDDING, 4 * d * UNITS)
        self.bias = linear(EMBEDDING, d)
        if generator is not None:
            with torch.no_grad():
                # bends all over the range of a coordinate, from gentle to steep
                kinks = 1.2 * torch.randn(d, UNITS, generator=generator)
                signs = torch.randint(2, (d, UNITS), generator=generator) * 2 - 1
                slopes = torch.logspace(0, 1, UNITS)
                self.slopes.copy_(slopes * signs)
                self.offsets.copy_(-self.slopes * kinks)
                self.mixing.normal_(0, UNITS**-0.5, generator=generator)
                self.mixing.div_(slopes[:, None])
            initialise(self.embed.layer, generator)
            initialise(self.modulation, generator, zero=True)
            initialise(self.bias, generator, zero=True)

    def forward(self, y: Tensor, log_sigma: Tensor) -> Tensor:
        """F of shape (n, d)."""
        film, bias = self._modulations(log_sigma)
        s = (y @ self.axes).reshape(len(log_sigma), -1, y.shape[-1], 1)
        h = torch.addcmul(self.offsets, s, self.slopes)
        h = functional.silu(torch.addcmul(film[1], h, 1 + film[0]))
        h = torch.einsum("grdh,dhk->grdk", h, self.mixing) + self.mixing_offsets
        h = functional.silu(torch.addcmul(film[3], h, 1 + film[2]))
        along = (h * self.readout).sum(-1) + bias
        return along.reshape(y.shape) @ self.axes.T

    def push_forward(self, y: Tensor, log_sigma: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F, shape (n, d), and its derivatives along directions, shape (k, n, d)."""
        film, bias = self._modulations(log_sigma)
        s = (y @ self.axes).reshape(len(log_sigma), -1, y.shape[-1], 1)
        h = torch.addcmul(self.offsets, s, self.slopes)
        h, slope = silu_and_slope(torch.addcmul(film[1], h, 1 + film[0]))
        slope = slope * (1 + film[0]) * self.slopes
        h, slope = (torch.einsum("grdh,dhk->grdk", part, self.mixing) for part in (h, slope))
        h, outer = silu_and_slope(torch.addcmul(film[3], h + self.mixing_offsets, 1 + film[2]))
        along = (h * self.readout).sum(-1) + bias
        derivative = (outer * (1 + film[2]) * slope * self.readout).sum(-1).reshape(y.shape)
        tangents = (directions @ self.axes)[:, None] * derivative
        return along.reshape(y.shape) @ self.axes.T, tangents @ self.axes.T

    @torch.no_grad()
    def at(self, log_sigma: Tensor, dtype: torch.dtype) -> SeparableField:
        """F at one noise level, what depends on σ alone worked out; log σ of shape (1,)."""
        film, bias = self._modulations(log_sigma)
        first, first_shift, second, second_shift = (part[0, 0] for part in film)
        along = Perceptrons(
            slopes=self.slopes * (1 + first),
            offsets=self.offsets * (1 + first) + first_shift,
            mixing=self.mixing * (1 + second)[:, None],
            mixing_offsets=self.mixing_offsets * (1 + second) + second_shift,
            readout=self.readout,
            bias=bias[0, 0],
        )
        return SeparableField(self.axes, along, dtype)

    def _modulations(self, log_sigma: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Scales and shifts of both layers, shape (g, 1, d, UNITS) each, and the bias, shape (g, 1, d)."""
        embedding = self.embed(log_sigma)
        film = self.modulation(embedding).reshape(len(embedding), 1, 4, *self.slopes.shape)
        return film.unbind(2), self.bias(embedding)[:, None]
