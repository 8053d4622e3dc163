"""The tables of this report, in words a reader needs no code for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from reports.calibration.entropies import Bias
from reports.calibration.power import Power
from reports.calibration.registry import Figure

MARKS = {"kept": "", "shown": "", "too often": " ▲", "too seldom": " ▽"}


def tables(
    figures: Sequence[Figure], biases: Sequence[Bias], powers: Sequence[Power], machine: Mapping[str, Any]
) -> str:
    """The whole of results.md."""
    parts = [
        "# Calibration: what was measured\n",
        _provenance(figures, machine),
        "## Miscalibrated\n",
        _miscalibrated(figures),
        "## Under the null\n",
        "Share in per cent of p-values below 0.05, or of 95 % intervals that miss the truth; in brackets what is "
        "promised (≤: at most). ▲ too often, ▽ too seldom, beyond binomial error at a level of 0.001 and beyond a "
        "tenth of the promise. Without a mark: kept, or nothing promised (–).\n",
    ]
    for (procedure, rows), group in groupby(figures, key=lambda figure: (figure.procedure, figure.rows)):
        parts.append(f"### {procedure}: {rows}\n")
        parts.append(_grid(list(group)))
    parts += ["## Power\n", _powers(powers), "## Bias of the entropy\n", _biases(biases)]
    return "\n".join(part for part in parts if part)


def _provenance(figures: Sequence[Figure], machine: Mapping[str, Any]) -> str:
    told = ", ".join(f"{key} {value}" for key, value in machine.items())
    return f"{len(figures)} figures; {told}. Written by `run.py`; every figure with its interval is in results.json.\n"


def _miscalibrated(figures: Iterable[Figure]) -> str:
    lines = [
        f"| {f.procedure}: {f.check} | {f.rows} | {f.n} | {f.d} | {100 * f.nominal:g} | {_rate(f)} | "
        f"{100 * f.low:.1f} … {100 * f.high:.1f} | {f.judgement} |"
        for f in figures
        if f.judgement in ("too often", "too seldom")
    ]
    if not lines:
        return "Nothing, beyond binomial error.\n"
    head = [
        "| check | rows | n | d | promised | found (%) | 95 % interval | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(head + lines) + "\n"


def _grid(figures: Sequence[Figure]) -> str:
    sizes = list(dict.fromkeys((f.n, f.d) for f in figures))
    found = {(f.check, f.n, f.d): f for f in figures}
    repeats = {(f.n, f.d): f.repeats for f in figures}
    lines = [
        "| |" + "".join(f" n = {n}, d = {d} |" for n, d in sizes),
        "|---|" + "---:|" * len(sizes),
    ]
    for check in dict.fromkeys(f.check for f in figures):
        row = [found.get((check, n, d)) for n, d in sizes]
        first = next(f for f in row if f is not None)
        cells = "".join(" |" if f is None else f" {_rate(f)}{MARKS[f.judgement]} |" for f in row)
        lines.append(f"| {check} ({_promise(first)}) |{cells}")
    lines.append("| *draws* |" + "".join(f" {repeats[size]} |" for size in sizes))
    return "\n".join(lines) + "\n"


def _rate(figure: Figure) -> str:
    return f"{100 * figure.rate:.1f}"


def _promise(figure: Figure) -> str:
    if figure.claim == "shown":
        return "–"
    return ("≤ " if figure.claim == "at most" else "") + f"{100 * figure.nominal:g}"


def _powers(powers: Sequence[Power]) -> str:
    lines = [
        "| planted | n | d | test at the 5 % level | seen (%) | 95 % interval | promised | draws |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for p in powers:
        promised = "–" if p.promised is None else f"≥ {100 * p.promised:g}"
        missed = "" if p.promised is None or p.rate >= p.promised else " ▽"
        lines.append(
            f"| {p.planted} | {p.n} | {p.d} | {p.test} | {100 * p.rate:.1f}{missed} | "
            f"{100 * p.low:.1f} … {100 * p.high:.1f} | {promised} | {p.repeats} |"
        )
    return "\n".join(lines) + "\n"


def _biases(biases: Sequence[Bias]) -> str:
    sizes = list(dict.fromkeys(b.n for b in biases))
    found = {(b.density, b.n): b for b in biases}
    lines = [
        "In nats, ± its standard error; |bias| ≤ 0.003 is promised from n = 10 000 on (▲ where it is not kept).\n",
        "| density |" + "".join(f" n = {n:_} |".replace("_", " ") for n in sizes),
        "|---|" + "---:|" * len(sizes),
    ]
    for density in dict.fromkeys(b.density for b in biases):
        row = [found[density, n] for n in sizes]
        cells = "".join(
            f" {b.bias:+.4f} ± {b.standard_error:.4f}{' ▲' if b.kept is False else ''} |" for b in row
        )
        lines.append(f"| {density} |{cells}")
    return "\n".join(lines) + "\n"
