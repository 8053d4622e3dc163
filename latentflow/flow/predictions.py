r"""What a solver may extrapolate of a denoiser, and how the variance-preserving state follows from it exactly.

With u = log σ, c = 1/√(1+σ²), s = σc, the state y = c x and the v-prediction F of
:mod:`latentflow.score.denoisers`, the probability flow dy/du = −σ/(1+σ²) F can be written for several predictions
m = α y + β F, each as

    y(u₁) = S(u₁)/S(u₀) y(u₀) + S(u₁) ∫ κ(u) m(u) du        over u₀ … u₁.

============  =============  ==========  ====  ==============  ==========================================
prediction    m              α           β     κ               S
============  =============  ==========  ====  ==============  ==========================================
v-prediction      F              0           1     −σ/(1+σ²)       1
slope         −σ/(1+σ²) F    0           κ_F   1               1, the plain ODE in log σ
data          D = c y + s F  c           s     −1/σ            s (Lu et al. 2022, arXiv 2211.01095, eq. 8)
noise         ε = s y − c F  s           −c    σ               c (Lu et al. 2022, arXiv 2206.00927, eq. 3.4)
============  =============  ==========  ====  ==============  ==========================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Prediction:
    """The functions of u = log σ in the table above, each of tensors of any shape.

    Attributes
    ----------
    of_state, of_v : callable
        α and β.
    kernel, scale : callable
        κ and S.
    """

    of_state: Function
    of_v: Function
    kernel: Function
    scale: Function


def speed(u: Tensor) -> Tensor:
    """−σ/(1+σ²): dy/du for a v-prediction F of one."""
    return -0.5 / torch.cosh(u)


def _cosine(u: Tensor) -> Tensor:
    return torch.rsqrt(1 + torch.exp(2 * u))


def _sine(u: Tensor) -> Tensor:
    return torch.rsqrt(1 + torch.exp(-2 * u))


PREDICTIONS = {
    "v_prediction": Prediction(torch.zeros_like, torch.ones_like, speed, torch.ones_like),
    "slope": Prediction(torch.zeros_like, speed, torch.ones_like, torch.ones_like),
    "data": Prediction(_cosine, _sine, lambda u: -torch.exp(-u), _sine),
    "noise": Prediction(_sine, lambda u: -_cosine(u), torch.exp, _cosine),
}
