r"""Mean Jacobians of the latents: which columns each one reads, and which it moves, on average.

The map between rows and latents is not linear, but its derivatives are matrices, and their means over rows are what
an ICA calls unmixing and mixing:

    components = E[∂latent/∂column],   mixing = E[∂column/∂latent].

In the scale of the sources (:mod:`latentflow.components.source_scale`) both are those of ICA with sources of unit
variance wherever the mixture is linear: source = components · (row − mean), row = mean + mixing · source. In the scale
of the Gaussian latents each row of components, and each column of mixing, has a positive factor of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.components.source_scale import SourceScale
from latentflow.data.preprocess import Preprocessor
from latentflow.flow.latent_map import LatentMap
from latentflow.score.tensors import as_array
from latentflow.statistics.thinning import thin

Floats = NDArray[np.float64]

#: Rows whose mean is taken, at most: so many Jacobians, and so many tangents of the flow.
MOST_ROWS, MOST_TANGENTS = 1000, 20_000


@dataclass(frozen=True)
class MeanJacobians:
    """Mean derivatives in the user's units.

    Attributes
    ----------
    components : ndarray, shape (k, D)
        Mean derivative of latent i by column j, 0 where the column was set aside.
    mixing : ndarray, shape (D, k)
        Mean derivative of column j by latent i. Columns that are linear combinations of others move with them;
        constant ones have 0.
    mean : ndarray, shape (D,)
        Of the rows.
    """

    components: Floats
    mixing: Floats
    mean: Floats

    def state(self) -> dict[str, Floats]:
        """Named arrays that hold everything, exactly."""
        return {"components": self.components, "mixing": self.mixing, "mean": self.mean}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Any]) -> MeanJacobians:
        """The picture that :meth:`state` wrote."""
        return cls(arrays["components"], arrays["mixing"], arrays["mean"])

    @classmethod
    def over(
        cls,
        preprocessor: Preprocessor,
        flow: LatentMap,
        rotation: Floats,
        X: Floats,
        *,
        scale: SourceScale | None = None,
    ) -> MeanJacobians:
        """Mean Jacobians of encoder and decoder over rows.

        Parameters
        ----------
        preprocessor : Preprocessor
        flow : LatentMap
        rotation : ndarray, shape (k, k)
            V of the orientation.
        X : ndarray, shape (n, D)
            Rows in the user's units. Of many, up to 1 000 spread evenly over them are taken, fewer the more latents
            there are, as each row costs k tangents of the flow.
        scale : SourceScale, optional
            Derivatives of the sources and by the sources, instead of the latents. Where a source has gaps between modes
            the decoder is steep in the scale of the latents, and the mean of its derivative uncertain; not so here.

        Returns
        -------
        MeanJacobians
        """
        k = preprocessor.n_flow
        most = int(np.clip(MOST_TANGENTS // k, 16, MOST_ROWS))
        rows = thin(X, most)
        continuous = preprocessor.continuous(rows)
        inside, slopes = (
            preprocessor.whiten(continuous)[0][:, :k],
            np.exp(preprocessor.table.tails.log_slopes(continuous)),
        )
        white = preprocessor.whitening
        root = np.sqrt(white.variances[:k])
        whiten, restore = (
            (white.basis[:, :k] / root).T / white.scale,
            white.scale[:, None] * white.basis[:, :k] * root,
        )
        reads, moves, counted = np.zeros((k, len(whiten.T))), np.zeros((len(whiten.T), k)), 0
        for part, z, jacobian in flow.jacobian_parts(flow.tensor(inside)):
            forward, backward = _oriented(z, jacobian, rotation, scale)
            usable = np.isfinite(forward).all(axis=(1, 2)) & np.isfinite(backward).all(axis=(1, 2))
            tilt = slopes[part][usable]
            reads += ((forward[usable] @ whiten) * tilt[:, None, :]).sum(axis=0)
            moves += ((restore @ backward[usable]) / tilt[:, :, None]).sum(axis=0)
            counted += int(usable.sum())
        components, mixing = _in_all_columns(preprocessor, reads / counted, moves / counted)
        return cls(components, mixing, np.asarray(X.mean(axis=0)))


def _oriented(
    latents: Tensor, encoder: Tensor, rotation: Floats, scale: SourceScale | None
) -> tuple[Floats, Floats]:
    """∂latent/∂x and ∂x/∂latent, (n, k, k) each, from ∂z/∂x; by source instead of latent with a scale."""
    decoder = torch.linalg.inv_ex(encoder).inverse  # not finite where there is none
    z, forward, backward = map(as_array, (latents, encoder, decoder))
    speeds = np.ones_like(z) if scale is None else scale.speeds(z @ rotation)
    return speeds[:, :, None] * (rotation.T @ forward), (backward @ rotation) / speeds[:, None, :]


def _in_all_columns(preprocessor: Preprocessor, reads: Floats, moves: Floats) -> tuple[Floats, Floats]:
    """Components (k, D) and mixing (D, k) of the whole table, from those of the kept columns."""
    components, mixing = (
        np.zeros((len(reads), preprocessor.n_columns)),
        np.zeros((preprocessor.n_columns, len(reads))),
    )
    components[:, preprocessor.kept], mixing[preprocessor.kept] = reads, moves
    dependent = [j for j, column in enumerate(preprocessor.treatments) if column.role == "dependent"]
    if dependent:
        rule = preprocessor.table.dependence
        weights = rule.coefficients * rule.scale[rule.dependent] / rule.scale[rule.kept][:, None]
        mixing[dependent] = weights.T @ moves
    return components, mixing
