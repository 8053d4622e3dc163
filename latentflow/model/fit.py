"""From a table to a fitted flow: split, preprocess, train, choose where the flow starts, orient its latents."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Generator, Tensor

from latentflow.base.fastica import ica_axes
from latentflow.data.preprocess import Preprocessor
from latentflow.data.row_order import order_of_complete_rows
from latentflow.data.splits import GAP, HELD_OUT, TRAIN, VALIDATION, Split, make_split
from latentflow.data.tables import Table
from latentflow.errors import DataError, LatentFlowError
from latentflow.flow.calibration import choose_start
from latentflow.flow.solver_names import CALIBRATED
from latentflow.flow.step_count import calibrated_grid
from latentflow.model.devices import choose_device
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.orient import orient_by
from latentflow.orientation.request import OrientationRequest, fewest_rows
from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.sizing import TrainingPlan, plan_training
from latentflow.score.tensors import as_array
from latentflow.score.training import Progress, TrainingRecord, train_denoiser
from latentflow.version import __version__

#: Beyond as many coordinates the separable network is not tried.
AXES_DIMENSION = 64
#: Training rows per whitened column below which the fit warns.
ROWS_PER_COLUMN = 20

Floats = NDArray[np.float64]


def fit_table(
    table: Table,
    *,
    missing: str = "error",
    groups: str | ArrayLike | None = None,
    time: str | ArrayLike | None = None,
    **settings: Any,
) -> FittedFlow:
    """Fit a flow to a table.

    Parameters
    ----------
    table : Table
    missing : {"error", "drop"}
        What to do with rows that have missing or infinite values.
    groups, time : str or array_like, shape (n,), optional
        A label, or when it was taken, for each row (see :func:`latentflow.model.orient.orient`): the name of a column
        or dataset of the file, or the values themselves.
    **settings
        As for :func:`fit_flow`.

    Returns
    -------
    FittedFlow
        Its ``roles`` cover all rows of the table; rows with missing values have the role of gap rows.

    Raises
    ------
    DataError
        If values are missing and may not be dropped, with a count per column.
    """
    X = table.read()
    complete = np.asarray(np.isfinite(X).all(axis=1))
    if missing not in ("error", "drop"):
        raise DataError(f"missing must be error or drop, not {missing!r}")
    if not complete.all() and missing == "error":
        table.refuse_missing()
    order = order_of_complete_rows(
        table, complete, groups=groups, time=time, time_order=bool(settings.get("time_order"))
    )
    model = fit_flow(X[complete], table.columns, dtype=table.dtype, **{**settings, **order})
    roles = np.full(len(X), GAP, dtype=np.uint8)
    roles[complete] = model.roles
    model.roles = roles
    model.record |= {
        "file": table.path.name if table.path else None,
        "key": table.key,
        "sample_shape": list(table.sample_shape) if table.sample_shape else None,
        "dtype": str(table.dtype),
        "fingerprint": table.fingerprint(),
        "n_missing": int((~complete).sum()),
        "missing": missing,
        "groups": groups if isinstance(groups, str) else None,
        "time": time if isinstance(time, str) else None,
    }
    return model


def fit_flow(
    X: Floats,
    columns: Sequence[str],
    *,
    dtype: DTypeLike = np.float64,
    preset: str = "default",
    components: int | None = None,
    tails: str = "auto",
    split: str | Split = "auto",
    held_out: float = 0.2,
    width: int | None = None,
    depth: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    time_budget: float | None = None,
    accuracy: float = 1e-4,
    solver: str = CALIBRATED,
    orientation: str = "auto",
    groups: ArrayLike | None = None,
    time: ArrayLike | None = None,
    time_order: bool = False,
    device: str = "auto",
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> FittedFlow:
    """Fit preprocessor and score model to complete rows, and orient the latents.

    Parameters
    ----------
    X : ndarray, shape (n, D)
        Finite rows in the user's units.
    columns : sequence of D str
    dtype : dtype
        In which the values were stored; lattices are recognised at its precision.
    preset, width, depth, steps, batch_size, time_budget
        Sizes, see :func:`latentflow.score.sizing.plan_training`.
    components : int, optional
        Leading whitened directions that the flow lives on.
    tails : str
        See :class:`latentflow.data.preprocess.Preprocessor`.
    split : str or Split
        See :func:`latentflow.data.splits.make_split`; or the roles themselves, for a benchmark with a split of its own.
    held_out : float
        Share of the rows that the fit never sees.
    accuracy : float
        Mean error of a latent, ‖z − z*‖ against the converged flow, for which the grid is found and frozen (see
        :func:`latentflow.flow.calibration.calibrate`). The map of any grid is a bijection of its own.
    solver : str
        Of the flow, one of :func:`latentflow.flow.solver_names.solver_names`; see
        :func:`latentflow.flow.step_count.calibrated_grid`.
    orientation, groups, time, time_order
        See :func:`latentflow.model.orient.orient`.
    device : str
    seed : int
        Of everything random: split, weights, batches, noise, dequantisation.
    progress : callable, optional

    Returns
    -------
    FittedFlow

    Raises
    ------
    LatentFlowError
        If the table or a setting cannot be used; the message says why and what to do.
    """
    settings: dict[str, Any] = {
        "preset": preset,
        "components": components,
        "tails": tails,
        "split": split.mode if isinstance(split, Split) else split,
        "held_out": held_out,
        "width": width,
        "depth": depth,
        "steps": steps,
        "batch_size": batch_size,
        "time_budget": time_budget,
        "accuracy": accuracy,
        "solver": solver,
        "orientation": orientation,
        "time_order": time_order,
    }
    if not 0 < accuracy < 1:
        raise LatentFlowError(f"accuracy must be between 0 and 1, not {accuracy:g}")
    request = OrientationRequest.of(orientation, len(X), groups=groups, time=time, time_order=time_order)
    started = clock.monotonic()
    target = choose_device(device)
    if not isinstance(split, Split):
        split = make_split(X, mode=split, held_out=held_out, rng=np.random.default_rng(seed))
    train = split.rows(TRAIN)
    preprocessor = Preprocessor.fit(
        X, columns, train=train, tails=tails, components=components, seed=seed, dtype=dtype
    )
    k = preprocessor.n_flow
    seen = len(train) + len(split.rows(VALIDATION))
    unoriented = orientation == "auto" and seen < fewest_rows(k)
    if unoriented:
        request = OrientationRequest.of("none", len(X))
    rows_to_orient = request.rows(k, split.role)
    plan = plan_training(
        len(train),
        k,
        **{
            name: settings[name]
            for name in ("preset", "width", "depth", "steps", "batch_size", "time_budget")
        },
    )

    fixed, validation = (_whitened(preprocessor, X[split.rows(role)], target) for role in (TRAIN, VALIDATION))
    with one_thread():
        denoiser, training = _trained(
            preprocessor, X[train], fixed, validation, plan, seed=seed, progress=progress
        )
        sigma_min = choose_start(denoiser, validation, (plan.sigma_min, plan.sigma_max))
        grid = calibrated_grid(denoiser, fixed, (sigma_min, plan.sigma_max), accuracy, solver)
    record = {
        "version": __version__,
        "seed": seed,
        "preset": preset,
        "settings": settings,
        "plan": plan.to_dict(),
        "split": {key: value for key, value in split.to_dict().items() if key != "role"},
        "n_rows": len(X),
        "n_train": len(train),
        "n_validation": len(validation),
        "n_held_out": len(split.rows(HELD_OUT)),
        **_training_record(training),
        "device": str(target),
        "sigma_min": sigma_min,
        "sigma_max": plan.sigma_max,
        "grid": grid.to_dict(),
        "warnings": [*preprocessor.warnings, *_few_rows(len(train), k, unoriented), *grid.warnings()],
    }
    model = FittedFlow(
        preprocessor=preprocessor,
        denoiser=denoiser,
        sigmas=grid.sigmas,
        solver=grid.solver,
        blend_weights=grid.blend_weights,
        record=record,
        roles=split.role,
        reach=float(fixed.norm(dim=1).max()),
        device=target,
    )
    with one_thread():
        oriented = orient_by(model, X, request, rows_to_orient)
    oriented.record["seconds"] = clock.monotonic() - started
    return oriented


def _whitened(
    preprocessor: Preprocessor, rows: Floats, device: torch.device, rng: np.random.Generator | None = None
) -> Tensor:
    """The coordinates on which the flow lives, dithered on their lattices where there is a generator."""
    x, _ = preprocessor.forward(rows, rng)
    return torch.as_tensor(x[:, : preprocessor.n_flow], dtype=torch.float32, device=device)


def _trained(
    preprocessor: Preprocessor,
    rows: Floats,
    fixed: Tensor,
    validation: Tensor,
    plan: TrainingPlan,
    *,
    seed: int,
    progress: Callable[[Progress], None] | None,
) -> tuple[NetworkDenoiser, TrainingRecord]:
    """A denoiser of the training rows, which are dithered anew each time they are drawn where they lie on lattices."""
    dither = np.random.default_rng([seed, 1])
    dequantised = any(treatment.lattice != "none" for treatment in preprocessor.treatments)
    return train_denoiser(
        (lambda: _whitened(preprocessor, rows, fixed.device, dither)) if dequantised else (lambda: fixed),
        validation,
        plan,
        generator=Generator(fixed.device).manual_seed(seed),
        axes=independent_axes(fixed, seed),
        redraw=dequantised,
        progress=progress,
    )


def _training_record(training: TrainingRecord) -> dict[str, Any]:
    return {
        "history": training.history,
        "best_step": training.best_step,
        "steps": training.steps,
        "stopped": training.stopped,
        "training_seconds": training.seconds,
        "network": {"structure": training.structure},
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one CPU thread: the matrices of a training step are small.

    A second thread makes a step a fifth faster on idle cores and many times slower on shared ones, where threads
    spin while they wait for each other. One thread also gives the same bits whatever the number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def independent_axes(rows: Tensor, seed: int) -> Tensor | None:
    """FastICA's rotation of whitened rows: a guess at axes along which the score may be separable.

    Any rotation is a valid guess, a poor one only loses the race against the other network; so an unconverged one
    serves too.

    Parameters
    ----------
    rows : Tensor, shape (n, k)
    seed : int

    Returns
    -------
    Tensor, shape (k, k), or None
        Orthogonal; None where there is nothing to rotate, or the rows do not span the space.
    """
    values = as_array(rows)
    if not 2 <= values.shape[1] <= AXES_DIMENSION or len(values) <= values.shape[1]:
        return None
    return torch.as_tensor(ica_axes(values, seed).rotation, dtype=rows.dtype, device=rows.device)


def _few_rows(n_train: int, k: int, unoriented: bool) -> list[str]:
    if n_train >= ROWS_PER_COLUMN * k:
        return []
    words = [
        f"{n_train} training rows are few for {k} dimensions (below {ROWS_PER_COLUMN} a dimension): "
        "expect a poor score model; add rows, choose fewer columns with --columns, "
        "or keep the leading directions with --components"
    ]
    if unoriented:
        words.append(f"so few rows do not orient {k} latents: they are left as the flow gives them")
    return words
