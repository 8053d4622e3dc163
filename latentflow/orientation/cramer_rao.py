r"""How well independent components determine their axes: not at all where both components of a plane are Gaussian.

For independent components of unit variance in an orthogonal mixture, the Fisher information on the angle in the plane
of components i and j is n (Jᵢ + Jⱼ − 2), with J = E[(p′/p)²] ≥ 1 the information of each on its location, 1 for a
normal law alone (the Cramér–Rao bound of linear ICA: Tichavský, Koldovský & Oja 2006, IEEE Trans. Signal Process.
54:1189). Any functions g of a component bound it from below, J − 1 ≥ bᵀ Γ⁻¹ b, with b = E[g′(u) − u g(u)] and Γ the
covariance of what a regression on (1, u) leaves of g(u) (Cauchy–Schwarz). FastICA, whose contrast is one such g,
reaches (bᵢ² / Γᵢ + bⱼ² / Γⱼ) n at the most. Here they are the bounded tanh u and exp(−u²/2), one for the tails and one
for the skewness of a component, so that a few far rows do not count for more than they tell.

This is how far axes scatter from sample to sample, not whether they are right: FastICA's log cosh has its optimum
midway between some skewed sources, where it settles as surely, and behind a mixture that bends, which these components
are not the sources of, the bound is that of the linear model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Mean and standard deviation of n bᵀ Γ⁻¹ b of a normal sample.
NORMAL_MEAN, NORMAL_SPREAD = 8.05, 8.14
#: How much of the sum of two of them, less their means, counts as chance: three standard deviations.
CHANCE_INFORMATION = 3.0 * 2**0.5 * NORMAL_SPREAD


def angle_error(components: Floats) -> Floats:
    """Standard errors of the angles between components, shape (k, k), radians.

    1/√(information), the information less its expectation under a normal law; π/4 in planes where the rest is within
    three standard deviations of what normal components give by chance.

    Parameters
    ----------
    components : ndarray, shape (n, k)
        Independent, as rows of an orthogonal mixture would be given back; any scale.
    """
    own = _information(components) - NORMAL_MEAN
    information = own[:, None] + own[None, :]
    error = np.full(information.shape, np.pi / 4)
    clear = information > CHANCE_INFORMATION
    error[clear] = np.minimum(1 / np.sqrt(information[clear]), np.pi / 4)
    np.fill_diagonal(error, 0.0)
    return error


def _information(components: Floats) -> Floats:
    """n bᵀ Γ⁻¹ b of each component, shape (k,)."""
    centred = components - components.mean(0)
    u = centred / np.maximum(centred.std(0), np.finfo(float).tiny)
    odd, even = np.tanh(u), np.exp(-0.5 * u * u)
    values, slopes = np.stack([odd, even]), np.stack([1 - odd * odd, -u * even])
    b = (slopes - u * values).mean(1)
    left = values - values.mean(1, keepdims=True) - (values * u).mean(1, keepdims=True) * u
    covariance = np.einsum("ani,bni->iab", left, left) / len(u) + 1e-9 * np.eye(
        2
    )  # of two values, nothing is left
    return np.asarray(len(u) * (b.T * np.linalg.solve(covariance, b.T[:, :, None])[:, :, 0]).sum(1))
