"""The separable network at one noise level, its modulation folded into its matrices, its functions tabulated."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from latentflow.score.frozen import FieldAt, activated, rows_in_cache
from latentflow.score.layers import silu_and_slope
from latentflow.score.piecewise import REACH, TOLERANCES, Table, tabulate

#: Rows from which `v_predictions` goes by a table: making one was measured to cost as much as 2 000 to 3 500 rows of
#: the network, and it is kept.
BREAK_EVEN = 3072


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


class SeparableField(FieldAt):
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
        found = torch.mm(along.T, self.axes.T).to(y.dtype)
        return found.index_copy(0, far, super().v_predictions(y[far])) if len(far) else found

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
        if self.axes.dtype not in TOLERANCES or self.axes.device.type != "cpu":
            return None
        return tabulate(self.along, len(self.axes), self.axes.dtype)
