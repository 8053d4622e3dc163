r"""Axes from components that somebody else has found: the rotation that brings the latents nearest to them.

The latents z are standard normal, the components are not, so these are first replaced by their normal scores
Φ⁻¹(rank); then V = argmin ‖z V − scores‖ over rotations is the orthogonal Procrustes solution U Wᵀ of
zᵀ scores = U S Wᵀ (Schönemann 1966, Psychometrika 31:1). Whatever dependence the components are left with, the rotated
latents do not have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentflow.statistics.matrices import nearest_orthogonal
from latentflow.statistics.ranks import normal_scores

Floats = NDArray[np.float64]


def procrustes(z: Floats, components: Floats) -> Floats:
    """The rotation V, shape (k, k), for which z V is nearest to the normal scores of components, shape (n, k)."""
    return nearest_orthogonal(z.T @ normal_scores(components))
