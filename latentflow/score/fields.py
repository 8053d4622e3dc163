"""The field F(·, σ) at one noise level, and derivatives along directions: what every network has.

Both follow from the network's ``forward`` by automatic differentiation. A network may bring either in faster code of
its own, as a method ``push_forward(y, log_sigma, directions)`` or ``at(log_sigma, dtype)``; :func:`push_forward` and
:func:`field_at` take that instead, and say what it has to give.

A frozen grid meets the same few noise levels for every row. What σ alone decides is computed once: the residual and
the separable network fold the embedding, the scales and the shifts into their matrices, so that an evaluation is a few
matrix products with one activation each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vmap


class Field(ABC):
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

    def push_forward(self, y: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F(y, σ), shape (n, d), and ∂F/∂y · v for directions v of shape (k, d): shape (k, n, d)."""
        return derivatives_along(self.v_prediction, y, directions)


@dataclass(frozen=True)
class PlainField(Field):
    """A function of the state, with nothing worked out beforehand.

    Parameters
    ----------
    function : callable (n, d) -> (n, d)
    """

    function: Callable[[Tensor], Tensor]

    def v_prediction(self, y: Tensor) -> Tensor:
        """F(y, σ), shape (n, d)."""
        return self.function(y)


@dataclass(frozen=True)
class FieldSum(Field):
    """The sum of fields.

    Parameters
    ----------
    parts : sequence of Field
    """

    parts: Sequence[Field]

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
        return summed([part.push_forward(y, directions) for part in self.parts])


def push_forward(
    network: nn.Module, y: Tensor, log_sigma: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    """F and its derivatives along directions, in one pass.

    Parameters
    ----------
    network : nn.Module
    y : Tensor, shape (n, d)
    log_sigma : Tensor, shape (g,)
        Of g equal groups of neighbouring rows.
    directions : Tensor, shape (k, d)
        The same for all rows.

    Returns
    -------
    value : Tensor, shape (n, d)
    derivatives : Tensor, shape (k, n, d)
        ∂F/∂y · direction.
    """
    own: Callable[..., tuple[Tensor, Tensor]] | None = getattr(network, "push_forward", None)
    if own is not None:
        return own(y, log_sigma, directions)
    return derivatives_along(partial(network, log_sigma=log_sigma), y, directions)


@torch.no_grad()
def field_at(network: nn.Module, log_sigma: Tensor, dtype: torch.dtype) -> Field:
    """The field of a network at one noise level.

    Parameters
    ----------
    network : nn.Module
    log_sigma : Tensor, shape (1,)
        In the network's own precision.
    dtype : torch.dtype
        In which the field evaluates. The state of a caller in another precision is converted on the way in and out.
    """
    own: Callable[..., Field] | None = getattr(network, "at", None)
    if own is not None:
        return own(log_sigma, dtype)
    # whole numbers among the buffers stay what they are
    held = {
        name: value.detach().to(dtype if value.is_floating_point() else value.dtype)
        for name, value in chain(network.named_parameters(), network.named_buffers())
    }
    level = log_sigma.to(dtype)
    return PlainField(lambda y: functional_call(network, held, (y.to(dtype), level)).to(y.dtype))


def derivatives_along(
    function: Callable[[Tensor], Tensor], y: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    """A function at states y, shape (n, d), and its derivatives along directions (k, d), shape (k, n, d).

    By forward-mode differentiation, once for each direction. The function may itself take a gradient
    (``torch.func.grad``).
    """

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        pair = jvp(function, (y,), (direction.expand_as(y),))
        return pair[0], pair[1]

    values, derivatives = vmap(along)(directions)
    return values[0], derivatives


def summed(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The sum of values and that of derivatives."""
    return reduce(torch.add, (pair[0] for pair in pairs)), reduce(torch.add, (pair[1] for pair in pairs))
