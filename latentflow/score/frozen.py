"""The field at one noise level: what the steps of a frozen grid evaluate, with all that σ decides already worked out.

A frozen grid meets the same few noise levels for every row. :meth:`latentflow.score.denoisers.Denoiser.at` gives the
field at one of them: for a network the embedding, the scales and the shifts are computed once and folded into its
matrices (:mod:`latentflow.score.frozen_residual`, :mod:`latentflow.score.frozen_separable`), so that an evaluation is
a few matrix products with one activation each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

#: Bytes of one hidden state that leave the second-level cache of a core room for its neighbours and the weights:
#: measured fastest in double and in single precision (reports/encode-speed).
CACHE_BYTES = 1 << 19
#: The same on a GPU, where a large product wants many rows and memory is the only limit; a guess, not measured.
GPU_BYTES = 1 << 28


class FieldAt(ABC):
    """The v-prediction F(·, σ) at one noise level, and its derivatives.

    All methods can be differentiated in y (``torch.func.jvp``, ``vjp``), not in the weights. A field is made from
    the weights as they are, and shares memory with some of them: when they change, it has to be taken again.
    """

    @property
    def rows_at_once(self) -> int:
        """Rows, or rows times directions, in one call that make it fastest."""
        return 1024

    def v_predictions(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d), of as many states as one likes, taken as many at once as is fastest."""
        if len(y) <= self.rows_at_once:
            return self.v_prediction(y)
        return torch.cat([self.v_prediction(part) for part in y.split(self.rows_at_once)])

    @abstractmethod
    def v_prediction(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d), of variance-preserving states y, shape (n, d)."""

    @abstractmethod
    def push_forward(self, y: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F(y, σ), shape (n, d), and ∂F/∂y · v for directions v of shape (k, d): shape (k, n, d)."""


@dataclass(frozen=True)
class PlainField(FieldAt):
    """A denoiser's own methods at one noise level: nothing to work out beforehand.

    Parameters
    ----------
    field : callable (y, σ) -> F
    pushed : callable (y, σ, directions) -> (F, derivatives)
    sigma : float
    """

    field: Callable[[Tensor, float], Tensor]
    pushed: Callable[[Tensor, float, Tensor], tuple[Tensor, Tensor]]
    sigma: float

    def v_prediction(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d)."""
        return self.field(y, self.sigma)

    def push_forward(self, y: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F(y, σ), shape (n, d), and its derivatives along directions (k, d), shape (k, n, d)."""
        return self.pushed(y, self.sigma, directions)


@dataclass(frozen=True)
class FieldSum(FieldAt):
    """The sum of fields.

    Parameters
    ----------
    parts : sequence of FieldAt
    """

    parts: Sequence[FieldAt]

    @property
    def rows_at_once(self) -> int:
        """Rows, or rows times directions, in one call that make the most demanding part fastest."""
        return min(part.rows_at_once for part in self.parts)

    def v_predictions(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d), every part taking as many states at once as suits it."""
        return reduce(torch.add, (part.v_predictions(y) for part in self.parts))

    def v_prediction(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d)."""
        return reduce(torch.add, (part.v_prediction(y) for part in self.parts))

    def push_forward(self, y: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F(y, σ), shape (n, d), and its derivatives along directions (k, d), shape (k, n, d)."""
        values, derivatives = zip(*(part.push_forward(y, directions) for part in self.parts), strict=True)
        return reduce(torch.add, values), reduce(torch.add, derivatives)


def rows_in_cache(width: int, like: Tensor) -> int:
    """Rows whose hidden states of the given width stay in cache, in the precision and on the device of a tensor.

    At least 256, over which the weights of a wide network are read once.
    """
    budget = CACHE_BYTES if like.device.type == "cpu" else GPU_BYTES
    return max(256, budget // (width * like.element_size()))


def activated(hidden: Tensor) -> Tensor:
    """SiLU, in place where nothing has to be kept for a backward pass."""
    return functional.silu(hidden, inplace=not torch.is_grad_enabled())


def times(product: Tensor, factor: Tensor) -> Tensor:
    """Element by element, in place of the first where nothing has to be kept for a backward pass."""
    return product * factor if torch.is_grad_enabled() else product.mul_(factor)
