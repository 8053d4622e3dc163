"""Measure claims (a) to (g) on trajectories; write results.json, results.md and the plots beside this file.

    python reports/geometry/run.py --data FOLDER [--models FOLDER] [--only NAME ...]

FOLDER of data holds suite.h5, gas_turbine.csv and eeg_eye_state.csv; flows found in the FOLDER of models are not
fitted again, and those fitted are left there. Everything random has seed 0; all is measured in double precision.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import NAMES, Subject, subject
from grids import compare_grids, normal
from scipy.spatial import cKDTree
from scipy.stats import spearmanr
from steps import on_data, total_variations
from summary import write_summary
from updates import local_orders, update_gaps

from latentflow import __version__
from latentflow.geometry.claims import shape_claims
from latentflow.geometry.convergence import euler_sampling
from latentflow.geometry.score_deviation import annealed_mean_shift, empirical_sampling, score_deviation
from latentflow.geometry.shape import curvature, trajectory_shape
from latentflow.geometry.trajectories import decreasing_grid, follow
from latentflow.score.oracles import EmpiricalOracle
from latentflow.statistics.records import plain
from latentflow.statistics.serial import serial_structure

HERE = Path(__file__).parent
#: Trajectories; rows at which the empirical denoiser is asked; rows for losses; noise levels; its points at most.
TRAJECTORIES, COMPARED, LOSS_ROWS, LEVELS, POINTS = 1000, 500, 4000, 13, 10_000
#: Rows and steps of the identities, where a step's order is measured, and rows sent by heart.
IDENTITY_ROWS, IDENTITY_STEPS, ORDER_SIGMA, BY_HEART = 64, 12, 0.5, 100
#: Noise levels between which trajectories bend.
BENDS = (0.1, 3.0)
#: Largest relative difference of an identity in double precision.
ROUNDING = 1e-10


def measure(name: str, case: Subject) -> dict[str, Any]:
    """All claims for one subject; one generator, so that the order of the parts matters to their draws."""
    rng, started = np.random.default_rng(0), time.perf_counter()
    dense = decreasing_grid(case.sigma_min, case.sigma_max)
    paths = follow(case.denoiser, normal(rng, TRAJECTORIES, case.train), dense)
    shape = trajectory_shape(paths)
    print(f"{name}: trajectories followed, {time.perf_counter() - started:.0f} s", flush=True)
    found = {
        "dimension": shape.dimension,
        "n_train": len(case.train),
        "n_held_out": len(case.held_out),
        "shape": shape,
        "claims": shape_claims(shape),
        "ties": ties(case, paths),
        "score": scores(case, rng),
        "grids": compare_grids(case, rng),
        "steps": on_data(case, rng),
        "seconds": time.perf_counter() - started,
    }
    print(f"{name}: {found['seconds']:.0f} s", flush=True)
    return found


def ties(case: Subject, paths: Any) -> dict[str, Any]:
    """Claim (c): published updates beside Taylor's step, their orders, and curvature beside the slope's size."""
    rows = torch.as_tensor(paths.sampling[:, :IDENTITY_ROWS]).to(case.train)
    at = int(np.argmin(np.abs(paths.sigmas - ORDER_SIGMA)))
    grid = decreasing_grid(case.sigma_min, case.sigma_max, IDENTITY_STEPS)
    gaps = update_gaps(case.denoiser, rows[0], grid)
    _, turn = curvature(paths)
    size = np.linalg.norm(paths.slope, axis=2)
    direction = np.linalg.norm(paths.sampling - paths.denoising, axis=2)
    bends = np.flatnonzero((paths.sigmas > BENDS[0]) & (paths.sigmas < BENDS[1]))
    tied = [float(spearmanr(turn[level], size[level])[0]) for level in bends]
    return {
        "update_gaps": gaps,
        "holds": max(gaps.values()) < ROUNDING,
        "local_orders": local_orders(case.denoiser, rows[at], float(paths.sigmas[at])),
        # over trajectories at one level; and how much of the slope lies across the path, where it bends
        "rank_correlation_of_turning_and_slope": float(np.mean(tied)) if case.train.shape[1] > 1 else None,
        "share_of_slope_across": float((turn[bends] * direction[bends]).sum() / size[bends].sum()),
    }


def scores(case: Subject, rng: np.random.Generator) -> dict[str, Any]:
    """Claim (d): mean shift, score deviation, denoising losses, and how near samples come to training rows."""
    points = evenly(case.train, POINTS)
    start = normal(rng, BY_HEART, points) * (1 + case.sigma_max**2) ** 0.5
    grid = decreasing_grid(case.sigma_min, case.sigma_max, IDENTITY_STEPS)
    few = start[:IDENTITY_ROWS]
    with torch.no_grad():
        ends = torch.cat([euler_sampling(EmpiricalOracle(points), part, grid) for part in few.split(8)])
    shifted = annealed_mean_shift(points.numpy(), few.numpy(), grid)
    held_out = evenly(case.held_out, LOSS_ROWS)
    deviation = score_deviation(
        case.denoiser,
        points,
        evenly(points, LOSS_ROWS),
        held_out,
        np.geomspace(case.sigma_min, case.sigma_max, LEVELS),
        rng,
        compared=COMPARED,
        block=serial_structure(held_out.numpy()).block,
    )
    gap = float((ends - torch.as_tensor(shifted)).abs().max())
    return {
        "mean_shift_gap": gap,
        "holds": gap < ROUNDING,
        "deviation": deviation,
        "distance_to_training_rows": near_training(case, points, start),
    }


def near_training(case: Subject, points: torch.Tensor, start: torch.Tensor) -> dict[str, float]:
    """Median distance ÷ √d to the nearest training row: of held-out rows, and of samples of both denoisers."""
    tree, root = cKDTree(points.numpy()), points.shape[1] ** 0.5
    z = start / (1 + case.sigma_max**2) ** 0.5
    dense = decreasing_grid(case.sigma_min, case.sigma_max, 48)
    learned = follow(case.denoiser, z, dense).sampling[-1]
    by_heart = empirical_sampling(points, z, dense).numpy()
    rows = {
        "held-out rows": evenly(case.held_out, 1000).numpy(),
        "samples": learned,
        "samples by heart": by_heart,
    }
    return {name: float(np.median(tree.query(each)[0]) / root) for name, each in rows.items()}


def evenly(rows: torch.Tensor, most: int) -> torch.Tensor:
    """At most so many rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]


def main() -> None:
    """Measure what is asked for; parts of an earlier run that are not stay in results.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path)
    parser.add_argument(
        "--only", nargs="+", choices=(*NAMES, "total variation"), default=[*NAMES, "total variation"]
    )
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    path = HERE / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results["version"] = {
        "latentflow": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    results.setdefault("cases", {})
    for name in arguments.only:
        if name == "total variation":
            results["total_variation"] = plain(total_variations(np.random.default_rng(0)))
        else:
            results["cases"][name] = plain(measure(name, subject(name, arguments.data, arguments.models)))
        beside = path.with_suffix(".tmp")
        beside.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(beside, path)
    write_summary(results, HERE)


if __name__ == "__main__":
    main()
