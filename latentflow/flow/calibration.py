"""A grid found once on calibration rows, then frozen: the noise levels at which a given accuracy costs least.

The error of a grid is that of z against a converged solution, and it can be differentiated in the grid, so the steps
are found by gradient descent on it (as Tong et al. 2025, arXiv 2405.15506, find sampling grids for images), from a
graded start. Dynamic programming over local errors (Chen et al. 2024, arXiv 2405.11326) cannot see that
errors of neighbouring steps cancel, and was worse for multistep methods (`reports/solvers`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.flow.grids import blended_grid, log_uniform_grid
from latentflow.flow.multistep import Multistep, Velocity
from latentflow.flow.runge_kutta import DORMAND_PRINCE, HEUN
from latentflow.score.denoisers import Denoiser

#: Accuracies that a user may ask for: mean ‖z − z*‖ over rows.
ACCURACIES = (1e-2, 1e-3, 1e-4, 1e-6)
#: The worst calibration row may be off by so many times the mean.
WORST = 20.0
#: Rows that calibrate, numbers (rows × columns) at most; the hardest beside them, and out of how many times as many.
ROWS, NUMBERS, HARD, POOL = 96, 4_096, 32, 16
#: Steps of the grid whose shape is found first, of gradient descent there and at the final number of steps.
SHAPE_STEPS, DESCENT, POLISH = 20, 32, 12
LEARNING_RATE = 0.1
#: Fewest and most steps of a grid, and those that are not worth a descent.
FEWEST, MOST, SHORT = 8, 1_024, 16
#: Share of the accuracy that calibration rows must reach, since others will do a little worse.
SAFETY = 0.75
#: The solvers to choose from: which order is best depends on how smooth the flow is.
CANDIDATES = {f"pec{order}": Multistep("velocity", order, corrector=True) for order in (3, 4)}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CalibratedGrid:
    """A frozen grid, its solver, and what they reached on the calibration rows.

    Attributes
    ----------
    solver : str
        A name in :data:`latentflow.flow.solvers.SOLVERS`.
    sigmas : ndarray, shape (steps + 1,)
    accuracy : float
        That was asked for.
    mean_error : float
        Mean ‖z − z*‖ over the calibration rows, z* the converged solution.
    max_error : float
        The largest, over the hardest rows too.
    rows, hard_rows : int
        Calibration rows, and the hardest ones beside them.
    """

    solver: str
    sigmas: Floats
    accuracy: float
    mean_error: float
    max_error: float
    rows: int
    hard_rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values without the grid itself, for the training record."""
        found = asdict(self)
        return {"steps": len(found.pop("sigmas")) - 1, **found}

    def warnings(self) -> list[str]:
        """What to tell a user of a grid that misses its accuracy."""
        if self.mean_error <= self.accuracy:
            return []
        return [
            f"the accuracy {self.accuracy:g} of the latents was not reached: their mean error is {self.mean_error:.1g} "
            f"with {len(self.sigmas) - 1} steps; decoding is exact all the same"
        ]


def calibrate(
    denoiser: Denoiser,
    x: Tensor,
    ends: tuple[float, float],
    accuracy: float,
    candidates: Mapping[str, Multistep] = CANDIDATES,
) -> CalibratedGrid:
    """The solver and grid of fewest evaluations found whose mean error on rows is within the accuracy.

    Parameters
    ----------
    denoiser : Denoiser
    x : Tensor, shape (n, d)
        Whitened rows. Some spread evenly over them calibrate, and the hardest ones.
    ends : (float, float)
        σ_min and σ_max.
    accuracy : float
        Mean ‖z − z*‖ to reach. Where rounding or :data:`MOST` steps forbid it, the record says what was reached.
    candidates : mapping of str to Multistep
        Solvers to choose from, by name.

    Returns
    -------
    CalibratedGrid
    """
    trial = Trial.of(denoiser, x, ends, accuracy)
    start = np.log(blended_grid(*ends, SHAPE_STEPS))
    lengths = {name: trial.shortest(solver, start) for name, solver in candidates.items()}
    name = min(lengths, key=lambda each: lengths[each])
    if lengths[name] <= SHORT:
        grid = resampled(start, lengths[name])
        if not trial.folds(candidates[name], grid):
            return trial.result(name, candidates[name], grid)
    shapes = {name: trial.descend(solver, start, DESCENT) for name, solver in candidates.items()}
    lengths = {name: trial.shortest(candidates[name], shape) for name, shape in shapes.items()}
    name = min(lengths, key=lambda each: lengths[each])
    solver, shape, steps = candidates[name], shapes[name], lengths[name]
    # descent at its own length gains a grid as much as a good part of the steps
    for share in (0.72, 0.82, 0.92, 1.0):
        grid = trial.descend(solver, resampled(shape, max(FEWEST, round(share * steps))), POLISH)
        if trial.good(solver, grid):
            break
    while trial.folds(solver, grid) and len(grid) <= MOST:
        grid = trial.descend(solver, resampled(grid, math.ceil(1.15 * (len(grid) - 1))), POLISH)
    return trial.result(name, solver, grid)


