"""Other people's methods as baselines of the report: optional packages, fitted where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latentflow.analysis.baselines.picard import fit_picard
from latentflow.analysis.baselines.spline_flow import fit_spline_flow
from latentflow.analysis.ledger.densities import Bijection
from latentflow.errors import DataError

PEERS = ("picard", "spline_flow")


@dataclass(frozen=True)
class Peer:
    """A fitted peer: its key, how a reader is told of it, its map, and how its fit went.

    Attributes
    ----------
    name, label : str
    map : Bijection
        Rows in the user's units to coordinates and log|det|.
    coordinate : str
        What its coordinates are called, before their number.
    note : str
    """

    name: str
    label: str
    map: Bijection
    coordinate: str
    note: str


def fit_peers(names: Sequence[str], train: np.ndarray, seed: int) -> tuple[Peer, ...]:
    """Fit the peers that are asked for on training rows (n, d), in the order of :data:`PEERS`.

    Raises
    ------
    DataError
        A name is not known, or its package is not installed.
    """
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise DataError(f"peer {unknown[0]!r} is not known: choose from {', '.join(PEERS)}")
    found = []
    if "picard" in names:
        picard = fit_picard(train, seed)
        if picard is None:
            raise DataError("the peer picard needs python-picard: pip install '.[peers]'")
        found.append(Peer("picard", "Picard", picard, "picard", picard.note))
    if "spline_flow" in names:
        flow = fit_spline_flow(train, seed)
        if flow is None:
            raise DataError("the peer spline_flow needs zuko: pip install '.[peers]'")
        note = f"zuko's neural spline flow, best of its own validation at step {flow.steps}."
        found.append(Peer("spline_flow", "Spline flow", flow, "flow", note))
    return tuple(found)
