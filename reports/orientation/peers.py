"""Other people's methods on the same rows: components of held-out rows, learned from the training rows alone.

A peer is a function of the training rows, the rows to unmix and a seed. It returns coordinates (n, d) by name; those
whose name ends in ``magnitudes`` estimate the absolute values of the centred sources, not the sources.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from contrastive import cebra_embedding, permutation_features, segment_features
from ivae import posterior_means
from rows import Floats, Rows

from latentflow.analysis.baselines.fitted import fit_fastica, pca_whitening
from latentflow.analysis.baselines.picard import fit_picard
from latentflow.orientation.joint_diagonalisation import joint_diagonaliser

Components = dict[str, Floats]

#: Lags of SOBI, as many as in the R package JADE.
LAGS = 12


@dataclass(frozen=True)
class Peer:
    """A method, and what it must be told.

    Attributes
    ----------
    label : str
    needs : {"rows", "time", "groups"}
    unmix : callable
    """

    label: str
    needs: str
    unmix: Callable[[Rows, Rows, int], Components]

    def can(self, rows: Rows) -> bool:
        """Whether the rows have what the method needs."""
        return {"rows": True, "time": rows.ordered, "groups": rows.groups is not None}[self.needs]


def fastica(train: Rows, new: Rows, seed: int) -> Components:
    """FastICA of scikit-learn with the retries of the library's baseline (Hyvärinen 1999)."""
    return {"fastica": fit_fastica(train.X, seed).transform(new.X)[0]}


def picard(train: Rows, new: Rows, seed: int) -> Components:
    """Picard-O, extended (Ablin, Cardoso & Gramfort 2018)."""
    found = fit_picard(train.X, seed)
    return {} if found is None else {"picard": found.transform(new.X)[0]}


def sobi(train: Rows, new: Rows, seed: int) -> Components:
    """Joint diagonalisation of the lagged covariances of whitened rows (Belouchrani et al. 1997)."""
    return {"sobi": temporally_decorrelated(train.X, new.X)}


def group_diagonalisation(train: Rows, new: Rows, seed: int) -> Components:
    """Joint diagonalisation of the covariances of whitened rows within each group (Pham & Cardoso 2001)."""
    whitening = pca_whitening(train.X)
    white = whitening.transform(train.X)[0]
    kinds, sizes = np.unique(train.groups, return_counts=True)
    matrices = np.stack([np.cov(white[train.groups == kind].T, bias=True) for kind in kinds])
    found = joint_diagonaliser(matrices, sizes / sizes.sum())
    return {"group_diagonalisation": whitening.transform(new.X)[0] @ found.rotation}


def tcl(train: Rows, new: Rows, seed: int) -> Components:
    """Time-contrastive learning, then linear ICA of the features (Hyvärinen & Morioka 2016).

    Its theory promises the magnitudes of the sources, up to a matrix that linear ICA finds; these are compared with
    the magnitudes. The sources themselves are looked for in the features before their absolute values are taken.
    """
    learned, unmixed = segment_features(train, new, seed)
    return {
        "tcl": _ica(learned, unmixed, seed),
        "tcl_magnitudes": _ica(np.abs(learned), np.abs(unmixed), seed),
    }


def pcl(train: Rows, new: Rows, seed: int) -> Components:
    """Permutation-contrastive learning (Hyvärinen & Morioka 2017), whose features need no linear ICA."""
    return {"pcl": permutation_features(train, new, seed)}


def ivae(train: Rows, new: Rows, seed: int) -> Components:
    """Identifiable variational autoencoder (Khemakhem et al. 2020); it is told the groups of new rows as well."""
    return {"ivae": posterior_means(train, new, seed)}


def cebra(train: Rows, new: Rows, seed: int) -> Components:
    """CEBRA (Schneider, Lee & Mathis 2023), which finds an embedding up to a matrix, then a linear method for that.

    The linear method is SOBI where rows are in time order, and FastICA where they have groups. Groups that differ in
    variance alone tell of magnitudes alone, so that there the embedding is compared with these as well.
    """
    if importlib.util.find_spec("cebra") is None:
        return {}
    learned, unmixed = cebra_embedding(train, new, seed)
    if train.ordered:
        return {"cebra": temporally_decorrelated(learned, unmixed)}
    found = _ica(learned, unmixed, seed)
    return {"cebra": found, "cebra_magnitudes": found}


def temporally_decorrelated(train: Floats, new: Floats) -> Floats:
    """SOBI learned from training rows (m, d) in the order of time, of new rows (n, d)."""
    whitening = pca_whitening(train)
    white = whitening.transform(train)[0]
    lagged = np.stack([white[lag:].T @ white[:-lag] / (len(white) - lag) for lag in range(1, LAGS + 1)])
    return whitening.transform(new)[0] @ joint_diagonaliser(lagged).rotation


def _ica(train: Floats, new: Floats, seed: int) -> Floats:
    return fit_fastica(train, seed).transform(new)[0]


PEERS = {
    "fastica": Peer("FastICA", "rows", fastica),
    "picard": Peer("Picard", "rows", picard),
    "sobi": Peer("SOBI", "time", sobi),
    "pcl": Peer("PCL", "time", pcl),
    "cebra_time": Peer("CEBRA-Time, then SOBI", "time", cebra),
    "group_diagonalisation": Peer("linear joint diagonalisation by groups", "groups", group_diagonalisation),
    "tcl": Peer("TCL", "groups", tcl),
    "ivae": Peer("iVAE", "groups", ivae),
    "cebra_groups": Peer("CEBRA-Behaviour, then FastICA", "groups", cebra),
}
