"""What the solvers are measured on: five fitted flows, whitened rows of their tables, and converged latents."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parents[1] / "first-light"))

from flows import fitted_flow
from sets import CASES

from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.solvers import Solver
from latentflow.score.denoisers import Denoiser
from latentflow.score.fields import Field

#: Name of a model file → name of its table among those of reports/first-light.
TABLES = {"nl5": "nl5", "rings": "rings", "nl10": "nl10", "gas": "gas turbine", "eeg": "EEG, spikes cut"}
SIGMA_MAX = 15.0
#: The converged solution: steps of the fifth-order method are doubled until no row moves by more than this.
CONVERGED, FEWEST_STEPS, MOST_STEPS = 1e-6, 64, 1024
#: Held-out rows that decide on that.
DECIDING = 1000

Ends = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted flow in double precision, with whitened rows.

    Attributes
    ----------
    denoiser : Denoiser
    own_start : float
        σ at which the fitted flow itself starts.
    train, held_out : Tensor, shape (n, d) and (m, d)
    """

    denoiser: Denoiser
    own_start: float
    train: Tensor
    held_out: Tensor

    @property
    def ends(self) -> Ends:
        """From the smaller of 0.01 and the model's own start to 15."""
        return min(0.01, self.own_start), SIGMA_MAX

    def rows(self, most: int) -> Tensor:
        """Held-out rows, evenly spread over all."""
        return spread(self.held_out, most)


def spread(x: Tensor, most: int) -> Tensor:
    """Rows evenly spread over all, at most so many."""
    return x[torch.linspace(0, len(x) - 1, min(most, len(x))).long()]


def load(name: str, data: Path, models: Path | None) -> Subject:
    """A subject; the flow is read from a folder of models where it is there, else fitted now and left there."""
    saved = None if models is None else models / f"{name}.safetensors"
    model, train, held_out = fitted_flow(CASES[TABLES[name]](data), saved)
    return Subject(model.denoiser, float(model.sigmas[0]), train, held_out)


@dataclass(frozen=True)
class Reference:
    """How the converged solution was found.

    Attributes
    ----------
    steps : int
        Of the fifth-order Dormand–Prince method, uniform in log σ.
    change : float
        By how much any of the rows that decided moved from half as many steps, ‖Δz‖; what is left is about a
        thirtieth of that.
    """

    steps: int
    change: float

    @classmethod
    def of(cls, denoiser: Denoiser, x: Tensor, ends: Ends) -> Reference:
        """Double the steps until the rows stay."""
        steps, change, before = FEWEST_STEPS, math.inf, cls(FEWEST_STEPS, math.inf).latents(denoiser, x, ends)
        while change > CONVERGED and steps < MOST_STEPS:
            steps *= 2
            found = cls(steps, math.inf).latents(denoiser, x, ends)
            change, before = float((found - before).norm(dim=1).max()), found
        return cls(steps, change)

    def latents(self, denoiser: Denoiser, x: Tensor, ends: Ends) -> Tensor:
        """Converged latents, shape (n, d)."""
        return ProbabilityFlow(denoiser, log_uniform_grid(*ends, self.steps), "dp5").encode(x)


@cache
def reference(subject: Subject, ends: Ends) -> Reference:
    """The converged solution for a range of σ."""
    return Reference.of(subject.denoiser, subject.rows(DECIDING), ends)


@cache
def exact(subject: Subject, ends: Ends) -> Tensor:
    """Converged latents of every held-out row, shape (m, d)."""
    return reference(subject, ends).latents(subject.denoiser, subject.held_out, ends)


class Counted(Denoiser):
    """A denoiser that counts the rows at which it is evaluated; a product with a derivative counts as a row too."""

    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.denoiser = denoiser
        self.rows = 0

    def at(self, sigma: float, dtype: torch.dtype | None = None) -> Field:
        """The counted field at one noise level."""
        return _CountedField(self, self.denoiser.at(sigma, dtype))


@dataclass(frozen=True)
class _CountedField(Field):
    owner: Counted
    field: Field

    @property
    def rows_at_once(self) -> int:
        return self.field.rows_at_once

    def v_prediction(self, y: Tensor) -> Tensor:
        self.owner.rows += len(y)
        return self.field.v_prediction(y)

    def push_forward(self, y: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        self.owner.rows += len(y) * (1 + len(directions))
        return self.field.push_forward(y, directions)


def summary_of(errors: Tensor) -> dict[str, float | None]:
    """Mean, median, 99.9 % quantile and maximum of errors of rows; None where a row has no finite latent."""
    values = errors.numpy()
    if not np.isfinite(values).all():
        return dict.fromkeys(("mean", "median", "q999", "max"))
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "q999": float(np.quantile(values, 0.999)),
        "max": float(values.max()),
    }


def distances(found: Tensor, exact: Tensor) -> Tensor:
    """‖z − z*‖ of each row, shape (n,)."""
    return (found - exact).norm(dim=1)


def folded(denoiser: Denoiser, sigmas: Sequence[float] | np.ndarray, solver: str | Solver, x: Tensor) -> int:
    """Rows at which the Jacobian of the discrete encoder has no positive determinant."""
    sign = ProbabilityFlow(denoiser, sigmas, solver).encode_with_discrete_log_det(x)[1]
    return int((~(sign > 0)).sum())
