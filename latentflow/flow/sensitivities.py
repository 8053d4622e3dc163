r"""How the end of an integration answers to its grid and to the blend of orders in its steps, to first order.

A predictor-corrector step is linear in the values F that it combines, and F varies along a trajectory with ∂F/∂y. So
with these Jacobians at the nodes the derivative of the end with respect to every weight of every step is a recursion
from the last step to the first, the discrete adjoint (Hairer, Nørsett & Wanner 1993, § II.6), which evaluates nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from latentflow.flow.blending import Blended
from latentflow.flow.multistep import Kept
from latentflow.score.denoisers import Denoiser

#: Distance in log σ over which F is differenced.
_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Linearised:
    """An integration of some rows, and what its end depends on.

    Attributes
    ----------
    end : Tensor, shape (n, d)
    by_weight : Tensor, shape (n, d, steps, 2, order)
        ∂end/∂w for the weights of predictor and corrector in each step, newest value first.
    by_node : Tensor, shape (n, d, steps)
        ∂end/∂u through F(u, ·) at each node but the last, weights held fixed.
    """

    end: Tensor
    by_weight: Tensor
    by_node: Tensor

    @classmethod
    def of(cls, denoiser: Denoiser, solver: Blended, start: Tensor, nodes: Sequence[float], weights: Tensor) -> Linearised:
        """Integrate rows from the first node to the last, with d + 2 evaluations in place of one."""
        kept, jacobians, rates = list[Kept](), list[Tensor](), list[Tensor]()
        basis = torch.eye(start.shape[1], dtype=start.dtype, device=start.device)

        def v_prediction(u: float, y: Tensor) -> Tensor:
            value, derivatives = denoiser.at(math.exp(u)).push_forward(y, basis)
            later = denoiser.at(math.exp(u + _DIFFERENCE)).v_prediction(y)
            jacobians.append(derivatives.permute(1, 2, 0))
            rates.append((later - value) / _DIFFERENCE)
            return value

        with torch.no_grad():
            end = solver.integrate(v_prediction, start, nodes, kept)
        return cls(end, *_adjoint(weights, [value for _, value in kept], jacobians, rates))


def _adjoint(
    weights: Tensor, values: list[Tensor], jacobians: list[Tensor], rates: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Derivatives of the end with respect to weights and nodes.

    Step n predicts pₙ₊₁ = yₙ + Σⱼ wₙ₀ⱼ Fₙ₋ⱼ with Fₙ = F(pₙ), and corrects yₙ₊₁ = yₙ + Σⱼ wₙ₁ⱼ Fₙ₊₁₋ⱼ; p of the last
    step is the end.
    """
    steps, _, order = weights.shape
    n, d = values[0].shape
    by_weight = values[0].new_zeros(n, d, steps, 2, order)
    by_node = values[0].new_zeros(n, d, steps)
    of_point = torch.eye(d, dtype=values[0].dtype, device=values[0].device).expand(n, d, d)
    of_state = torch.zeros_like(of_point)
    of_value = [torch.zeros_like(of_point) for _ in values]
    for node in range(steps - 1, -1, -1):
        # so far of pₙ₊₁ and yₙ₊₁, n the node; yₙ is part of both
        of_next, of_state = of_point, of_point + of_state
        for step, part, adjoint in ((node, 0, of_next), (node - 1, 1, of_state))[: 1 + bool(node)]:
            known = min(order - (part == 0), node + 1)
            recent = torch.stack(values[node + 1 - known : node + 1][::-1])
            by_weight[:, :, step, part, :known] = torch.einsum("nij,knj->nik", adjoint, recent)
            for back in range(known):
                of_value[node - back] += weights[step, part, back] * adjoint
        by_node[:, :, node] = torch.einsum("nij,nj->ni", of_value[node], rates[node])
        of_point = of_value[node] @ jacobians[node]
    return by_weight, by_node
