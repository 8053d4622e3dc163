"""The geometry of a fitted model's trajectories, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch

from latentflow.analysis.rows import FEWEST_ROWS
from latentflow.data.splits import HELD_OUT, TRAIN
from latentflow.data.tables import Table
from latentflow.errors import DataError
from latentflow.geometry.claims import Claim, shape_claims
from latentflow.geometry.convergence import StepConvergence, euler_sampling, step_convergence
from latentflow.geometry.score_deviation import LEVELS, ScoreDeviation, annealed_mean_shift, score_deviation
from latentflow.geometry.shape import TrajectoryShape, trajectory_shape
from latentflow.geometry.trajectories import INTERVALS, Floats, decreasing_grid, follow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.tables import is_table_of_fit, open_for
from latentflow.score.oracles import EmpiricalOracle
from latentflow.score.tensors import as_array
from latentflow.statistics.records import Result
from latentflow.statistics.serial import serial_structure
from latentflow.statistics.thinning import thin

#: Trajectories that are followed, and rows of each kind that are looked at, unless told otherwise.
DEFAULT_ROWS = 500
#: Denoising losses are cheap, and vary more from row to row: they are taken at so many times as many rows.
LOSSES = 8
#: Training rows that make up the empirical denoiser, at most.
MOST_POINTS = 20_000
#: Euler steps by which samples are judged.
STEP_COUNTS = (5, 10, 20, 40, 80, 160)
#: Rows, points and steps of the check of the mean-shift identity.
IDENTITY = (16, 2000, 10)


@dataclass(frozen=True)
class TrajectoryReport(Result):
    """What :func:`trajectory_report` found."""

    n_columns: Annotated[int, "Columns of the table that the model takes, and its latents."]
    n_latents: int
    n_points: Annotated[int, "Training rows in the empirical denoiser; 0 where none was made."]
    n_train: Annotated[
        int,
        "Training rows and other rows whose denoising loss was taken; the empirical denoiser and the energy distance "
        "look at as many of each as there are trajectories.",
    ]
    n_compared: int
    compared_with: Annotated[str, "What these are: ``held out``, ``training`` or ``all``."]
    shape: Annotated[TrajectoryShape, "Of the sampling trajectories."]
    claims: Annotated[
        tuple[Claim, ...], "Those that a single model can be held against, in the order of their letters."
    ]
    mean_shift_gap: Annotated[
        float | None,
        "Largest difference between Euler sampling with the empirical denoiser and annealed mean shift of the same "
        "training rows, whitened units.",
    ]
    deviation: Annotated[
        ScoreDeviation | None, "By rising σ; None where training or held-out rows are missing."
    ]
    convergence: Annotated[tuple[StepConvergence, ...], "By rising number of steps."]
    notes: Annotated[tuple[str, ...], "What could not be measured, and why."]


def trajectory_report(
    model: FittedFlow, X: Any, *, rows: int = DEFAULT_ROWS, missing: str = "error", seed: int = 0
) -> TrajectoryReport:
    """Follow trajectories of a fitted model, and hold its score against its training rows.

    Parameters
    ----------
    model : FittedFlow
    X : path, Table, DataFrame or array (n, D)
        The table it was fitted to; of another one no row is a training row, and only samples are compared with it.
    rows : int
        Trajectories to follow, and rows of each kind to look at, at most.
    missing : {"error", "drop"}
        Whether rows with a missing value are an error or left out.
    seed : int
        Of the latents that are followed, the noise and the bootstrap.

    Raises
    ------
    DataError
        If the table has too few rows, or a missing value.
    """
    table, rng = open_for(model, X), np.random.default_rng(seed)
    train, compared, which, notes = _rows(model, table)
    points = _whitened(model, table, thin(train, MOST_POINTS), missing)
    rest = _whitened(model, table, thin(compared, LOSSES * rows), missing)
    if len(rest) < FEWEST_ROWS:
        raise DataError(
            f"{table.path or 'the table'} has {len(rest)} complete rows; {FEWEST_ROWS} are needed"
        )
    z = rng.standard_normal((rows, model.preprocessor.n_flow))
    low, high = float(model.sigmas[0]), float(model.sigmas[-1])
    paths = follow(model.denoiser, model.tensor(z), decreasing_grid(low, high, INTERVALS))
    shape = trajectory_shape(paths)
    deviation: ScoreDeviation | None = None
    gap = None
    if len(points):
        gap = _mean_shift_gap(thin(points, IDENTITY[1]), low, high, rng)
    if which == "held out":
        deviation = score_deviation(
            model.denoiser,
            model.tensor(points),
            model.tensor(thin(points, LOSSES * rows)),
            model.tensor(rest),
            np.geomspace(low, high, LEVELS),
            rng,
            compared=rows,
            block=serial_structure(rest).block,
        )
    start, end = model.tensor(paths.sampling[0]), model.tensor(paths.sampling[-1])
    some = model.tensor(thin(rest, max(rows, FEWEST_ROWS)))
    steps = step_convergence(model.denoiser, start, end, some, low, high, STEP_COUNTS)
    return TrajectoryReport(
        n_columns=len(model.columns),
        n_latents=model.preprocessor.n_flow,
        n_points=len(points),
        n_train=min(len(points), LOSSES * rows) if deviation else 0,
        n_compared=len(rest),
        compared_with=which,
        shape=shape,
        claims=shape_claims(shape),
        mean_shift_gap=gap,
        deviation=deviation,
        convergence=steps,
        notes=notes,
    )


def _rows(model: FittedFlow, table: Table) -> tuple[np.ndarray, np.ndarray, str, tuple[str, ...]]:
    """Training rows, rows to compare with, what these are, and what has to be said of it."""
    if not is_table_of_fit(model, table):
        note = "This is not the table of the fit: the learned score is not held against its training rows."
        return np.zeros(0, int), np.arange(table.n_rows), "all", (note,)
    train, held_out = np.flatnonzero(model.roles == TRAIN), np.flatnonzero(model.roles == HELD_OUT)
    if len(held_out):
        return train, held_out, "held out", ()
    note = "The fit held no row out: whether training rows were learned by heart cannot be told."
    return train, train, "training", (note,)


def _whitened(model: FittedFlow, table: Table, index: np.ndarray, missing: str) -> Floats:
    """Rows of the table on the coordinates that the flow lives on, whitened or of the base, shape (n, d)."""
    values = table.read_rows(index)
    complete = np.isfinite(values).all(axis=1)
    if missing != "drop" and not complete.all():
        table.refuse_missing()
    if not complete.any():
        return np.zeros((0, model.preprocessor.n_flow))
    x, _ = model.preprocessor.forward(values[complete])
    return as_array(model.before_flow(model.tensor(x[:, : model.preprocessor.n_flow])))


def _mean_shift_gap(points: Floats, low: float, high: float, rng: np.random.Generator) -> float:
    """Euler sampling with the empirical denoiser beside annealed mean shift, in double precision."""
    start = rng.standard_normal((IDENTITY[0], points.shape[1])) * np.sqrt(1 + high**2)
    sigmas = np.geomspace(high, low, IDENTITY[2] + 1)
    with torch.no_grad():
        ends = euler_sampling(EmpiricalOracle(torch.as_tensor(points)), torch.as_tensor(start), sigmas)
    return float(np.abs(ends.numpy() - annealed_mean_shift(points, start, sigmas)).max())
