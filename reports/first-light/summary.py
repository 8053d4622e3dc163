"""The measured figures as Markdown tables and one picture; computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

#: Gap to the truth, or for rings whitened −log p, that the prototype reached.
TARGETS = {"lin5": 0.012, "nl5": 0.172, "nl10": 2.09, "rings": 1.527}
NAMES = {"pca": "PCA whitening", "fastica": "FastICA", "latents": "latentflow"}


def tables(sets: dict[str, Any], machine: dict[str, Any]) -> str:
    """Three tables: the suite against truth and peer, the ledger, and bijection and time."""
    about = ", ".join(f"{key} {value}" for key, value in machine.items())
    return "\n".join(
        [f"Made by `run.py` with: {about}.", "", *suite(sets), "", *ledger(sets), "", *work(sets), ""]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def suite(sets: dict[str, Any]) -> list[str]:
    """Gap to the true density, and seconds, beside the neural spline flow of the same run."""
    rows = []
    for name, target in TARGETS.items():
        if name not in sets:
            continue
        s = sets[name]
        gap = (
            f"{s['gap']['estimate']:.4f} [{s['gap']['low']:.4f}, {s['gap']['high']:.4f}]"
            if "gap" in s
            else "–"
        )
        reached = s["gap"]["estimate"] if "gap" in s else s["whitened_neg_log_prob"]
        peer = f"{s['spline_gap']:.3f}" if "gap" in s else "–"
        rows.append(
            [
                name,
                gap,
                f"{s['whitened_neg_log_prob']:.4f}",
                f"{target:g}",
                "yes" if reached <= target else "no",
                peer,
                f"{s['spline_neg_log_prob']:.4f}",
                f"{s['fit_seconds']:.0f}",
                f"{s['spline_seconds']:.0f}",
                f"{s['fit_seconds'] / s['spline_seconds']:.2f}",
            ]
        )
    head = ["set", "gap to the truth, nats", "−log p, whitened", "to reach", "reached", "spline flow: gap"]
    return _table([*head, "its −log p", "fit, s", "its fit, s", "ratio"], rows)


def ledger(sets: dict[str, Any]) -> list[str]:
    """Total correlation removed relative to the raw columns, and density, on held-out rows."""
    rows = []
    for name, s in sets.items():
        removed = [
            f"{v['estimate']:.3f} [{v['low']:.3f}, {v['high']:.3f}]"
            for v in (s["ledger"][key] for key in NAMES)
        ]
        pair = [f"{s['max_pairwise'][key]:.3f}" for key in ("raw", "fastica", "latents")]
        shape = f"{s['rows_train']} + {s['rows_held_out']} × {s['columns']}"
        scores = [f"{s[key]['estimate']:.3f}" for key in ("neg_log_prob", "neg_log_prob_gaussian")]
        rows.append([name, shape, s["split"], *removed, *pair, *scores])
    head = ["set", "train + held out × columns", "split", *(f"removed by {v}" for v in NAMES.values())]
    pairs = ["largest pair: raw", "FastICA", "latentflow"]
    return _table([*head, *pairs, "−log p", "−log p, Gaussian"], rows)


def work(sets: dict[str, Any]) -> list[str]:
    """Round trip and seconds."""
    rows = []
    for name, s in sets.items():
        trip = s["round_trip"]
        rows.append(
            [
                name,
                f"{trip['data_max']:.1e}",
                f"{100 * trip['exact_rows']:.1f} %",
                f"{trip['latent_max']:.1e}",
                f"{s['fit_seconds']:.1f}",
                f"{s['encode_seconds']:.2f}",
                f"{s['encode_rows_per_s']:.0f}",
                f"{s['decode_seconds']:.1f}",
                "yes" if s["fastica_converged"] else "no",
            ]
        )
    head = ["set", "data → latent → data, max (stds)", "rows to the bit", "latent → data → latent, max"]
    return _table([*head, "fit, s", "encode, s", "rows/s", "decode, s", "FastICA converged"], rows)


def figure(sets: dict[str, Any]) -> Figure:
    """Total correlation removed, by representation and table, with 95 % intervals."""
    names = list(sets)
    drawing = Figure(figsize=(8, 0.55 * len(names) + 1.2), layout="constrained")
    axes = drawing.add_subplot()
    marks = {"pca": ("o", "0.55"), "fastica": ("s", "tab:orange"), "latents": ("D", "tab:blue")}
    for offset, (key, (marker, colour)) in zip((-0.22, 0, 0.22), marks.items(), strict=True):
        values = [sets[name]["ledger"][key] for name in names]
        middle = np.array([v["estimate"] for v in values])
        reach = np.array([[v["estimate"] - v["low"], v["high"] - v["estimate"]] for v in values]).T
        axes.errorbar(
            middle,
            np.arange(len(names)) + offset,
            xerr=np.clip(reach, 0, None),
            fmt=marker,
            color=colour,
            label=NAMES[key],
            capsize=2,
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlabel("total correlation removed relative to the raw columns, nats (held-out rows, 95 %)")
    axes.grid(axis="x", alpha=0.3)
    drawing.legend(loc="outside upper center", ncols=3)
    return drawing
