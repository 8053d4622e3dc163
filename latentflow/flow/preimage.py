"""The pre-image of the discrete encoder: decoding as the inverse of the very map that encodes, row by row.

An explicit multistep encoder has no inverse in steps, but its equations can be solved for the start of the trajectory
that ends at z. :func:`swept_back` does that by deferred correction: the plain backward integration gives a
trajectory, what that leaves of the encoder's equations is known without an evaluation, and another backward pass of
the same solver, on the differences, takes it away (defect and deferred correction: Stetter 1978, Numer. Math. 29;
Dutt, Greengard & Rokhlin 2000, BIT 40). :func:`solve` checks the result with the encoder itself, corrects what is left
by the defect of the whole map, x ← x + G(z) − G(E(x)), and finishes rows on which that stalls, where the map is steep,
by damped Newton steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentflow.flow.multistep import Kept, Multistep, Velocity, combine

#: Elements (rows × columns²) of the Jacobians that a Newton step takes at once.
_JACOBIAN_ELEMENTS = 1 << 20
#: Backward passes on differences before the encoder itself is asked.
MOST_SWEEPS = 2
#: What they integrate with: differences change from node to node, which a high order would blow up.
_SWEEPER = Multistep("velocity", 2)
#: What a pass is taken to leave of the error before two of them tell.
_FIRST_GAIN = 0.05

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Encoder:
    """What decoding asks of the map that it inverts.

    Attributes
    ----------
    forward, backward : callable (n, d) -> (n, d)
        E, and an approximate inverse G.
    jacobian : callable (n, d) -> (n, d, d)
        ∂E/∂x of the discrete map.
    refined : callable (n, d) -> ((n, d), (n, d)), optional
        G, and a better inverse at the same rows.
    """

    forward: Map
    backward: Map
    jacobian: Map
    refined: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None


def solve(encoder: Encoder, z: Tensor, tolerance: float, rounds: int) -> tuple[Tensor, Tensor]:
    """Rows x with E(x) = z, shape (n, d), and max |E(x) − z| of each, shape (n,).

    Parameters
    ----------
    encoder : Encoder
    z : Tensor, shape (n, d)
    tolerance : float
        Largest |E(x) − z| to stop at.
    rounds : int
        Most corrections by the defect, and most Newton steps; with 0 the approximate inverse is taken as it is.
    """
    if rounds and encoder.refined is not None:
        start, best = encoder.refined(z)
    else:
        start = encoder.backward(z)
        best = start.clone()
    search = _Search(encoder, z, best, encoder.forward(best))
    rows = search.left(tolerance)
    for _ in range(rounds):
        if len(rows) == 0:
            break
        candidate = search.x[rows] + start[rows] - encoder.backward(search.encoded[rows])
        rows = search.improve(rows, candidate)
        rows = rows[search.residual[rows] > tolerance]
    stalled = search.left(tolerance) if rounds else rows[:0]
    for part in stalled.split(max(1, _JACOBIAN_ELEMENTS // z.shape[1] ** 2)):
        search.newton(part, tolerance, rounds)
    return search.x, search.residual


class _Search:
    """The best rows so far; every change is checked by the encoder."""

    def __init__(self, encoder: Encoder, z: Tensor, x: Tensor, encoded: Tensor):
        self.encoder, self.z, self.x, self.encoded = encoder, z, x, encoded
        self.residual = (encoded - z).abs().amax(1)

    def left(self, tolerance: float) -> Tensor:
        """Positions of the rows above the tolerance, or not finite."""
        return torch.nonzero(~(self.residual <= tolerance))[:, 0]

    def improve(self, rows: Tensor, candidate: Tensor) -> Tensor:
        """Take the candidates that come nearer to z; returns the rows that did."""
        image = self.encoder.forward(candidate)
        error = (image - self.z[rows]).abs().amax(1)
        better = (error < self.residual[rows]) | (error.isfinite() & ~self.residual[rows].isfinite())
        taken = rows[better]
        self.x[taken], self.encoded[taken], self.residual[taken] = (
            candidate[better],
            image[better],
            error[better],
        )
        return taken

    def newton(self, rows: Tensor, tolerance: float, steps: int) -> None:
        """Damped Newton on E(x) = z for a few rows; each step is halved until it helps."""
        for _ in range(steps):
            rows = rows[~(self.residual[rows] <= tolerance)]
            if len(rows) == 0:
                return
            jacobian = self.encoder.jacobian(self.x[rows])
            finite = jacobian.isfinite().all(2).all(1) & self.encoded[rows].isfinite().all(1)
            rows, jacobian = rows[finite], jacobian[finite]
            defect = (self.z[rows] - self.encoded[rows])[:, :, None]
            # the pseudo-inverse serves where the map is about to fold, on any device
            step = (torch.linalg.pinv(jacobian) @ defect)[:, :, 0]
            left, moved = torch.arange(len(rows), device=rows.device), [rows[:0]]
            for halving in range(8):
                taken = self.improve(rows[left], self.x[rows[left]] + step[left] * 0.5**halving)
                moved.append(taken)
                left = left[~torch.isin(rows[left], taken)]
                if len(left) == 0:
                    break
            rows = torch.cat(moved)


def swept_back(
    solver: Multistep, velocity: Velocity, z: Tensor, grid: Sequence[float], tolerance: float
) -> tuple[Tensor, Tensor]:
    """States at ``grid[0]``: of the plain backward integration, and from where the solver reaches z at ``grid[-1]``.

    Parameters
    ----------
    solver : Multistep
        Whose states are not scaled and whose start is its own: of the velocity, without a Runge–Kutta start.
    velocity : callable
    z : Tensor, shape (n, d)
    grid : sequence of float
        u = log σ of the encoder.
    tolerance : float
        Error of the state at the start, as it is estimated, to stop at. A row also stops when a pass does not help it.

    Returns
    -------
    plain, start : Tensor, shape (n, d)
    """
    kept: list[Kept] = []
    start = solver.integrate(velocity, z, grid[::-1], kept)
    # the backward pass evaluates the end, which the encoder does not, and not the start, which it does
    points = torch.stack([start, *(point for point, _ in kept[:0:-1])])
    values = torch.stack([velocity(grid[0], start), *(value for _, value in kept[:0:-1])])
    rows, before = torch.arange(len(z), device=z.device), torch.full_like(z[:, 0], math.inf)
    for _ in range(MOST_SWEEPS):
        old = points[0][rows]
        moved = _sweep(solver, velocity, grid, points[:, rows], values[:, rows], z[rows])
        change = (moved[0][0] - old).abs().amax(1)
        gain = torch.where(before[rows].isfinite(), change / before[rows], _FIRST_GAIN)
        # a pass that does not contract is not taken: defect correction or Newton has to help
        helps = gain < 1
        rows, change, gain = rows[helps], change[helps], gain[helps]
        points[:, rows], values[:, rows] = moved[0][:, helps], moved[1][:, helps]
        before[rows] = change
        # what is left is about the change times the gain of a pass
        rows = rows[change * gain > tolerance]
        if len(rows) == 0:
            break
    return start, points[0]


def _defects(solver: Multistep, grid: Sequence[float], points: Tensor, values: Tensor, z: Tensor) -> Tensor:
    """By how much the encoder's equations with the given velocities miss the next point, shape (steps + 1, n, d)."""
    y, missed = points[0], [torch.zeros_like(z)]
    plan = solver.plan(grid)
    for n, step in enumerate(plan):
        history = values[max(0, n + 2 - solver.order) : n + 2].flip(0)
        known = values[max(0, n + 1 - len(step.predictor)) : n + 1].flip(0)
        reached = combine(1, y, step.predictor, list(known))
        missed.append(reached - (points[n + 1] if n + 1 < len(plan) else z))
        if solver.corrector and n + 1 < len(plan):
            y = combine(1, y, step.corrector, list(history))
        elif not solver.corrector:
            y = reached
    return torch.stack(missed)


def _sweep(
    solver: Multistep, velocity: Velocity, grid: Sequence[float], points: Tensor, values: Tensor, z: Tensor
) -> tuple[Tensor, Tensor]:
    """Points and velocities after a backward pass on the difference to the trajectory without defects."""
    defects = _defects(solver, grid, points, values, z)
    last = len(grid) - 2
    change = torch.zeros_like(points[0])
    history = [change]
    moved, found = [], []
    for back, step in enumerate(_SWEEPER.plan(grid[::-1])):
        n = last - back
        change = combine(1, change + (defects[n] - defects[n + 1]), step.predictor, history)
        at = points[n] + change
        value = velocity(grid[n], at)
        moved.append(at)
        found.append(value)
        history = [value - values[n], *history][: _SWEEPER.order]
    return torch.stack(moved[::-1]), torch.stack(found[::-1])
