"""The measured figures as Markdown tables; measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NAMES = {
    "latentflow": "latentflow",
    "dopri5": "dopri5 in σ, same network, one batch",
    "dopri5 in chunks": "dopri5 in σ, same network, chunks",
    "flow matching": "flow matching + torchdiffeq dopri5",
    "zuko CNF": "zuko CNF",
}


def tables(result: dict[str, Any]) -> str:
    """One evaluation, encoding and density, for each device, number of threads and precision."""
    about = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    lines = [f"Made by `run.py` with: {about}.", ""]
    for run in result["runs"]:
        lines += [f"## {run['device']}, {run['kind']}", ""]
        for name, found in run["sets"].items():
            lines += [f"### {name}", "", *_low_precision(found["low precision"])]
            for precision in [each for each in ("float64", "float32", "bfloat16") if each in found]:
                lines += [f"**{precision}**", "", *_evaluation(found[precision]["evaluation"])]
                if "encoding" in found[precision]:
                    lines += _encoding(found[precision]["encoding"], run["peak_flops"][precision])
                    lines += _density(found[precision]["density"])
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [*(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)), ""]


def _low_precision(found: dict[str, Any]) -> list[str]:
    parts = [f"{name} {e['mean']:.1e} mean, {e['largest']:.1e} largest" for name, e in found.items()]
    return [f"Error of z where the network alone evaluates in: {'; '.join(parts)}.", ""]


def _evaluation(found: list[dict[str, Any]]) -> list[str]:
    head = [
        "rows at once",
        "plain, µs a row",
        "frozen",
        "products alone",
        "share of mm",
        "tangent: plain",
        "frozen",
    ]
    rows = []
    for entry in found:
        each = {name: 1e6 * s["median_s"] / entry["chunk"] for name, s in entry["seconds"].items()}
        along = {name: 1e6 * s["median_s"] / entry["tangents"] for name, s in entry["seconds"].items()}
        rows.append(
            [
                str(entry["chunk"]),
                *(f"{each[name]:.2f}" for name in ("plain", "field", "products")),
                f"{entry['share_of_mm']:.0%}",
                *(f"{along[name]:.2f}" for name in ("plain tangents", "field tangents")),
            ]
        )
    return _table(head, rows)


def _encoding(found: dict[str, Any], peak: float) -> list[str]:
    rows = [
        [
            label,
            f"{found['rows_per_second'][name]:.0f}",
            str(found["evaluations"].get(name, "–")),
            *(
                f"{found['error'][name][key]:.1e}" if name in found["error"] else "–"
                for key in ("mean", "largest")
            ),
        ]
        for name, label in NAMES.items()
    ]
    return [
        *_table(["encoding", "rows/s", "evaluations", "mean error of z", "largest"], rows),
        f"{found['times_dopri5']:.2f} times the rate of the better dopri5; {found['share_of_mm']:.0%} of the rate of "
        f"the same products alone; {found['flops'] / peak:.0%} of the rate of one large product. The converged "
        f"solution moves by {found['converged_within']['largest']:.0e} with half the steps. Training steps of the "
        f"peers: {', '.join(f'{name} {steps}' for name, steps in found['peer_steps'].items())}.",
        "",
    ]


def _density(found: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            str(found["evaluations"].get(name, 80)),
            f"{found['rows'] / found['seconds'][name]['median_s']:.0f}",
            f"{found['times'].get(name, 1.0):.1f}",
            *(f"{found['error'][name][key]:.1e}" for key in ("mean", "largest")),
        ]
        for name in found["seconds"]
    ]
    head = ["evaluations", "rows/s", "times column by column", "mean error, nats", "largest"]
    return [
        *_table([f"exact log p, d = {found['dimension']}", *head], rows),
        f"Timed on {found['rows']} rows, errors on {found['exact_rows']}; the converged density is within "
        f"{found['converged_within']['largest']:.0e} of a finer one.",
        "",
    ]
