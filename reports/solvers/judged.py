"""The targets of this report, judged from the measured figures; measures nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Evaluations → mean error to reach with them.
MEANS = {20: 1e-3, 36: 1e-4}
#: A maximum over rows of so many times the mean at most; evaluations over dopri5's in σ at equal mean error.
WORST, SHARE = 20.0, 0.4
#: Decoding: tolerance → cost in evaluations over a plain decode. The last is what a data error of 1e-9 takes.
COSTS = {1e-5: 3.5, 1e-9: 10.0, 1e-11: 10.0}
#: Latent residual and data error to reach in double precision, and residual and scaled data error in single.
DOUBLE, SINGLE = 1e-9, 1e-5
#: The tolerance that decoding takes by default in double precision, at which the data error is judged.
DEFAULT_TOLERANCE = 1e-11


@dataclass(frozen=True)
class Verdict:
    """A figure beside what it had to reach."""

    figure: str
    reached: bool

    def __str__(self) -> str:
        return f"{self.figure}: {'reached' if self.reached else '**not reached**'}"


def dopri5_evaluations(adaptive: list[dict[str, Any]], mean: float, axis: str = "sigma") -> float | None:
    """Evaluations of dopri5 at a mean error, between tolerances on a line in logarithms; None outside them."""
    lines = [a for a in adaptive if a["solver"] == "dopri5" and a["axis"] == axis and a["mean"] is not None]
    # an error that does not fall with more evaluations is not a point of the curve
    curve: list[tuple[float, float]] = []
    for line in sorted(lines, key=lambda a: a["evaluations"]):
        if not curve or line["mean"] < curve[-1][1]:
            curve.append((line["evaluations"], line["mean"]))
    if len(curve) < 2 or not curve[-1][1] <= mean <= curve[0][1]:
        return None
    evaluations, errors = np.log(np.array(curve)).T
    return float(np.exp(np.interp(-np.log(mean), -errors, evaluations)))


def accuracy_verdicts(known: dict[str, Any], name: str) -> dict[str, Verdict]:
    """The targets of encoding for a range of σ; dopri5 was run in the first range alone."""
    found = {}
    for line in known["targets"][name]:
        n = line["evaluations"]
        found[f"mean, {n}"] = Verdict(f"{line['mean']:.1e}", line["mean"] <= MEANS[n])
        worst = line["max"] / line["mean"]
        found[f"max ÷ mean, {n}"] = Verdict(f"{worst:.0f}", worst <= WORST)
        if name == next(iter(known["targets"])) and "adaptive" in known:
            other = dopri5_evaluations(known["adaptive"], line["wide"]["mean"])
            if other is not None:
                found[f"÷ dopri5, {n}"] = Verdict(f"{n / other:.2f} ({other:.0f})", n / other <= SHARE)
    return found


def decoding_verdicts(lines: list[dict[str, Any]]) -> dict[str, Verdict]:
    """The targets of decoding over rows and draws on one grid, the worse of the two kinds."""
    found = {}
    double = [line for line in lines if line["precision"] == "double"]
    single = [line for line in lines if line["precision"] == "single"]
    worst = max(line["residual_max"] for line in double if line["tolerance"] == DOUBLE)
    found["residual, double"] = Verdict(f"{worst:.1e}", worst <= DOUBLE)
    # draws are compared with their own decoding at this tolerance, which they could not miss
    at_default = [
        line for line in double if line["tolerance"] == DEFAULT_TOLERANCE and line["kind"] == "rows"
    ]
    worst = max(line["error_max"] for line in at_default)
    found["data error, double, at 1e-11"] = Verdict(f"{worst:.1e}", worst <= DOUBLE)
    worst = max(line["residual_max"] for line in single)
    found["residual, single"] = Verdict(f"{worst:.1e}", worst <= SINGLE)
    worst = max(line["error_by_condition_max"] for line in single)
    found["error ÷ condition, single"] = Verdict(f"{worst:.1e}", worst <= SINGLE)
    for tolerance, most in COSTS.items():
        worst = max(line["cost"] for line in double if line["tolerance"] == tolerance)
        found[f"cost, {tolerance:g}"] = Verdict(f"{worst:.1f}", worst <= most)
    failed = max(line["not_inverted"] for line in lines)
    found["rows not inverted"] = Verdict(str(failed), failed == 0)
    folds = max(line["folded"] for line in lines)
    found["rows with det ≤ 0"] = Verdict(str(folds), folds == 0)
    return found
