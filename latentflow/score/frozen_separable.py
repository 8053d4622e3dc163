"""The separable network at one noise level, its modulation folded into its matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from latentflow.score.frozen import FieldAt, activated, rows_in_cache
from latentflow.score.layers import silu_and_slope


class SeparableField(FieldAt):
    """F(·, σ) = R f(Rᵀ·) with fᵢ(s) = rᵢ · SiLU(Mᵢ SiLU(aᵢ s + bᵢ) + cᵢ) + eᵢ for each axis, all coefficients known.

    Coordinates come first in the layout, so that one batched product serves all of them.

    Parameters
    ----------
    axes : Tensor, shape (d, d)
        R.
    slopes, offsets : Tensor, shape (d, units)
        a and b.
    mixing : Tensor, shape (d, units, units)
        M, for rows of hidden units from the left.
    mixing_offsets, readout : Tensor, shape (d, units)
        c and r.
    bias : Tensor, shape (d,)
        e.
    dtype : torch.dtype
        Of the folded weights. The state of a caller in another precision is converted on the way in and out.
    """

    def __init__(
        self,
        axes: Tensor,
        slopes: Tensor,
        offsets: Tensor,
        mixing: Tensor,
        mixing_offsets: Tensor,
        readout: Tensor,
        bias: Tensor,
        dtype: torch.dtype,
    ):
        def ready(weight: Tensor) -> Tensor:
            return weight.detach().to(dtype).contiguous()

        self.axes = ready(axes)
        self.slopes, self.offsets = ready(slopes)[:, None], ready(offsets)[:, None]
        self.mixing, self.mixing_offsets = ready(mixing), ready(mixing_offsets)[:, None]
        self.readout, self.bias = ready(readout)[:, :, None], ready(bias)[:, None]

    @property
    def rows_at_once(self) -> int:
        """Rows, or rows times directions, in one call that make it fastest: a coordinate's units at a time."""
        return rows_in_cache(self.mixing.shape[1], self.mixing)

    def velocity(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d)."""
        s = torch.mm(self.axes.T, y.to(self.axes.dtype).T)[:, :, None]
        hidden = activated(torch.addcmul(self.offsets, s, self.slopes))
        hidden = activated(torch.baddbmm(self.mixing_offsets, hidden, self.mixing))
        along = torch.bmm(hidden, self.readout)[:, :, 0] + self.bias
        return torch.mm(along.T, self.axes.T).to(y.dtype)

    def push_forward(self, y: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F(y, σ), shape (n, d), and its derivatives along directions (k, d), shape (k, n, d)."""
        s = torch.mm(self.axes.T, y.to(self.axes.dtype).T)[:, :, None]
        hidden, slope = silu_and_slope(torch.addcmul(self.offsets, s, self.slopes))
        slope = torch.bmm(slope * self.slopes, self.mixing)
        hidden, outer = silu_and_slope(torch.baddbmm(self.mixing_offsets, hidden, self.mixing))
        along = torch.bmm(hidden, self.readout)[:, :, 0] + self.bias
        derivative = torch.bmm(outer * slope, self.readout)[:, :, 0].T
        tangents = (directions.to(self.axes.dtype) @ self.axes)[:, None] * derivative
        return torch.mm(along.T, self.axes.T).to(y.dtype), (tangents @ self.axes.T).to(y.dtype)
