r"""In which order oriented latents come, and with which sign: what makes ``latent00`` the same one everywhere.

A rotation that separates sources leaves their order and their signs open. Tools differ in how they settle them: MNE
sorts ICA components by the variance that each explains in the data, most first, and leaves the sign as the algorithm
gives it. Here the order is the same, with the variance that a *non-linear* map can explain; and the sign follows the
skewness of the source, or where that is nearly symmetric the column on which the latent weighs most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_hermitenorm

Floats = NDArray[np.float64]

#: Degree of the polynomial of one latent by which a column is explained.
DEGREES = 5
#: Skewness below which a source counts as symmetric; and the same in standard errors of its estimate.
SYMMETRIC = 0.1
STANDARD_ERRORS = 4.0
#: Two columns of |loading| within this of the largest are equally heavy: the first of them decides the sign.
TIED = 1e-6


def explained_variance(latents: Floats, columns: Floats) -> Floats:
    """Share of the variance of the columns that each latent explains alone.

    The first-order Sobol index Var(E[column | latent]) / Var(column) (Sobol 2001, Math. Comput. Simul. 55:271), mean
    over the columns, with the conditional mean as a polynomial of degree 5 in the latent and Ezekiel's correction for
    the five coefficients that the rows were fitted with: no latent explains more for being one of few rows. For a
    linear map it is the squared correlation, and the order is the one of MNE's ``ICA.fit``.

    Parameters
    ----------
    latents : ndarray, shape (n, k)
    columns : ndarray, shape (n, D)
        The same rows, standardised; a column that does not vary explains and is explained by nothing.

    Returns
    -------
    ndarray, shape (k,)
        From 0 to 1; over independent latents the shares add up to one at most, up to the error of estimation.
    """
    centred = columns - columns.mean(axis=0)
    total = (centred**2).sum(axis=0)
    varying = total > 0
    n, share = len(latents), np.zeros(latents.shape[1])
    if n <= DEGREES + 1 or not varying.any():
        return share
    centred, total = centred[:, varying], total[varying]
    for i, latent in enumerate(latents.T):
        basis = np.stack([eval_hermitenorm(degree, latent) for degree in range(DEGREES + 1)], axis=1)
        basis, _ = np.linalg.qr(basis / np.linalg.norm(basis, axis=0))
        explained = ((basis[:, 1:].T @ centred) ** 2).sum(axis=0) / total
        corrected = 1 - (1 - explained) * (n - 1) / (n - 1 - DEGREES)
        share[i] = max(0.0, float(corrected.sum()) / columns.shape[1])
    return share


def by_explained_variance(share: Floats) -> NDArray[np.intp]:
    """Positions of the latents, the one that explains most first; equal ones stay in their order, shape (k,)."""
    return np.argsort(-share, kind="stable")


def signs(sources: Floats, loadings: Floats) -> Floats:
    """The sign of each latent, ±1, such that its longer tail points up.

    Where the skewness of its source is below 0.1, or below four standard errors of its estimate, the source counts as
    symmetric, and the column of largest |loading| gets a positive one. A Gaussian latent has no skewness, so it is
    taken in the scale of the source.

    Parameters
    ----------
    sources : ndarray, shape (n, k)
        In source scale.
    loadings : ndarray, shape (D, k)
        Correlations of the columns with the latents, or what else says how a latent weighs on each.

    Returns
    -------
    ndarray, shape (k,)
    """
    skewness, error = _skewness(sources)
    skewed = np.abs(skewness) > np.maximum(SYMMETRIC, STANDARD_ERRORS * error)
    size = np.abs(loadings)
    heaviest = np.argmax(size >= (1 - TIED) * size.max(axis=0), axis=0)
    of_loading = loadings[heaviest, np.arange(loadings.shape[1])]
    return np.where(np.where(skewed, skewness, of_loading) < 0, -1.0, 1.0)


def loadings(latents: Floats, columns: Floats) -> Floats:
    """Pearson correlation of each column with each latent, shape (D, k); 0 where either does not vary."""
    z, x = latents - latents.mean(axis=0), columns - columns.mean(axis=0)
    size = np.outer(np.linalg.norm(x, axis=0), np.linalg.norm(z, axis=0))
    return np.divide(x.T @ z, size, out=np.zeros_like(size), where=size > 0)


def _skewness(values: Floats) -> tuple[Floats, Floats]:
    """Skewness of each column and its standard error.

    The error is that of the influence function u³ − 3u − γ − ³⁄₂ γ (u² − 1), which heavy tails make large, where
    √(6/n) holds for normal rows only.
    """
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    u = centred / np.where(spread > 0, spread, 1.0)
    skewness = (u**3).mean(axis=0)
    influence = u**3 - 3 * u - skewness - 1.5 * skewness * (u**2 - 1)
    return skewness, influence.std(axis=0) / np.sqrt(len(values))
