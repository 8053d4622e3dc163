"""The pre-image of the discrete encoder: decoding as the inverse of the very map that encodes, row by row.

An explicit multistep encoder has no inverse in steps, but its pre-image can be searched for. :func:`solve` starts
from the plain backward integration, checks every row with the encoder itself, and moves the rows that miss: by
shooting along the trajectory that the check leaves (:mod:`latentflow.flow.shooting`), or, for solvers that leave
none, by the defect of the whole map, x ← x + G(z) − G(E(x)) (defect correction: Stetter 1978, Numer. Math. 29). Rows
on which that stalls, where the map is steep, are finished by damped Newton steps, and where these end in a trough
beside a fold, by continuation (Allgower and Georg 1990, Numerical Continuation Methods, ch. 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latentflow.flow.shooting import PASSES, Pass, Trajectory

#: Elements (rows × columns²) of the Jacobians that a Newton step takes at once.
_JACOBIAN_ELEMENTS = 1 << 20
#: Stages of a continuation, one attempt after the other, and Newton steps at each stage.
CONTINUATION_STAGES, NEWTON_STEPS = (4, 16, 64), 3

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Encoder:
    """What decoding asks of the map that it inverts.

    Attributes
    ----------
    forward : callable (n, d) -> ((n, d), Trajectory or None)
        E, and how it got there.
    backward : callable (n, d) -> (n, d)
        An approximate inverse G.
    jacobian : callable (n, d) -> (n, d, d)
        ∂E/∂x of the discrete map.
    shoot : callable (Trajectory, (n, d), Pass) -> (n, d)
        By how much x is to move for E(x) to move so much.
    """

    forward: Callable[[Tensor], tuple[Tensor, Trajectory | None]]
    backward: Map
    jacobian: Map
    shoot: Callable[[Trajectory, Tensor, Pass], Tensor]


def solve(encoder: Encoder, z: Tensor, tolerance: float, rounds: int) -> tuple[Tensor, Tensor]:
    """Rows x with E(x) = z, shape (n, d), and max |E(x) − z| of each, shape (n,).

    Parameters
    ----------
    encoder : Encoder
    z : Tensor, shape (n, d)
    tolerance : float
        Largest |E(x) − z| to stop at.
    rounds : int
        Most corrections, and most Newton steps; with 0 the approximate inverse is taken as it is.
    """
    search = _Search(encoder, z)
    rows = search.left(tolerance)
    for _ in range(rounds):
        if len(rows) == 0:
            break
        rows = search.correct(rows, tolerance)
    stalled = search.left(tolerance) if rounds else rows[:0]
    for part in stalled.split(max(1, _JACOBIAN_ELEMENTS // z.shape[1] ** 2)):
        search.newton(part, tolerance, rounds)
        for stages in CONTINUATION_STAGES:
            left = part[~(search.residual[part] <= tolerance)]
            if len(left):
                search.newton(search.follow(left, stages), tolerance, rounds)
    return search.x, search.residual


class _Search:
    """The best rows so far; every change is checked by the encoder."""

    def __init__(self, encoder: Encoder, z: Tensor):
        self.encoder, self.z = encoder, z
        self.start = encoder.backward(z)
        self.x = self.start.clone()
        self.encoded, self.trajectory = encoder.forward(self.x)
        self.residual = (self.encoded - z).abs().amax(1)
        self.strained = torch.zeros_like(self.residual, dtype=torch.bool)

    def left(self, tolerance: float) -> Tensor:
        """Positions of the rows above the tolerance, or not finite."""
        return torch.nonzero(~(self.residual <= tolerance))[:, 0]

    def correct(self, rows: Tensor, tolerance: float) -> Tensor:
        """Move rows once, by how much each has to gain; returns those to move again."""
        if self.trajectory is None:
            moved = self.x[rows] + self.start[rows] - self.encoder.backward(self.encoded[rows])
            return self._above(self.improve(rows, moved), tolerance)
        again, before = [], 0.0
        gain = torch.where(self.strained[rows], torch.inf, self.residual[rows] / tolerance)
        for by in PASSES:
            some = rows[(gain > before) & (gain <= by.gain)]
            before = by.gain
            if len(some):
                shift = self.encoder.shoot(self.trajectory.rows(some), self.z[some] - self.encoded[some], by)
                helped = self._above(self.improve(some, self.x[some] + shift), tolerance)
                # a cheap pass that was not enough is not tried again
                self.strained[some] |= by.stride > 1
                again.append(helped if by.stride == 1 else self._above(some, tolerance))
        return torch.cat(again) if again else rows[:0]

    def _above(self, rows: Tensor, tolerance: float) -> Tensor:
        return rows[self.residual[rows] > tolerance]

    def improve(self, rows: Tensor, candidate: Tensor) -> Tensor:
        """Take the candidates that come nearer to z; returns the rows that did."""
        image, trajectory = self.encoder.forward(candidate)
        error = (image - self.z[rows]).abs().amax(1)
        better = (error < self.residual[rows]) | (error.isfinite() & ~self.residual[rows].isfinite())
        taken = rows[better]
        self.x[taken], self.encoded[taken], self.residual[taken] = (
            candidate[better],
            image[better],
            error[better],
        )
        if self.trajectory is not None and trajectory is not None:
            self.trajectory.put(taken, trajectory.rows(better))
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
            step = _solved(jacobian, self.z[rows] - self.encoded[rows])
            left, moved = torch.arange(len(rows), device=rows.device), [rows[:0]]
            for halving in range(8):
                taken = self.improve(rows[left], self.x[rows[left]] + step[left] * 0.5**halving)
                moved.append(taken)
                left = left[~torch.isin(rows[left], taken)]
                if len(left) == 0:
                    break
            rows = torch.cat(moved)

    def follow(self, rows: Tensor, stages: int) -> Tensor:
        """Let the target walk from where rows are encoded to z, and them after it; returns those that came nearer.

        Whole Newton steps may go uphill, and so out of a trough in which those of :meth:`newton` end.
        """
        x, start = self.x[rows], self.encoded[rows]
        for stage in range(1, stages + 1):
            target = torch.lerp(start, self.z[rows], stage / stages)
            for _ in range(NEWTON_STEPS):
                defect, jacobian = target - self.encoder.forward(x)[0], self.encoder.jacobian(x)
                finite = jacobian.isfinite().all(2).all(1) & defect.isfinite().all(1)
                x = x[finite] + _solved(jacobian[finite], defect[finite])
                rows, start, target = rows[finite], start[finite], target[finite]
        return self.improve(rows, x)


def _solved(jacobian: Tensor, defect: Tensor) -> Tensor:
    """Newton steps, (n, d): the pseudo-inverse serves where the map is about to fold, on any device."""
    step: Tensor = (torch.linalg.pinv(jacobian) @ defect[:, :, None])[:, :, 0]
    return step
