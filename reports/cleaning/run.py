"""Clean three recordings with latents and with FastICA; write results.json, results.md and the plots beside this file.

    python reports/cleaning/run.py --data FOLDER [--only NAME ...] [--preset default]

FOLDER holds foetal_ecg.dat and eeg_eye_state.csv. Everything random has seed 0.
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

import numpy as np
import torch
from artefacts import artefact_figures, blink_rows, clean_rows
from beats import beat_figures, find_beats, locked_share, period
from cleaners import TOLD, Cleaner, FastICACleaner, LatentCleaner
from figures import artefact_figure, ecg_figure
from recordings import Recording, eeg, everything, foetal_ecg, spike_rows
from rules import blinks, hearts, spikes
from scipy.stats import kurtosis
from summary import tables

from latentflow import __version__
from latentflow.data.splits import HELD_OUT, TRAIN, VALIDATION
from latentflow.model.fit import fit_table
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.orient import orient

HERE = Path(__file__).parent
#: Given to every fit beside the preset, the split and the seed.
SETTINGS: dict[str, Any] = {}
#: Seeds of FastICA, whose components hang on where it starts; figures are means over them.
ICA_SEEDS = range(5)
#: Clean rows on which change is measured, and most components taken out one after the other.
CLEAN_ROWS, MOST_REMOVED = 1000, 8


def fitted(recording: Recording, split: str, preset: str, device: str) -> tuple[FittedFlow, dict[str, Any]]:
    """A flow fitted with blocks held out, or to all rows, and what there is to say of the fit."""
    started = time.perf_counter()
    chosen = "auto" if split == "held out" else everything(recording.table.n_rows)
    model = fit_table(recording.table, split=chosen, preset=preset, device=device, seed=0, **SETTINGS)
    return model, {
        "fit_seconds": time.perf_counter() - started,
        "rows_learned_from": int(np.isin(model.roles, (TRAIN, VALIDATION)).sum()),
        "rows_held_out": int((model.roles == HELD_OUT).sum()),
        "network": model.record["network"]["structure"],
        "orientation": {
            key: getattr(model.orientation, key) for key in ("method", "asked", "reason", "converged")
        },
    }


def cleaners(model: FittedFlow, X: np.ndarray, *, timed: bool) -> list[Cleaner]:
    """The latents, FastICA of several seeds fitted to the rows that the flow has seen, and latents told of time.

    Single rows that tower over all others tell nothing in time: nothing is told where they are what is to go.
    """
    seen = X[np.isin(model.roles, (TRAIN, VALIDATION))]
    told = [LatentCleaner(orient(model, X, time_order=True), TOLD)] if timed else []
    return [LatentCleaner(model), *told, *(FastICACleaner(seen, seed) for seed in ICA_SEEDS)]


def measured_rows(model: FittedFlow) -> dict[str, np.ndarray]:
    """The sets of rows on which figures are taken."""
    rows = {"all rows": np.ones(len(model.roles), dtype=bool)}
    held = model.roles == HELD_OUT
    return rows | ({"held-out rows": held} if held.any() else {})


def measure_ecg(data: Path, preset: str, device: str) -> dict[str, Any]:
    """The foetal beat kept, and the mother's removed."""
    recording = foetal_ecg(data)
    X, rate = recording.table.read(), recording.rate
    beats = find_beats(X, rate)
    found: dict[str, Any] = {
        "beats": {"maternal": len(beats.maternal), "foetal": len(beats.foetal)},
        "fits": {},
    }
    for split in ("held out", "all"):
        model, about = fitted(recording, split, preset, device)
        rows, runs, drawn = measured_rows(model), [], {}
        for cleaner in cleaners(model, X, timed=True):
            sources = cleaner.sources(X)
            chosen = hearts(sources, X, rate)
            others = [i for i in range(sources.shape[1]) if i not in chosen["foetal"]]
            run: dict[str, Any] = {"method": cleaner.name, "chosen": chosen, "figures": {}}
            run["locked"] = [locked_share(s, beats.maternal, rate) for s in sources.T]
            run["period"] = [period(s, rate) for s in sources.T]
            for task, removed in (("foetal kept", others), ("maternal removed", chosen["maternal"])):
                cleaned = cleaner.clean(X, removed)
                drawn.setdefault((cleaner.name, task), cleaned)
                run["figures"][task] = {
                    name: beat_figures(X, cleaned, beats, where, rate) for name, where in rows.items()
                }
            runs.append(run)
        untouched = {name: beat_figures(X, X, beats, where, rate) for name, where in rows.items()}
        found["fits"][split] = about | {"untouched": untouched, "runs": runs}
        if split == "held out":
            figure = ecg_figure(X, drawn, beats, model.roles == HELD_OUT, rate)
            figure.savefig(HERE / "foetal_ecg.png", dpi=110)
    return found


