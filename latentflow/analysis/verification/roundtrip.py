"""Errors of data → latent → data and of latent → whitened row → latent."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from latentflow.analysis.measures import Histogram, RoundTrip

ROUND_TRIP_ROWS = 2_000
LATENT_DRAWS = 500
BINS = 40
FINEST = 1e-18  # standard deviations; smaller errors are counted as this


def round_trip(
    model: Any, X: np.ndarray, latents: np.ndarray, carried: np.ndarray | None, rng: np.random.Generator
) -> RoundTrip:
    """Decode latents and compare with the rows they came from; send N(0, I) draws there and back.

    Parameters
    ----------
    model : FittedFlow
        Offers ``decode(Z, carried)``, and its ``flow`` the other direction.
    X : ndarray (n, D)
        Rows in the user's units, all columns.
    latents, carried : ndarray (n, k), (n, d − k) or None
        Their encoding. At most 2 000 evenly spaced rows are decoded.
    rng : numpy Generator
        Draws the latents.

    Returns
    -------
    RoundTrip
        Data errors in standard deviations of each column over ``X`` (constant columns count as they are).
    """
    n = len(X)
    take = np.arange(n) if n <= ROUND_TRIP_ROWS else np.linspace(0, n - 1, ROUND_TRIP_ROWS).astype(int)
    restored = np.asarray(
        model.decode(latents[take], None if carried is None else carried[take]), dtype=np.float64
    )
    scale = X.std(axis=0)
    scale[scale == 0.0] = 1.0
    error = (np.abs(restored - X[take]) / scale).max(axis=1)
    middle, high = np.quantile(error, [0.5, 0.99])
    returned = latent_errors(model, LATENT_DRAWS, rng)
    summary = [None] * 3 if returned is None else [float(q) for q in np.quantile(returned, [1.0, 0.5, 0.99])]
    return RoundTrip(
        n=len(take),
        data_max=float(error.max()),
        data_q50=float(middle),
        data_q99=float(high),
        exact_rows=float((restored == X[take]).all(axis=1).mean()),
        histogram=log_histogram(error),
        latent_n=0 if returned is None else len(returned),
        latent_max=summary[0],
        latent_q50=summary[1],
        latent_q99=summary[2],
    )


def latent_errors(model: Any, n: int, rng: np.random.Generator) -> np.ndarray | None:
    """Largest |encode(decode(z)) − z| per draw z ~ N(0, I) of the flow alone, (n,); None where it has none.

    The flow's whitened coordinates are used on purpose: a decoded draw lies between the lattice points of the
    user's columns, and the table's own encode would rightly move it.
    """
    flow = getattr(model, "flow", None)
    if flow is None:
        return None
    z = torch.as_tensor(
        rng.standard_normal((n, len(model.latent_names))), dtype=model.dtype, device=model.device
    )
    whitened, _ = flow.decode(z)
    gap = (flow.encode(whitened) - z).abs().amax(dim=1)
    return np.asarray(gap.to("cpu", torch.float64).numpy())


def log_histogram(error: np.ndarray) -> Histogram:
    """Histogram of log10 of errors (n,); rows with no error at all are counted apart."""
    positive = error[error > 0.0]
    logs = np.log10(np.maximum(positive, FINEST))
    low, high = (np.floor(logs.min()), np.ceil(logs.max())) if len(logs) else (-16.0, 0.0)
    counts, edges = np.histogram(logs, bins=BINS, range=(low, max(high, low + 1.0)))
    return Histogram(edges=edges, counts=counts, exact=int(len(error) - len(positive)))
