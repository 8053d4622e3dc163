"""Fit, encode and measure every table of this report; write results.json, results.md and ledger.png beside this file.

    python reports/first-light/run.py --data FOLDER [--only NAME ...] [--preset default]

FOLDER holds gas_turbine.csv, eeg_eye_state.csv, foetal_ecg.dat and suite.h5. The peer needs
``pip install '.[peers]'``.
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
from sets import CASES, SUITE, Case
from spline_flow import spline_flow
from summary import figure, tables

from latentflow import __version__, independence_report
from latentflow.model.fit import fit_table
from latentflow.model.fitted_flow import FittedFlow

HERE = Path(__file__).parent
GAP_DRAWS = 1000


def timed(call: Any) -> tuple[Any, float]:
    """What a call returns, and the seconds it took."""
    started = time.perf_counter()
    value = call()
    return value, time.perf_counter() - started


def measure(name: str, case: Case, preset: str, device: str) -> dict[str, Any]:
    """All figures of one table."""
    model, fit_seconds = timed(
        # nothing here depends on a rotation of the latents, and the spline flow's seconds hold none
        lambda: fit_table(
            case.table, split=case.split, preset=preset, device=device, seed=0, orientation="none"
        )
    )
    held = np.flatnonzero(model.roles == 2)
    rows = case.table.read_rows(held)
    encoding, encode_seconds = timed(lambda: model.encode(rows))
    _, decode_seconds = timed(lambda: model.decode(encoding.latents, encoding.carried))
    report = independence_report(model, case.table)
    figures = {
        "name": name,
        "rows_train": model.record["n_train"],
        "rows_held_out": len(held),
        "columns": len(model.columns),
        "dimension": model.preprocessor.n_flow,
        "split": model.record["split"]["mode"],
        "network": model.record["network"],
        "steps": model.record["steps"],
        "sigma_min": model.record["sigma_min"],
        "fit_seconds": fit_seconds,
        "encode_seconds": encode_seconds,
        "encode_rows_per_s": len(held) / encode_seconds,
        "decode_seconds": decode_seconds,
        "neg_log_prob": report.neg_log_prob.to_dict(),
        "neg_log_prob_gaussian": report.neg_log_prob_gaussian.to_dict(),
        "ledger": {entry.name: entry.removed.to_dict() for entry in report.ledger.entries},
        "max_pairwise": {key: value.max_nats for key, value in report.pairwise.items()},
        "fastica_converged": report.fastica.converged,
        "round_trip": {
            key: value
            for key, value in report.round_trip.to_dict().items()
            if not isinstance(value, dict | list)
        },
        "verdict": report.verdict.headline,
        "alerts": list(report.alerts),
    }
    if name in SUITE:
        figures |= against_truth_and_peer(model, case, rows, held)
    return figures


def against_truth_and_peer(
    model: FittedFlow, case: Case, rows: np.ndarray, held: np.ndarray
) -> dict[str, Any]:
    """The paired gap to the true density where it is known, and the neural spline flow on the same rows."""
    own = model.log_prob(rows)
    train = case.table.read_rows(np.flatnonzero(model.roles < 2))
    score, seconds = spline_flow(train, rows)
    # −log p in whitened coordinates is that in the user's units less ½ log det of the training covariance
    shift = 0.5 * float(np.linalg.slogdet(np.cov(train.T))[1])
    found = {
        "whitened_neg_log_prob": -float(own.mean()) - shift,
        "spline_neg_log_prob": score - shift,
        "spline_seconds": seconds,
    }
    if case.true_log_prob is not None:
        gaps = case.true_log_prob[held] - own
        draws = np.random.default_rng(0).integers(0, len(gaps), (GAP_DRAWS, len(gaps)))
        low, high = np.quantile(gaps[draws].mean(1), [0.025, 0.975])
        found["gap"] = {"estimate": float(gaps.mean()), "low": float(low), "high": float(high)}
        found["spline_gap"] = score + float(case.true_log_prob[held].mean())
    return found


def main() -> None:
    """Measure the tables one after the other; each is written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--preset", default="default")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    machine = {
        "version": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else "CPU",
        "preset": options.preset,
    }
    path = HERE / "results.json"
    known = json.loads(path.read_text())["sets"] if path.exists() else {}
    for name in options.only:
        known[name] = measure(name, CASES[name](options.data), options.preset, options.device)
        found = {key: known[key] for key in CASES if key in known}
        path.write_text(json.dumps({"machine": machine, "sets": found}, indent=1) + "\n")
        print(
            name,
            json.dumps({k: known[name][k] for k in ("fit_seconds", "neg_log_prob", "verdict")}),
            flush=True,
        )
    found = {key: known[key] for key in CASES if key in known}
    (HERE / "results.md").write_text(tables(found, machine))
    figure(found).savefig(HERE / "ledger.png", dpi=150)


if __name__ == "__main__":
    main()
