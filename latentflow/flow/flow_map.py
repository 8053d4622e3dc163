"""The flow as one part of the chain between rows and latents: a bijection of arrays, with its log-determinant."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from latentflow.errors import LatentFlowError
from latentflow.flow.latent_map import LatentMap
from latentflow.score.tensors import as_array

Floats = NDArray[np.float64]

#: Of which map the log-determinant is: the flow, whose trace is integrated, or the encoder as it steps over its grid.
LOG_DETS = ("continuous", "discrete")


@dataclass
class FlowMap:
    """The flow between whitened rows and latents, for one pass of rows: what it notes of them stays with it.

    Parameters
    ----------
    flow : LatentMap
    log_det : {"continuous", "discrete"}
        Of which map the log-determinant is.
    trace_seed : int, optional
        Estimate the continuous one along two random directions of each row, without bias.
    measured : bool
        Without it the log-determinant, which costs a trace per evaluation, is left out, and NaN.

    Attributes
    ----------
    trace_error : float or None
        After `forward`: standard error, in nats, that random directions add to the mean log-determinant.
    folded : ndarray of bool, shape (n,), or None
        After `forward`: rows where the Jacobian of the discrete encoder has no positive determinant.
    residual : ndarray, shape (n,), or None
        After `inverse`: max |E(x) − z| of each row, in units of the latents.

    Raises
    ------
    LatentFlowError
        If there is no such log-determinant, or the discrete one is to be estimated.
    """

    flow: LatentMap
    log_det: str = "continuous"
    trace_seed: int | None = None
    measured: bool = True
    trace_error: float | None = field(default=None, init=False)
    folded: NDArray[np.bool_] | None = field(default=None, init=False)
    residual: Floats | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.log_det not in LOG_DETS:
            raise LatentFlowError(f"log_det must be one of {', '.join(LOG_DETS)}, not {self.log_det!r}")
        if self.log_det == "discrete" and self.trace_seed is not None:
            raise LatentFlowError(
                "the discrete log_det takes no trace: leave trace_seed out, or ask for 'continuous'"
            )

    def forward(self, x: Floats) -> tuple[Floats, Floats]:
        """Latents of whitened rows, shape (n, k) both, and log|det| in nats, shape (n,)."""
        if not self.measured:
            return as_array(self.flow.encode(self.flow.tensor(x))), np.full(len(x), np.nan)
        return self._discrete(x) if self.log_det == "discrete" else self._continuous(x)

    def inverse(self, z: Floats) -> Floats:
        """The whitened rows that the encoder maps to latents, shape (n, k) both, as far as they are found."""
        x, residual = self.flow.decode(self.flow.tensor(z))
        self.residual = as_array(residual)
        return as_array(x)

    def _continuous(self, x: Floats) -> tuple[Floats, Floats]:
        rows = self.flow.tensor(x)
        if self.trace_seed is None:
            z, log_det = self.flow.encode_with_log_det(rows)
            return as_array(z), as_array(log_det)
        generator = torch.Generator(rows.device).manual_seed(self.trace_seed)
        z, one = self.flow.encode_with_log_det(rows, generator=generator)
        _, other = self.flow.encode_with_log_det(rows, generator=generator)
        both = np.stack([as_array(one), as_array(other)])
        # half the difference of two draws has the variance of their mean
        self.trace_error = float(0.5 * (both[0] - both[1]).std() / math.sqrt(len(x)))
        return as_array(z), both.mean(0)

    def _discrete(self, x: Floats) -> tuple[Floats, Floats]:
        z, sign, log_det = map(as_array, self.flow.encode_with_discrete_log_det(self.flow.tensor(x)))
        self.folded = ~(sign > 0)
        return z, log_det
