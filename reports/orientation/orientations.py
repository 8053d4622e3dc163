"""The orientations of a fitted flow that this report measures, each told only what a user would tell."""

from __future__ import annotations

from collections.abc import Iterable

from rows import Rows

from latentflow.flow.orientation import Orientation
from latentflow.model import FittedFlow
from latentflow.orienting import orient

#: Names in results.json and how they are shown; ``auto_untold`` is ``auto`` without word of time or groups.
LABELS = {
    "none": "plain latents",
    "auto": "auto",
    "auto_untold": "auto, not told of time or groups",
    "jacobian": "jacobian",
    "metric": "metric",
    "ica": "ica",
    "gaussianization": "gaussianization",
    "temporal": "temporal",
    "groups": "groups",
}


def asked(rows: Rows, names: Iterable[str]) -> list[str]:
    """Those of the names that these rows allow."""
    told = rows.ordered or rows.groups is not None
    possible = {"temporal": rows.ordered, "groups": rows.groups is not None, "auto_untold": told}
    return [name for name in names if possible.get(name, True)]


def oriented(model: FittedFlow, rows: Rows, name: str) -> Orientation:
    """Turn the latents of a fitted model by the rows it was trained on; the fit itself stays as it is."""
    if name == "none":
        return Orientation.identity(model.preprocessor.n_flow)
    untold = name == "auto_untold"
    return orient(
        model,
        rows.X,
        orientation="auto" if untold else name,
        groups=None if untold else rows.groups,
        time_order=rows.ordered and not untold,
    ).orientation
