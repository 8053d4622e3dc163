r"""Increasing functions of each coordinate by itself as rational-quadratic splines, with their exact inverse.

Between two knots the function is a ratio of quadratics that takes given values and slopes at both (Gregory & Delbourgo
1982, IMA J. Numer. Anal. 2:123; as a bijection Durkan et al. 2019, arXiv 1906.04032, eqs. 4 to 8); outside the first
and the last knot it goes on as a straight line. So it can have kinks and hard edges, its tails are linear, and its
inverse is the root of a quadratic. The formulas are few: zuko, which has them too, is an optional dependency, and its
splines end in the identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentflow.base.monotone import Curves


class MonotoneSplines(nn.Module):
    """Increasing functions t of k coordinates.

    Parameters
    ----------
    first : Tensor, shape (k, 2)
        The first knot of each function and its value there.
    log_widths, log_heights : Tensor, shape (k, K − 1)
        Logarithms of the distances between neighbouring knots, and between the values there.
    log_slopes : Tensor, shape (k, K)
        Logarithms of the slopes at the knots.
    """

    def __init__(self, first: Tensor, log_widths: Tensor, log_heights: Tensor, log_slopes: Tensor):
        super().__init__()
        self.first, self.log_widths, self.log_heights, self.log_slopes = map(
            nn.Parameter, (first, log_widths, log_heights, log_slopes)
        )

    @classmethod
    def through(cls, curves: Curves) -> MonotoneSplines:
        """The splines through the points of curves, which increase along each of them."""
        at, value, log_slopes = (
            torch.as_tensor(each) for each in (curves.at, curves.value, curves.log_slope)
        )
        first = torch.stack([at[:, 0], value[:, 0]], 1)
        return cls(first, at.diff().log(), value.diff().log(), log_slopes.clone())

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """t(u) and log t′(u), shape (n, k) as u is."""
        own = self._segments()
        piece, below, above = own.around(u, own.at)
        place = ((u - piece.at) / piece.width).clamp(0.0, 1.0)
        rest = place * (1 - place)
        bend = piece.secant + (piece.slope + piece.next_slope - 2 * piece.secant) * rest
        value = piece.value + piece.height * (piece.secant * place**2 + piece.slope * rest) / bend
        rise = piece.next_slope * place**2 + 2 * piece.secant * rest + piece.slope * (1 - place) ** 2
        log_slope = 2 * piece.secant.log() + rise.log() - 2 * bend.log()
        value = value + piece.slope * below + piece.next_slope * above
        return value, log_slope

    def inverse(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The u of t(u) = v and log t′(u) there, shape (n, k) as v is."""
        own = self._segments()
        piece, below, above = own.around(v, own.values)
        rise = (v - below - above - piece.value).clamp(min=0.0).minimum(piece.height)
        twist = piece.slope + piece.next_slope - 2 * piece.secant
        a = piece.height * (piece.secant - piece.slope) + rise * twist
        b = piece.height * piece.slope - rise * twist
        c = -piece.secant * rise
        root = (b * b - 4 * a * c).clamp(min=0.0).sqrt()
        place = (2 * c / (-b - root)).clamp(0.0, 1.0)  # the form that does not cancel
        u = piece.at + place * piece.width + below / piece.slope + above / piece.next_slope
        return u, self(u)[1]

    def roughness(self) -> Tensor:
        """Sum of the squared second differences of the log slopes, at the knots and between them in turn."""
        between = torch.stack([self.log_slopes[:, :-1], self.log_heights - self.log_widths], 2).flatten(1)
        along = torch.cat([between, self.log_slopes[:, -1:]], 1)
        return along.diff(n=2).square().sum()

    def _segments(self) -> _Segments:
        width, height = self.log_widths.exp(), self.log_heights.exp()
        at, values = (
            torch.cat([first[:, None], first[:, None] + step.cumsum(1)], 1)
            for first, step in zip(self.first.unbind(1), (width, height), strict=True)
        )
        return _Segments(at, values, width, height, self.log_slopes.exp())


@dataclass(frozen=True)
class _Piece:
    """Where each number lies: the start of its segment, its size, its slopes; (n, k) each."""

    at: Tensor
    value: Tensor
    width: Tensor
    height: Tensor
    slope: Tensor
    next_slope: Tensor

    @property
    def secant(self) -> Tensor:
        return self.height / self.width


@dataclass(frozen=True)
class _Segments:
    """Knots and values, (k, K), and widths and heights of the segments between them, (k, K − 1)."""

    at: Tensor
    values: Tensor
    width: Tensor
    height: Tensor
    slopes: Tensor

    def around(self, numbers: Tensor, edges: Tensor) -> tuple[_Piece, Tensor, Tensor]:
        """The segments of numbers, (n, k), among edges, (k, K), and by how much each is below or above them all."""
        rows = numbers.T.contiguous()
        index = torch.searchsorted(edges.detach().contiguous(), rows.detach(), right=True) - 1
        index = index.clamp(0, self.width.shape[1] - 1)
        parts = (self.at, self.values, self.width, self.height, self.slopes, self.slopes[:, 1:])
        piece = _Piece(*(part.gather(1, index).T for part in parts))
        return (
            piece,
            (numbers - edges[:, 0]).clamp(max=0.0),
            (numbers - edges[:, -1]).clamp(min=0.0),
        )
