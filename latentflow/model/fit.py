"""From a table to a fitted flow: split, preprocess, train, choose where the flow starts, orient its latents."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Generator, Tensor

from latentflow.data.complete_rows import complete_rows
from latentflow.data.missing_events import missing_events
from latentflow.data.preprocess import Preprocessor
from latentflow.data.splits import GAP, HELD_OUT, TRAIN, VALIDATION, Split, make_split
from latentflow.data.tables import Table
from latentflow.flow.calibration import CalibratedGrid
from latentflow.flow.step_count import calibrated_grid
from latentflow.model.chain import TrainedChain, WhitenedRows, through, train_chain
from latentflow.model.devices import choose_device, one_thread
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.orient import orient_by
from latentflow.model.settings import FitSettings
from latentflow.orientation.request import OrientationRequest, fewest_rows
from latentflow.score.denoisers import NetworkDenoiser, StandardNormal
from latentflow.score.sizing import TrainingPlan, plan_training
from latentflow.score.training import Progress
from latentflow.version import __version__

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
        rows = _whitened_rows(preprocessor, X, split, settings, device)
        plan = plan_training(*rows.train.shape, **{name: getattr(settings, name) for name in PLAN_SETTINGS})
        generator = Generator(device).manual_seed(settings.seed)
        chain = train_chain(rows, plan, settings, generator=generator, progress=progress)
        grid = _grid(chain, rows, plan, settings)
        model = FittedFlow(
            preprocessor=preprocessor,
            base=chain.base,
            denoiser=chain.denoiser,
            sigmas=np.array([plan.sigma_min, plan.sigma_max]) if grid is None else grid.sigmas,
            solver=settings.solver if grid is None else grid.solver,
            blend_weights=None if grid is None else grid.blend_weights,
            record={
                **_record(settings, split, rows, plan, chain),
                "grid": None if grid is None else grid.to_dict(),
                "warnings": [
                    *missing_events(split.to_dict(), columns),
                    *preprocessor.warnings,
                    *_few_rows(*rows.train.shape, unoriented=unoriented),
                    *([] if grid is None else grid.warnings()),
                ],
            },
            roles=split.role,
            reach=float(rows.train.norm(dim=1).max()),
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


def _whitened_rows(
    preprocessor: Preprocessor, X: Floats, split: Split, settings: FitSettings, device: torch.device
) -> WhitenedRows:
    """Training and validation rows; those on lattices are dithered anew each time they are drawn."""

    def whitened(role: int, rng: np.random.Generator | None = None) -> Tensor:
        x, _ = preprocessor.forward(X[split.rows(role)], rng)
        return torch.as_tensor(x[:, : preprocessor.n_flow], dtype=torch.float32, device=device)

    dither = np.random.default_rng([settings.seed, 1])
    return WhitenedRows(
        whitened(TRAIN),
        whitened(VALIDATION),
        draw=lambda: whitened(TRAIN, dither),
        dequantised=any(treatment.lattice != "none" for treatment in preprocessor.treatments),
        whitening=preprocessor.whitening,
    )


def _grid(
    chain: TrainedChain, rows: WhitenedRows, plan: TrainingPlan, settings: FitSettings
) -> CalibratedGrid | None:
    """The grid of the flow from its start on; None where it is the identity."""
    if isinstance(chain.denoiser, StandardNormal):
        return None
    ends = chain.sigma_min, plan.sigma_max
    return calibrated_grid(
        chain.denoiser, through(chain.base, rows.train), ends, settings.accuracy, settings.solver
    )


def _record(
    settings: FitSettings, split: Split, rows: WhitenedRows, plan: TrainingPlan, chain: TrainedChain
) -> dict[str, Any]:
    """What was asked for, which rows it took, and how training went."""
    training = chain.record
    return {
        "version": __version__,
        "seed": settings.seed,
        "preset": settings.preset,
        "settings": settings.recorded(),
        "split": split.to_dict(),
        "n_rows": len(split.role),
        "n_train": len(rows.train),
        "n_validation": len(rows.validation),
        "n_held_out": len(split.rows(HELD_OUT)),
        "plan": plan.to_dict(),
        "sigma_min": chain.sigma_min,
        "sigma_max": plan.sigma_max,
        "history": training.history,
        "best_step": training.best_step,
        "steps": training.steps,
        "stopped": training.stopped,
        "training_seconds": training.seconds,
        "network": {
            "structure": training.structure if isinstance(chain.denoiser, NetworkDenoiser) else "none"
        },
        "chain": chain.choice,
        "device": str(rows.train.device),
    }


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
