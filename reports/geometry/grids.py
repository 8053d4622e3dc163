"""Claim (f): a grid by dynamic programming on measured local errors, beside two made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from cases import Subject
from grid_programme import programmed_grid
from torch import Tensor

from latentflow.flow.grids import karras_grid
from latentflow.geometry.convergence import euler_sampling
from latentflow.geometry.trajectories import decreasing_grid, follow, sampling_trajectory
from latentflow.statistics.interval import Interval

#: Latents from which grids are found, and other latents on which they are judged.
CALIBRATION, JUDGED = 256, 1000
STEPS = range(5, 11)
DRAWS = 1000


def compare_grids(subject: Subject, rng: np.random.Generator) -> dict[str, Any]:
    """Mean error of Euler sampling ÷ √d by grid and number of steps, and the programmed over the better other one."""
    low, high = subject.sigma_min, subject.sigma_max
    like = subject.train
    dense = decreasing_grid(low, high)
    paths = follow(subject.denoiser, normal(rng, CALIBRATION, like), dense)
    states = sampling_trajectory(subject.denoiser, normal(rng, JUDGED, like), dense)
    found: dict[str, Any] = {"steps": list(STEPS), "errors": {}, "ratio": [], "sigmas": {}}
    for steps in STEPS:
        grids = {
            "programme": programmed_grid(paths, steps),
            "uniform log σ": decreasing_grid(low, high, steps),
            "Karras ρ = 7": karras_grid(low, high, steps)[::-1],
        }
        errors = {name: sampling_error(subject, states[0], states[-1], grid) for name, grid in grids.items()}
        for name, error in errors.items():
            found["errors"].setdefault(name, []).append(float(error.mean()))
        found["sigmas"][str(steps)] = grids["programme"]
        best = min(list(grids)[1:], key=lambda name: errors[name].mean())
        found["ratio"].append(ratio(errors["programme"], errors[best], rng))
    found["holds"] = all(each.high < 1 for each in found["ratio"])
    return found


def normal(rng: np.random.Generator, n: int, like: Tensor) -> Tensor:
    """Latents, shape (n, d)."""
    return torch.as_tensor(rng.standard_normal((n, like.shape[1]))).to(like)


def sampling_error(subject: Subject, start: Tensor, end: Tensor, sigmas: np.ndarray) -> np.ndarray:
    """Distance of Euler's end point from the flow's ÷ √d, shape (n,)."""
    with torch.no_grad():
        reached = euler_sampling(subject.denoiser, start, sigmas)
    return ((reached - end).norm(dim=1) / end.shape[1] ** 0.5).double().numpy()


def ratio(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> Interval:
    """mean(a)/mean(b) of paired errors, with its percentile 95 % interval over rows."""
    rows = rng.integers(0, len(a), (DRAWS, len(a)))
    low, high = np.percentile(a[rows].mean(1) / b[rows].mean(1), [2.5, 97.5])
    return Interval(float(a.mean() / b.mean()), float(low), float(high))
