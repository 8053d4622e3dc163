"""Two ways to take components out of rows behind one face: the latents of a fitted flow, and FastICA's components."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from latentflow.errors import LatentFlowWarning
from latentflow.model.fitted_flow import FittedFlow

Floats = NDArray[np.float64]

#: Names of what cleans, in the order shown; the second are the same latents, turned by the order of the rows.
LATENTS, TOLD, FASTICA = "latents", "latents, told of time", "FastICA"
METHODS = (LATENTS, TOLD, FASTICA)


class Cleaner(Protocol):
    """What can tell the components of rows, and give the rows back without some of them."""

    name: str

    def sources(self, X: Floats) -> Floats:
        """Components of rows, shape (n, k), each in a scale in which its own distribution shows."""

    def clean(self, X: Floats, remove: Sequence[int]) -> Floats:
        """Rows, shape (n, D), without the components at these positions."""


class LatentCleaner:
    """Latents set to their median and decoded; the components are the latents in source scale."""

    def __init__(self, model: FittedFlow, name: str = LATENTS) -> None:
        self.model, self.name = model, name

    def sources(self, X: Floats) -> Floats:
        return self.model.encode(X, scale="source").latents

    def clean(self, X: Floats, remove: Sequence[int]) -> Floats:
        with warnings.catch_warnings():
            # positions in the warning would be those among the rows that were picked out here
            warnings.simplefilter("ignore", LatentFlowWarning)
            return self.model.clean(X, remove=list(remove))


class FastICACleaner:
    """FastICA components set to their median over the rows that they were fitted to.

    EEG tools take the mean, zero; where a single row has most of a component that moves all others by a constant, which
    is no matter to them, since they filter it out, but would count against FastICA here.
    """

    name = FASTICA

    def __init__(self, rows: Floats, seed: int = 0) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.ica = FastICA(whiten="unit-variance", random_state=seed, tol=1e-6, max_iter=3000).fit(rows)
        self.median = np.median(self.ica.transform(rows), axis=0)

    def sources(self, X: Floats) -> Floats:
        return self.ica.transform(X)

    def clean(self, X: Floats, remove: Sequence[int]) -> Floats:
        gone = list(remove)
        taken = self.ica.transform(X)[:, gone] - self.median[gone]
        return X - taken @ self.ica.mixing_[:, gone].T
