"""Denoisers known in closed form: the witnesses against which everything else is tested.

Each oracle is a :class:`~latentflow.score.denoisers.Denoiser` with the exact score of a known law blurred by
noise of level σ, its exact ``log_prob(x, sigma)`` in nats, and where it exists the exact flow between two noise
levels. For any of them log|det ∂x(σ₁)/∂x(σ₀)| = log p_σ₀(x(σ₀)) − log p_σ₁(x(σ₁)) holds exactly, because the
probability flow carries p_σ₀ to p_σ₁.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from latentflow.score.denoisers import Denoiser, noise_level

_LOG_2PI = math.log(2 * math.pi)


class MixtureOracle(Denoiser):
    """Gaussian mixture Σ wₖ N(μₖ, Σₖ); with one component, the Gaussian of Karras et al. (2022, eq. 57 ff.).

    Parameters
    ----------
    weights : Tensor, shape (k,)
        Component weights; normalised here.
    means : Tensor, shape (k, d)
    covariances : Tensor, shape (k, d, d)
        Symmetric and positive semi-definite.
    """

    weights: Tensor
    means: Tensor
    eigenvalues: Tensor
    eigenvectors: Tensor

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor):
        super().__init__()
        values, vectors = torch.linalg.eigh(covariances)
        self.register_buffer("weights", weights / weights.sum())
        self.register_buffer("means", means)
        self.register_buffer("eigenvalues", values.clamp(min=0))
        self.register_buffer("eigenvectors", vectors)

    def _components(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """Rows in each component's eigenbasis (k, n, d), blurred variances (k, n, d), log wₖ Nₖ (k, n)."""
        s2 = noise_level(x, sigma) ** 2
        local = torch.einsum("knd,kde->kne", x - self.means[:, None], self.eigenvectors)
        variances = self.eigenvalues[:, None, :] + s2
        log_terms = -0.5 * (local**2 / variances + variances.log() + _LOG_2PI).sum(-1)
        return local, variances, log_terms + self.weights.log()[:, None]

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior-weighted mean of the components' Wiener filters, shape (n, d)."""
        local, variances, log_terms = self._components(x, sigma)
        shrunk = local * (self.eigenvalues[:, None, :] / variances)
        means = self.means[:, None] + torch.einsum("kne,kde->knd", shrunk, self.eigenvectors)
        return torch.einsum("kn,knd->nd", torch.softmax(log_terms, 0), means)

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """log p_σ(x) in nats, shape (n,)."""
        return torch.logsumexp(self._components(x, sigma)[2], 0)


class GaussianOracle(MixtureOracle):
    """N(μ, Σ): D = μ + Σ(Σ+σ²I)⁻¹(x−μ), and a flow that is a scaling in the eigenbasis of Σ.

    Parameters
    ----------
    mean : Tensor, shape (d,)
    covariance : Tensor, shape (d, d)
    """

    def __init__(self, mean: Tensor, covariance: Tensor):
        super().__init__(mean.new_ones(1), mean[None], covariance[None])

    def flow(self, x: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
        """Exact probability flow of rows x from one noise level to another, shape (n, d)."""
        ratio = torch.sqrt((self.eigenvalues[0] + sigma_to**2) / (self.eigenvalues[0] + sigma_from**2))
        basis = self.eigenvectors[0]
        return self.means[0] + ((x - self.means[0]) @ basis * ratio) @ basis.T


class IndependentOracle(Denoiser):
    """A linear-ICA model x = R s with R orthogonal and independent one-dimensional mixtures as sources.

    Parameters
    ----------
    rotation : Tensor, shape (d, d)
        Orthogonal; column i is the direction of source i.
    sources : sequence of MixtureOracle with d = 1
        The law of each source.
    """

    rotation: Tensor

    def __init__(self, rotation: Tensor, sources: Sequence[MixtureOracle]):
        super().__init__()
        self.register_buffer("rotation", rotation)
        self.laws = torch.nn.ModuleList(sources)

    @property
    def sources(self) -> list[MixtureOracle]:
        """The law of each source, in the order of the columns of the rotation."""
        return cast(list[MixtureOracle], list(self.laws))

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """R · (the sources' denoisers at Rᵀx), shape (n, d)."""
        s = x @ self.rotation
        parts = [oracle(s[:, i : i + 1], sigma) for i, oracle in enumerate(self.sources)]
        return torch.cat(parts, 1) @ self.rotation.T

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """log p_σ(x) in nats, shape (n,); the rotation has log|det| 0."""
        s = x @ self.rotation
        terms = [oracle.log_prob(s[:, i : i + 1], sigma) for i, oracle in enumerate(self.sources)]
        return torch.stack(terms).sum(0)

    def flow(self, x: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
        """Exact probability flow R g(Rᵀx), g = F⁻¹_to ∘ F_from coordinate by coordinate, shape (n, d)."""
        s = x @ self.rotation
        moved = [_quantile_map(o, s[:, i], sigma_from, sigma_to) for i, o in enumerate(self.sources)]
        return torch.stack(moved, 1) @ self.rotation.T


def _quantile_map(oracle: MixtureOracle, s: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
    """The increasing map that carries a one-dimensional mixture at one noise level to the same at another.

    Both tails are matched through their own logarithm, so that neither saturates at 1; bisection in the signed
    log-odds of the distribution function, which is strictly increasing.
    """
    mean, variance = oracle.means[:, 0, None], oracle.eigenvalues[:, :1]

    def log_odds(t: Tensor, sigma: float) -> Tensor:
        u = (t - mean) / torch.sqrt(variance + sigma**2)
        log_w = oracle.weights.log()[:, None]
        below = torch.logsumexp(log_w + torch.special.log_ndtr(u), 0)
        above = torch.logsumexp(log_w + torch.special.log_ndtr(-u), 0)
        return below - above

    target = log_odds(s, sigma_from)
    reach = 10 * (1 + s.abs().max() + mean.abs().max()) * max(1.0, sigma_to / sigma_from)
    low, high = s.new_full(s.shape, -float(reach)), s.new_full(s.shape, float(reach))
    for _ in range(120):
        middle = (low + high) / 2
        under = log_odds(middle, sigma_to) < target
        low, high = torch.where(under, middle, low), torch.where(under, high, middle)
    return (low + high) / 2


class EmpiricalOracle(Denoiser):
    """The law that puts mass 1/n on each of n points: D is one mean-shift step of bandwidth σ.

    D(x; σ) = Σ wᵢ xᵢ with w = softmax(−‖x−xᵢ‖²/2σ²) (Chen et al. 2023, arXiv 2305.19947, eq. 6; Comaniciu &
    Meer 2002). What a score model that memorised its training rows would be.

    Parameters
    ----------
    points : Tensor, shape (m, d)
    """

    points: Tensor

    def __init__(self, points: Tensor):
        super().__init__()
        self.register_buffer("points", points)

    def _log_kernel(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        # not torch.cdist: it has no forward-mode derivative, which the trace needs
        squared = (x[:, None] - self.points).square().sum(-1)
        return -0.5 * squared / noise_level(x, sigma) ** 2

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Kernel-weighted mean of the points, shape (n, d)."""
        return torch.softmax(self._log_kernel(x, sigma), 1) @ self.points

    def log_prob(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """log of the Gaussian kernel density estimate of bandwidth σ > 0, nats, shape (n,)."""
        d, s = x.shape[1], noise_level(x, sigma)[:, 0]
        normaliser = math.log(len(self.points)) + d * (s.log() + 0.5 * _LOG_2PI)
        return torch.logsumexp(self._log_kernel(x, sigma), 1) - normaliser
