"""The representations of the evaluated rows that are held side by side, other people's methods among them.

Those, the peers, are optional packages, fitted where they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentflow.analysis.baselines.fitted import ICABaseline, LinearMap
from latentflow.analysis.baselines.picard import fit_picard
from latentflow.analysis.baselines.spline_flow import fit_spline_flow
from latentflow.analysis.ledger.densities import Bijection
from latentflow.analysis.ledger.ledger import Representation
from latentflow.errors import DataError

LABELS = {"raw": "Raw columns", "pca": "PCA whitening", "fastica": "FastICA", "latents": "Latents"}

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
    peers = []
    if "picard" in names:
        picard = fit_picard(train, seed)
        if picard is None:
            raise DataError("the peer picard needs python-picard: pip install '.[peers]'")
        peers.append(Peer("picard", "Picard", picard, "picard", picard.note))
    if "spline_flow" in names:
        flow = fit_spline_flow(train, seed)
        if flow is None:
            raise DataError("the peer spline_flow needs zuko: pip install '.[peers]'")
        note = f"zuko's neural spline flow, best of its own validation at step {flow.steps}."
        peers.append(Peer("spline_flow", "Spline flow", flow, "flow", note))
    return tuple(peers)


def represent(
    model: Any,
    continuous: np.ndarray,
    encoding: Any,
    flow_columns: tuple[str, ...],
    whitening: LinearMap,
    ica: ICABaseline,
    peers: Sequence[Peer] = (),
) -> tuple[Representation, ...]:
    """Raw columns, PCA whitening, FastICA, the peers and the latents, each with its log-determinant."""
    d = continuous.shape[1]
    carried = carried_directions(encoding)
    latents, names = encoding.latents, tuple(model.latent_names)
    if carried is not None:
        latents = np.concatenate([latents, carried], axis=1)
        names += tuple(f"carried{i:02d}" for i in range(carried.shape[1]))
    pca, pca_log_det = whitening.transform(continuous)
    components, ica_log_det = ica.transform(continuous)
    return (
        Representation("raw", LABELS["raw"], continuous, 0.0, flow_columns),
        Representation("pca", LABELS["pca"], pca, pca_log_det, names_of("pc", d)),
        Representation("fastica", LABELS["fastica"], components, ica_log_det, names_of("ica", d)),
        *(
            Representation(
                peer.name, peer.label, *peer.map.transform(continuous), names_of(peer.coordinate, d)
            )
            for peer in peers
        ),
        Representation("latents", LABELS["latents"], latents, np.asarray(encoding.log_det), names),
    )


def names_of(coordinate: str, d: int) -> tuple[str, ...]:
    """``ica00`` … for d coordinates of one kind."""
    return tuple(f"{coordinate}{i:02d}" for i in range(d))


def carried_directions(encoding: Any) -> np.ndarray | None:
    """The whitened directions beside the latents, None where there are none."""
    carried = encoding.carried
    return carried if carried is not None and carried.shape[1] > 0 else None
