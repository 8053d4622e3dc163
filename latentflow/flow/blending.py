"""A predictor-corrector of mixed order: each step is a blend of neighbouring orders of the same method.

How many past values pay depends on how the field bends there and on the steps around it. With the weights
w₅ + s₁ (w₄ − w₅) + s₂ (w₃ − w₅) + s₃ (w₂ − w₅) the method converges with the lowest order at least, whatever the
blend weights s, because each of the orders does. Which blend weights serve a field best is found along with its grid
(:mod:`latentflow.flow.calibration`): coefficients that are learned for one field, as those of bespoke solvers are
(Shaul et al. 2023, arXiv 2310.19075), with consistency kept by construction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from latentflow.flow.multistep import Multistep

#: How many orders below its own a step blends in.
LOWER_ORDERS = 3


@dataclass(frozen=True)
class Blended(Multistep):
    """A multistep method with a corrector, blended with those of lower order.

    Parameters
    ----------
    blend_weights : nested tuple, or Tensor, shape (steps, 2, 3)
        Of the three lower orders, highest first, in the predictor and in the corrector of each step of the one grid
        that they belong to. A tensor can be differentiated.
    back : nested tuple, shape (steps, 2, 3)
        The same for the way back, from the other end of the grid.
    """

    blend_weights: Any = ()
    back: Any = ()

    @classmethod
    def of(cls, base: Multistep, blend_weights: Any, back: Any = ()) -> Blended:
        """A method blended by weights, and by those of the way back: tensors, which stay so, or arrays."""
        return cls(
            base.prediction,
            base.order,
            base.corrector,
            blend_weights=_frozen(blend_weights),
            back=_frozen(back),
        )

    @property
    def returning(self) -> Blended:
        """The method for the way back over the same grid."""
        return replace(self, blend_weights=self.back, back=self.blend_weights)

    def by_order(self, grid: Tensor) -> Tensor:
        """Weights of its own order in each step, then of the lower ones, shape (steps, 2, 4, order).

        Of the predictor and of the corrector, newest value first, and zeros where a formula takes fewer.
        """
        orders = [
            [
                torch.stack([functional.pad(w, (0, self.order - len(w))) for w in weights])
                for lower in range(LOWER_ORDERS + 1)
                for weights in [super(Blended, self)._weights(grid, self.order - 1 - lower, ahead)]
            ]
            for ahead in (0, 1)
        ]
        return torch.stack([torch.stack(formula, 1) for formula in orders], 1)

    def _weights(self, grid: Tensor, most: int, ahead: int) -> list[Any]:
        own = super()._weights(grid, most, ahead)
        blend = list(own)
        for lower in range(1, LOWER_ORDERS + 1):
            for n, fewer in enumerate(super()._weights(grid, most - lower, ahead)):
                padded = functional.pad(fewer, (0, len(own[n]) - len(fewer)))
                blend[n] = blend[n] + self.blend_weights[n][ahead][lower - 1] * (padded - own[n])
        return blend


def _frozen(blend_weights: Any) -> Any:
    """Nested tuples of an array."""
    if isinstance(blend_weights, np.ndarray):
        return tuple(_frozen(part) for part in blend_weights) if blend_weights.ndim else float(blend_weights)
    return blend_weights
