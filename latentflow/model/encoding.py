"""Rows as a model sees them: latents, and what goes with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def unsolved(rows: NDArray[np.intp], residual: float) -> str:
    """What to tell of latents for which no row was found."""
    named = ", ".join(str(row) for row in rows[:10]) + (", …" if len(rows) > 10 else "")
    return (
        f"{len(rows)} of the latents could not be decoded exactly, up to {residual:.1g} is left: rows {named}; "
        "`latentflow verify` tells more, and a fit with a finer --accuracy helps"
    )
