"""How samples of a first-order scheme converge with the number of steps: their energy distance to rows.

Székely & Rizzo 2005. Against a law that is known, `reports/geometry` measures the total variation as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.stats import norm
from torch import Tensor

from latentflow.flow.runge_kutta import EULER, integrate
from latentflow.geometry.trajectories import Floats
from latentflow.score.denoisers import Denoiser
from latentflow.score.tensors import as_array
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result


def euler_sampling(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float] | Floats) -> Tensor:
    """Rows after Euler steps of dx/dσ = (x − D)/σ over decreasing noise levels (DDIM; Song et al. 2021), (n, d).

    Parameters
    ----------
    denoiser : Denoiser
    x : Tensor, shape (n, d)
        States at ``sigmas[0]``, whitened variance-exploding coordinates.
    sigmas : sequence of float, length steps + 1
    """

    def drift(sigma: float, state: Tensor) -> Tensor:
        return (state - denoiser(state, sigma)) / sigma

    return integrate(EULER, drift, x, [float(sigma) for sigma in sigmas])


@dataclass(frozen=True)
class StepConvergence(Result):
    """Samples of so many Euler steps beside rows of the data and beside the converged samples of the same latents."""

    steps: Annotated[int, "Euler steps from noise to data."]
    energy: Annotated[
        Interval,
        "Squared energy distance to the rows, whitened units; that of a perfect sample is 0 on average.",
    ]
    excess: Annotated[Interval, "By how much it is above that of the converged samples of the same latents."]
    error: Annotated[float, "Mean distance of a sample from its converged self, ÷ √d."]


def step_convergence(
    denoiser: Denoiser,
    start: Tensor,
    converged: Tensor,
    rows: Tensor,
    sigma_min: float,
    sigma_max: float,
    steps: Sequence[int],
) -> tuple[StepConvergence, ...]:
    """Energy distance to rows by number of Euler steps on a grid uniform in log σ.

    Parameters
    ----------
    denoiser : Denoiser
    start, converged : Tensor, shape (n, d)
        States at σ_max, and where the flow takes them at σ_min.
    rows : Tensor, shape (m, d)
        Whitened rows, best held out.
    sigma_min, sigma_max : float
    steps : sequence of int
    """
    end, data = as_array(converged), as_array(rows)
    convergences = []
    for count in steps:
        with torch.no_grad():
            samples = as_array(euler_sampling(denoiser, start, np.geomspace(sigma_max, sigma_min, count + 1)))
        error = float(np.linalg.norm(samples - end, axis=1).mean() / math.sqrt(end.shape[1]))
        energy, excess = energy_distance(samples, data), energy_difference(samples, end, data)
        convergences.append(StepConvergence(count, energy, excess, error))
    return tuple(convergences)


def energy_distance(x: Floats, y: Floats) -> Interval:
    """2E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖ without bias, from rows (n, d) and (m, d), with a normal 95 % interval."""
    between = cdist(x, y)
    own, other = _means_to_others(cdist(x, x)), _means_to_others(cdist(y, y))
    by_x, by_y = 2 * between.mean(1) - 2 * own, 2 * between.mean(0) - 2 * other
    return _interval(float(2 * between.mean() - own.mean() - other.mean()), by_x, by_y)


def energy_difference(x: Floats, base: Floats, y: Floats) -> Interval:
    """Energy distance of rows x to y less that of ``base`` to y; x and base are paired row by row, (n, d) each."""
    between = cdist(x, y) - cdist(base, y)
    own = _means_to_others(cdist(x, x) - cdist(base, base))
    return _interval(
        float(2 * between.mean() - own.mean()), 2 * between.mean(1) - 2 * own, 2 * between.mean(0)
    )


def _interval(estimate: float, by_x: Floats, by_y: Floats) -> Interval:
    """Normal interval from the projections of a two-sample U-statistic on its rows (Hoeffding 1948)."""
    error = math.sqrt(by_x.var(ddof=1) / len(by_x) + by_y.var(ddof=1) / len(by_y))
    reach = float(norm.ppf(0.975)) * error
    return Interval(estimate, estimate - reach, estimate + reach)


def _means_to_others(distances: Floats) -> Floats:
    return np.asarray(distances.sum(1) / (len(distances) - 1))
