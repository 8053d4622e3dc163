"""A grid found once on calibration rows, then frozen: the noise levels at which a given accuracy costs least.

The error of a grid is that of z against a converged solution, and it can be differentiated in the grid, so the steps
are found by gradient descent on it (as Tong et al. 2025, arXiv 2405.15506, find sampling grids for images). Dynamic
programming over local errors (Chen et al. 2024, arXiv 2405.11326) cannot see that errors of neighbouring steps cancel.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.flow.grids import blended_grid, log_uniform_grid
from latentflow.flow.multistep import Multistep, Velocity
from latentflow.flow.runge_kutta import DORMAND_PRINCE
from latentflow.flow.solvers import PREDICTOR_CORRECTORS
from latentflow.score.denoisers import Denoiser

#: The worst row may be off by so many times the accuracy; of the calibration rows, for others are worse, by so many.
WORST, TAIL = 20.0, 5.0
#: Rows that calibrate, numbers (rows × columns) at most; of these, rows that descent sees, and how many of the worst.
ROWS, NUMBERS, SOME, HARD = 768, 16_384, 64, 32
#: Candidates whose grids descend: those that need the fewest steps before.
DESCENTS = 2
#: Accuracy down to which descent is in single precision.
SINGLE = 1e-5
#: Steps of the grid whose shape is found first, of gradient descent there and at the final number of steps.
SHAPE_STEPS, DESCENT, POLISH = 20, 32, 12
LEARNING_RATE = 0.1
#: Fewest and most steps of a grid, and those that are not worth a descent.
FEWEST, MOST, SHORT = 8, 1_024, 16
#: Share of the accuracy that calibration rows must reach, since others will do a little worse.
SAFETY = 0.75

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
        The largest.
    rows : int
        Calibration rows.
    folds : bool or None
        Whether the map still folds at one of them; None where that was not looked at.
    """

    solver: str
    sigmas: Floats
    accuracy: float
    mean_error: float
    max_error: float
    rows: int
    folds: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values without the grid itself, for the training record."""
        found = asdict(self)
        return {"steps": len(found.pop("sigmas")) - 1, **found}

    def warnings(self) -> list[str]:
        """What to tell a user of a grid that misses its accuracy, or that folds."""
        found, steps = [], len(self.sigmas) - 1
        if not (self.mean_error <= self.accuracy and self.max_error <= WORST * self.accuracy):
            found.append(
                f"the accuracy {self.accuracy:g} of the latents was not reached: their mean error is "
                f"{self.mean_error:.1g}, the largest {self.max_error:.1g}, with {steps} steps"
            )
        if self.folds:
            found.append(
                f"with {steps} steps the encoder still folds at training rows, which then share latents with others: "
                "fit again with a finer --accuracy, and see `latentflow verify`"
            )
        return found


def calibrate(
    denoiser: Denoiser,
    x: Tensor,
    ends: tuple[float, float],
    accuracy: float,
    candidates: Mapping[str, Multistep] = PREDICTOR_CORRECTORS,
) -> CalibratedGrid:
    """The solver and grid of fewest evaluations found whose mean error on rows is within the accuracy.

    Parameters
    ----------
    denoiser : Denoiser
    x : Tensor, shape (n, d)
        Whitened rows, some of which, spread evenly over them, calibrate.
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
            return replace(trial.result(name, candidates[name], grid), folds=False)
    tried = sorted(lengths, key=lambda each: lengths[each])[:DESCENTS]
    shapes = {name: trial.descend(candidates[name], start, DESCENT) for name in tried}
    lengths = {name: trial.shortest(candidates[name], shape) for name, shape in shapes.items()}
    name = min(lengths, key=lambda each: lengths[each])
    solver, shape, steps = candidates[name], shapes[name], lengths[name]
    # descent at its own length gains a grid as much as a good part of the steps
    for share in (0.8, 0.9, 1.0):
        grid = trial.descend(solver, resampled(shape, max(FEWEST, round(share * steps))), POLISH)
        if trial.good(solver, grid):
            break
    else:
        grid = resampled(shape, steps)
    folds = trial.folds(solver, grid)
    while folds and len(grid) <= MOST:
        grid = trial.descend(solver, resampled(grid, math.ceil(1.15 * (len(grid) - 1))), POLISH)
        folds = trial.folds(solver, grid)
    return replace(trial.result(name, solver, grid), folds=folds)


