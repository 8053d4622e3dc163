"""Functions of one variable as tables of polynomials, right to rounding.

A cell of a table holds the Chebyshev interpolant of a function on an interval (Trefethen 2013, Approximation Theory
and Approximation Practice, chapters 3 and 8), as powers of the place in the cell. Cells are cut in four until the
interpolant agrees with the function between its nodes: they are small only where the function bends.

No library does this for tensors: scipy's PPoly, the nearest, took twice as long on the CPU for the values alone, and it
has no derivatives for ``torch.func``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor

#: A table covers |s| <= REACH, far beyond nearly all whitened rows.
REACH = 16
#: Nodes of a cell, and points between them. Of 12 to 20 nodes these cost the least, making and evaluating together.
CELL_NODES, POINTS_BETWEEN = 16, 6
#: Cuts of the first cells, of half-width 1, and cells of a function to be cut at once, beyond which there is no table.
MOST_CUTS, MOST_CELLS = 5, 64
#: Largest error between nodes, over the largest |f| in the cell or for |s| <= 4, whichever is more. A network itself
#: rounds at 2e-14 where its output is almost zero, at the largest noise levels.
INTERPOLATION_ERRORS = {torch.float64: 5e-14, torch.float32: 1e-8}


class Functions(Protocol):
    """Functions f₁ … f_d of one variable each."""

    def value(self, s: Tensor) -> Tensor:
        """fᵢ(sᵢⱼ), shape (d, n) like s."""

    def of(self, which: Tensor) -> Functions:
        """Those of the given numbers, shape (c,), in double precision."""


@dataclass(frozen=True)
class Table:
    """d functions on |s| <= REACH.

    Parameters
    ----------
    cells : Tensor of int, shape (d · g,)
        The cell at each of the g places of a grid as fine as the smallest cell, function by function.
    centres, rates : Tensor, shape (cells,)
        Middle and one over the half-width of each cell.
    coefficients : tuple of Tensor, shape (cells,)
        Of t⁰, t¹, … for t = (s − centre) · rate.
    """

    cells: Tensor
    centres: Tensor
    rates: Tensor
    coefficients: tuple[Tensor, ...]

    def value(self, s: Tensor) -> Tensor:
        """fᵢ(sᵢⱼ), shape (d, n) like s."""
        fine = len(self.cells) // len(s)
        place = ((s + REACH) * (fine / (2 * REACH))).long().clamp(0, fine - 1)
        cell = self.cells.index_select(0, (place + fine * torch.arange(len(s))[:, None]).reshape(-1))
        t = (s.reshape(-1) - self.centres.index_select(0, cell)) * self.rates.index_select(0, cell)
        value = self.coefficients[-1].index_select(0, cell)
        for coefficient in self.coefficients[-2::-1]:
            value = torch.addcmul(coefficient.index_select(0, cell), value, t)
        return value.reshape(s.shape)


@torch.no_grad()
def tabulate(functions: Functions, count: int, dtype: torch.dtype) -> Table | None:
    """The table of so many functions, or none where one is too steep for cells of a sane number and size."""
    points, to_between, to_chebyshev, to_powers = _interpolation()
    owners, centres = torch.arange(count), torch.arange(1.0 - REACH, REACH, 2).double().expand(count, -1)
    quarters, half, cuts, done = torch.tensor([-0.75, -0.25, 0.25, 0.75]).double(), 1.0, 0, []
    core = functions.of(owners).value(4 * points.expand(count, -1)).abs().amax(1)
    while len(owners):
        if cuts > MOST_CUTS or len(owners) > MOST_CELLS * count:
            return None
        values = functions.of(owners).value((centres[:, :, None] + half * points).flatten(1))
        values, owner = values.unflatten(1, (-1, len(points))), owners[:, None].expand_as(centres)
        error = (values[..., CELL_NODES:] - values[..., :CELL_NODES] @ to_between).abs().amax(2)
        good = error <= INTERPOLATION_ERRORS[dtype] * torch.maximum(values.abs().amax(2), core[owner])
        done.append((owner[good], centres[good], error[good].fill_(half), values[good][:, :CELL_NODES]))
        owners, centres = owner[~good], centres[~good][:, None] + half * quarters
        half, cuts = half / 4, cuts + 1
    owner, centre, halves, values = (torch.cat(parts) for parts in zip(*done, strict=True))
    order = (4 * REACH * owner + centre).argsort()
    places = (halves[order] / (4 * half)).round().long()
    return Table(
        cells=torch.arange(len(order), dtype=torch.int32).repeat_interleave(places),
        centres=centre[order].to(dtype),
        rates=(1 / halves[order]).to(dtype),
        coefficients=(values[order] @ to_chebyshev @ to_powers).T.contiguous().to(dtype).unbind(),
    )


@cache
def _interpolation() -> tuple[Tensor, ...]:
    """Nodes and points between; what takes rows of values at nodes to those between, and to Chebyshev coefficients;
    what takes these to powers.
    """
    nodes = np.cos(np.pi * (np.arange(CELL_NODES) + 0.5) / CELL_NODES)
    # where the first term that an interpolant leaves out peaks
    between = np.cos(np.pi * np.linspace(1, CELL_NODES - 1, POINTS_BETWEEN).round() / CELL_NODES)
    to_chebyshev = 2 / CELL_NODES * chebyshev.chebvander(nodes, CELL_NODES - 1)
    to_chebyshev[:, 0] /= 2
    to_powers = np.stack(
        [
            np.pad(chebyshev.cheb2poly(row[: k + 1]), (0, CELL_NODES - 1 - k))
            for k, row in enumerate(np.eye(CELL_NODES))
        ]
    )
    matrices = (
        np.concatenate([nodes, between]),
        to_chebyshev @ chebyshev.chebvander(between, CELL_NODES - 1).T,
        to_chebyshev,
        to_powers,
    )
    return tuple(torch.as_tensor(part) for part in matrices)
