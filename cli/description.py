"""A fitted model in a few lines, as `latentflow fit` and `latentflow info` print it."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

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
        field("orientation", orientation_words(model)),
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


def orientation_words(model: FittedFlow) -> str:
    """The method, why, and how well it is determined."""
    orientation = model.orientation
    if orientation.method == "none":
        return "none: the axes of the latents mean nothing"
    error = float(orientation.angle_error.max(initial=0.0))
    determined = (
        "some planes are undetermined" if error > LOOSELY else f"axes known to {error:.2g} radians or better"
    )
    reason = f"; {orientation.reason}" if orientation.reason else ""
    told = "" if orientation.converged else "; did not converge"
    return f"{orientation.method}: {determined}{told}{reason}"


def axis_lines(model: FittedFlow) -> list[str]:
    """The columns that each latent moves most, in their own standard deviations, a line for each latent."""
    picture, preprocessor = model.picture, model.preprocessor
    if picture is None:
        return []
    kept = preprocessor.kept
    moved = picture.mixing[kept] / preprocessor.whitening.scale[:, None]
    lines = []
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
