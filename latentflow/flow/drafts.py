"""Grids with a blend of orders in each of their steps, and those that calibration begins from.

The data file holds grids of several lengths and starts, each found on many flows at a time
(`reports/solvers/shipped_grid.py`): where flows of whitened rows bend they differ little, by how much they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from latentflow.flow.blending import Blended
from latentflow.flow.solvers import PREDICTOR_CORRECTORS

#: The method whose orders are blended.
BASE = "pec5"
SHIPPED = "shipped_grids.npz"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Draft:
    """A grid and the blend of orders in each of its steps.

    Attributes
    ----------
    nodes : ndarray, shape (steps + 1,)
        log σ.
    blend_weights : ndarray, shape (2, steps, 2, 3)
        As in :class:`latentflow.flow.blending.Blended`, there and back.
    """

    nodes: Floats
    blend_weights: Floats

    @classmethod
    def shipped(cls, ends: tuple[float, float], steps: int) -> Draft:
        """The shipped grid whose start and number of steps are nearest, stretched and resampled to those wanted.

        What is longer than all of them has no lower orders, which would be those of its convergence.
        """
        first, last = np.log(ends)
        known = min(
            _shipped(), key=lambda draft: (abs(draft.nodes[0] - first), abs(np.log(draft.steps / steps)))
        )
        at = (known.nodes - known.nodes[0]) / (known.nodes[-1] - known.nodes[0])
        blended = steps <= max(draft.steps for draft in _shipped())
        return cls(first + (last - first) * at, known.blend_weights * blended).resampled(steps)

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.nodes) - 1

    @property
    def solver(self) -> Blended:
        """The method with its blend."""
        return Blended.of(PREDICTOR_CORRECTORS[BASE], *self.blend_weights)

    @property
    def returning(self) -> Draft:
        """The same for the way back."""
        return Draft(self.nodes[::-1].copy(), self.blend_weights[::-1].copy())

    def moved(self, logarithms: Floats, blend_weights: Floats) -> Draft:
        """Steps longer by factors of these logarithms, between the same ends, and blend weights larger by so much."""
        blends = np.stack([self.blend_weights[0] + blend_weights, self.blend_weights[1]])
        return self._between(np.diff(self.nodes) * np.exp(logarithms), blends)

    def resampled(self, steps: int) -> Draft:
        """A grid of another length whose steps are spread and blended in much the same way."""
        if steps == self.steps:
            return self
        own, at = np.arange(self.steps) + 0.5, (np.arange(steps) + 0.5) * self.steps / steps
        columns = np.moveaxis(self.blend_weights, 1, -1).reshape(-1, self.steps)
        blends = np.stack([np.interp(at, own, column) for column in columns]).reshape(2, 2, -1, steps)
        lengths = np.exp(np.interp(at, own, np.log(np.abs(np.diff(self.nodes)))))
        return self._between(lengths, np.moveaxis(blends, -1, 1))

    def _between(self, lengths: Floats, blend_weights: Floats) -> Draft:
        """Steps in these proportions between the same ends."""
        shares = np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])
        return Draft(self.nodes[0] + (self.nodes[-1] - self.nodes[0]) * shares, blend_weights)


@cache
def _shipped() -> list[Draft]:
    """The drafts of the data file: in each table the first node, logarithms of steps, and beside them blend weights."""
    with (files(__package__) / SHIPPED).open("rb") as file, np.load(file) as stored:
        tables = [stored[name].astype(np.float64) for name in stored.files]
    return [
        Draft(
            table[0, 0] + np.concatenate([[0.0], np.cumsum(np.exp(table[1:, 0]))]),
            np.moveaxis(table[1:, 1:].reshape(-1, 2, 2, 3), 1, 0),
        )
        for table in tables
    ]