def measure_spikes(data: Path, preset: str, device: str) -> dict[str, Any]:
    """The four spikes, by the kurtosis of the components."""
    recording = eeg(data, cut=False)
    X = recording.table.read()
    return _artefacts(
        recording,
        spike_rows(X),
        ("held out", "all"),
        spikes,
        HERE / "eeg_spikes.png",
        preset,
        device,
        timed=False,
    )


def measure_blinks(data: Path, preset: str, device: str) -> dict[str, Any]:
    """The blinks once the spikes are cut, by correlation with the frontal channels."""
    recording = eeg(data, cut=True)
    X, columns, rate = recording.table.read(), recording.table.columns, recording.rate
    return _artefacts(
        recording,
        blink_rows(X, columns, rate),
        ("held out",),
        lambda sources: blinks(sources, X, columns, rate),
        HERE / "eeg_blinks.png",
        preset,
        device,
        timed=True,
    )


def _artefacts(
    recording: Recording,
    artefact: np.ndarray,
    splits: tuple[str, ...],
    rule: Callable[[np.ndarray], tuple[list[int], int]],
    mean_jacobians: Path,
    preset: str,
    device: str,
    *,
    timed: bool,
) -> dict[str, Any]:
    """Components taken out one after the other in the order of a rule, and where the rule stops."""
    X = recording.table.read()
    clean = clean_rows(artefact, recording.rate)
    some = np.sort(np.random.default_rng(0).choice(np.flatnonzero(clean), CLEAN_ROWS, replace=False))
    found: dict[str, Any] = {"artefact_rows": int(artefact.sum()), "clean_rows": int(clean.sum()), "fits": {}}
    for split in splits:
        model, about = fitted(recording, split, preset, device)
        used = np.zeros(len(X), dtype=bool)
        used[some] = True
        used |= artefact
        rows = {
            name: where[used]
            for name, where in measured_rows(model).items()
            if (artefact & where).any() and (used & clean & where).any()
        }
        runs, stops = [], {}
        for cleaner in cleaners(model, X, timed=timed):
            sources = cleaner.sources(X)
            order, stop = rule(sources)
            stops.setdefault(cleaner.name, (cleaner, order[:stop]))
            sweep: list[dict[str, Any]] = []
            for m in range(1, MOST_REMOVED + 1):
                cleaned = cleaner.clean(X[used], order[:m])
                sweep.append(
                    {
                        name: artefact_figures(X[used], cleaned, artefact[used] & where, clean[used] & where)
                        for name, where in rows.items()
                    }
                )
            known = kurtosis(sources, axis=0)[order].tolist()
            runs.append(
                {"method": cleaner.name, "order": order, "stop": stop, "kurtosis": known, "sweep": sweep}
            )
        found["fits"][split] = about | {
            "artefact_rows_held_out": int((artefact & (model.roles == HELD_OUT)).sum()),
            "runs": runs,
        }
        if split == splits[-1]:
            artefact_figure(recording, artefact, stops, found["fits"]).savefig(mean_jacobians, dpi=110)
    return found


CASES: dict[str, Callable[[Path, str, str], dict[str, Any]]] = {
    "foetal ECG": measure_ecg,
    "EEG, spikes": measure_spikes,
    "EEG, blinks": measure_blinks,
}


def main() -> None:
    """Measure the recordings one after the other; each is written as soon as it is there."""
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
        "preset": options.preset,
    }
    path = HERE / "results.json"
    known = json.loads(path.read_text())["recordings"] if path.exists() else {}
    for name in options.only:
        known[name] = CASES[name](options.data, options.preset, options.device)
        found = {key: known[key] for key in CASES if key in known}
        path.write_text(json.dumps({"machine": machine, "recordings": found}, indent=1) + "\n")
        (HERE / "results.md").write_text(tables(found, machine))
        print(name, "done", flush=True)


if __name__ == "__main__":
    main()
