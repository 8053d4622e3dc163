"""The table of errors: every solver on every grid by evaluations, adaptive solvers by tolerance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from grids import MADE, Floats, Programme
from subjects import Ends, Reference, Subject, distances, folded, spread, summary_of
from torch import Tensor

from latentflow.flow.adaptive import ORDERS, Adaptive
from latentflow.flow.calibration import calibrate, calibrate_steps
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.solvers import SOLVERS

BUDGETS = (10, 16, 20, 28, 36, 48, 64, 80)
#: A grid is calibrated at these numbers of evaluations, which is a minute of descent a set.
CALIBRATED_BUDGETS = (10, 16, 20, 28, 36, 48, 64)
ACCURACIES = (1e-2, 1e-3, 1e-4, 1e-6)
#: Held-out rows of the wide table, and training rows that calibrate.
ROWS, CALIBRATING = 1000, 4000
FIXED = [name for name in SOLVERS if name not in ORDERS]
#: Tolerances of the adaptive solvers; a low order takes thousands of evaluations at the finest.
TOLERANCES = {
    "dopri5": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
    "dopri8": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
    "bosh3": (1e-2, 1e-3, 1e-4, 1e-5),
    "adaptive_heun": (1e-2, 1e-3, 1e-4, 1e-5),
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
        self.reference = Reference.of(self.denoiser, self.x, self.ends)
        self.exact = self.reference.latents(self.denoiser, self.x, self.ends)

    def errors(self, sigmas: Floats, solver: str) -> Tensor:
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
        programme = Programme(self.denoiser, spread(self.calibrating, 256), self.ends)
        makers = {name: lambda n, make=make: make(*self.ends, n) for name, make in MADE.items()}
        for grid, make in {**makers, "programme": programme.grid}.items():
            for solver in FIXED:
                for budget in BUDGETS:
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
            line = self.entry(found.solver, "calibrated", found.sigmas)
            line |= {"seconds": seconds, "sigmas": found.sigmas.tolist()}
            line["folded"] = folded(self.denoiser, found.sigmas, found.solver, self.x)
            yield line

    def adaptive(self) -> Iterator[dict[str, Any]]:
        """torchdiffeq's solvers by tolerance, all rows in one batch, in σ and in log σ."""
        start = self.x / np.sqrt(1 + self.ends[0] ** 2)
        for axis in ("sigma", "log_sigma"):
            for method, tolerances in TOLERANCES.items():
                for tolerance in tolerances:
                    calls = 0

                    def velocity(u: float, y: Tensor) -> Tensor:
                        nonlocal calls
                        calls += 1
                        return self.denoiser.at(float(np.exp(u))).velocity(y)

                    with torch.no_grad():
                        solver = Adaptive(method, tolerance, axis)
                        z = solver.integrate(velocity, start, np.log(self.ends).tolist())
                    line = {"solver": method, "axis": axis, "tolerance": tolerance, "evaluations": calls}
                    yield line | summary_of(distances(z, self.exact))


def frozen(subject: Subject, ends: Ends, accuracies: tuple[float, ...] = ACCURACIES) -> list[dict[str, Any]]:
    """`calibrate` by accuracy, with errors on every held-out row."""
    bench = Bench(subject, ends)
    exact = bench.reference.latents(subject.denoiser, subject.held_out, ends)
    found = []
    for accuracy in accuracies:
        started = time.perf_counter()
        grid = calibrate(subject.denoiser, bench.calibrating, ends, accuracy)
        seconds = time.perf_counter() - started
        flow = ProbabilityFlow(subject.denoiser, grid.sigmas, grid.solver)
        line = grid.to_dict() | {"seconds": seconds, "sigmas": grid.sigmas.tolist()}
        line |= summary_of(distances(flow.encode(subject.held_out), exact))
        line["folded"] = folded(subject.denoiser, grid.sigmas, grid.solver, bench.x)
        found.append(line)
    return found


def targets(subject: Subject, ends: Ends) -> list[dict[str, Any]]:
    """Grids of 20 and 36 evaluations on every held-out row."""
    bench = Bench(subject, ends)
    exact = bench.reference.latents(subject.denoiser, subject.held_out, ends)
    found = []
    for steps in (20, 36):
        grid = calibrate_steps(subject.denoiser, bench.calibrating, ends, steps)
        flow = ProbabilityFlow(subject.denoiser, grid.sigmas, grid.solver)
        line = {"evaluations": steps, "solver": grid.solver, "sigmas": grid.sigmas.tolist()}
        line["rows"] = len(subject.held_out)
        line["folded"] = folded(subject.denoiser, grid.sigmas, grid.solver, bench.x)
        found.append(line | summary_of(distances(flow.encode(subject.held_out), exact)))
    return found
