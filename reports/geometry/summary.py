"""The measured claims as Markdown tables and pictures; computes nothing that is not drawn.

python reports/geometry/summary.py [results.json]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
Results = dict[str, Any]

COLOURS = ("#1b1b1b", "#0b6e99", "#e08a4f", "#2a7f3b", "#8c2d8c")
GRID_STYLES = {"programme": "o-", "uniform log σ": "s--", "Karras ρ = 7": "^:"}
CLAIMS = {
    "a": "sampling trajectories are quasi-linear",
    "b": "the denoising trajectory reaches the end first",
    "c": "its derivative is the curvature, its differences the second-order samplers",
    "d": "with the empirical denoiser each step is annealed mean shift",
    "e": "trajectories are 2- to 3-dimensional",
    "f": "a grid by dynamic programming beats hand-made ones at 5 to 10 evaluations",
    "g": "error of order d/steps",
}


def tables(results: Results) -> str:
    """All figures as Markdown."""
    cases = results["cases"]
    lines = ["# Claims on trajectories, measured", "", *_verdicts(results), ""]
    lines += ["## (a), (b), (e): shape", "", *_shape(cases), ""]
    lines += [
        "## (b) by noise level: share of trajectories with the denoising one nearer",
        "",
        *_nearer(cases),
        "",
    ]
    lines += ["## (c): the tie to the denoising trajectory", "", *_ties(cases), ""]
    lines += ["## (d): mean shift, score deviation, memory", "", *_scores(cases), ""]
    lines += ["## (f): error of Euler sampling ÷ √d by grid", "", *_grids(cases), ""]
    lines += ["## (g): samples by number of steps", "", *_steps(cases)]
    if "total_variation" in results:
        lines += ["", *_variation(results["total_variation"])]
    return "\n".join(lines) + "\n"


def holds(case: Results) -> dict[str, bool | None]:
    """Each claim by its rule."""
    by_shape = {claim["name"]: claim["holds"] for claim in case["claims"]}
    return {
        "a": by_shape["a"],
        "b": by_shape["b"],
        "c": by_shape["c"] and case["ties"]["holds"],
        "d": case["score"]["holds"],
        "e": by_shape["e"],
        "f": case["grids"]["holds"],
        "g": case["steps"]["holds"],
    }


def _verdicts(results: Results) -> list[str]:
    cases = results["cases"]
    told = {name: holds(case) for name, case in cases.items()}
    rows = [
        [f"({letter}) {words}", *(_word(told[name][letter]) for name in cases)]
        for letter, words in CLAIMS.items()
    ]
    lines = _table(["claim", *cases], rows)
    if "total_variation" in results:
        lines += ["", f"(g) in total variation, on oracles: {_word(results['total_variation']['holds'])}."]
    return lines


def _shape(cases: Results) -> list[str]:
    rows = []
    for name, case in cases.items():
        shape = case["shape"]
        rows.append(
            [
                name,
                str(shape["dimension"]),
                _interval(shape["chord_deviation"], 4),
                _interval(shape["chord_deviation_data"], 3),
                _interval(shape["denoising_nearer_overall"], 3),
                _interval(shape["total_turning"], 2),
                " / ".join(f"{value:.4f}" for value in shape["components"]),
                " / ".join(f"{value:.3f}" for value in shape["bend_components"]),
            ]
        )
    head = ["set", "d", "largest distance to chord ÷ length", "the same ÷ √d", "denoising nearer"]
    return _table([*head, "turning, rad", "variance in 1 / 2 / 3", "bend in 1 / 2"], rows)


def _nearer(cases: Results) -> list[str]:
    levels = (10.0, 3.0, 1.0, 0.3, 0.1, 0.05)
    rows = []
    for name, case in cases.items():
        sigmas, shares = (np.array(case["shape"][key]) for key in ("sigmas", "denoising_nearer"))
        at = [int(np.argmin(np.abs(np.log(sigmas / level)))) for level in levels]
        rows.append([name, f"{sigmas[-1]:.3g}", *(f"{shares[i]:.2f}" for i in at)])
    return _table(["set", "σ_min", *(f"σ = {level:g}" for level in levels)], rows)


def _ties(cases: Results) -> list[str]:
    names = list(next(iter(cases.values()))["ties"]["update_gaps"])
    rows = []
    for name, case in cases.items():
        ties = case["ties"]
        gap = max(ties["update_gaps"].values())
        rank = ties["rank_correlation_of_turning_and_slope"]
        rows.append(
            [
                name,
                f"{case['shape']['tie_gap']:.1e}",
                f"{gap:.1e}",
                "–" if rank is None else f"{rank:.2f}",
                f"{ties['share_of_slope_across']:.2f}",
                *(f"{ties['local_orders'][each]:.2f}" for each in ("Euler", "exact slope", *names)),
            ]
        )
    head = ["set", "identity", "largest gap of an update", "rank correlation", "across the path"]
    return [
        *_table([*head, *(f"order: {each}" for each in ("Euler", "exact slope", *names))], rows),
        "",
        "Identity: d²x/du² − dx/du = −dD/du by finite differences of the states, relative. Gap: end of a run of a "
        "published update against Taylor's steps with its finite difference, relative to its distance from Euler's. "
        "Rank correlation: of turning and ‖dD/du‖ over trajectories at one level, mean over levels from 0.1 to 3; "
        "across: share of the slope's length across the path there. Orders: of one step's error at σ = 0.5.",
    ]


def _scores(cases: Results) -> list[str]:
    rows = []
    for name, case in cases.items():
        score, levels = case["score"], case["score"]["deviation"]["levels"]
        near = score["distance_to_training_rows"]
        low = levels[0]
        rows.append(
            [
                name,
                f"{score['mean_shift_gap']:.1e}",
                f"{low['deviation_train']['estimate']:.2g} / {low['deviation_held_out']['estimate']:.2g}",
                f"{levels[-1]['deviation_train']['estimate']:.2g} / "
                f"{levels[-1]['deviation_held_out']['estimate']:.2g}",
                _interval(score["deviation"]["memorised"], 2),
                " / ".join(f"{near[key]:.3f}" for key in ("held-out rows", "samples", "samples by heart")),
            ]
        )
    head = ["set", "mean shift, gap", "score deviation at σ_min, training / held out", "at σ_max"]
    return _table(
        [*head, "memory, nats a row", "distance to training rows: held out / samples / by heart"], rows
    )


def _grids(cases: Results) -> list[str]:
    rows = []
    for name, case in cases.items():
        grids = case["grids"]
        for grid, errors in grids["errors"].items():
            rows.append([name, grid, *(f"{error:.4f}" for error in errors)])
        rows.append([name, "programme ÷ better other", *(_interval(each, 2) for each in grids["ratio"])])
    steps = next(iter(cases.values()))["grids"]["steps"]
    return _table(["set", "grid", *(f"{count} steps" for count in steps)], rows)


def _steps(cases: Results) -> list[str]:
    rows = []
    for name, case in cases.items():
        found = case["steps"]["steps"]
        rows.append(
            [
                name,
                *(f"{_interval(each['excess'], 4)}; {each['error']:.3f}" for each in found),
                _interval(found[-1]["energy"], 4),
                _minus(f"{case['steps']['slope_of_error']:.2f}"),
            ]
        )
    counts = [each["steps"] for each in next(iter(cases.values()))["steps"]["steps"]]
    return [
        *_table(["set", *(f"{n} steps" for n in counts), "energy distance at the last", "slope"], rows),
        "",
        "Squared energy distance to held-out rows beyond that of converged samples of the same latents; error of a "
        "sample ÷ √d. Slope: of log error over log steps, from 20 on.",
    ]


def _variation(found: Results) -> list[str]:
    by_steps = _table(
        ["total variation in one coordinate", *map(str, found["steps"])],
        [["by quadrature", *(f"{value:.5f}" for value in found["in_1d"])]],
    )
    rows = [
        [kind, *(_interval(each, 4) for each in found[kind]), f"{found[f'exponent_{kind}']:.2f}"]
        for kind in ("independent", "mixture")
    ]
    by_d = _table(
        [f"at {found['at_steps']} steps", *(f"d = {d}" for d in found["dimensions"]), "exponent of d"], rows
    )
    slope = f"Slope of log distance over log steps: {_minus(format(found['slope_by_steps'], '.3f'))}."
    constant = max(found["constant_independent"], found["constant_mixture"])
    return [*by_steps, "", slope, "", *by_d, "", f"Largest distance × steps ÷ d met: {constant:.2f}."]


def shape_picture(cases: Results) -> Figure:
    """Chord, distances, and turning by σ, medians."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    chord, near, turn = figure.subplots(1, 3)
    for colour, (name, case) in zip(COLOURS, cases.items(), strict=False):
        shape = case["shape"]
        sigmas = np.array(shape["sigmas"])
        chord.plot(sigmas, shape["deviation"]["median"], color=colour, label=name)
        near.plot(sigmas[:-1], shape["sampling_distance"]["median"][:-1], "--", color=colour, lw=1.0)
        near.plot(sigmas[:-1], shape["denoising_distance"]["median"][:-1], color=colour, label=name)
        turn.plot(sigmas, shape["turning"]["median"], color=colour, label=name)
    near.set_yscale("log")
    chord.set_title("(a) distance to the chord ÷ its length", loc="left", fontsize=10)
    near.set_title("(b) distance to the end ÷ √d; dashed: sampling", loc="left", fontsize=10)
    turn.set_title("(c) turning, radians per unit of log σ", loc="left", fontsize=10)
    for axes in (chord, near, turn):
        _finish(axes, "noise level σ")
    return figure


