"""The one abstraction that everything after training takes: a denoiser D(x; σ) ≈ E[x₀ | x₀ + σ ε = x].

Whitened coordinates are assumed (zero mean, unit covariance, so σ_data = 1). Three pictures of one field:

* the denoiser D(x; σ) itself;
* the score ∇log p_σ(x) = (D(x; σ) − x) / σ² (Tweedie's formula; Robbins 1956, Efron 2011);
* the v-prediction F(y, σ) (Salimans & Ho 2022, arXiv 2202.00512, with the sign turned: F ≈ sin θ x₀ − cos θ ε, where
  they have v = cos θ ε − sin θ x₀), where y = x/√(1+σ²) is the variance-preserving state and θ = arctan σ:
  the probability-flow ODE (Song et al. 2021, arXiv 2011.13456, eq. 13) becomes dy/dθ = −F(y, σ), with every
  quantity of order one and no division by σ. F is what the network learns: with the preconditioning of
  Karras et al. (2022, arXiv 2206.00364, table 1, σ_data = 1),
  D(x; σ) = x/(1+σ²) + σ/√(1+σ²) · F(x/√(1+σ²), σ).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from latentflow.score.fields import Field, PlainField, derivatives_along, field_at, push_forward


def noise_level(x: Tensor, sigma: Tensor | float) -> Tensor:
    """Noise levels as a column that broadcasts against rows.

    Parameters
    ----------
    x : Tensor, shape (n, d)
        Rows that the noise levels belong to; gives dtype and device.
    sigma : Tensor of shape (n,) or scalar, or float
        Noise level of each row, or of all.

    Returns
    -------
    Tensor, shape (n, 1) or (1, 1)
    """
    return torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1)


class Denoiser(nn.Module):
    """Base of networks and closed forms alike; a subclass gives ``forward`` or ``v_prediction``, or both.

    Notes
    -----
    ``forward(x, sigma)`` takes rows at noise level σ, shape (n, d), and σ of shape (n,) or scalar; it returns
    the posterior mean E[x₀ | x], shape (n, d), in whitened units.
    """

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean E[x₀ | x₀ + σ ε = x], shape (n, d)."""
        s = noise_level(x, sigma)
        scale = torch.sqrt(1 + s * s)
        return x / scale**2 + s / scale * self.v_prediction(x / scale, sigma)

    def v_prediction(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """v-prediction F(y, σ) = (D(x; σ) − x/(1+σ²)) √(1+σ²)/σ at y = x/√(1+σ²), shape (n, d)."""
        s = noise_level(y, sigma)
        scale = torch.sqrt(1 + s * s)
        return (self(y * scale, sigma) - y / scale) * scale / s

    def push_forward(self, y: Tensor, sigma: Tensor | float, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F(y, σ), shape (n, d), and its derivatives along directions of shape (k, d), shape (k, n, d)."""
        return derivatives_along(lambda state: self.v_prediction(state, sigma), y, directions)

    def at(self, sigma: float, dtype: torch.dtype | None = None) -> Field:
        """The field F(·, σ) at one noise level, for the many rows that a frozen grid brings to it.

        Parameters
        ----------
        sigma : float
            Noise level, in whitened units.
        dtype : torch.dtype, optional
            Precision in which a network evaluates; by default that of its weights. What it takes and gives has the
            precision of the state. A closed form follows the state.
        """
        return PlainField(lambda y: self.v_prediction(y, float(sigma)))

    def score(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Score ∇ₓ log p_σ(x) = (D(x; σ) − x)/σ², shape (n, d)."""
        return (self(x, sigma) - x) / noise_level(x, sigma) ** 2


class StandardNormal(Denoiser):
    """N(0, I) in closed form: F = 0 and D(x; σ) = x/(1+σ²), what a flow that is the identity stands on."""

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean x/(1+σ²), shape (n, d)."""
        return x / (1 + noise_level(x, sigma) ** 2)

    def v_prediction(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """F = 0, shape (n, d)."""
        return torch.zeros_like(y)


class NetworkDenoiser(Denoiser):
    """A network F(y, log σ) behind the preconditioning of Karras et al. (2022).

    Parameters
    ----------
    network : nn.Module
        With ``forward(y, log_sigma)`` and ``settings`` (:mod:`latentflow.score.networks`).
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    @property
    def settings(self) -> dict[str, Any]:
        """The plain values that rebuild the network without its weights."""
        return cast(dict[str, Any], self.network.settings)

    def v_prediction(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """v-prediction F(y, σ): the network's output itself."""
        return self.network(y, noise_level(y, sigma).log().reshape(-1))

    def push_forward(self, y: Tensor, sigma: Tensor | float, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F(y, σ) and its derivatives along directions, by the network's own tangent pass where it has one."""
        return push_forward(self.network, y, noise_level(y, sigma).log().reshape(-1), directions)

    def at(self, sigma: float, dtype: torch.dtype | None = None) -> Field:
        """The field F(·, σ) with all that depends on σ alone worked out; taken again when the weights change."""
        weight = next(self.network.parameters())
        level = torch.as_tensor(float(sigma), dtype=weight.dtype, device=weight.device)
        return field_at(self.network, level.log().reshape(1), dtype or weight.dtype)
