"""Ranks of columns as standard normal numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Φ⁻¹((rank − ½)/n) of each column of (n, d); tied values share their mean rank."""
    return np.asarray(ndtri((rankdata(values, axis=0) - 0.5) / len(values)), dtype=np.float64)