def score_picture(cases: Results) -> Figure:
    """Score deviation and memory by σ."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    deviation, memory = figure.subplots(1, 2)
    for colour, (name, case) in zip(COLOURS, cases.items(), strict=False):
        levels = case["score"]["deviation"]["levels"]
        sigmas = [level["sigma"] for level in levels]
        for key, style in (("deviation_train", "--"), ("deviation_held_out", "-")):
            label = name if style == "-" else None
            deviation.plot(
                sigmas, [level[key]["estimate"] for level in levels], style, color=colour, label=label
            )
        gaps = [level["memorisation"] for level in levels]
        memory.plot(sigmas, [gap["estimate"] for gap in gaps], color=colour, label=name)
        memory.fill_between(
            sigmas,
            [gap["low"] for gap in gaps],
            [gap["high"] for gap in gaps],
            color=colour,
            alpha=0.15,
            lw=0,
        )
    deviation.set_yscale("log")
    deviation.set_title(
        "(d) learned from empirical denoiser, ‖·‖²/d; dashed: training rows", loc="left", fontsize=10
    )
    memory.axhline(0, color="#9a9a9a", lw=0.8)
    memory.set_title("1 − training loss ÷ held-out loss, 95 %", loc="left", fontsize=10)
    for axes in (deviation, memory):
        _finish(axes, "noise level σ")
    return figure


def grid_picture(cases: Results) -> Figure:
    """Errors by grid, one panel a set, and where the grid of eight steps has its nodes."""
    figure = Figure(figsize=(2.9 * len(cases), 3.6), layout="constrained")
    for axes, (name, case) in zip(
        figure.subplots(1, len(cases), squeeze=False)[0], cases.items(), strict=True
    ):
        grids = case["grids"]
        for colour, (grid, errors) in zip(COLOURS[1:], grids["errors"].items(), strict=False):
            axes.plot(grids["steps"], errors, GRID_STYLES[grid], color=colour, label=grid)
        axes.set_title(f"(f) {name}", loc="left", fontsize=10)
        axes.set_ylim(bottom=0)
        _finish(axes, "Euler steps", log=False)
    return figure


def step_picture(results: Results) -> Figure:
    """Total variation by steps and by coordinates, and errors on data by steps."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    by_steps, by_d, data = figure.subplots(1, 3)
    found = results["total_variation"]
    by_steps.plot(found["steps"], found["in_1d"], "o-", color=COLOURS[1], label="measured")
    first = found["in_1d"][0] * found["steps"][0]
    by_steps.plot(
        found["steps"], [first / n for n in found["steps"]], ":", color="#9a9a9a", label="1 ÷ steps"
    )
    for colour, kind in zip(COLOURS[1:], ("independent", "mixture"), strict=False):
        values = np.array([[each["estimate"], each["low"], each["high"]] for each in found[kind]])
        reach = [values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]]
        by_d.errorbar(found["dimensions"], values[:, 0], yerr=reach, fmt="o-", color=colour, label=kind)
    law = [found["independent"][0]["estimate"] * d for d in found["dimensions"]]
    by_d.plot(found["dimensions"], law, ":", color="#9a9a9a", label="∝ d")
    for colour, (name, case) in zip(COLOURS, results["cases"].items(), strict=False):
        steps = case["steps"]["steps"]
        data.plot(
            [each["steps"] for each in steps],
            [each["error"] for each in steps],
            "o-",
            color=colour,
            label=name,
        )
    for axes, title in (
        (by_steps, "(g) total variation in one coordinate"),
        (by_d, f"(g) total variation at {found['at_steps']} steps"),
        (data, "(g) error of a sample ÷ √d"),
    ):
        axes.set_yscale("log")
        axes.set_title(title, loc="left", fontsize=10)
        _finish(axes, "coordinates d" if axes is by_d else "Euler steps")
    return figure


def write_summary(results: Results, folder: Path) -> None:
    """results.md and the pictures, into a folder."""
    (folder / "results.md").write_text(tables(results), encoding="utf-8")
    cases = results["cases"]
    pictures = {"shape": shape_picture(cases), "score": score_picture(cases), "grids": grid_picture(cases)}
    if "total_variation" in results:
        pictures["steps"] = step_picture(results)
    for name, figure in pictures.items():
        figure.savefig(folder / f"{name}.png", dpi=110)


def _finish(axes: Axes, label: str, *, log: bool = True) -> None:
    if log:
        axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def _word(verdict: bool | None) -> str:
    return "cannot be told" if verdict is None else "holds" if verdict else "**does not hold**"


def _interval(found: dict[str, float], digits: int) -> str:
    estimate, low, high = (f"{found[key]:.{digits}f}" for key in ("estimate", "low", "high"))
    return _minus(f"{estimate} [{low}, {high}]")


def _minus(number: str) -> str:
    return number.replace("-", "−")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results.json"
    write_summary(json.loads(source.read_text(encoding="utf-8")), source.parent)
