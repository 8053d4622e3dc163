"""The named Gaussian perturbation paths x_t = α_t x₀ + s_t ε, each with its own time and drift.

Inside, latentflow knows one noise level σ. The paths of the literature are time axes over it: with σ = s_t/α_t
and x = x_t/α_t their probability-flow trajectories are the same curves (Karras et al. 2022, arXiv 2206.00364,
appendix B.2), so the latent does not depend on which of them is named. The drifts here are written in each path's
native time and state,

    dx_t/dt = f(t) x_t − ½ g(t)² ∇log p_t(x_t),   f = α'/α,   g² = 2 s s' − 2 f s²

(Song et al. 2021, arXiv 2011.13456, eq. 13), so that this claim can be tested rather than assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentflow.score.denoisers import Denoiser


class Path:
    """A perturbation path; a subclass gives α, s, their logarithmic slopes, and the time of a noise level.

    All methods take and return floats: a path is a function of time alone.
    """

    def alpha(self, t: float) -> float:
        """Signal scale α_t."""
        raise NotImplementedError

    def scale(self, t: float) -> float:
        """Noise scale s_t."""
        raise NotImplementedError

    def alpha_slope(self, t: float) -> float:
        """f(t) = d log α / dt."""
        raise NotImplementedError

    def diffusion_squared(self, t: float) -> float:
        """g(t)², the squared diffusion coefficient of the forward SDE."""
        raise NotImplementedError

    def time(self, sigma: float) -> float:
        """The time t at which s_t/α_t = σ."""
        raise NotImplementedError

    def drift(self, denoiser: Denoiser, t: float, x: Tensor) -> Tensor:
        """dx_t/dt of the probability flow in native time and state, shape (n, d)."""
        alpha, s = self.alpha(t), self.scale(t)
        posterior_mean = denoiser(x / alpha, s / alpha)
        score = (alpha * posterior_mean - x) / s**2
        return self.alpha_slope(t) * x - 0.5 * self.diffusion_squared(t) * score


@dataclass(frozen=True)
class VarianceExploding(Path):
    """VE: α = 1, s = σ_min (σ_max/σ_min)^t (Song et al. 2021, eq. 30)."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def alpha(self, t: float) -> float:
        return 1.0

    def scale(self, t: float) -> float:
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** t

    def alpha_slope(self, t: float) -> float:
        return 0.0

    def diffusion_squared(self, t: float) -> float:
        return 2 * self.scale(t) ** 2 * math.log(self.sigma_max / self.sigma_min)

    def time(self, sigma: float) -> float:
        return math.log(sigma / self.sigma_min) / math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class _LinearBeta(Path):
    """Shared by VP and sub-VP: β(t) = β₀ + t (β₁ − β₀) and α = exp(−½∫β)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def beta(self, t: float) -> float:
        """β(t)."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def beta_integral(self, t: float) -> float:
        """∫₀ᵗ β."""
        return self.beta_min * t + 0.5 * t * t * (self.beta_max - self.beta_min)

    def alpha(self, t: float) -> float:
        return math.exp(-0.5 * self.beta_integral(t))

    def alpha_slope(self, t: float) -> float:
        return -0.5 * self.beta(t)

    def _time_of_integral(self, integral: float) -> float:
        slope = self.beta_max - self.beta_min
        # the root in the form that does not cancel for small integrals
        return 2 * integral / (self.beta_min + math.sqrt(self.beta_min**2 + 2 * slope * integral))


class VariancePreserving(_LinearBeta):
    """VP, the continuous form of DDPM: s² = 1 − α² (Song et al. 2021, eq. 32)."""

    def scale(self, t: float) -> float:
        return math.sqrt(-math.expm1(-self.beta_integral(t)))

    def diffusion_squared(self, t: float) -> float:
        return self.beta(t)

    def time(self, sigma: float) -> float:
        return self._time_of_integral(math.log1p(sigma * sigma))


class SubVariancePreserving(_LinearBeta):
    """sub-VP: s = 1 − α² (Song et al. 2021, eq. 34)."""

    def scale(self, t: float) -> float:
        return -math.expm1(-self.beta_integral(t))

    def diffusion_squared(self, t: float) -> float:
        return self.beta(t) * -math.expm1(-2 * self.beta_integral(t))

    def time(self, sigma: float) -> float:
        # (1 − α²)/α = σ  ⇒  −log α = asinh(σ/2)
        return self._time_of_integral(2 * math.asinh(sigma / 2))


@dataclass(frozen=True)
class EDM(Path):
    """EDM: α = 1, s = t (Karras et al. 2022, table 1)."""

    def alpha(self, t: float) -> float:
        return 1.0

    def scale(self, t: float) -> float:
        return t

    def alpha_slope(self, t: float) -> float:
        return 0.0

    def diffusion_squared(self, t: float) -> float:
        return 2 * t

    def time(self, sigma: float) -> float:
        return sigma


@dataclass(frozen=True)
class FlowMatching(Path):
    """Gaussian flow matching on straight lines: α = 1 − t, s = t (Lipman et al. 2023, arXiv 2210.02747)."""

    def alpha(self, t: float) -> float:
        return 1 - t

    def scale(self, t: float) -> float:
        return t

    def alpha_slope(self, t: float) -> float:
        return -1 / (1 - t)

    def diffusion_squared(self, t: float) -> float:
        return 2 * t / (1 - t)

    def time(self, sigma: float) -> float:
        return sigma / (1 + sigma)


PATHS: dict[str, Path] = {
    "ve": VarianceExploding(),
    "vp": VariancePreserving(),
    "sub-vp": SubVariancePreserving(),
    "edm": EDM(),
    "flow-matching": FlowMatching(),
}


def latent_of(path: Path, x_t: Tensor, t: float) -> Tensor:
    """The unit-variance latent z = x/√(1+σ²) of a native state x_t, with x = x_t/α and σ = s/α, shape (n, d)."""
    return x_t / torch.tensor(math.hypot(path.alpha(t), path.scale(t)), dtype=x_t.dtype)
