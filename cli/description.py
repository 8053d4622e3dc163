"""A fitted model in a few lines, as `latentflow fit` and `latentflow info` print it."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from latentflow.data.columns import ColumnTreatment
from latentflow.model import FittedFlow

from .output import count, field, names, seconds


def model_lines(model: FittedFlow) -> list[str]:
    """Columns and what was done to them, rows and their roles, network and training."""
    record, preprocessor = model.record, model.preprocessor
    split, spent = record["split"], seconds(record["training_seconds"])
    losses = record["history"]["validation_loss"] or [nan]
    return [
        field("columns", f"{len(model.columns)}: {names(model.columns)}"),
        *_treated(preprocessor.treatments),
        field("latents", f"{len(model.latent_names)} of {preprocessor.n_kept} directions"),
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
