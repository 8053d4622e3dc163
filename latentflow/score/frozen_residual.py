"""The residual perceptron at one noise level, its modulation folded into its matrices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latentflow.score.frozen import FieldAt, activated, rows_in_cache, times
from latentflow.score.layers import silu_and_slope


class ResidualField(FieldAt):
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
