"""The orientations of a fitted flow that this report measures, each told only what a user would tell."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from rows import Rows

from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.orient import find_orientation, material_for
from latentflow.orientation.record import Orientation
from latentflow.orientation.request import OrientationRequest

#: Names in results.json and how they are shown; ``auto_untold`` is ``auto`` without word of time or groups. The last
#: two are measured on held-out rows alone (:mod:`measures`).
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
    "source_scale": "auto, in source scale",
    "nearest": "nearest rotation",
}
#: What no rotation of these latents is much better than: the one nearest to the true sources' normal scores.
BOUND = "nearest"


def asked(rows: Rows, names: Iterable[str]) -> list[str]:
    """Those of the names that these rows allow."""
    told = rows.ordered or rows.groups is not None
    possible = {"temporal": rows.ordered, "groups": rows.groups is not None, "auto_untold": told}
    return [name for name in names if possible.get(name, True)]


def orientations(
    model: FittedFlow, rows: Rows, names: Iterable[str]
) -> Iterator[tuple[str, Orientation, float]]:
    """Each orientation of a fitted model by name, and the seconds it took; the fit itself stays as it is.

    The rows are encoded once for all of them, in no one's seconds.
    """
    told = {"groups": rows.groups, "time_order": rows.ordered}
    k, n = model.preprocessor.n_flow, len(rows.X)
    request = OrientationRequest.of("auto", n, **told)
    roles = model.roles if len(model.roles) == n else None
    material = material_for(model, rows.X, request, request.rows(k, roles))
    for name in [name for name in names if name not in ("source_scale", BOUND)]:
        asked_for, known = ("auto", {}) if name == "auto_untold" else (name, told)
        wanted = OrientationRequest.of(asked_for, n, **known)
        started = time.perf_counter()
        found = find_orientation(material, wanted)
        yield name, found, time.perf_counter() - started