def calibrate_steps(
    denoiser: Denoiser,
    x: Tensor,
    ends: tuple[float, float],
    steps: int,
    candidates: Mapping[str, Multistep] = CANDIDATES,
) -> CalibratedGrid:
    """The solver and grid of a given number of steps with the least root mean squared error on rows.

    Parameters
    ----------
    denoiser, x, ends, candidates
        As for :func:`calibrate`.
    steps : int

    Returns
    -------
    CalibratedGrid
        Whether the map folds is not looked at.
    """
    trial = Trial.of(denoiser, x, ends, 1e-5)
    start = np.log(blended_grid(*ends, steps))
    grids = {name: trial.descend(solver, start, 2 * DESCENT) for name, solver in candidates.items()}
    name = min(grids, key=lambda each: trial.root_mean_square(candidates[each], grids[each]))
    return trial.result(name, candidates[name], grids[name])


def resampled(grid: Floats, steps: int) -> Floats:
    """A grid of log σ of another length whose steps are spread in much the same way, shape (steps + 1,)."""
    # neighbouring steps of a found grid balance each other; at another length only their average means something
    lengths = np.convolve(np.pad(np.diff(grid), 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    smooth = grid[0] + np.concatenate([[0.0], np.cumsum(lengths)]) * (grid[-1] - grid[0]) / lengths.sum()
    return np.asarray(np.interp(np.linspace(0, len(smooth) - 1, steps + 1), np.arange(len(smooth)), smooth))


@dataclass(frozen=True)
class Trial:
    """Errors of grids of log σ on calibration rows, and descent on them.

    Attributes
    ----------
    denoiser : Denoiser
    start, target : Tensor, shape (n, d)
        States at the start of the grid, and converged solutions at its end.
    spread : int
        So many first rows are spread evenly over the table, the others are the hardest.
    pool : Tensor, shape (m, d)
        States of the rows out of which the hardest were taken.
    ends : (float, float)
    accuracy : float
    """

    denoiser: Denoiser
    start: Tensor
    target: Tensor
    spread: int
    pool: Tensor
    ends: tuple[float, float]
    accuracy: float

    @classmethod
    def of(cls, denoiser: Denoiser, x: Tensor, ends: tuple[float, float], accuracy: float) -> Trial:
        """Choose the rows, and solve for them; all in double precision."""
        denoiser, x = copy.deepcopy(denoiser).double().eval().requires_grad_(False), x.double()
        size = max(16, min(ROWS, NUMBERS // x.shape[1]))
        pool = evenly(x, POOL * size) / math.sqrt(1 + ends[0] ** 2)
        velocity = partial(_velocity, denoiser)
        with torch.no_grad():
            coarse, fine = (
                HEUN.integrate(velocity, pool, np.log(blended_grid(*ends, steps)).tolist())
                for steps in (8, 16)
            )
            hardest = (coarse - fine).norm(dim=1).argsort(descending=True)[: min(HARD, size // 2)]
            rows = torch.cat([evenly(pool, size), pool[hardest]])
            target = _converged(velocity, rows, ends, 0.02 * accuracy)
        return cls(denoiser, rows, target, len(rows) - len(hardest), pool, ends, accuracy)

    def errors(self, solver: Multistep, grid: Floats) -> Tensor:
        """‖z − z*‖ of each row, shape (n,); infinite where z is not finite."""
        with torch.no_grad():
            found = solver.integrate(partial(_velocity, self.denoiser), self.start, grid.tolist())
        return torch.nan_to_num((found - self.target).norm(dim=1), nan=math.inf)

    def root_mean_square(self, solver: Multistep, grid: Floats) -> float:
        """Of the errors of all rows."""
        return float(self.errors(solver, grid).square().mean().sqrt())

    def good(self, solver: Multistep, grid: Floats) -> bool:
        """Whether a grid is within the accuracy."""
        error = self.errors(solver, grid)
        mean = float(error[: self.spread].mean())
        return mean <= SAFETY * self.accuracy and float(error.max()) <= WORST * self.accuracy

    def folds(self, solver: Multistep, grid: Floats) -> bool:
        """Whether the discrete map turns space over at a row: the determinant of its Jacobian is not positive."""
        basis = torch.eye(self.pool.shape[1]).to(self.pool)

        def velocity(u: float, state: Tensor) -> Tensor:
            found, derivatives = self.denoiser.push_forward(state[:, :, 0], math.exp(u), basis)
            return torch.cat([found[:, :, None], derivatives.permute(1, 2, 0) @ state[:, :, 1:]], dim=2)

        with torch.no_grad():
            for part in self.pool.split(max(16, NUMBERS // len(basis))):
                start = torch.cat([part[:, :, None], basis.expand(len(part), -1, -1)], dim=2)
                jacobian = solver.integrate(velocity, start, grid.tolist())[:, :, 1:]
                if bool((torch.linalg.slogdet(jacobian)[0] <= 0).any()):
                    return True
        return False

    def shortest(self, solver: Multistep, shape: Floats) -> int:
        """Length of the shortest grid of a given shape that is within the accuracy, or :data:`MOST`."""
        steps = FEWEST
        while steps < MOST and not self.good(solver, resampled(shape, steps)):
            steps = min(MOST, math.ceil(steps * 1.2))
        return steps

    def result(self, name: str, solver: Multistep, grid: Floats) -> CalibratedGrid:
        """A grid with its errors."""
        error = self.errors(solver, grid)
        mean = float(error[: self.spread].mean())
        hard = len(self.start) - self.spread
        return CalibratedGrid(
            name, _levels(grid, self.ends), self.accuracy, mean, float(error.max()), self.spread, hard
        )

    def descend(self, solver: Multistep, grid: Floats, iterations: int) -> Floats:
        """The best grid met on the way down the root mean squared error, by Adam on the logarithms of the steps."""
        first, length = float(grid[0]), float(grid[-1] - grid[0])
        logits = torch.as_tensor(np.log(np.diff(grid))).requires_grad_()
        optimiser = torch.optim.Adam([logits], lr=LEARNING_RATE, betas=(0.9, 0.97))
        best, best_error = grid, math.inf
        for iteration in range(iterations):
            optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - iteration / iterations)
            shares = torch.cat([logits.new_zeros(1), torch.softmax(logits, 0).cumsum(0)])
            nodes = first + length * shares
            found = solver.integrate(partial(_velocity, self.denoiser), self.start, nodes)
            error = (found - self.target).square().sum(1).mean().log()
            if not torch.isfinite(error):
                break
            if float(error.detach()) < best_error:
                best, best_error = nodes.detach().numpy().copy(), float(error.detach())
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
        return best


def evenly(x: Tensor, most: int) -> Tensor:
    """Rows spread evenly over a table, no more than asked for."""
    return x[torch.linspace(0, len(x) - 1, min(most, len(x))).long()]


def _levels(grid: Floats, ends: tuple[float, float]) -> Floats:
    """Noise levels of a grid of log σ, the ends as they were given."""
    sigmas = np.exp(grid)
    sigmas[0], sigmas[-1] = ends
    return np.asarray(sigmas)


def _velocity(denoiser: Denoiser, u: Tensor | float, y: Tensor) -> Tensor:
    return denoiser.velocity(y, u.exp() if isinstance(u, Tensor) else math.exp(u))


def _converged(velocity: Velocity, y: Tensor, ends: tuple[float, float], tolerance: float) -> Tensor:
    """The solution: the steps of a fifth-order method are halved until that changes no more than the tolerance."""
    before, steps = None, 32
    while True:
        found = DORMAND_PRINCE.integrate(velocity, y, np.log(log_uniform_grid(*ends, steps)).tolist())
        if (before is not None and float((found - before).norm(dim=1).mean()) <= tolerance) or steps >= MOST:
            return found
        before, steps = found, 2 * steps
