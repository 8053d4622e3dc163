r"""How well independent components determine their axes: not at all where both components of a plane are Gaussian.

For independent components of unit variance in an orthogonal mixture, the Fisher information on the angle in the plane
of components i and j is n (Jᵢ + Jⱼ − 2), with J = E[(p′/p)²] ≥ 1 the information of each on its location, 1 for a
normal law alone (the Cramér–Rao bound of linear ICA: Tichavský, Koldovský & Oja 2006, IEEE Trans. Signal Process.
54:1189). To leading order of the cumulants J − 1 = κ₃²/2 + κ₄²/6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Expectation of n (κ₃²/2 + κ₄²/6) of a normal sample: 6/2 + 24/6.
NORMAL = 7.0
#: Standard deviation of the sum of two of them, √(2 (3² + 4²) · 2), and how many count as chance.
CHANCE = 2.0 * 10.0


def angle_error(components: Floats) -> Floats:
    """Standard errors of the angles between components, shape (k, k), radians.

    1/√(information), with cumulants estimated from the rows, their expectation under a normal law taken off; π/4 in
    planes where the rest is within two standard deviations of what normal components give by chance.

    Parameters
    ----------
    components : ndarray, shape (n, k)
        Independent, as rows of an orthogonal mixture would be given back; any scale.
    """
    n, k = components.shape
    centred = components - components.mean(0)
    u = centred / np.maximum(centred.std(0), np.finfo(float).tiny)
    third, fourth = (u**3).mean(0), (u**4).mean(0) - 3
    own = n * (third**2 / 2 + fourth**2 / 6) - NORMAL
    information = own[:, None] + own[None, :]
    error = np.full((k, k), np.pi / 4)
    clear = information > CHANCE
    error[clear] = np.minimum(1 / np.sqrt(information[clear]), np.pi / 4)
    np.fill_diagonal(error, 0.0)
    return error
