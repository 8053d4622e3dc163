"""Run every test of the analysis under its null many times; write results.json and results.md beside this file.

    python -m reports.calibration.run [--only WORD ...] [--share 1.0] [--out FOLDER]

About eleven minutes of one core. The same figures at every run: each draw has a seed of its own. With --only the other
figures in the folder are kept.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import scipy

from latentflow import __version__
from reports.calibration import account, classifier, confirmation, joint_normality, normality, pairs
from reports.calibration.entropies import Bias, biases
from reports.calibration.power import PLANTED, Power, powers
from reports.calibration.registry import Figure, Procedure, run
from reports.calibration.summary import tables

HERE = Path(__file__).parent
#: A new test is registered in one of these, or in a module of its own that is added here.
PROCEDURES: tuple[Procedure, ...] = (
    *pairs.PROCEDURES,
    *confirmation.PROCEDURES,
    *classifier.PROCEDURES,
    *normality.PROCEDURES,
    *joint_normality.PROCEDURES,
    *account.PROCEDURES,
)


def main() -> None:
    """Measure the procedures one after the other, telling what departs as it is found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", default=[], help="procedures whose name or rows hold one of these words"
    )
    parser.add_argument("--share", type=float, default=1.0, help="share of the draws")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    started = time.perf_counter()
    if options.only:
        figures, known, seen, before = read(options.out)
    else:
        known = biases(options.share)
        seen = [power for planted in PLANTED for power in powers(planted, options.share)]
        figures, before = [], 0.0
    for procedure in PROCEDURES:
        title = f"{procedure.name}: {procedure.rows}"
        if options.only and not any(word in title for word in options.only):
            continue
        figures = [f for f in figures if (f.procedure, f.rows) != (procedure.name, procedure.rows)]
        for n, d in procedure.grid:
            at = time.perf_counter()
            found = run(procedure, n, d, share=options.share)
            figures += found
            print(f"{title}, n = {n}, d = {d}: {time.perf_counter() - at:.1f} s", flush=True)
            for figure in found:
                if figure.judgement.startswith("too"):
                    print(f"    {figure.check}: {figure.rate:.3f}, {figure.judgement}", flush=True)
        places = [(other.name, other.rows) for other in PROCEDURES]
        figures.sort(key=lambda f: places.index((f.procedure, f.rows)))
        write(options.out, figures, known, seen, before + time.perf_counter() - started)


def read(folder: Path) -> tuple[list[Figure], list[Bias], list[Power], float]:
    """What a folder holds from an earlier run, and the seconds it took."""
    path = folder / "results.json"
    if not path.exists():
        return [], [], [], 0.0
    record = json.loads(path.read_text())
    return (
        [Figure(**entry) for entry in record["figures"]],
        [Bias(**{field.name: entry[field.name] for field in fields(Bias)}) for entry in record["entropy"]],
        [Power(**{field.name: entry[field.name] for field in fields(Power)}) for entry in record["power"]],
        float(record["machine"]["seconds"]),
    )


def write(
    folder: Path, figures: Sequence[Figure], known: Sequence[Bias], seen: Sequence[Power], seconds: float
) -> None:
    """What has been found so far, as results.json and results.md in a folder."""
    machine = {
        "latentflow": __version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "Python": platform.python_version(),
        "seconds": round(seconds),
    }
    record = {
        "machine": machine,
        "figures": [figure.to_dict() for figure in figures],
        "power": [power.to_dict() for power in seen],
        "entropy": [bias.to_dict() for bias in known],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (folder / "results.md").write_text(tables(figures, known, seen, machine))


if __name__ == "__main__":
    main()
