"""The table of errors: every solver on every grid by evaluations, adaptive solvers by tolerance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from grids import MADE, PROGRAMME_ROWS, Floats, Programme
from subjects import Ends, Subject, distances, exact, folded, spread, summary_of
from torch import Tensor

from latentflow.flow.adaptive import Adaptive
from latentflow.flow.calibration import CalibratedGrid, calibrate, calibrate_steps
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.solvers import SOLVERS, Solver

BUDGETS = (10, 16, 20, 28, 36, 48, 64, 80)
#: The same for the grids that lose at all of them.
FEWER_BUDGETS = (10, 20, 36, 64)
#: Where a grid is calibrated, at half a second of descent a step; 20 and 36 are those of the targets.
CALIBRATED_BUDGETS = (10, 16, 28, 48)
TARGET_BUDGETS = (20, 36)
ACCURACIES = (1e-2, 1e-3, 1e-4, 1e-6)
#: Held-out rows of the wide table, and training rows that calibrate.
ROWS, CALIBRATING = 1000, 4000
#: Tolerances of the adaptive solvers; a low order takes thousands of evaluations at the finest.
TOLERANCES = {
    "dopri5": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
    "dopri8": (1e-2, 1e-3, 1e-4, 1e-5),
    "bosh3": (1e-2, 1e-3, 1e-4),
    "adaptive_heun": (1e-2, 1e-3, 1e-4),
}


def steps_within(solver: str, budget: int) -> int | None:
    """The most steps that a solver takes within a number of evaluations; None where it is not even one full start."""
    method = SOLVERS[solver]
    fits = [steps for steps in range(1, budget + 1) if method.evaluations(steps) <= budget]
    if not fits or (getattr(method, "started", False) and fits[-1] < method.order):
        return None
    return fits[-1]


class Bench:
    """The rows of the wide table with their converged latents."""

    def __init__(self, subject: Subject, ends: Ends | None = None):
        self.subject, self.denoiser = subject, subject.denoiser
        self.ends = subject.ends if ends is None else ends
        self.x, self.calibrating = subject.rows(ROWS), spread(subject.train, CALIBRATING)
        self.exact = spread(exact(subject, self.ends), ROWS)

    def errors(self, sigmas: Floats, solver: str | Solver) -> Tensor:
        """‖z − z*‖ of the rows, shape (n,)."""
        return distances(ProbabilityFlow(self.denoiser, sigmas, solver).encode(self.x), self.exact)

    def entry(self, solver: str, grid: str, sigmas: Floats) -> dict[str, Any]:
        """A line of the table."""
        steps = len(sigmas) - 1
        found = {"solver": solver, "grid": grid, "steps": steps}
        found["evaluations"] = SOLVERS[solver].evaluations(steps)
        return found | summary_of(self.errors(sigmas, solver))

    def wide(self) -> Iterator[dict[str, Any]]:
        """Every fixed-step solver on every grid that is not calibrated."""
        programme = Programme(self.denoiser, spread(self.calibrating, PROGRAMME_ROWS), self.ends)
        makers = {name: lambda n, make=make: make(*self.ends, n) for name, make in MADE.items()}
        for grid, make in {**makers, "programme": programme.grid}.items():
            for solver in SOLVERS:
                for budget in BUDGETS if grid in ("log-uniform", "blended") else FEWER_BUDGETS:
                    steps = steps_within(solver, budget)
                    if steps is None:
                        continue
                    line = self.entry(solver, grid, make(steps))
                    if grid == "blended" and solver.startswith("pec"):
                        line["folded"] = folded(self.denoiser, make(steps), solver, self.x)
                    yield line

    def calibrated(self) -> Iterator[dict[str, Any]]:
        """`calibrate_steps` by evaluations."""
        for steps in CALIBRATED_BUDGETS:
            started = time.perf_counter()
            found = calibrate_steps(self.denoiser, self.calibrating, self.ends, steps)
            seconds = time.perf_counter() - started
            line = {"solver": found.solver, "grid": "calibrated", "steps": steps, "evaluations": steps}
            line |= summary_of(self.errors(found.sigmas, found.method)) | {"seconds": seconds}
            line |= {"sigmas": found.sigmas.tolist(), "shares": found.blend_weights.tolist()}
            line["folded"] = folded(self.denoiser, found.sigmas, found.method, self.x)
            yield line

    def adaptive(self) -> Iterator[dict[str, Any]]:
        """torchdiffeq's solvers by tolerance, all rows in one batch, in σ and in log σ."""
        start = self.x / np.sqrt(1 + self.ends[0] ** 2)
        for axis in ("sigma", "log_sigma"):
            for method, tolerances in TOLERANCES.items():
                for tolerance in tolerances:
                    calls = 0

                    def v_prediction(u: float, y: Tensor) -> Tensor:
                        nonlocal calls
                        calls += 1
                        return self.denoiser.at(float(np.exp(u))).v_prediction(y)

                    with torch.no_grad():
                        solver = Adaptive(method, tolerance, axis)
                        z = solver.integrate(v_prediction, start, np.log(self.ends).tolist())
                    line = {"solver": method, "axis": axis, "tolerance": tolerance, "evaluations": calls}
                    yield line | summary_of(distances(z, self.exact))


def frozen(subject: Subject, ends: Ends, accuracies: tuple[float, ...] = ACCURACIES) -> list[dict[str, Any]]:
    """`calibrate` by accuracy, with errors on every held-out row."""
    found = []
    for accuracy in accuracies:
        started = time.perf_counter()
        grid = calibrate(subject.denoiser, spread(subject.train, CALIBRATING), ends, accuracy)
        seconds = time.perf_counter() - started
        found.append(grid.to_dict() | {"seconds": seconds} | on_held_out(subject, ends, grid))
    return found


def targets(subject: Subject, ends: Ends) -> list[dict[str, Any]]:
    """Grids of 20 and 36 evaluations on every held-out row."""
    found = []
    for steps in TARGET_BUDGETS:
        started = time.perf_counter()
        grid = calibrate_steps(subject.denoiser, spread(subject.train, CALIBRATING), ends, steps)
        line = {"evaluations": steps, "solver": grid.solver, "seconds": time.perf_counter() - started}
        found.append(line | on_held_out(subject, ends, grid))
    return found


def on_held_out(subject: Subject, ends: Ends, grid: CalibratedGrid) -> dict[str, Any]:
    """Errors of a grid on every held-out row, and in how many of a thousand it folds."""
    flow = ProbabilityFlow(subject.denoiser, grid.sigmas, grid.method)
    error = distances(flow.encode(subject.held_out), exact(subject, ends))
    return {
        "sigmas": grid.sigmas.tolist(),
        "shares": grid.blend_weights.tolist(),
        "rows": len(error),
        **summary_of(error),
        "wide": summary_of(spread(error, ROWS)),
        "folded": folded(subject.denoiser, grid.sigmas, grid.method, subject.rows(ROWS)),
        "folded_of": ROWS,
    }
