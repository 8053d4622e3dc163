r"""Increasing functions of each coordinate by itself, many sets side by side, with a derivative written by hand.

t(u) = a u + Σₖ (bₖ/cₖ) tanh(cₖ(u − mₖ)) + o with a, bₖ, cₖ > 0 has the slope t′ = a + Σₖ bₖ (1 − tanh²). Every sum over
rows that the gradient wants is one of Tᵖ, p = 1, 2, 3, T = tanh(…), against the gradients that come in, so the way back
is a few matrix products and no hyperbolic function.

They are our own: scipy's monotone interpolators are not trained, and zuko's transforms, optional, go back by autograd.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Floats = NDArray[np.float64]

#: Hyperbolic tangents of each function.
TANH_UNITS = 8
#: softplus of it is 1.
INVERSE_SOFTPLUS_OF_ONE = math.log(math.e - 1)
#: Steps and learning rate by which functions are brought to curves.
FIT_STEPS, LEARNING_RATE = 200, 0.1


@dataclass(frozen=True)
class Curves:
    """An increasing curve for each coordinate, by its points.

    Attributes
    ----------
    at : ndarray, shape (k, points)
        Increasing along each row.
    value, log_slope : ndarray, shape (k, points)
        The curve there, and the logarithm of its derivative.
    """

    at: Floats
    value: Floats
    log_slope: Floats


class MonotoneTransforms(nn.Module):
    """Increasing functions of k coordinates, for several starts at once, the identity to start with.

    Parameters
    ----------
    curves : sequence of Curves or None
        What each start begins near, one entry a start; None is the identity.
    k : int
    """

    def __init__(self, curves: list[Curves | None], k: int):
        super().__init__()
        n = len(curves)
        self.middles = nn.Parameter(torch.linspace(-2, 2, TANH_UNITS).repeat(n, k, 1))
        self.slope = nn.Parameter(torch.full((n, k), INVERSE_SOFTPLUS_OF_ONE))
        self.heights = nn.Parameter(torch.full((n, k, TANH_UNITS), -4.0))
        self.scales = nn.Parameter(torch.full((n, k, TANH_UNITS), INVERSE_SOFTPLUS_OF_ONE))
        self.offset = nn.Parameter(torch.zeros(n, k))
        given = [start for start, curve in enumerate(curves) if curve is not None]
        if given:
            self._follow(given, [curve for curve in curves if curve is not None])

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """t(u) and log t′, shape (starts, k, n) as u is."""
        slope, heights, scales = (functional.softplus(p) for p in (self.slope, self.heights, self.scales))
        flat = [part.flatten(0, 1) for part in (u, slope, heights, scales, self.middles, self.offset)]
        value, log_slope = _MonotoneTransform.apply(*flat)
        return value.view_as(u), log_slope.view_as(u)

    def keep(self, starts: list[int]) -> MonotoneTransforms:
        """Those of some of the starts, a copy."""
        kept = MonotoneTransforms([None] * len(starts), self.slope.shape[1])
        kept.load_state_dict({name: value[starts] for name, value in self.state_dict().items()})
        return kept.to(self.slope)

    def _follow(self, starts: list[int], curves: list[Curves]) -> None:
        """Bring some starts near curves, by least squares in value and logarithm of the slope."""
        k = self.slope.shape[1]
        most = max(curve.at.shape[1] for curve in curves)
        at, value, log_slope = (
            # a curve of fewer points has some of them twice
            torch.as_tensor(
                np.stack([_spread(getattr(curve, name), most) for curve in curves]), dtype=torch.float32
            )
            for name in ("at", "value", "log_slope")
        )
        fitted = MonotoneTransforms([None] * len(curves), k)
        with torch.no_grad():
            fitted.middles.copy_(
                torch.quantile(at, torch.linspace(0.06, 0.94, TANH_UNITS), dim=2).permute(1, 2, 0)
            )
            fitted.heights.fill_(-1.0)
            fitted.scales.fill_(math.log(math.expm1(1.5)))
        with torch.enable_grad():
            optimiser = torch.optim.Adam(fitted.parameters(), lr=LEARNING_RATE)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, FIT_STEPS)
            for _ in range(FIT_STEPS):
                fitted_value, slopes = fitted(at)
                loss = ((fitted_value - value) ** 2).mean((1, 2)).sum() + ((slopes - log_slope) ** 2).mean(
                    (1, 2)
                ).sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        with torch.no_grad():
            for own, other in zip(self.parameters(), fitted.parameters(), strict=True):
                own[starts] = other


def _spread(values: Floats, most: int) -> Floats:
    """Columns repeated evenly until there are so many."""
    return values[:, np.linspace(0, values.shape[1] - 1, most).round().astype(int)]


class _MonotoneTransform(torch.autograd.Function):
    """t(u) and log t′ of rows of numbers u, shape (j, n), each with a function of its own."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, slope: Tensor, heights: Tensor, scales: Tensor, middles: Tensor, offset: Tensor
    ) -> tuple[Tensor, Tensor]:
        bent = torch.addcmul((-scales * middles)[:, :, None], scales[:, :, None], u[:, None, :]).tanh_()
        squares = bent * bent
        value = torch.bmm((heights / scales)[:, None], bent)[:, 0].addcmul_(slope[:, None], u)
        value += offset[:, None]
        steep = (slope + heights.sum(1))[:, None] - torch.bmm(heights[:, None], squares)[:, 0]
        ctx.save_for_backward(u, heights, scales, middles, bent, squares, steep)
        return value, steep.log()

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor, ...]:
        by_value, by_log = incoming
        u, heights, scales, middles, bent, squares, steep = ctx.saved_tensors
        by_slope = by_log / steep
        cubes = bent * squares
        rise = heights * scales
        curving = torch.bmm(rise[:, None], bent)[:, 0] - torch.bmm(rise[:, None], cubes)[:, 0]
        by_u = by_value * steep - 2 * by_slope * curving
        # sums over rows: of 1, T, 1 - T² and T - T³ against the four columns
        columns = torch.stack([by_value, by_slope, by_value * u, by_slope * u], 2)
        plain = columns.sum(1)
        first = torch.bmm(bent, columns)
        flat = plain[:, None] - torch.bmm(squares, columns)
        odd = first - torch.bmm(cubes, columns)
        by_heights = first[..., 0] / scales + flat[..., 1]
        by_scales = heights / scales * (flat[..., 2] - middles * flat[..., 0])
        by_scales -= heights / scales**2 * first[..., 0] + 2 * heights * (odd[..., 3] - middles * odd[..., 1])
        by_middles = 2 * rise * odd[..., 1] - heights * flat[..., 0]
        return by_u, plain[:, 1] + plain[:, 2], by_heights, by_scales, by_middles, plain[:, 0]