def calibrate_steps(
    denoiser: Denoiser,
    x: Tensor,
    ends: tuple[float, float],
    steps: int,
    candidates: Mapping[str, Multistep] = PREDICTOR_CORRECTORS,
) -> CalibratedGrid:
    """The solver and grid of a given number of steps with the least error on rows: its mean, or a share of its largest.

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

    def loss(name: str) -> float:
        error = trial.errors(candidates[name], grids[name])
        return max(float(error.mean()), float(error.max()) / WORST)

    name = min(grids, key=loss)
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
        In double precision.
    start, target : Tensor, shape (n, d)
        States at the start of the grid, and converged solutions at its end.
    ends : (float, float)
    accuracy : float
    """

    denoiser: Denoiser
    start: Tensor
    target: Tensor
    ends: tuple[float, float]
    accuracy: float

    @classmethod
    def of(cls, denoiser: Denoiser, x: Tensor, ends: tuple[float, float], accuracy: float) -> Trial:
        """Choose the rows, and solve for them."""
        denoiser, x = copy.deepcopy(denoiser).double().eval().requires_grad_(False), x.double()
        start = evenly(x, max(64, min(ROWS, NUMBERS // x.shape[1]))) / math.sqrt(1 + ends[0] ** 2)
        with torch.no_grad():
            target = _converged(partial(_velocity, denoiser), start, ends, 0.02 * accuracy)
        solved = target.isfinite().all(1)
        return cls(denoiser, start[solved], target[solved], ends, accuracy)

    def errors(self, solver: Multistep, grid: Floats) -> Tensor:
        """‖z − z*‖ of each row, shape (n,); infinite where z is not finite."""
        with torch.no_grad():
            found = solver.integrate(partial(_velocity, self.denoiser), self.start, grid.tolist())
        return torch.nan_to_num((found - self.target).norm(dim=1), nan=math.inf)

    def good(self, solver: Multistep, grid: Floats) -> bool:
        """Whether a grid is within the accuracy, with a margin for rows that are not here."""
        error = self.errors(solver, grid)
        return float(error.mean()) <= SAFETY * self.accuracy and float(error.max()) <= TAIL * self.accuracy

    def folds(self, solver: Multistep, grid: Floats) -> bool:
        """Whether the discrete map turns space over at a row: the determinant of its Jacobian is not positive."""
        basis = torch.eye(self.start.shape[1]).to(self.start)

        def velocity(u: float, state: Tensor) -> Tensor:
            found, derivatives = self.denoiser.push_forward(state[:, :, 0], math.exp(u), basis)
            return torch.cat([found[:, :, None], derivatives.permute(1, 2, 0) @ state[:, :, 1:]], dim=2)

        with torch.no_grad():
            for part in self.start.split(max(16, 4096 // len(basis))):
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
        return CalibratedGrid(
            name, _levels(grid, self.ends), self.accuracy, float(error.mean()), float(error.max()), len(error)
        )

    def descend(self, solver: Multistep, grid: Floats, iterations: int) -> Floats:
        """A grid further down the root mean squared error of some rows, the worst of the grid so far among them.

        The worst are looked for twice, since descent moves them.
        """
        for share in (1.0, 0.5):
            rows = self._some_and_worst(self.errors(solver, grid))
            grid = self._descend(solver, grid, rows, max(1, iterations // 2), share * LEARNING_RATE)
        return grid

    def _some_and_worst(self, error: Tensor) -> Tensor:
        """Positions of rows spread evenly, and of those with the largest errors."""
        worst = error.argsort(descending=True)[: min(HARD, len(error) // 4)]
        return torch.cat([evenly(torch.arange(len(error), device=error.device), SOME), worst])

    def _descend(
        self, solver: Multistep, grid: Floats, rows: Tensor, iterations: int, learning_rate: float
    ) -> Floats:
        """The best grid met in some steps of Adam on the logarithms of the steps."""
        # single precision resolves errors down to about 1e-6
        dtype = torch.float32 if self.accuracy >= SINGLE else torch.float64
        denoiser = copy.deepcopy(self.denoiser).to(dtype)
        start, target = self.start[rows].to(dtype), self.target[rows].to(dtype)
        first, length = float(grid[0]), float(grid[-1] - grid[0])
        logits = torch.as_tensor(np.log(np.diff(grid))).requires_grad_()
        optimiser = torch.optim.Adam([logits], lr=learning_rate, betas=(0.9, 0.97))
        best, best_error = grid, math.inf
        for iteration in range(iterations):
            optimiser.param_groups[0]["lr"] = learning_rate * (1 - iteration / iterations)
            shares = torch.cat([logits.new_zeros(1), torch.softmax(logits, 0).cumsum(0)])
            nodes = first + length * shares
            found = solver.integrate(partial(_velocity, denoiser), start, nodes)
            error = (found - target).square().sum(1).mean().log()
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
