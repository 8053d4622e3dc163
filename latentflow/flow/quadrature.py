"""Weights that integrate a kernel times the polynomial through some values."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

#: Nodes of the Gauss–Legendre rule: exact to rounding for kernels of log σ over steps up to one.
_POINTS = 16


def polynomial_weights(
    nodes: Tensor,
    start: Tensor,
    end: Tensor,
    kernel: Callable[[Tensor], Tensor],
    axis: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Weights wⱼ with Σ wⱼ mⱼ = ∫ κ(u) P(u) du, P the polynomial through the values mⱼ at the nodes.

    Differentiable in nodes, start and end; several integrals at once.

    Parameters
    ----------
    nodes : Tensor, shape (..., q)
        Where the values are, on the axis of the polynomial.
    start, end : Tensor, shape (...)
        Limits of the integral over u.
    kernel : callable
        κ.
    axis : callable, optional
        u ↦ the variable of the polynomial; by default u itself.

    Returns
    -------
    Tensor, shape (..., q)
    """
    points, weights = _rule()
    u = start[..., None] + (end - start)[..., None] * points
    at = u if axis is None else axis(u)
    basis = []
    for j in range(nodes.shape[-1]):
        others = torch.cat([nodes[..., :j], nodes[..., j + 1 :]], dim=-1)[..., None, :]
        basis.append(((at[..., None] - others) / (nodes[..., j, None, None] - others)).prod(-1))
    integrals = (torch.stack(basis, dim=-2) * (weights * kernel(u))[..., None, :]).sum(-1)
    return integrals * (end - start)[..., None]


@lru_cache(maxsize=1)
def _rule() -> tuple[Tensor, Tensor]:
    points, weights = np.polynomial.legendre.leggauss(_POINTS)
    return torch.as_tensor((points + 1) / 2), torch.as_tensor(weights / 2)
