"""Claim (g): samples of a first-order scheme by number of steps and of coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from cases import Subject, draws, whitened_mixture
from grids import normal
from total_variation import total_variation, total_variation_in_1d

from latentflow.geometry.convergence import step_convergence
from latentflow.geometry.trajectories import decreasing_grid, sampling_trajectory
from latentflow.score.oracles import IndependentOracle, MixtureOracle

#: Noise levels of the oracles, steps on a grid uniform in log σ, and draws of p_σmax where there is no quadrature.
SIGMAS, STEPS, DRAWS = (0.02, 15.0), (8, 16, 32, 64, 128, 256), 2000
#: Coordinates, and the steps at which the distance is told by them.
DIMENSIONS, AT_STEPS = (1, 2, 4, 8, 16), 128
COMPONENTS = 4
#: Steps and rows on data.
DATA_STEPS, ROWS = (5, 10, 20, 40, 80, 160), 1000
#: How far the slope of log error over log steps may be from that of the law, −1.
SLOPE_WITHIN = 0.15


def source() -> MixtureOracle:
    """A two-mode law in one coordinate, of mean zero and unit variance."""
    weights, means = (
        torch.tensor([0.3, 0.7], dtype=torch.float64),
        torch.tensor([-1.2, 0.6], dtype=torch.float64),
    )
    means = means - weights @ means
    variance = (1 - weights @ means**2) * torch.ones(2, dtype=torch.float64)
    return MixtureOracle(weights, means[:, None], variance[:, None, None])


def law(
    kind: str, d: int, rng: np.random.Generator
) -> tuple[MixtureOracle | IndependentOracle, torch.Tensor]:
    """An oracle in d coordinates and draws of it at the largest noise level."""
    if kind == "independent":
        oracle = IndependentOracle(torch.eye(d, dtype=torch.float64), [source()] * d)
        rows = torch.cat([draws(source(), DRAWS, rng) for _ in range(d)], 1)
    else:
        oracle = whitened_mixture(rng, d, COMPONENTS)
        rows = draws(oracle, DRAWS, rng)
    return oracle, rows + SIGMAS[1] * torch.as_tensor(rng.standard_normal(rows.shape))


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of log y over log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def total_variations(rng: np.random.Generator) -> dict[str, Any]:
    """Total variation by steps in one coordinate, exactly, and by coordinates at a fixed number of steps."""
    by_steps = [total_variation_in_1d(source(), decreasing_grid(*SIGMAS, n)) for n in STEPS]
    found: dict[str, Any] = {"steps": list(STEPS), "in_1d": by_steps, "dimensions": list(DIMENSIONS)}
    found["slope_by_steps"] = slope(np.array(STEPS), np.array(by_steps))
    grid = decreasing_grid(*SIGMAS, AT_STEPS)
    for kind in ("independent", "mixture"):
        found[kind] = [total_variation(*law(kind, d, rng), grid) for d in DIMENSIONS]
        distances = np.array([each.estimate for each in found[kind]])
        found[f"exponent_{kind}"] = slope(np.array(DIMENSIONS), distances)
        # d/steps at the largest constant that one coordinate needs
        found[f"constant_{kind}"] = float((distances * AT_STEPS / np.array(DIMENSIONS)).max())
    found["at_steps"] = AT_STEPS
    first_order = abs(found["slope_by_steps"] + 1) < SLOPE_WITHIN
    found["holds"] = first_order and max(found["exponent_independent"], found["exponent_mixture"]) <= 1
    return found


def on_data(subject: Subject, rng: np.random.Generator) -> dict[str, Any]:
    """Energy distance to held-out rows, and error of samples, by number of steps."""
    low, high = subject.sigma_min, subject.sigma_max
    states = sampling_trajectory(
        subject.denoiser, normal(rng, ROWS, subject.train), decreasing_grid(low, high)
    )
    rows = subject.held_out[
        np.linspace(0, len(subject.held_out) - 1, min(ROWS, len(subject.held_out))).astype(int)
    ]
    found = step_convergence(subject.denoiser, states[0], states[-1], rows, low, high, DATA_STEPS)
    late = [each for each in found if each.steps >= 20]
    order = slope(np.array([each.steps for each in late]), np.array([each.error for each in late]))
    return {"steps": found, "slope_of_error": order, "holds": abs(order + 1) < SLOPE_WITHIN}
