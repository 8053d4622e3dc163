"""Matrices: logarithm and inverse root of symmetric ones, and the orthogonal one that is nearest to any."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def symmetric_log(matrices: Floats) -> Floats:
    """Matrix logarithms of symmetric positive definite matrices, shape (m, k, k)."""
    values, vectors = np.linalg.eigh(matrices)
    floor = np.finfo(float).tiny
    return np.asarray((vectors * np.log(np.maximum(values, floor))[:, None, :]) @ vectors.transpose(0, 2, 1))


def symmetric_whitening(values: Floats) -> Floats:
    """The symmetric matrix that whitens the columns of rows (n, k), shape (k, k)."""
    variances, basis = np.linalg.eigh(np.cov(values.T))
    return np.asarray(basis / np.sqrt(variances) @ basis.T)


def nearest_orthogonal(matrix: Floats) -> Floats:
    """U Vᵀ of the singular value decomposition U S Vᵀ of a square matrix: the orthogonal one nearest to it."""
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)
