"""What the rows say of the axes before all else: a recording of which no time was told, or a linear mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latentflow.analysis.ledger.densities import BaselineDensity
from latentflow.data.splits import alike
from latentflow.orientation.record import Orientation
from latentflow.orientation.registry import ORDER, method_of

#: Nats a row and latent by which linear ICA must be the likelier for that to be told.
LEAST_ADVANTAGE = 0.01


def report_hints(model: Any, densities: Sequence[BaselineDensity]) -> list[str]:
    """The same for a report, which has also compared the flow with FastICA on the rows that it judges."""
    hints = axis_hints(model)
    ica = next((density for density in densities if density.name == "fastica"), None)
    told = any("linear ICA explains" in hint for hint in hints)
    if ica is None or told or ica.gain.high >= 0.0:
        return hints
    gain = -ica.gain.estimate
    words = f"FastICA with fitted marginals explains these rows better than the flow, by {gain:.2f} nats a row (log p)"
    return [*hints, words]


def axis_hints(model: Any) -> list[str]:
    """What to know before the axes of a model are read, a clause each; empty where there is nothing to say.

    Parameters
    ----------
    model : FittedFlow
        What it does not have on record, as a closed form or a model of an older version, is not told of.
    """
    orientation, k = model.orientation, len(model.latent_names)
    if k == 1:
        return []
    return [*_recording(model.record, orientation, k), *_linear(orientation, k)]


def _recording(record: dict[str, Any], orientation: Orientation, k: int) -> list[str]:
    """That rows seem to follow each other, where nobody said so and ``auto`` went by something else."""
    lag1 = (record.get("split") or {}).get("lag1", 0.0)
    if orientation.asked != "auto" or method_of(orientation.method).needs is ORDER:
        return []
    if not alike(lag1, record.get("n_rows", 0), k):
        return []
    return [
        f"the rows look like a recording (lag-1 autocorrelation {lag1:.2f}): --time-order would find the axes by time, "
        "which tells apart sources that look alike without it"
    ]


def _linear(orientation: Orientation, k: int) -> list[str]:
    """That linear ICA is the likelier model of the rows, where the two were compared."""
    flow, linear = (orientation.details.get(f"log_prob_{name}") for name in ("flow", "linear"))
    if flow is None or linear is None or linear - flow <= LEAST_ADVANTAGE * k:
        return []
    return [
        f"linear ICA explains the validation rows better than the flow, by {linear - flow:.2f} nats a row "
        "(log p)"
    ]
