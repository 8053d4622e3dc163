"""Measure solvers, grids and decoding on five fitted flows; write results.json, results.md and plots beside this file.

    python reports/solvers/run.py --data FOLDER [--models FOLDER] [--only NAME ...] [--parts PART ...] [--again]

FOLDER of data holds suite.h5, gas_turbine.csv and eeg_eye_state.csv; flows found in the FOLDER of models are not
fitted again, and those fitted are left there. A part that results.json already has is not measured again without
``--again``. Draws have seed 0; errors are those of double precision, decoding is in both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from decoding import decoding
from density import densities
from subjects import SIGMA_MAX, TABLES, Ends, Subject, load, reference
from summary import write_summary
from table import Bench, frozen, targets

from latentflow import __version__

HERE = Path(__file__).resolve().parent
#: Accuracies on whose grids rows are decoded: the default, and with five columns (nl5) a coarser one, which folds.
DECODED, COARSE = (1e-4,), {5: (1e-3,)}


def target_ranges(subject: Subject) -> dict[str, Ends]:
    """Ranges of σ in which the targets are judged; the first is that of all else."""
    found = {f"{subject.ends[0]:g} to {SIGMA_MAX:g}": subject.ends}
    # models that start lower are judged from 0.01 as well, where the figures to reach begin
    return found if subject.ends[0] >= 0.01 else found | {f"0.01 to {SIGMA_MAX:g}": (0.01, SIGMA_MAX)}


def to_decode(subject: Subject, grids: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Grids whose decoding is measured."""
    wanted = (*DECODED, *COARSE.get(subject.train.shape[1], ()))
    return [grid for grid in grids if grid["accuracy"] in wanted]


def wide_part(subject: Subject, known: dict[str, Any]) -> Any:
    """Every solver on every grid that is not calibrated."""
    bench, solution = Bench(subject), reference(subject, subject.ends)
    about = {"steps": solution.steps, "change": solution.change}
    return {"rows": len(bench.x), "reference": about, "lines": list(bench.wide())}


#: Name of a part → how it is measured, given what the set has so far.
PARTS: dict[str, Callable[[Subject, dict[str, Any]], Any]] = {
    "targets": lambda subject, known: {
        name: targets(subject, ends) for name, ends in target_ranges(subject).items()
    },
    "adaptive": lambda subject, known: list(Bench(subject).adaptive()),
    "frozen": lambda subject, known: frozen(subject, subject.ends),
    "decoding": lambda subject, known: decoding(subject, to_decode(subject, known["frozen"])),
    "density": lambda subject, known: densities(subject),
    "wide": wide_part,
    "calibrated": lambda subject, known: list(Bench(subject).calibrated()),
}


def main() -> None:
    """Measure part by part over the sets; each is written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    machine = {
        "version": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    path = HERE / "results.json"
    sets = json.loads(path.read_text())["sets"] if path.exists() else {}
    subjects = {name: load(name, options.data, options.models) for name in options.only}
    for part in options.parts:
        for name, subject in subjects.items():
            known = sets.setdefault(name, {"about": about(subject)})
            if part in known and not options.again:
                continue
            started = time.perf_counter()
            known[part] = PARTS[part](subject, known)
            seconds = known.setdefault("seconds", {})
            seconds[part] = time.perf_counter() - started
            found = {key: sets[key] for key in TABLES if key in sets}
            text = json.dumps({"machine": machine, "sets": found}, indent=1, allow_nan=False)
            path.write_text(text + "\n")
            print(f"{name}: {part}, {seconds[part]:.0f} s", flush=True)
    write_summary(path)


def about(subject: Subject) -> dict[str, Any]:
    """Sizes of a set."""
    return {
        "dimension": subject.train.shape[1],
        "rows_train": len(subject.train),
        "rows_held_out": len(subject.held_out),
        "own_start": subject.own_start,
        "ends": list(subject.ends),
    }


if __name__ == "__main__":
    main()
