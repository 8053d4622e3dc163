"""The measured recovery as Markdown tables and one picture; computes means over seeds and nothing else.

python reports/orientation/summary.py [results.json]
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from orientations import BOUND, LABELS  # noqa: E402
from peers import PEERS  # noqa: E402

from datasets.orientation import NAMES  # noqa: E402

Results = dict[str, Any]

METHODS = {**LABELS, **{name: peer.label for name, peer in PEERS.items()}}
LINEAR_SETS = (
    "linear",
    "one_gaussian",
    "two_gaussians",
    "ar_gauss_1",
    "ar_laplace_1",
    "groups_gauss_1",
    "groups_laplace_1",
)
#: Measures of linear mixtures alone: Gaussian latents are bent beside any source that is not.
OF_LINEAR = ("amari", "mcc_pearson")
#: The preset that all but one of the tables are of.
DEFAULT = "default"

#: Set, sources, rows, least mean correlation of `auto`, and whether it must also be above FastICA.
TO_REACH = (
    ("linear", 5, 10_000, 0.999, False),
    ("linear", 10, 10_000, 0.999, False),
    ("moebius", 5, 10_000, 0.97, True),
    ("pnl_sinh", 5, 10_000, 0.82, True),
    ("lrelu2", 5, 10_000, 0.96, True),
    ("ar_gauss_2", 5, 10_000, 0.995, False),
    ("ar_laplace_2", 5, 10_000, 0.995, False),
    ("ar_gauss_3", 10, 10_000, 0.97, False),
    *(("groups_laplace_2", 5, n, 0.985, False) for n in (10_000, 20_000, 40_000)),
    *(("groups_laplace_3", 5, n, 0.97, False) for n in (10_000, 20_000, 40_000)),
)
#: Amari's index of `auto` on linear mixtures, at most so many times Picard's.
AMARI_FACTOR = 1.1


def values(found: Results, name: str, d: int, n: int, method: str, measure: str = "mcc") -> np.ndarray:
    """A measure of each seed, (seeds,); empty where it was not taken."""
    runs = (e for e in found.values() if (e["name"], e["d"], e["n"]) == (name, d, n))
    taken = (run["methods"].get(method, {}).get(measure) for run in runs)
    return np.array([value for value in taken if value is not None])


def of_preset(found: Results, preset: str) -> Results:
    """The runs whose fit had a preset."""
    return {key: e for key, e in found.items() if e.get("fit", {}).get("preset", DEFAULT) == preset}


def shapes(found: Results) -> list[tuple[int, int]]:
    """Pairs of sources and rows that were run."""
    return sorted({(entry["d"], entry["n"]) for entry in found.values()})


def sets(found: Results, d: int, n: int) -> list[str]:
    """Sets that were run in a shape, in the order of the recipes."""
    names = {entry["name"] for entry in found.values() if (entry["d"], entry["n"]) == (d, n)}
    return [name for name in NAMES if name in names] + sorted(names - set(NAMES))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _mean(sample: np.ndarray, digits: int, seeds: int | None = None) -> str:
    """Mean and, where there are seeds to tell it from, standard deviation; how many seeds where not as many as said."""
    if len(sample) == 0:
        return "–"
    mean = f"{sample.mean():.{digits}f}"
    told = mean if len(sample) == 1 else f"{mean} ± {sample.std(ddof=1):.{digits}f}"
    return told if seeds in (None, len(sample)) else f"{told} ({len(sample)})"


def recovery_table(found: Results, d: int, n: int, measure: str, digits: int) -> list[str]:
    """Means of a measure over seeds, sets down, methods across; the best of each row in bold."""
    chosen = [s for s in sets(found, d, n) if measure not in OF_LINEAR or s in LINEAR_SETS]
    used = [m for m in METHODS if any(len(values(found, s, d, n, m, measure)) for s in chosen)]
    used = [m for m in used if m != "source_scale" or measure == "mcc_pearson"]
    chosen = [s for s in chosen if any(len(values(found, s, d, n, m, measure)) for m in used)]
    if not used:
        return []
    rows = []
    for name in chosen:
        samples = [values(found, name, d, n, method, measure) for method in used]
        means = [s.mean() if len(s) and m != BOUND else np.nan for m, s in zip(used, samples, strict=True)]
        best = None
        if np.isfinite(means).any():
            best = int(np.nanargmin(means) if measure == "amari" else np.nanargmax(means))
        seeds = max(len(sample) for sample in samples)
        cells = [_mean(sample, digits, seeds) for sample in samples]
        rows.append(
            [name, str(seeds), *(f"**{cell}**" if i == best else cell for i, cell in enumerate(cells))]
        )
    return _table(["set", "seeds", *(METHODS[method] for method in used)], rows)


def by_size(found: Results, groups: bool) -> list[str]:
    """Mean correlations of `auto` and of FastICA, and seeds, sets down and shapes across, with or without groups."""
    chosen = [name for name in NAMES if name.startswith("groups") == groups]
    used = [shape for shape in shapes(found) if set(chosen) & set(sets(found, *shape))]
    rows = []
    for name in chosen:
        samples = [[values(found, name, *shape, method) for method in ("auto", "fastica")] for shape in used]
        cells = [
            f"{auto.mean():.3f} / {peer.mean():.3f} ({len(auto)})" if len(auto) and len(peer) else "–"
            for auto, peer in samples
        ]
        if set(cells) != {"–"}:
            rows.append([name, *cells])
    return _table(["set", *(f"d = {d}, {n} rows" for d, n in used)], rows) if used else []


def reached(found: Results) -> list[str]:
    """What `auto` was to reach, and what it reached, over the seeds that were run."""
    rows = []
    for name, d, n, least, above in TO_REACH:
        auto, fastica = (values(found, name, d, n, method) for method in ("auto", "fastica"))
        if len(auto) == 0:
            continue
        ok = auto.mean() >= least and not (above and auto.mean() <= fastica.mean())
        wanted = f"≥ {least:g}{', above FastICA' if above else ''}"
        rows.append(
            [name, str(d), str(n), f"mean correlation {wanted}", _mean(auto, 4), _mean(fastica, 4), _yes(ok)]
        )
    for d in (5, 10):
        auto, picard = (values(found, "linear", d, 10_000, m, "amari") for m in ("auto", "picard"))
        if len(auto) and len(picard):
            ok = auto.mean() <= AMARI_FACTOR * picard.mean()
            wanted = f"Amari ≤ {AMARI_FACTOR} × Picard's {picard.mean():.4f}"
            rows.append(["linear", str(d), "10000", wanted, _mean(auto, 4), "", _yes(ok)])
    return _table(["set", "d", "n", "to reach", "auto", "FastICA", "reached"], rows) if rows else []


def _yes(ok: bool) -> str:
    return "yes" if ok else "**no**"


def losses(found: Results, measure: str, digits: int) -> list[str]:
    """Where a peer, or another orientation that may be asked for by name, is ahead of `auto` by what is shown."""
    sign = -1.0 if measure == "amari" else 1.0
    rows = []
    for d, n in shapes(found):
        for name in (s for s in sets(found, d, n) if measure not in OF_LINEAR or s in LINEAR_SETS):
            samples = {
                m: values(found, name, d, n, m, measure) for m in METHODS if m not in ("source_scale", BOUND)
            }
            means = {m: float(round(v.mean(), digits)) for m, v in samples.items() if len(v)}
            if "auto" not in means:
                continue
            ahead = [m for m in means if sign * means[m] > sign * means["auto"]]
            if ahead:
                ahead.sort(key=lambda m: -sign * means[m])
                told = ", ".join(
                    _counted(METHODS[m], means[m], digits, len(samples[m]), len(samples["auto"]))
                    for m in ahead
                )
                rows.append([name, str(d), str(n), f"{means['auto']:.{digits}f}", told])
    return _table(["set", "d", "n", "auto", "ahead of it"], rows) if rows else []


def _counted(label: str, mean: float, digits: int, seeds: int, usual: int) -> str:
    return f"{label} {mean:.{digits}f}" + ("" if seeds == usual else f" ({seeds})")


def decisions(found: Results) -> list[str]:
    """What `auto` chose, in how many runs of each set and shape, and how often it said that it did not converge."""
    rows = []
    for d, n in shapes(found):
        for name in sets(found, d, n):
            runs = [e for e in found.values() if (e["name"], e["d"], e["n"]) == (name, d, n)]
            told = [run["methods"]["auto"] for run in runs if "auto" in run["methods"]]
            if told:
                kinds = sorted({run["method"] for run in told})
                counts = ", ".join(f"{kind} {sum(run['method'] == kind for run in told)}" for kind in kinds)
                errors = np.array([run["largest_angle_error"] for run in told])
                failed = sum(not run["converged"] for run in told)
                rows.append([name, str(d), str(n), counts, f"{np.median(errors):.3f}", str(failed)])
    head = ["set", "d", "n", "chosen by auto, runs", "largest angle error, median, rad", "not converged"]
    return _table(head, rows) if rows else []


def presets(found: Results, every: Results) -> list[str]:
    """Runs of other presets beside those of the default."""
    rows = []
    for preset in sorted({e["fit"]["preset"] for e in every.values() if "fit" in e} - {DEFAULT}):
        others = of_preset(every, preset)
        for d, n in shapes(others):
            for name in sets(others, d, n):
                one, other = (values(runs, name, d, n, "auto") for runs in (found, others))
                rows.append([name, str(d), str(n), preset, str(len(other)), _mean(other, 4), _mean(one, 4)])
    head = ["set", "d", "n", "preset", "seeds", "auto", "auto with the default preset"]
    return _table(head, rows) if rows else []


def seconds(found: Results) -> list[str]:
    """Median seconds of each method, one thread, runs beside each other."""
    rows = []
    for d, n in shapes(found):
        runs = [e for e in found.values() if (e["d"], e["n"]) == (d, n)]
        fits = [run["fit"]["seconds"] for run in runs if "fit" in run]
        cells = [f"the fit {np.median(fits):.0f}"] if fits else []
        for method, label in METHODS.items():
            taken = [
                run["methods"][method]["seconds"]
                for run in runs
                if "seconds" in run["methods"].get(method, {})
            ]
            if taken and method != "none":
                cells.append(f"{label} {np.median(taken):.2g}")
        rows.append([str(d), str(n), ", ".join(cells)])
    return _table(["d", "n", "median seconds"], rows)


def tables(every: Results) -> str:
    """All tables."""
    found = of_preset(every, DEFAULT)
    parts: list[str] = []

    def section(title: str, lines: list[str]) -> None:
        if lines:
            parts.extend([f"## {title}", "", *lines, ""])

    section("What auto was to reach", reached(found))
    section("Other presets: mean correlation", presets(found, every))
    title = "By size: mean correlation of auto / FastICA (seeds)"
    section(title, by_size(found, groups=False))
    section(f"{title}, mixtures with groups", by_size(found, groups=True))
    for d, n in shapes(found):
        where = f"d = {d}, {n} rows to learn from"
        section(
            f"Mean absolute Spearman correlation with the sources, {where}",
            recovery_table(found, d, n, "mcc", 3),
        )
        section(
            f"Mean absolute Spearman correlation with the magnitudes of the sources, {where}",
            recovery_table(found, d, n, "mcc_magnitudes", 3),
        )
        section(
            f"Mean absolute Pearson correlation with the sources, linear mixtures, {where}",
            recovery_table(found, d, n, "mcc_pearson", 4),
        )
        section(f"Amari's index, linear mixtures, {where}", recovery_table(found, d, n, "amari", 4))
    section("Where something else is ahead, mean correlation", losses(found, "mcc", 3))
    section("Where something else is ahead, Amari's index of linear mixtures", losses(found, "amari", 4))
    section("What auto chose", decisions(found))
    section("Seconds", seconds(found))
    head = (
        "Written by `summary.py` from the JSON of the same name: held-out rows, as many as learned; mean ± "
    )
    head += "deviation of seeds, with the number of seeds in brackets where it is not that of the row."
    return "\n".join([head, "", *parts])


#: Methods of the picture: name, marker and colour.
MARKS = {
    "none": ("plain latents", "x", "0.6"),
    "fastica": ("FastICA", "s", "tab:orange"),
    "sobi": ("SOBI", "v", "tab:green"),
    "group_diagonalisation": ("linear, by groups", "^", "tab:olive"),
    "pcl": ("PCL", "*", "tab:cyan"),
    "tcl": ("TCL", "p", "tab:purple"),
    "ivae": ("iVAE", "X", "tab:brown"),
    "cebra_time": ("CEBRA-Time + SOBI", "P", "tab:red"),
    "cebra_groups": ("CEBRA-Behaviour + FastICA", "P", "tab:pink"),
    "auto": ("auto", "D", "tab:blue"),
}


def figure(found: Results, chosen: Sequence[tuple[int, int]]) -> Figure:
    """Mean correlation with the sources by set and method, with the range over seeds; a panel for each shape (d, n)."""
    rows = [len(sets(found, *shape)) for shape in chosen]
    drawing = Figure(figsize=(8, 0.42 * sum(rows) + 1.2 + 0.6 * len(rows)), layout="constrained")
    panels = drawing.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
    for axes, shape in zip(panels, chosen, strict=True):
        _panel(axes, found, *shape)
    panels[-1].set_xlabel("mean |Spearman correlation| with the sources; bars: lowest to highest seed")
    shown = {
        text: mark for axes in panels for mark, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    drawing.legend(
        shown.values(), shown.keys(), loc="outside upper center", ncols=4, frameon=False, fontsize="small"
    )
    return drawing


def _panel(axes: Axes, found: Results, d: int, n: int) -> None:
    names = sets(found, d, n)
    lowest = 1.0
    for place, (method, (label, marker, colour)) in enumerate(MARKS.items()):
        samples = {at: values(found, name, d, n, method) for at, name in enumerate(names)}
        samples = {at: sample for at, sample in samples.items() if len(sample)}
        if not samples:
            continue
        at = np.array(list(samples)) + 0.7 * (place / (len(MARKS) - 1) - 0.5)
        middle = np.array([sample.mean() for sample in samples.values()])
        reach = np.abs([[s.min() - s.mean(), s.max() - s.mean()] for s in samples.values()]).T
        lowest = min(lowest, float(middle.min()))
        axes.errorbar(
            middle, at, xerr=reach, fmt=marker, color=colour, elinewidth=0.7, markersize=5, label=label
        )
    for edge in range(1, len(names)):
        axes.axhline(edge - 0.5, color="0.9", linewidth=0.6, zorder=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(max(lowest - 0.05, 0), 1.005)
    axes.set_title(f"d = {d}, {n} rows to learn from", loc="left", fontsize="medium")
    axes.grid(axis="x", alpha=0.3)


def fullest(found: Results, groups: bool) -> tuple[int, int] | None:
    """The shape (d, n) with the most figures of sets with groups, or without; None where there are none."""
    measured: Counter[tuple[int, int]] = Counter()
    for run in found.values():
        if run["name"].startswith("groups") == groups:
            measured[run["d"], run["n"]] += len(run["methods"])
    return max(measured, key=lambda shape: measured[shape]) if measured else None


def main(arguments: list[str]) -> None:
    """Write tables beside the results, of the same name, and for results.json recovery.png."""
    path = Path(arguments[0]) if arguments else HERE / "results.json"
    found = json.loads(path.read_text())
    path.with_suffix(".md").write_text(tables(found))
    if path.stem != "results":
        return
    found = of_preset(found, DEFAULT)
    chosen = [shape for shape in (fullest(found, groups) for groups in (False, True)) if shape]
    figure(found, chosen).savefig(path.with_name("recovery.png"), dpi=150)


if __name__ == "__main__":
    main(sys.argv[1:])
