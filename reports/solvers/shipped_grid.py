"""Find the grids that calibration begins from, and write them into the package.

    python reports/solvers/shipped_grid.py [--models FOLDER]

For each start and number of steps one grid and blend of orders is sought that serves several flows at once: the mean
over flows of the logarithm of their mean squared error is lowered by Gauss–Newton steps. The flows are fitted here, to
sets that this report is not judged on, or Gaussian mixtures in closed form with finer detail; those found in the FOLDER
of models are not fitted again. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.orientation import draw
from latentflow.flow.descent import CalibrationObjective
from latentflow.flow.drafts import SHIPPED, Draft
from latentflow.flow.gauss_newton import (
    STEP_SCALE,
    FieldOf,
    Loss,
    candidates,
    equations,
    integrated,
    log_mean,
    mean_log,
)
from latentflow.flow.grids import blended_grid
from latentflow.model.fit import fit_flow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.score.denoisers import Denoiser
from latentflow.score.oracles import MixtureOracle

#: Sets of datasets/orientation.py and their numbers of columns.
SETS = (("radial", 4), ("linear", 5), ("pnl_cube", 6), ("lrelu3", 8))
#: Components, columns and widths of the mixtures; the first is strung along a helix.
MIXTURES = ((24, 3, (0.08, 0.08)), (6, 2, (0.03, 0.5)), (8, 5, (0.05, 0.8)))
TABLE_ROWS, FITTED_ROWS = 10_000, 96
STARTS, SIGMA_MAX = (0.005, 0.05), 15.0
LENGTHS = (8, 10, 12, 14, 17, 20, 24, 29, 34, 41, 48)
#: Accuracy of the converged solutions, which are in double precision.
ACCURACY = 1e-6
STEPS, STEPS_BACK = 5, 3
TARGET = Path(__file__).resolve().parents[2] / "latentflow" / "flow" / SHIPPED

Problem = tuple[FieldOf, Tensor, Tensor]


def mixture(components: int, columns: int, widths: tuple[float, float], seed: int) -> tuple[Denoiser, Tensor]:
    """A Gaussian mixture of unit variance, its components as wide as an interval says, and rows of it."""
    rng = np.random.default_rng(seed)
    at = np.linspace(0, 1, components)
    helix = np.stack([np.cos(2 * np.pi * at), np.sin(2 * np.pi * at), 2 * at], 1)
    means = helix if seed == 0 else rng.normal(size=(components, columns))
    means = (means - means.mean(0)) / means.std(0)
    scales = np.exp(rng.uniform(*np.log(widths), (components, columns)))
    total = np.sqrt(1 + (scales**2).mean(0))
    means, scales = means / total, scales / total
    which = rng.integers(components, size=FITTED_ROWS)
    rows = means[which] + scales[which] * rng.normal(size=(FITTED_ROWS, columns))
    law = MixtureOracle(
        torch.ones(components, dtype=torch.float64),
        torch.as_tensor(means),
        torch.diag_embed(torch.as_tensor(scales**2)),
    )
    return law, torch.as_tensor(rows)


def fitted(name: str, columns: int, models: Path | None) -> tuple[Denoiser, Tensor]:
    """The denoiser of a flow, read from the folder of models where it is there, and whitened rows."""
    rows = draw(name, TABLE_ROWS, columns, 0).X
    saved = None if models is None else models / f"{name}-{columns}.safetensors"
    if saved is not None and saved.is_file():
        model = FittedFlow.load(saved, device="cpu")
    else:
        names = [f"x{i}" for i in range(columns)]
        model = fit_flow(rows, names, preset="fast", orientation="none", device="cpu", seed=0)
        if saved is not None:
            model.save(saved)
    rows = rows[:: len(rows) // FITTED_ROWS]
    return model.denoiser, model.tensor(model.preprocessor.forward(rows)[0])


def lowered(
    draft: Draft, problems: Sequence[Problem], steps: int, loss: Loss, step_scale: float
) -> tuple[Draft, float]:
    """The draft after Gauss–Newton steps on the mean loss over flows, and that loss."""
    for _ in range(steps):
        found = [equations(field, draft, x, target, loss, step_scale) for field, x, target in problems]
        lowest, normal, downhill = (sum(part) / len(problems) for part in zip(*found, strict=True))
        best = draft
        for candidate in candidates(draft, normal, downhill, step_scale):
            value = sum(
                float(loss((integrated(field, candidate, x) - target).square().sum(1)))
                for field, x, target in problems
            ) / len(problems)
            if value < lowest:
                best, lowest = candidate, value
        if best is draft:
            break
        draft = best
    return draft, lowest


def shipped(flows: Sequence[tuple[Denoiser, Tensor]], start: float) -> dict[str, np.ndarray]:
    """Grids of every length from one start."""
    ends, found = (start, SIGMA_MAX), {}
    fourth = np.zeros((2, LENGTHS[0], 2, 3))
    fourth[..., 0] = 1
    draft = Draft(np.log(blended_grid(*ends, LENGTHS[0])), fourth)
    objectives = [CalibrationObjective.of(*flow, ends, ACCURACY) for flow in flows]
    there = [(each.field, each.start, each.target) for each in objectives]
    for steps in LENGTHS:
        draft, value = lowered(draft.resampled(steps), there, STEPS, log_mean, STEP_SCALE)
        back = [(field, integrated(field, draft, x), x) for field, x, _ in there]
        draft = lowered(draft.returning, back, STEPS_BACK, mean_log, 0.0)[0].returning
        print(f"from {start:g}, {steps} steps: root mean squared error {math.exp(value / 2):.1e}", flush=True)
        found[f"{start:g}, {steps}"] = table(draft)
    return found


def table(draft: Draft) -> np.ndarray:
    """Logarithms of steps, after the first node, and blend weights beside them, shape (steps + 1, 13)."""
    steps = np.concatenate([draft.nodes[:1], np.log(np.diff(draft.nodes))])
    blends = np.moveaxis(draft.blend_weights, 0, 1).reshape(draft.steps, -1)
    blends = np.concatenate([np.zeros_like(blends[:1]), blends])
    return np.column_stack([steps, blends]).astype(np.float16)


def main() -> None:
    """Fit the flows, find the grids, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    flows = [fitted(*each, options.models) for each in SETS]
    flows += [mixture(*each, seed) for seed, each in enumerate(MIXTURES)]
    tables = {}
    for start in STARTS:
        tables |= shipped(flows, start)
    np.savez_compressed(TARGET, **tables)


if __name__ == "__main__":
    main()
