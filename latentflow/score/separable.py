"""A network for F(y, log σ) that is separable along learned axes: the exact form for a linear mixture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

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
)
from latentflow.score.piecewise import INTERPOLATION_ERRORS, REACH, Table, tabulate

#: Hidden units for each coordinate.
HIDDEN_UNITS = 32
#: Rows from which `v_predictions` goes by a table: making one was measured to cost as much as 2 000 to 3 500 rows of
#: the network, and it is kept.
BREAK_EVEN = 3072


class SeparableNetwork(nn.Module):
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
        self.slopes, self.offsets = (nn.Parameter(torch.zeros(d, HIDDEN_UNITS)) for _ in range(2))
        self.mixing = nn.Parameter(torch.zeros(d, HIDDEN_UNITS, HIDDEN_UNITS))
        self.mixing_offsets, self.readout = (nn.Parameter(torch.zeros(d, HIDDEN_UNITS)) for _ in range(2))
        self.modulation = linear(EMBEDDING, 4 * d * HIDDEN_UNITS)
        self.bias = linear(EMBEDDING, d)
        if generator is not None:
            with torch.no_grad():
                # bends all over the range of a coordinate, from gentle to steep
                kinks = 1.2 * torch.randn(d, HIDDEN_UNITS, generator=generator)
                signs = torch.randint(2, (d, HIDDEN_UNITS), generator=generator) * 2 - 1
                slopes = torch.logspace(0, 1, HIDDEN_UNITS)
                self.slopes.copy_(slopes * signs)
                self.offsets.copy_(-self.slopes * kinks)
                self.mixing.normal_(0, HIDDEN_UNITS**-0.5, generator=generator)
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
        """Scales and shifts of both layers, shape (g, 1, d, HIDDEN_UNITS) each, and the bias, shape (g, 1, d)."""
        embedding = self.embed(log_sigma)
        film = self.modulation(embedding).reshape(len(embedding), 1, 4, *self.slopes.shape)
        return film.unbind(2), self.bias(embedding)[:, None]


@dataclass(frozen=True)
class Perceptrons:
    """fᵢ(s) = rᵢ · SiLU(Mᵢ SiLU(aᵢ s + bᵢ) + cᵢ) + eᵢ for each axis i.

    Coordinates come first in the layout, so that one batched product serves all of them.

    Parameters
    ----------
    slopes, offsets : Tensor, shape (d, units)
        a and b.
    mixing : Tensor, shape (d, units, units)
        M, for rows of hidden units from the left.
    mixing_offsets, readout : Tensor, shape (d, units)
        c and r.
    bias : Tensor, shape (d,)
        e.
    """

    slopes: Tensor
    offsets: Tensor
    mixing: Tensor
    mixing_offsets: Tensor
    readout: Tensor
    bias: Tensor

    def value(self, s: Tensor) -> Tensor:
        """fᵢ(sᵢⱼ), shape (d, n) like s."""
        hidden = activated(torch.addcmul(self.offsets[:, None], s[:, :, None], self.slopes[:, None]))
        hidden = activated(torch.baddbmm(self.mixing_offsets[:, None], hidden, self.mixing))
        return torch.bmm(hidden, self.readout[:, :, None])[:, :, 0] + self.bias[:, None]

    def value_and_slope(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """fᵢ(sᵢⱼ) and fᵢ′(sᵢⱼ), shape (d, n) each."""
        slopes, readout = self.slopes[:, None], self.readout[:, :, None]
        hidden, slope = silu_and_slope(torch.addcmul(self.offsets[:, None], s[:, :, None], slopes))
        slope = torch.bmm(slope * slopes, self.mixing)
        hidden, outer = silu_and_slope(torch.baddbmm(self.mixing_offsets[:, None], hidden, self.mixing))
        value = torch.bmm(hidden, readout)[:, :, 0] + self.bias[:, None]
        return value, torch.bmm(outer * slope, readout)[:, :, 0]

    def of(self, which: Tensor) -> Perceptrons:
        """Those of the given axes, shape (c,), in double precision."""
        return Perceptrons(*(weight[which].double() for weight in self._weights))

    def ready(self, dtype: torch.dtype) -> Perceptrons:
        """The same in another precision, each weight in one piece and without a gradient."""
        return Perceptrons(*(weight.detach().to(dtype).contiguous() for weight in self._weights))

    @property
    def _weights(self) -> list[Tensor]:
        return [getattr(self, each.name) for each in fields(self)]


class SeparableField(Field):
    """F(·, σ) = R f(Rᵀ·), with a perceptron for each axis, all coefficients known.

    Parameters
    ----------
    axes : Tensor, shape (d, d)
        R.
    along : Perceptrons
        f.
    dtype : torch.dtype
        Of the folded weights. The state of a caller in another precision is converted on the way in and out.
    """

    def __init__(self, axes: Tensor, along: Perceptrons, dtype: torch.dtype):
        self.axes = axes.detach().to(dtype).contiguous()
        self.along = along.ready(dtype)

    @property
    def rows_at_once(self) -> int:
        """Rows, or rows times directions, in one call that make it fastest: a coordinate's units at a time."""
        return rows_in_cache(self.along.mixing.shape[1], self.along.mixing)

    def v_predictions(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d), by a table from `BREAK_EVEN` rows on, which is right to rounding.

        Only the number of rows decides, so a call finds the same whatever was asked before.
        """
        table = self._table if len(y) >= BREAK_EVEN else None
        if table is None:
            return super().v_predictions(y)
        s = torch.mm(self.axes.T, y.to(self.axes.dtype).T)
        inside = s.abs() <= REACH  # not a number is not
        far = (~inside).any(0).nonzero()[:, 0]
        if len(far):
            s = torch.where(inside, s, 0.0)  # huge powers would spoil gradients
        along = torch.cat([table.value(part) for part in s.split(rows_in_cache(len(s), s), dim=1)], dim=1)
        predictions = torch.mm(along.T, self.axes.T).to(y.dtype)
        return predictions.index_copy(0, far, super().v_predictions(y[far])) if len(far) else predictions

    def v_prediction(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d)."""
        along = self.along.value(torch.mm(self.axes.T, y.to(self.axes.dtype).T))
        return torch.mm(along.T, self.axes.T).to(y.dtype)

    def push_forward(self, y: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F(y, σ), shape (n, d), and its derivatives along directions (k, d), shape (k, n, d)."""
        along, slope = self.along.value_and_slope(torch.mm(self.axes.T, y.to(self.axes.dtype).T))
        tangents = (directions.to(self.axes.dtype) @ self.axes)[:, None] * slope.T
        return torch.mm(along.T, self.axes.T).to(y.dtype), (tangents @ self.axes.T).to(y.dtype)

    @cached_property
    def _table(self) -> Table | None:
        """f where it can be tabulated."""
        if self.axes.dtype not in INTERPOLATION_ERRORS or self.axes.device.type != "cpu":
            return None
        return tabulate(self.along, len(self.axes), self.axes.dtype)
