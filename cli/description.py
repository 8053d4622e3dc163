"""A fitted model in a few lines, as `latentflow fit` and `latentflow info` print it."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import numpy as np

from latentflow.data.columns import ColumnTreatment
from latentflow.model import FittedFlow

from .output import count, field, names, seconds

#: Radians: with a larger standard error the axes of a plane may lie anywhere in it.
LOOSELY = 0.35


def model_lines(model: FittedFlow) -> list[str]:
    """Columns and what was done to them, rows and their roles, network and training."""
    record, preprocessor = model.record, model.preprocessor
    split, spent = record["split"], seconds(record["training_seconds"])
    losses = record["history"]["validation_loss"] or [nan]
    return [
        field("columns", f"{len(model.columns)}: {names(model.columns)}"),
        *_treated(preprocessor.treatments),
        field("latents", f"{len(model.latent_names)} of {preprocessor.n_kept} directions"),
        *orientation_lines(model),
        field(
            "rows",
            f"{record['n_train']} train, {record['n_validation']} validate, {record['n_held_out']} held out "
            f"({split['mode']} split)",
        ),
        field(
            "network",
            f"{record['network']['structure']}; preset {record['preset']}, seed {record['seed']}",
        ),
        field(
            "training",
            f"{count(record['steps'], 'step')} in {spent}: {record['stopped']}; "
            f"validation loss {min(losses):.4f}",
        ),
    ]


def orientation_lines(model: FittedFlow) -> list[str]:
    """The method and how well it is determined, and why this one where that was left to it."""
    orientation = model.orientation
    if orientation.method == "none":
        return [field("orientation", "none: the axes of the latents mean nothing")]
    error = float(orientation.angle_error.max(initial=0.0))
    determined = (
        "some planes are undetermined"
        if error > LOOSELY
        else f"standard errors of the axes up to {error:.2g} radians"
    )
    told = "" if orientation.converged else "; did not converge"
    lines = [field("orientation", f"{orientation.method}: {determined}{told}")]
    return [*lines, field("", f"because {orientation.reason}")] if orientation.reason else lines


def axis_lines(model: FittedFlow) -> list[str]:
    """The columns that each latent moves most, a line for each latent, and before them what the figures are."""
    picture, preprocessor = model.picture, model.preprocessor
    if picture is None:
        return []
    kept = preprocessor.kept
    spread = np.array([preprocessor.treatments[j].scale for j in kept])
    moved = picture.mixing[kept] / np.where(spread > 0, spread, 1.0)[:, None]
    lines = [field("moves most", "columns, in their standard deviations per unit of the source")]
    for i, name in enumerate(model.latent_names):
        most = abs(moved[:, i]).argsort()[::-1][:3]
        told = ", ".join(f"{model.columns[kept[j]]} {moved[j, i]:+.2f}" for j in most)
        lines.append(field(name, told))
    return lines


def _treated(treatments: Sequence[ColumnTreatment]) -> list[str]:
    """The columns to which something was done beyond whitening, a line for each kind."""
    flow = [treatment for treatment in treatments if treatment.role == "flow"]
    kinds = {
        "constant": [treatment.name for treatment in treatments if treatment.role == "constant"],
        "dependent": [treatment.name for treatment in treatments if treatment.role == "dependent"],
        "lattice": [treatment.name for treatment in flow if treatment.lattice != "none"],
        "asinh": [treatment.name for treatment in flow if treatment.tails == "asinh"],
    }
    return [field(kind, names(which)) for kind, which in kinds.items() if which]
