"""From a table to a fitted flow: split, preprocess, train, choose where the flow starts, orient its latents."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Generator, Tensor

from latentflow.base.fastica import ica_axes
from latentflow.data.complete_rows import complete_rows
from latentflow.data.missing_events import missing_events
from latentflow.data.preprocess import Preprocessor
from latentflow.data.splits import GAP, HELD_OUT, TRAIN, VALIDATION, Split, make_split
from latentflow.data.tables import Table
from latentflow.flow.calibration import CalibratedGrid, choose_start
from latentflow.flow.step_count import calibrated_grid
from latentflow.model.devices import choose_device, one_thread
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.orient import orient_by
from latentflow.model.settings import FitSettings
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
#: Settings from which, and from the rows, the training plan follows.
PLAN_SETTINGS = ("preset", "width", "depth", "steps", "batch_size", "time_budget")

Floats = NDArray[np.float64]


def fit_table(
    table: Table,
    settings: FitSettings | None = None,
    *,
    split: str | Split | None = None,
    groups: str | ArrayLike | None = None,
    time: str | ArrayLike | None = None,
    progress: Callable[[Progress], None] | None = None,
    **changes: Any,
) -> FittedFlow:
    """Fit a flow to a table.

    Parameters
    ----------
    table : Table
    groups, time : str or array_like, shape (n,), optional
        As for :func:`fit_flow`; or the name of a column or dataset of the file.
    settings, split, progress, **changes
        As for :func:`fit_flow`.

    Returns
    -------
    FittedFlow
        Its ``roles`` cover all rows of the table; rows with missing values have the role of gap rows.

    Raises
    ------
    LatentFlowError
        If a setting cannot be used, or values are missing and may not be dropped, with a count per column.
    """
    settings = _settings(settings, split, changes)
    rows = complete_rows(
        table, missing=settings.missing, groups=groups, time=time, time_order=settings.time_order
    )
    model = fit_flow(
        rows.values,
        table.columns,
        settings,
        dtype=table.dtype,
        split=split,
        groups=rows.groups,
        time=rows.time,
        progress=progress,
    )
    roles = np.full(table.n_rows, GAP, dtype=np.uint8)
    roles[rows.complete] = model.roles
    model.roles = roles
    model.record |= {
        "file": table.path.name if table.path else None,
        "key": table.key,
        "sample_shape": list(table.sample_shape) if table.sample_shape else None,
        "dtype": str(table.dtype),
        "fingerprint": table.fingerprint(),
        "n_missing": int((~rows.complete).sum()),
        "missing": settings.missing,
        "groups": groups if isinstance(groups, str) else None,
        "time": time if isinstance(time, str) else None,
        "beside_rows": [name for name, given in (("groups", groups), ("time", time)) if given is not None],
    }
    return model


def fit_flow(
    X: Floats,
    columns: Sequence[str],
    settings: FitSettings | None = None,
    *,
    dtype: DTypeLike = np.float64,
    split: str | Split | None = None,
    groups: ArrayLike | None = None,
    time: ArrayLike | None = None,
    progress: Callable[[Progress], None] | None = None,
    **changes: Any,
) -> FittedFlow:
    """Fit preprocessor and score model to complete rows, and orient the latents.

    Parameters
    ----------
    X : ndarray, shape (n, D)
        Finite rows in the user's units.
    columns : sequence of D str
    settings : FitSettings, optional
    dtype : dtype
        In which the values were stored; lattices are recognised at its precision.
    split : str or Split, optional
        The setting of that name; or the roles themselves, for a benchmark with a split of its own.
    groups, time : array_like, shape (n,), optional
        A label, or when it was taken, for each row; see :func:`latentflow.model.orient.orient`.
    progress : callable, optional
    **changes
        Settings by name, in place of those in ``settings``.

    Returns
    -------
    FittedFlow

    Raises
    ------
    LatentFlowError
        If the table or a setting cannot be used; the message says why and what to do.
    """
    started = clock.monotonic()
    settings = _settings(settings, split, changes)
    request = OrientationRequest.of(
        settings.orientation, len(X), groups=groups, time=time, time_order=settings.time_order
    )
    device = choose_device(settings.device)
    if not isinstance(split, Split):
        rng = np.random.default_rng(settings.seed)
        split = make_split(X, mode=settings.split, held_out=settings.held_out, rng=rng)
    preprocessor = Preprocessor.fit(
        X,
        columns,
        train=split.rows(TRAIN),
        tails=settings.tails,
        components=settings.components,
        seed=settings.seed,
        dtype=dtype,
    )
    unoriented = settings.orientation == "auto" and _few_to_orient(split, preprocessor.n_flow)
    if unoriented:
        request = OrientationRequest.of("none", len(X))
    picked = request.rows(preprocessor.n_flow, split.role)
    with one_thread():
        trained = _train(preprocessor, X, split, settings, device, progress)
        sigma_min, grid = _start_and_grid(trained, settings)
        model = FittedFlow(
            preprocessor=preprocessor,
            denoiser=trained.denoiser,
            sigmas=grid.sigmas,
            solver=grid.solver,
            blend_weights=grid.blend_weights,
            record={
                **_record(settings, split, trained),
                "sigma_min": sigma_min,
                "grid": grid.to_dict(),
                "warnings": [
                    *missing_events(split.to_dict(), columns),
                    *preprocessor.warnings,
                    *_few_rows(*trained.rows.shape, unoriented=unoriented),
                    *grid.warnings(),
                ],
            },
            roles=split.role,
            reach=float(trained.rows.norm(dim=1).max()),
            device=device,
        )
        oriented = orient_by(model, X, request, picked)
    oriented.record["seconds"] = clock.monotonic() - started
    return oriented


def _settings(
    settings: FitSettings | None, split: str | Split | None, changes: Mapping[str, Any]
) -> FitSettings:
    """Settings with changes; of a split that is given, its mode."""
    mode = split.mode if isinstance(split, Split) else split
    return FitSettings.of(settings, **changes, **({} if mode is None else {"split": mode}))


def _few_to_orient(split: Split, k: int) -> bool:
    """Whether the rows are too few to know anything of the axes of k latents."""
    return len(split.rows(TRAIN)) + len(split.rows(VALIDATION)) < fewest_rows(k)


@dataclass(frozen=True)
class _Trained:
    """A denoiser, how it was trained, and the whitened rows (n, k) that trained and validated it."""

    denoiser: NetworkDenoiser
    plan: TrainingPlan
    record: TrainingRecord
    rows: Tensor
    validation: Tensor


def _train(
    preprocessor: Preprocessor,
    X: Floats,
    split: Split,
    settings: FitSettings,
    device: torch.device,
    progress: Callable[[Progress], None] | None,
) -> _Trained:
    """A denoiser of the training rows, which are dithered anew each time they are drawn where they lie on lattices."""

    def whitened(role: int, rng: np.random.Generator | None = None) -> Tensor:
        x, _ = preprocessor.forward(X[split.rows(role)], rng)
        return torch.as_tensor(x[:, : preprocessor.n_flow], dtype=torch.float32, device=device)

    rows, validation = whitened(TRAIN), whitened(VALIDATION)
    plan = plan_training(*rows.shape, **{name: getattr(settings, name) for name in PLAN_SETTINGS})
    dither = np.random.default_rng([settings.seed, 1])
    dequantised = any(treatment.lattice != "none" for treatment in preprocessor.treatments)
    denoiser, record = train_denoiser(
        (lambda: whitened(TRAIN, dither)) if dequantised else (lambda: rows),
        validation,
        plan,
        generator=Generator(device).manual_seed(settings.seed),
        axes=_independent_axes(rows, settings.seed),
        redraw=dequantised,
        progress=progress,
    )
    return _Trained(denoiser, plan, record, rows, validation)


def _start_and_grid(trained: _Trained, settings: FitSettings) -> tuple[float, CalibratedGrid]:
    """The noise level at which the flow starts, and the grid from there on."""
    ends = trained.plan.sigma_min, trained.plan.sigma_max
    sigma_min = choose_start(trained.denoiser, trained.validation, ends)
    grid = calibrated_grid(
        trained.denoiser, trained.rows, (sigma_min, ends[1]), settings.accuracy, settings.solver
    )
    return sigma_min, grid


def _record(settings: FitSettings, split: Split, trained: _Trained) -> dict[str, Any]:
    """What was asked for, which rows it took, and how training went."""
    plan, training = trained.plan, trained.record
    return {
        "version": __version__,
        "seed": settings.seed,
        "preset": settings.preset,
        "settings": settings.recorded(),
        "split": split.to_dict(),
        "n_rows": len(split.role),
        "n_train": len(trained.rows),
        "n_validation": len(trained.validation),
        "n_held_out": len(split.rows(HELD_OUT)),
        "plan": plan.to_dict(),
        "sigma_max": plan.sigma_max,
        "history": training.history,
        "best_step": training.best_step,
        "steps": training.steps,
        "stopped": training.stopped,
        "training_seconds": training.seconds,
        "network": {"structure": training.structure},
        "device": str(trained.rows.device),
    }


def _independent_axes(rows: Tensor, seed: int) -> Tensor | None:
    """FastICA's rotation (k, k) of whitened rows (n, k), on the way to which it need not have converged.

    Any rotation is a valid guess at axes along which the score may be separable: a poor one only loses the race
    against the other network. None where there is nothing to rotate, or the rows do not span the space.
    """
    values = as_array(rows)
    if not 2 <= values.shape[1] <= AXES_DIMENSION or len(values) <= values.shape[1]:
        return None
    return torch.as_tensor(ica_axes(values, seed).rotation, dtype=rows.dtype, device=rows.device)


def _few_rows(n_train: int, k: int, *, unoriented: bool) -> list[str]:
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
