"""The independent-mechanism contrast C_IMA: how far a decoder is from moving the data along orthogonal directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from latentflow.statistics.interval import Interval
from latentflow.statistics.resample import intervals
from latentflow.statistics.thinning import thin

MOST_ROWS = 1_000
FEWEST_ROWS = 50
MOST_JACOBIAN_COLUMNS = 20_000  # rows × coordinates: each row costs one pass of the flow per coordinate


def ima_terms(encoder_jacobian: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """The contrast of each row, Σ_i log‖D_i‖ − log|det D|, nats.

    D = ∂x/∂z is the decoder's Jacobian and D_i its columns (Gresele et al. 2021, arXiv 2106.05200, eq. 8). By
    Hadamard's inequality it is never negative, and zero where the columns are orthogonal.

    Parameters
    ----------
    encoder_jacobian : ndarray (n, k, k)
        J = ∂z/∂x of the un-oriented latents at each row.
    rotation : ndarray (k, k)
        V; oriented latents are z V, so that their decoder's Jacobian is J⁻¹ V.

    Returns
    -------
    ndarray (n,)

    Examples
    --------
    >>> import numpy as np
    >>> scaling, shear = np.diag([2.0, 0.5]), np.array([[1.0, 1.0], [0.0, 1.0]])
    >>> ima_terms(np.stack([scaling, shear]), np.eye(2)).round(3).tolist()
    [0.0, 0.347]
    """
    columns = np.linalg.solve(encoder_jacobian, np.broadcast_to(rotation, encoder_jacobian.shape))
    lengths = np.linalg.norm(columns, axis=1)
    return np.asarray(np.log(lengths).sum(axis=1) + np.linalg.slogdet(encoder_jacobian)[1])


def ima_contrast(
    model: Any,
    X: np.ndarray,
    *,
    rng: np.random.Generator,
    n_boot: int = 1000,
    block: int | None = None,
) -> tuple[Interval, int]:
    """C_IMA of a fitted model's decoder, in whitened coordinates: the mean of :func:`ima_terms` over rows.

    Parameters
    ----------
    model : FittedFlow
    X : ndarray (n, D)
        Rows in the user's units, in their original order.
    rng : numpy Generator
        Drives the bootstrap.
    n_boot : int
    block : int or None
        Rows per bootstrap block where rows are autocorrelated.

    Returns
    -------
    Interval
        Nats, with a 95 % interval.
    int
        Rows used: evenly spaced, at most 1 000, and fewer in many dimensions.
    """
    k = model.preprocessor.n_flow
    most = max(FEWEST_ROWS, min(MOST_ROWS, MOST_JACOBIAN_COLUMNS // max(k, 1)))
    picked = thin(np.arange(len(X)), most)
    x, _ = model.preprocessor.forward(X[picked])
    start = torch.as_tensor(x[:, :k], dtype=model.dtype, device=model.device)
    jacobian = model.flow.encode_with_jacobian(start)[1].detach().to("cpu", torch.float64).numpy()
    if block is not None:  # evenly spaced rows are farther apart than neighbours
        block = max(1, round(block * len(picked) / len(X)))
    terms = ima_terms(jacobian, model.orientation.rotation)
    return intervals(terms[:, None], rng, n_boot, block)[0], len(picked)
