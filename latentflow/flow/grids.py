"""Frozen time grids for the probability flow, as noise levels from σ_min to σ_max."""

from __future__ import annotations

import numpy as np


def log_uniform_grid(sigma_min: float, sigma_max: float, steps: int) -> np.ndarray:
    """Noise levels uniform in log σ: the axis on which the variance-preserving state moves most evenly.

    Parameters
    ----------
    sigma_min, sigma_max : float
        End points, 0 < σ_min < σ_max, in whitened units.
    steps : int
        Number of steps.

    Returns
    -------
    ndarray, shape (steps + 1,)
        Increasing noise levels.
    """
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"noise levels must satisfy 0 < sigma_min < sigma_max, not {sigma_min}, {sigma_max}")
    return np.geomspace(sigma_min, sigma_max, steps + 1)
