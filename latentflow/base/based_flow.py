"""The flow behind its base: whitened rows through the base, then through the probability flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.base.layers import LayeredBase
from latentflow.flow.latent_map import LatentMap
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.score.tensors import as_tensor

#: Numbers (rows × columns) that go through the base at once.
CHUNK_NUMBERS = 1 << 20


@dataclass(frozen=True)
class BasedFlow(LatentMap):
    """Base and flow as one map.

    Parameters
    ----------
    base : LayeredBase
    flow : ProbabilityFlow or None
        On the coordinates of the base; None is the identity.
    """

    base: LayeredBase
    flow: ProbabilityFlow | None

    def tensor(self, values: NDArray[np.float64]) -> Tensor:
        """Values as a tensor of the base's device and dtype."""
        return as_tensor(values, self.base)

    @property
    def evaluations(self) -> int:
        """Denoiser evaluations of one encoding; none of an identity."""
        return 0 if self.flow is None else self.flow.evaluations

    def encode(self, x: Tensor) -> Tensor:
        """Latents z, shape (n, d), of whitened rows x, shape (n, d)."""
        h, _ = self.through(x)
        return h if self.flow is None else self.flow.encode(h)

    def through(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates of the base, shape (n, d), and its log|det| in nats, shape (n,)."""
        parts = [self.base(part) for part in x.split(max(1, CHUNK_NUMBERS // x.shape[1]))]
        return torch.cat([h for h, _ in parts]), torch.cat([log_det for _, log_det in parts])

    def encode_with_log_det(
        self, x: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Latents, shape (n, d), and log|det ∂z/∂x| in nats, shape (n,); that of the base is exact."""
        h, log_det = self.through(x)
        if self.flow is None:
            return h, log_det
        z, own = self.flow.encode_with_log_det(h, generator=generator)
        return z, log_det + own

    def encode_with_jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents, shape (n, d), and ∂z/∂x, shape (n, d, d)."""
        basis = torch.eye(x.shape[1]).to(x).expand(len(x), -1, -1)
        h, moved = self.base.push(x, basis)
        jacobian = moved.transpose(1, 2)
        if self.flow is None:
            return h, jacobian
        z, own = self.flow.encode_with_jacobian(h)
        return z, own @ jacobian

    def encode_along(self, x: Tensor, directions: Tensor) -> Tensor:
        """(∂z/∂x) v for one direction v of each row, shape (n, d)."""
        h, moved = self.base.push(x, directions[:, None])
        return moved[:, 0] if self.flow is None else self.flow.encode_along(h, moved[:, 0])

    def decode_along(self, z: Tensor, directions: Tensor) -> Tensor:
        """Tangent of the plain way back, (n, d); that of the base is taken at the row that z decodes to."""
        if self.flow is None:
            return self.base.pull(z, directions[:, None])[1][:, 0]
        h, _ = self.flow.decode(z, rounds=0)
        return self.base.pull(h, self.flow.decode_along(z, directions)[:, None])[1][:, 0]

    def decode(self, z: Tensor, *, tolerance: float | None = None, rounds: int = 30) -> tuple[Tensor, Tensor]:
        """Rows whose encoding is z, shape (n, d), and the residual max |E(x) − z| of each, shape (n,).

        Parameters
        ----------
        z : Tensor, shape (n, d)
        tolerance, rounds
            Of the flow, as for :meth:`~latentflow.flow.probability_flow.ProbabilityFlow.decode`.
        """
        h, residual = z, z.new_zeros(len(z))
        if self.flow is not None:
            h, residual = self.flow.decode(z, tolerance=tolerance, rounds=rounds)
        x = torch.cat([self.base.inverse(part) for part in h.split(max(1, CHUNK_NUMBERS // z.shape[1]))])
        left = (self.through(x)[0] - h).abs().amax(1) if len(x) else residual
        return x, residual + left
