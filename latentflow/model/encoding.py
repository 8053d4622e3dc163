"""Rows as a model sees them: latents, and what goes with them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.errors import LatentFlowError
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.score.tensors import as_array

#: Of which map the log-determinant is: the flow, whose trace is integrated, or the encoder as it steps over its grid.
LOG_DETS = ("continuous", "discrete")
#: Numbers of Jacobians held at once.
NUMBERS_AT_ONCE = 1 << 22

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Encoding:
    """Rows in the latent space.

    Parameters
    ----------
    latents : ndarray, shape (n, k)
        Gaussian latents, or sources where these were asked for.
    carried : ndarray, shape (n, d − k)
        Whitened directions that the flow leaves alone; empty unless fewer components than columns were asked for.
    far : ndarray of bool, shape (n,)
        Rows far outside the training data.
    log_prob : ndarray, shape (n,), or None
        log p in nats, in the user's units (density of the dequantised kept columns); NaN where ``folded``.
    log_det : ndarray, shape (n,), or None
        log|det| of continuous rows ↦ (latents, carried), in nats; that of the flow or of the discrete encoder, as
        was asked for.
    trace_error : float or None
        Standard error, in nats, that random directions of the trace add to the mean of ``log_prob``; None where the
        trace is exact.
    folded : ndarray of bool, shape (n,), or None
        Rows where the discrete encoder folds: its Jacobian has no positive determinant there, other rows share their
        latents, and the change of variables gives no density. None where the log|det| of the flow was taken.
    """

    latents: Floats
    carried: Floats
    far: NDArray[np.bool_]
    log_prob: Floats | None = None
    log_det: Floats | None = None
    trace_error: float | None = None
    folded: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Volumes:
    """Latents before any orientation, and what their map does to volumes.

    Parameters
    ----------
    latents : ndarray, shape (n, k)
    log_det : ndarray, shape (n,)
        log|det| of whitened rows ↦ latents, in nats.
    trace_error : float or None
    folded : ndarray of bool, shape (n,), or None
        Both as in :class:`Encoding`.
    """

    latents: Floats
    log_det: Floats
    trace_error: float | None = None
    folded: NDArray[np.bool_] | None = None

    @classmethod
    def continuous(cls, flow: ProbabilityFlow, x: Tensor, trace_seed: int | None) -> Volumes:
        """Of the flow, from the integral of its trace: exact, or with a seed along two random directions of each row.

        Parameters
        ----------
        flow : ProbabilityFlow
        x : Tensor, shape (n, k)
            Whitened rows.
        trace_seed : int, optional
        """
        if trace_seed is None:
            z, log_det = flow.encode_with_log_det(x)
            return cls(as_array(z), as_array(log_det))
        generator = torch.Generator(x.device).manual_seed(trace_seed)
        z, one = flow.encode_with_log_det(x, generator=generator)
        _, other = flow.encode_with_log_det(x, generator=generator)
        both = np.stack([as_array(one), as_array(other)])
        # half the difference of two draws has the variance of their mean
        error = float(0.5 * (both[0] - both[1]).std() / math.sqrt(len(x)))
        return cls(as_array(z), both.mean(0), error)

    @classmethod
    def discrete(cls, flow: ProbabilityFlow, x: Tensor) -> Volumes:
        """Of the encoder on its own grid, from its Jacobian at whitened rows x, shape (n, k)."""
        k = x.shape[1]
        parts = x.split(max(1, NUMBERS_AT_ONCE // (k * (k + 1))))
        found = [flow.encode_with_discrete_log_det(part) for part in parts]
        z, sign, log_det = (as_array(torch.cat(each)) for each in zip(*found, strict=True))
        return cls(z, log_det, folded=~(sign > 0))


def check_log_det(log_det: str, trace_seed: int | None) -> None:
    """Refuse a log-determinant that does not exist, or a random trace of one that has none.

    Raises
    ------
    LatentFlowError
    """
    if log_det not in LOG_DETS:
        raise LatentFlowError(f"log_det must be one of {', '.join(LOG_DETS)}, not {log_det!r}")
    if log_det == "discrete" and trace_seed is not None:
        raise LatentFlowError(
            "the discrete log_det takes no trace: leave trace_seed out, or ask for 'continuous'"
        )


def unsolved(rows: NDArray[np.intp], residual: float) -> str:
    """What to tell of latents for which no row was found."""
    named = ", ".join(str(row) for row in rows[:10]) + (", …" if len(rows) > 10 else "")
    return (
        f"{len(rows)} of the latents could not be decoded exactly, up to {residual:.1g} is left: rows {named}; "
        "`latentflow verify` tells more, and a fit with a finer --accuracy helps"
    )
