"""Full whitening: all directions of the covariance, scaled to unit variance, in order of decreasing variance.

    x = Λ^{−1/2} Vᵀ (c − μ) / s,   log|det ∂x/∂c| = −Σ log s_j − ½ Σ log λ_j

with the eigenvalues Λ and eigenvectors V of the correlation matrix of the training rows. They come from the
singular values of the rows themselves, not from the matrix, which would square the condition number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentflow.data.lattice import Floats
from latentflow.data.subspace import triangular_factor

# Directions with a smaller share of the largest variance are rounding noise, or fixed by too few rows.
_RESOLVED = 1e-16


@dataclass(frozen=True)
class Whitening:
    """An invertible affine map of d columns.

    Attributes
    ----------
    center, scale : (d,) float64
        Mean and standard deviation of the columns.
    basis : (d, d) float64
        Orthonormal directions in its columns.
    variances : (d,) float64
        Of the standardised columns along the directions, never increasing, all positive.
    rank : int
        Directions whose variance the training rows fix; the others are scaled as the last of these.
    """

    center: Floats
    scale: Floats
    basis: Floats
    variances: Floats
    rank: int

    @classmethod
    def fit(cls, rows: Floats, center: Floats, scale: Floats) -> Whitening:
        """Whiten training rows; (n, d) with their means and standard deviations.

        The sign of a direction makes its largest loading positive.
        """
        n, d = rows.shape
        factor = triangular_factor(rows, center, scale) / np.sqrt(n)
        _, singular, directions = np.linalg.svd(factor, full_matrices=True)
        variances = np.zeros(d)
        variances[: len(singular)] = singular**2
        # One direction fewer than rows, as the mean takes one.
        resolved = variances[: max(n - 1, 1)] > _RESOLVED * variances[0]
        rank = max(int(resolved.sum()), 1)
        variances[rank:] = variances[rank - 1]
        if variances[0] <= 0.0:
            variances[:] = 1.0
        largest = np.abs(directions).argmax(axis=1)
        directions *= np.sign(directions[np.arange(d), largest])[:, None]
        return cls(center, scale, directions.T.copy(), variances, rank)

    @property
    def log_det(self) -> float:
        """log|det ∂x/∂c| in nats, the same for every row."""
        return -float(np.log(self.scale).sum() + 0.5 * np.log(self.variances).sum())

    def forward(self, columns: Floats) -> tuple[Floats, Floats]:
        """Whiten, (n, d) to (n, d), with log|det| in nats, (n,)."""
        whitened = ((columns - self.center) / self.scale) @ (self.basis / np.sqrt(self.variances))
        return whitened, np.full(len(columns), self.log_det)

    def inverse(self, whitened: Floats) -> Floats:
        """Undo `forward`; (n, d) to (n, d)."""
        return self.center + self.scale * ((whitened * np.sqrt(self.variances)) @ self.basis.T)
