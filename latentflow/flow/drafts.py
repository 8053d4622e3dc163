"""Grids with a blend of orders in each of their steps, and those that calibration begins from.

``shipped_grids.npz`` holds grids of several lengths and starts, found once on flows of many kinds at a time
(`reports/solvers/shipped_grids.py`): flows of whitened rows differ less in where they bend than in how much.
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

        A grid that is longer than they are has no lower orders, which would be those of its convergence.
        """
        first, last = np.log(ends)
        known = min(_shipped(), key=lambda draft: (abs(draft.nodes[0] - first), abs(np.log(draft.steps / steps))))
        at = (known.nodes - known.nodes[0]) / (known.nodes[-1] - known.nodes[0])
        blend_weights = known.blend_weights * (steps <= max(draft.steps for draft in _shipped()))
        return cls(first + (last - first) * at, blend_weights).resampled(steps)

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
        return Draft(self.nodes[::-1], self.blend_weights[::-1])

    def moved(self, logarithms: Floats, blend_weights: Floats) -> Draft:
        """With steps longer by factors of these logarithms, between the same ends, and other blend weights there."""
        shares = _shares(np.diff(self.nodes) * np.exp(logarithms))
        nodes = self.nodes[0] + (self.nodes[-1] - self.nodes[0]) * shares
        return Draft(nodes, np.stack([self.blend_weights[0] + blend_weights, self.blend_weights[1]]))

    def resampled(self, steps: int) -> Draft:
        """A grid of another length whose steps are spread and blended in much the same way."""
        if steps == self.steps:
            return self
        own, centres = np.arange(self.steps) + 0.5, (np.arange(steps) + 0.5) * self.steps / steps
        columns = np.moveaxis(self.blend_weights, 1, -1).reshape(-1, self.steps)
        columns = np.stack([np.interp(centres, own, column) for column in columns])
        lengths = np.exp(np.interp(centres, own, np.log(np.abs(np.diff(self.nodes)))))
        return Draft(
            self.nodes[0] + (self.nodes[-1] - self.nodes[0]) * _shares(lengths),
            np.moveaxis(columns.reshape(2, 2, -1, steps), -1, 1),
        )


def _shares(steps: Floats) -> Floats:
    """Where nodes lie between the first at 0 and the last at 1."""
    return np.concatenate([[0.0], np.cumsum(steps) / steps.sum()])


@cache
def _shipped() -> tuple[Draft, ...]:
    """The drafts of the data file."""
    with (files(__package__) / SHIPPED).open("rb") as file, np.load(file) as stored:
        return tuple(
            Draft(
                np.concatenate([column[:1, 0], column[0, 0] + np.cumsum(np.exp(column[1:, 0]))]),
                np.moveaxis(column[1:, 1:].reshape(-1, 2, 2, 3), 1, 0),
            )
            for column in (stored[name].astype(np.float64) for name in stored.files)
        )
