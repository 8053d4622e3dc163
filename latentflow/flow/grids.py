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
    _check(sigma_min, sigma_max)
    return np.geomspace(sigma_min, sigma_max, steps + 1)


def karras_grid(sigma_min: float, sigma_max: float, steps: int, rho: float = 7.0) -> np.ndarray:
    """Noise levels uniform in σ^(1/ρ) (Karras et al. 2022, arXiv 2206.00364, eq. 5), as image samplers take them.

    Parameters
    ----------
    sigma_min, sigma_max, steps
        As for :func:`log_uniform_grid`.
    rho : float
        ρ; as it grows the grid becomes uniform in log σ.

    Returns
    -------
    ndarray, shape (steps + 1,)
    """
    _check(sigma_min, sigma_max)
    levels = np.linspace(sigma_min ** (1 / rho), sigma_max ** (1 / rho), steps + 1) ** rho
    levels[[0, -1]] = sigma_min, sigma_max
    return np.asarray(levels)


def blended_grid(sigma_min: float, sigma_max: float, steps: int, share: float = 0.3) -> np.ndarray:
    """Noise levels uniform in a blend of log σ and arctan σ, so denser where the state of most rows moves fastest.

    Parameters
    ----------
    sigma_min, sigma_max, steps
        As for :func:`log_uniform_grid`.
    share : float
        Of arctan σ; 0 is uniform in log σ.

    Returns
    -------
    ndarray, shape (steps + 1,)
    """
    _check(sigma_min, sigma_max)
    u = np.linspace(np.log(sigma_min), np.log(sigma_max), 100 * steps + 1)
    blend = (1 - share) * (u - u[0]) / (u[-1] - u[0]) + share * 2 / np.pi * np.arctan(np.exp(u))
    at = np.linspace(blend[0], blend[-1], steps + 1)
    levels = np.exp(np.interp(at, blend, u))
    levels[[0, -1]] = sigma_min, sigma_max
    return np.asarray(levels)


def _check(sigma_min: float, sigma_max: float) -> None:
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"noise levels must satisfy 0 < sigma_min < sigma_max, not {sigma_min}, {sigma_max}")
