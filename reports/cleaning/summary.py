"""The measured figures as Markdown tables; computes nothing but means and ranges over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from cleaners import METHODS

SPLITS = {"held out": "blocks held out", "all": "all rows"}


def tables(recordings: dict[str, Any], machine: dict[str, Any]) -> str:
    """What was fitted, then a table for each recording."""
    about = ", ".join(f"{key} {value}" for key, value in machine.items())
    lines = [f"Made by `run.py` with: {about}. FastICA: mean (lowest to highest) over its seeds.", ""]
    lines += fits(recordings)
    for name, found in recordings.items():
        lines += ["", f"## {name}", "", *(ecg(found) if "beats" in found else artefacts(found))]
    return "\n".join([*lines, ""])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def fits(recordings: dict[str, Any]) -> list[str]:
    """One row for each fitted flow."""
    rows = []
    for name, found in recordings.items():
        for split, fit in found["fits"].items():
            turned = fit["orientation"]
            rows.append(
                [
                    name,
                    SPLITS[split],
                    str(fit["rows_learned_from"]),
                    str(fit["rows_held_out"]),
                    fit["network"],
                    turned["method"] + ("" if turned["converged"] else ", not converged"),
                    f"{fit['fit_seconds']:.0f}",
                ]
            )
    head = ["recording", "fitted to", "rows learned from", "held out", "network", "orientation", "seconds"]
    return _table(head, rows)


def ecg(found: dict[str, Any]) -> list[str]:
    """How much of each heart is to be seen."""
    keys = {
        "foetal_to_background": "foetal beat : background",
        "maternal_to_background": "mother's beat : background",
        "maternal_left": "mother's beat left",
        "foetal_left": "foetal beat left",
        "foetal_shape": "foetal shape",
    }
    rows = []
    for split, fit in found["fits"].items():
        for where, untouched in fit["untouched"].items():
            label = f"{SPLITS[split]}; {where}"
            rows.append([label, "as recorded", "", "", *(f"{untouched[key]:.2f}" for key in keys)])
            for task in ("foetal kept", "maternal removed"):
                for method, runs in _by_method(fit):
                    kind = "foetal" if task == "foetal kept" else "maternal"
                    counts = _spread([len(run["chosen"][kind]) for run in runs], lambda v: f"{v:g}")
                    values = [
                        _spread([run["figures"][task][where][key] for run in runs], lambda v: f"{v:.2f}")
                        for key in keys
                    ]
                    rows.append([label, method, task, counts, *values])
    return _table(["fitted to; measured on", "method", "task", "components", *keys.values()], rows)


def artefacts(found: dict[str, Any]) -> list[str]:
    """Where the rule stops, and the best of any number of components."""
    rows = []
    for split, fit in found["fits"].items():
        for where in fit["runs"][0]["sweep"][0]:
            for method, runs in _by_method(fit):
                at = [
                    run["sweep"][min(run["stop"], len(run["sweep"])) - 1][where]
                    for run in runs
                    if run["stop"]
                ]
                label = f"{SPLITS[split]}; {where}"
                stops = _spread([run["stop"] for run in runs], lambda v: f"{v:g}")
                figures = [
                    _spread([step[key] for step in at], lambda v: f"{v:.3g}") if at else "–"
                    for key in ("energy_left", "peak_left", "clean_change", "clean_correlation")
                ]
                rows.append([label, method, stops, *figures])
    head = ["fitted to; measured on", "method", "components by the rule", "energy left", "peak left, sd"]
    table = _table([*head, "change of clean rows, sd", "correlation of clean rows"], rows)
    held = max(fit["artefact_rows_held_out"] for fit in found["fits"].values())
    note = f"{found['artefact_rows']} rows with artefacts ({held} of them held out where blocks are), "
    return [
        note + f"{found['clean_rows']} without any near. Figures past {8} components are those at {8}.",
        "",
        *table,
    ]


def _by_method(fit: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    found = [(name, [run for run in fit["runs"] if run["method"] == name]) for name in METHODS]
    return [(name, runs) for name, runs in found if runs]


def _spread(values: Sequence[float], written: Callable[[float], str]) -> str:
    low, mean, high = written(min(values)), written(float(np.mean(values))), written(max(values))
    return mean if low == high else f"{mean} ({low} to {high})"
