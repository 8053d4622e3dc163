r"""The two trajectories of a latent: where sampling goes, and where the denoiser sees it end.

In whitened variance-exploding coordinates x(σ) the probability-flow ODE is dx/dσ = (x − D(x; σ))/σ. The *sampling*
trajectory is σ ↦ x(σ), from σ_max down to σ_min; the *denoising* trajectory is σ ↦ D(x(σ); σ) (Chen et al. 2023,
arXiv 2305.19947, § 3). Differentiating the ODE once more along the trajectory gives the tie between the two,

    d²x/dσ² = −(1/σ) dD/dσ,      or over u = log σ      d²x/du² − dx/du = −dD/du,

so the sampling trajectory bends only where the denoising trajectory moves across it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import jvp

from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.runge_kutta import RK4, RungeKutta, integrate
from latentflow.score.denoisers import Denoiser

Floats = NDArray[np.float64]

#: Intervals of the grid on which a trajectory is followed, uniform in log σ, each one RK4 step.
INTERVALS = 128


def decreasing_grid(sigma_min: float, sigma_max: float, intervals: int = INTERVALS) -> Floats:
    """Noise levels from σ_max down to σ_min, uniform in log σ, shape (intervals + 1,)."""
    return log_uniform_grid(sigma_min, sigma_max, intervals)[::-1].copy()


def sampling_trajectory(
    denoiser: Denoiser, z: Tensor, sigmas: Sequence[float] | Floats, *, solver: RungeKutta = RK4
) -> Tensor:
    """States x(σ) of the probability flow at every node of a grid, from latents at its first.

    Parameters
    ----------
    denoiser : Denoiser
    z : Tensor, shape (n, d)
        Latents: variance-preserving states y = x/√(1+σ²) at ``sigmas[0]``.
    sigmas : sequence of float, length m + 1
        Strictly decreasing noise levels, whitened units.
    solver : RungeKutta
        Steps y over log σ, one step between two nodes.

    Returns
    -------
    Tensor, shape (m + 1, n, d)
        Whitened variance-exploding coordinates.

    Raises
    ------
    ValueError
        If the noise levels are not positive and strictly decreasing.
    """
    levels = np.asarray(sigmas, dtype=np.float64)
    if levels.ndim != 1 or len(levels) < 2 or levels[-1] <= 0 or not (np.diff(levels) < 0).all():
        raise ValueError("the noise levels of a sampling trajectory must be positive and strictly decreasing")

    def drift(u: float, y: Tensor) -> Tensor:
        sigma = math.exp(u)
        return denoiser.v_prediction(y, sigma) * (-sigma / (1 + sigma * sigma))

    states = z.new_empty((len(levels), *z.shape))
    nodes, y = np.log(levels), z
    with torch.no_grad():
        for at, sigma in enumerate(levels):
            if at:
                y = integrate(solver, drift, y, [float(nodes[at - 1]), float(nodes[at])])
            states[at] = y * math.sqrt(1 + float(sigma) ** 2)
    return states


def denoising_trajectory(
    denoiser: Denoiser, states: Tensor, sigmas: Sequence[float] | Floats
) -> tuple[Tensor, Tensor]:
    """D(x(σ); σ) at every node, and its total derivative dD/du over u = log σ along the trajectory.

    Parameters
    ----------
    denoiser : Denoiser
    states : Tensor, shape (m + 1, n, d)
        As :func:`sampling_trajectory` returns them.
    sigmas : sequence of float, length m + 1

    Returns
    -------
    values, slopes : Tensor, shape (m + 1, n, d)
        The slope is exact: one forward-mode product with the tangent (dx/du, dσ/du) = (x − D, σ).
    """
    values, slopes = torch.empty_like(states), torch.empty_like(states)
    with torch.no_grad():
        for at, (x, level) in enumerate(zip(states, sigmas, strict=True)):
            sigma = x.new_tensor(float(level))
            values[at] = denoiser(x, sigma)
            slopes[at] = jvp(denoiser, (x, sigma), (x - values[at], sigma))[1]
    return values, slopes


@dataclass(frozen=True)
class Trajectories:
    """Followed trajectories, in double precision on the CPU.

    Attributes
    ----------
    sigmas : ndarray, shape (m + 1,)
        Decreasing noise levels.
    sampling : ndarray, shape (m + 1, n, d)
        x(σ), whitened variance-exploding coordinates.
    denoising : ndarray, shape (m + 1, n, d)
        D(x(σ); σ).
    slope : ndarray, shape (m + 1, n, d)
        dD/d log σ along the trajectory.
    """

    sigmas: Floats
    sampling: Floats
    denoising: Floats
    slope: Floats

    @property
    def rows(self) -> int:
        """Trajectories followed."""
        return int(self.sampling.shape[1])

    @property
    def dimension(self) -> int:
        """Whitened coordinates."""
        return int(self.sampling.shape[2])


def follow(denoiser: Denoiser, z: Tensor, sigmas: Sequence[float] | Floats) -> Trajectories:
    """Both trajectories of latents z, shape (n, d), over decreasing noise levels."""
    states = sampling_trajectory(denoiser, z, sigmas)
    values, slopes = denoising_trajectory(denoiser, states, sigmas)
    levels = np.asarray(sigmas, dtype=np.float64)
    return Trajectories(levels, *(part.to("cpu", torch.float64).numpy() for part in (states, values, slopes)))
