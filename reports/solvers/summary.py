"""The measured figures as Markdown tables and pictures; computes nothing but what is judged.

python reports/solvers/summary.py [results.json]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from figures import errors_figure, grids_figure
from judged import DEFAULT_TOLERANCE, accuracy_verdicts, decoding_verdicts, dopri5_evaluations

HERE = Path(__file__).resolve().parent
Sets = dict[str, Any]
GRIDS = ("log-uniform", "Karras", "blended", "programme")
SHOWN_BUDGETS = (20, 36, 64)


def write_summary(path: Path) -> None:
    """results.md and the pictures beside a results.json."""
    results = json.loads(path.read_text())
    sets = results["sets"]
    parts = [
        ("Targets of encoding", targets(sets)),
        ("Targets of decoding", decoding_targets(sets)),
        ("The frozen grid by accuracy", frozen(sets)),
        ("Mean −log p by range of σ", densities(sets)),
        ("Decoding", decoding(sets)),
        ("Grids calibrated for a number of evaluations", calibrated(sets)),
        ("torchdiffeq's adaptive solvers", adaptive(sets)),
    ]
    text = ["# Solvers, grids and decoding, measured", "", about(results), ""]
    for title, lines in parts:
        # a table of nothing but its head is a part that was left out
        text += [f"## {title}", "", *(lines if len(lines) > 2 else ["Not measured in this run."]), ""]
    for name, known in sets.items():
        if "wide" in known:
            text += [f"## Every solver on every grid: {name}", "", *wide(known), ""]
    (path.parent / "results.md").write_text("\n".join(text))
    measured = {name: known for name, known in sets.items() if "wide" in known}
    if measured:
        errors_figure(measured).savefig(path.parent / "errors.png", dpi=110)
        grids_figure(measured).savefig(path.parent / "grids.png", dpi=110)


def about(results: dict[str, Any]) -> str:
    """One line on the machine and the time taken."""
    machine = ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    seconds = sum(sum(known.get("seconds", {}).values()) for known in results["sets"].values())
    return (
        f"Made by `run.py` with: {machine}. In all {seconds / 60:.0f} minutes of measurement on one thread."
    )


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(str(cell) for cell in row)} |" for row in (head, ["---"] * len(head), *rows)]


def number(value: float | None) -> str:
    """Two digits, or a dash where there is no finite figure."""
    return "–" if value is None else f"{value:.1e}"


def pair(line: dict[str, Any]) -> str:
    """Mean and maximum of errors."""
    return f"{number(line['mean'])} / {number(line['max'])}"


def targets(sets: Sets) -> list[str]:
    """Each target on each set and range, reached or not."""
    rows, columns = [], list[str]()
    for name, known in sets.items():
        for at in known.get("targets", {}):
            verdicts = accuracy_verdicts(known, at)
            columns = max(columns, list(verdicts), key=len)
            rows.append((name, at, known, verdicts))
    head = ["set", "σ", *columns, "rows, det ≤ 0 in 1 000"]
    lines = []
    for name, at, known, verdicts in rows:
        first = known["targets"][at]
        folds = f"{first[0]['rows']}; {', '.join(str(line['folded']) for line in first)}"
        lines.append([name, at, *(verdicts.get(column, "") for column in columns), folds])
    return table(head, lines)


def decoding_targets(sets: Sets) -> list[str]:
    """Each target of decoding on each set and grid, reached or not; the worse of rows and draws."""
    lines, head = [], list[str]()
    for name, known in sets.items():
        found = known.get("decoding", [])
        for accuracy in sorted({line["accuracy"] for line in found}, reverse=True):
            verdicts = decoding_verdicts([line for line in found if line["accuracy"] == accuracy])
            head = ["set", "accuracy", *verdicts]
            lines.append([name, f"{accuracy:g}", *verdicts.values()])
    return table(head, lines) if lines else []


def frozen(sets: Sets) -> list[str]:
    """`calibrate` by accuracy, on every held-out row."""
    lines = []
    for name, known in sets.items():
        for line in known.get("frozen", []):
            other = (
                dopri5_evaluations(known["adaptive"], line["wide"]["mean"]) if "adaptive" in known else None
            )
            lines.append(
                [
                    name,
                    f"{line['accuracy']:g}",
                    line["solver"],
                    line["steps"],
                    number(line["mean_error"]),
                    number(line["mean"]),
                    number(line["q999"]),
                    number(line["max"]),
                    f"{line['max'] / line['mean']:.0f}",
                    line["folded"],
                    "–" if other is None else f"{line['steps'] / other:.2f}",
                    f"{line['seconds']:.0f}",
                ]
            )
    head = ["set", "accuracy", "solver", "evaluations", "mean, calibration rows", "mean, held out", "99.9 %"]
    return table([*head, "max", "max ÷ mean", "det ≤ 0 in 1 000", "÷ dopri5", "seconds"], lines)


def densities(sets: Sets) -> list[str]:
    """−log p by range, whitened nats a row."""
    lines = []
    for name, known in sets.items():
        for at, line in known.get("density", {}).get("ranges", {}).items():
            gap = f"{line['difference']:+.4f} ± {line['half_width']:.4f}"
            low, high = line["ends"]
            lines.append(
                [
                    name,
                    f"{low:g} to {high:g}" + (" (own)" if at == "own" else ""),
                    f"{line['neg_log_prob']:.4f}",
                ]
                + (["", ""] if at == "own" else [gap, "no worse" if line["no_worse"] else "**worse**"])
            )
    return table(["set", "σ", "−log p", "paired difference to its own range, 95 %", ""], lines)


def decoding(sets: Sets) -> list[str]:
    """Decoding by grid, kind, precision and tolerance."""
    lines = []
    for name, known in sets.items():
        for line in known.get("decoding", []):
            # draws in double precision at the finest tolerance are what other decodings are compared with
            itself = line["kind"] == "draws" and line["tolerance"] == DEFAULT_TOLERANCE
            lines.append(
                [
                    name,
                    f"{line['accuracy']:g}",
                    f"{line['solver']} {line['evaluations']}",
                    line["kind"],
                    line["rows"],
                    line["precision"],
                    f"{line['tolerance']:g}",
                    number(line["residual_max"]),
                    "–" if itself else number(line["error_max"]),
                    "–" if itself else number(line["error_by_condition_max"]),
                    f"{line['cost']:.2f}",
                    f"{line['seconds_by_plain']:.2f}",
                    line["not_inverted"],
                    line["folded"],
                    f"{line['condition_max']:.0f}",
                    f"{number(line['log_det_gap_mean'])} / {number(line['log_det_gap_max'])}",
                ]
            )
    head = [
        "set",
        "accuracy",
        "grid",
        "kind",
        "rows",
        "precision",
        "tolerance",
        "residual, max",
        "data error, max",
    ]
    head += ["÷ condition", "cost, evaluations", "cost, seconds", "not inverted", "det ≤ 0", "condition, max"]
    return table([*head, "log-det, discrete − continuous, mean / max"], lines)


def calibrated(sets: Sets) -> list[str]:
    """`calibrate_steps` by evaluations, with those of the targets."""
    found = {}
    for name, known in sets.items():
        if "calibrated" in known:
            lines = [*known["calibrated"], *next(iter(known["targets"].values()))]
            lines.sort(key=lambda line: line["evaluations"])
            found[name] = [(str(line["evaluations"]), line) for line in lines]
    return _by_method(found)


def _by_method(found: dict[str, list[tuple[str, dict[str, Any]]]]) -> list[str]:
    """Mean and maximum by label (rows) and set (columns)."""
    labels = list(dict.fromkeys(label for lines in found.values() for label, _ in lines))
    values = {name: {label: pair(line) for label, line in lines} for name, lines in found.items()}
    return table(
        ["", *found], [[label, *(values[name].get(label, "–") for name in found)] for label in labels]
    )


def adaptive(sets: Sets) -> list[str]:
    """Evaluations, mean and maximum by solver, axis and tolerance."""
    found = {
        name: [
            (
                f"{line['solver']} in {'σ' if line['axis'] == 'sigma' else 'log σ'}, {line['tolerance']:g}",
                line,
            )
            for line in known["adaptive"]
        ]
        for name, known in sets.items()
        if "adaptive" in known
    }
    labels = list(dict.fromkeys(label for lines in found.values() for label, _ in lines))
    values = {
        name: {label: f"{line['evaluations']}: {pair(line)}" for label, line in lines}
        for name, lines in found.items()
    }
    return table(
        ["", *found], [[label, *(values[name].get(label, "–") for name in found)] for label in labels]
    )


def wide(known: dict[str, Any]) -> list[str]:
    """Mean and maximum at about 20, 36 and 64 evaluations, by solver and grid."""
    lines = known["wide"]["lines"]
    head = ["solver", *(f"{grid}, {n}" for n in SHOWN_BUDGETS for grid in GRIDS)]
    rows = []
    for solver in dict.fromkeys(line["solver"] for line in lines):
        cells = [solver]
        for budget in SHOWN_BUDGETS:
            for grid in GRIDS:
                fits = [
                    line
                    for line in lines
                    if (line["solver"], line["grid"]) == (solver, grid) and line["evaluations"] <= budget
                ]
                best = max(fits, key=lambda line: line["evaluations"], default=None)
                # a solver of several evaluations a step may fit no nearer than that
                cells.append(pair(best) if best and best["evaluations"] > budget - 6 else "–")
        rows.append(cells)
    solution = known["wide"]["reference"]
    note = f"Mean / maximum of ‖z − z*‖ over {known['wide']['rows']} held-out rows. z* by dp5 with {solution['steps']} "
    note += f"steps; from half as many no row moved by more than {solution['change']:.0e}."
    return [note, "", *table(head, rows)]


if __name__ == "__main__":
    write_summary(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results.json")
