"""What the maps from whitened rows to Gaussian latents have in common: the probability flow, and one behind a base."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Numbers of latents and Jacobians that are held at once, part by part.
NUMBERS_AT_ONCE = 1 << 22


class LatentMap(ABC):
    """A differentiable bijection between whitened rows and latents, on tensors of shape (n, d)."""

    @abstractmethod
    def tensor(self, values: NDArray[np.float64]) -> Tensor:
        """Values as a tensor of this map's device and dtype."""

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """Denoiser evaluations of one encoding."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Latents z, shape (n, d), of whitened rows x, shape (n, d)."""

    @abstractmethod
    def encode_with_log_det(
        self, x: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Latents, shape (n, d), and log|det ∂z/∂x| in nats, shape (n,); with a generator an estimate without bias."""

    @abstractmethod
    def encode_with_jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents, shape (n, d), and ∂z/∂x of the discrete map, shape (n, d, d)."""

    @abstractmethod
    def encode_along(self, x: Tensor, directions: Tensor) -> Tensor:
        """(∂z/∂x) v for one direction v of each row: the tangent of the encoder, shape (n, d)."""

    @abstractmethod
    def decode_along(self, z: Tensor, directions: Tensor) -> Tensor:
        """Tangent of the plain way back, (n, d): (∂x/∂z) v up to the error of the solver."""

    @abstractmethod
    def decode(self, z: Tensor, *, tolerance: float | None = None, rounds: int = 30) -> tuple[Tensor, Tensor]:
        """Rows whose encoding is z, shape (n, d), and the residual max |E(x) − z| of each, shape (n,)."""

    def jacobian_parts(self, x: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Which rows, their latents (m, d) and ∂z/∂x (m, d, d), part by part: those of many rows do not fit at once."""
        size = max(1, NUMBERS_AT_ONCE // (x.shape[1] * (x.shape[1] + 1)))
        for start in range(0, max(1, len(x)), size):
            yield slice(start, start + size), *self.encode_with_jacobian(x[start : start + size])

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) = log N(z; 0, I) + log|det ∂z/∂x| in nats per whitened row, shape (n,)."""
        z, log_det = self.encode_with_log_det(x)
        return log_det - 0.5 * (z * z).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)

    def encode_with_discrete_log_det(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (n, d), and sign and log|det| in nats of the Jacobian of the discrete encoder, (n,) each.

        What the encoder on its grid does to volumes, to rounding, where :meth:`encode_with_log_det` integrates the
        trace; they agree to about ten times the accuracy of the latents. A sign below zero would tell that the
        discrete map folds.
        """
        parts = [(z, *torch.linalg.slogdet(jacobian)) for _, z, jacobian in self.jacobian_parts(x)]
        z, sign, log_det = map(torch.cat, zip(*parts, strict=True))
        return z, sign, log_det
