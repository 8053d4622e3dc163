"""What calibration takes and reaches on the five flows of reports/solvers, by whichever tree is on the path.

    python reports/house/calibration.py RESULT.json --data FOLDER --models FOLDER

MODELS holds the files of reports/solvers (nl5, rings, nl10, gas, eeg), the same for every tree. Seconds are of one
processor. Errors are of held-out rows, ‖z − z*‖ with z* of the fifth-order method on 192 steps.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / "first-light"))

from sets import CASES

from latentflow import FittedFlow
from latentflow.flow.calibration import calibrate
from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow

TABLES = {"nl5": "nl5", "rings": "rings", "nl10": "nl10", "gas": "gas turbine", "eeg": "EEG, spikes cut"}
ACCURACIES, SIGMA_MAX = (1e-2, 1e-3, 1e-4), 15.0
#: Training rows that are handed over, and held-out rows that judge.
TRAIN_ROWS, JUDGED_ROWS = 4000, 2000
HELD_OUT, TRAIN = 2, 0


def spread(x: torch.Tensor, most: int) -> torch.Tensor:
    """Rows evenly spread over all, at most so many."""
    return x[torch.linspace(0, len(x) - 1, min(most, len(x))).long()]


def measure(name: str, data: Path, models: Path) -> list[dict[str, Any]]:
    """Steps, errors and seconds of one flow, an entry for each accuracy."""
    model = FittedFlow.load(models / f"{name}.safetensors", device="cpu")
    x, _ = model.preprocessor.forward(CASES[TABLES[name]](data).table.read())
    rows = torch.as_tensor(x[:, : model.preprocessor.n_flow], dtype=torch.float32)
    train, held_out = (rows[np.flatnonzero(model.roles == role)] for role in (TRAIN, HELD_OUT))
    ends = min(0.01, float(model.sigmas[0])), SIGMA_MAX
    judged = spread(held_out, JUDGED_ROWS).double()
    exact = ProbabilityFlow(model.denoiser, log_uniform_grid(*ends, 192), "dp5").encode(judged)
    entries = []
    for accuracy in ACCURACIES:
        started = time.process_time()
        grid = calibrate(model.denoiser.float(), spread(train, TRAIN_ROWS), ends, accuracy)
        seconds = time.process_time() - started
        flow = ProbabilityFlow(model.denoiser.double(), grid.sigmas, grid.method)
        error = (flow.encode(judged) - exact).norm(dim=1)
        entries.append(
            {
                "set": name,
                "accuracy": accuracy,
                "steps": len(grid.sigmas) - 1,
                "mean": float(error.mean()),
                "max": float(error.max()),
                "seconds": seconds,
            }
        )
        print(json.dumps(entries[-1]), flush=True)
    return entries


def main() -> None:
    """Measure flow after flow, and write them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [entry for name in TABLES for entry in measure(name, options.data, options.models)]
    options.result.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
