"""Closed forms that the geometry tests share."""

from __future__ import annotations

import torch
from torch import Tensor

from latentflow.score.oracles import GaussianOracle, MixtureOracle

F64 = torch.float64


def mixture(d: int = 3, components: int = 4, seed: int = 0) -> MixtureOracle:
    """A mixture of Gaussians of unlike shape."""
    generator = torch.Generator().manual_seed(seed)
    roots = 0.3 * torch.randn(components, d, d, generator=generator, dtype=F64)
    means = torch.randn(components, d, generator=generator, dtype=F64)
    return MixtureOracle(torch.ones(components, dtype=F64), means, roots @ roots.mT + 0.02 * torch.eye(d))


def gaussian(variances: Tensor) -> GaussianOracle:
    """N(0, diag(variances))."""
    return GaussianOracle(torch.zeros(len(variances), dtype=F64), torch.diag(variances.to(F64)))


def latents(n: int, d: int, seed: int = 1) -> Tensor:
    """Draws of N(0, I)."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=F64)
