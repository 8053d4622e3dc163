"""The grids on which solvers are compared, by name: made by hand, by dynamic programming, and calibrated."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch
from subjects import Ends
from torch import Tensor

from latentflow.flow.grids import blended_grid, karras_grid, log_uniform_grid
from latentflow.flow.runge_kutta import RK4, integrate
from latentflow.score.denoisers import Denoiser

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the programme belongs to another claim
from reports.geometry.grid_programme import shortest_path

Floats = np.ndarray

MADE = {"log-uniform": log_uniform_grid, "Karras": karras_grid, "blended": blended_grid}
#: Candidate nodes of the dynamic programme, and rows whose local errors it adds up.
NODES, PROGRAMME_ROWS = 160, 256


class Programme:
    """Grids by dynamic programming over local errors in the direction of encoding (GITS, reports/geometry).

    The error of every step between two of the candidate nodes is that of one step of Euler's method in σ, DDIM,
    from the converged state. It is the error of the one-step method that needs no other step, so the same grid is
    given to every solver.
    """

    def __init__(self, denoiser: Denoiser, x: Tensor, ends: Ends):
        self.sigmas = log_uniform_grid(*ends, NODES)
        nodes, states, noises = np.log(self.sigmas).tolist(), [], []
        y = x / math.sqrt(1 + ends[0] ** 2)

        def drift(u: float, state: Tensor) -> Tensor:
            return denoiser.v_prediction(state, math.exp(u)) * (-0.5 / math.cosh(u))

        with torch.no_grad():
            for i, sigma in enumerate(self.sigmas):
                if i:
                    y = integrate(RK4, drift, y, nodes[i - 1 : i + 1])
                x_here = y * math.sqrt(1 + sigma**2)
                states.append(x_here.numpy())
                noises.append(((x_here - denoiser(x_here, float(sigma))) / float(sigma)).numpy())
        self.costs = np.full((NODES + 1, NODES + 1), np.inf)
        along, scale = np.stack(states), np.sqrt(1 + self.sigmas**2)
        for i in range(NODES):
            lengths = self.sigmas[i + 1 :] - self.sigmas[i]
            miss = along[i] + lengths[:, None, None] * noises[i] - along[i + 1 :]
            self.costs[i, i + 1 :] = np.linalg.norm(miss, axis=2).mean(1) / scale[i + 1 :]

    def grid(self, steps: int) -> Floats:
        """The noise levels on which the local errors add up to least, shape (steps + 1,)."""
        return self.sigmas[shortest_path(self.costs, steps)]
