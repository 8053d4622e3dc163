"""A time grid by dynamic programming over measured local errors (GITS: Chen et al. 2024, arXiv 2405.11326, § 4).

Every step between two candidate noise levels is tried from a converged trajectory, and its error measured; the grid of
n steps with the least sum of errors is the shortest path with n edges. Errors are those of the variance-preserving
state y = x/√(1+σ²), which the flow neither blows up nor shrinks much on the way to the end.
"""

from __future__ import annotations

import numpy as np

from latentflow.geometry.trajectories import Floats, Trajectories


def euler_errors(paths: Trajectories) -> Floats:
    """Mean error of one Euler step in σ from node i of converged trajectories to node j, in y, shape (m + 1, m + 1).

    An entry (i, j) with j > i is the mean over trajectories of ‖x̂ⱼ − x(σⱼ)‖/√(1+σⱼ²) with
    x̂ⱼ = x(σᵢ) + (σⱼ − σᵢ)(x(σᵢ) − D(x(σᵢ); σᵢ))/σᵢ; all others are infinite. It costs no evaluation more.
    """
    sigmas = paths.sigmas
    errors = np.full((len(sigmas), len(sigmas)), np.inf)
    for i, sigma in enumerate(sigmas[:-1]):
        noise = (paths.sampling[i] - paths.denoising[i]) / sigma
        reached = paths.sampling[i] + (sigmas[i + 1 :, None, None] - sigma) * noise
        error = np.linalg.norm(reached - paths.sampling[i + 1 :], axis=2).mean(1)
        errors[i, i + 1 :] = error / np.sqrt(1 + sigmas[i + 1 :] ** 2)
    return errors


def shortest_path(costs: Floats, steps: int) -> list[int]:
    """Nodes of the cheapest path with this many edges from the first node to the last (Bellman 1957).

    Parameters
    ----------
    costs : ndarray, shape (m + 1, m + 1)
        Cost of the edge i → j; infinite where there is none.
    steps : int

    Returns
    -------
    list of int, length steps + 1

    Raises
    ------
    ValueError
        If no path has so many edges.
    """
    nodes = len(costs)
    best = np.full(nodes, np.inf)
    best[0] = 0.0
    came_from = np.zeros((steps, nodes), dtype=int)
    for step in range(steps):
        through = best[:, None] + costs
        came_from[step] = through.argmin(0)
        best = through.min(0)
    if not np.isfinite(best[-1]):
        raise ValueError(f"there is no path of {steps} steps over {nodes} nodes")
    path = [nodes - 1]
    for step in reversed(range(steps)):
        path.append(int(came_from[step, path[-1]]))
    return path[::-1]


def programmed_grid(paths: Trajectories, steps: int) -> Floats:
    """The decreasing noise levels, (steps + 1,), on which Euler's local errors add up to least."""
    return paths.sigmas[shortest_path(euler_errors(paths), steps)]
