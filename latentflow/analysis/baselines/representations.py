"""The representations of the evaluated rows that are held side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latentflow.analysis.baselines.fitted import ICABaseline, LinearMap
from latentflow.analysis.baselines.peers import Peer
from latentflow.analysis.ledger.ledger import Representation

LABELS = {"raw": "Raw columns", "pca": "PCA whitening", "fastica": "FastICA", "latents": "Latents"}


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
