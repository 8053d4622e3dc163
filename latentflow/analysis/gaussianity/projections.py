"""Anderson–Darling over many random projections: the largest, and its null over these very directions.

A² = Σ_j Z_j² / (j (j + 1)) with Z_j = n^(−1/2) Σ_rows √(2j + 1) P_j(2 Φ(x) − 1), Legendre polynomials of the
probability transform (Anderson & Darling 1952), which are independent N(0, 1) for n → ∞. Two projections of
N(0, I) on directions at cosine ρ are jointly normal, so by Mehler's formula the Z_j of one and the Z_j′ of the
other have covariance Σ_m a_jm a_j′m ρ^m, with a_jm the Hermite coefficients of the j-th function. All of this
is known, so the null of the largest A² is drawn without drawing any rows, at once for every n: A² is close to
its limit from a few dozen rows on.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import eval_legendre, ndtr

from latentflow.analysis.dependence.hermite import empirical_p_values
from latentflow.analysis.gaussianity.marginal import anderson_darling_p

LEGENDRE = 12
HERMITE = 30
DRAWS = 2_000
_JITTER = 1e-8


def random_directions(d: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors (count, d), uniform on the sphere."""
    directions = rng.standard_normal((count, d))
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def largest_p(statistic: float, n: int, directions: np.ndarray, rng: np.random.Generator) -> float:
    """P-value of the largest A² over projections of n independent rows of N(0, I) on directions (q, d).

    Draws of the null tell it down to about 1/2 000; beyond, q times the p-value of a single projection.
    """
    draws = np.sort(largest_draws(directions, rng))
    drawn = float(empirical_p_values(np.array([statistic]), draws)[0])
    return min(drawn, len(directions) * anderson_darling_p(statistic, n)) if drawn < 0.01 else drawn


def largest_draws(directions: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Draws (draws,) of the largest A² over directions (q, d) under N(0, I)."""
    q = len(directions)
    cosines = np.clip(directions @ directions.T, -1.0, 1.0)
    coefficients, rest = _coefficients()
    beyond = rng.standard_normal((LEGENDRE, q, draws))
    for parity in (0, 1):
        beyond[parity::2] = _root(cosines ** (HERMITE + 1 + parity)) @ beyond[parity::2]
    z = np.einsum("jk,kqb->jqb", rest, beyond, optimize=True)
    power = np.ones_like(cosines)
    for m in range(HERMITE):
        power = power * cosines
        field = _root(power) @ rng.standard_normal((q, draws))
        for j in np.flatnonzero(np.abs(coefficients[:, m]) > 1e-9):
            z[j] += coefficients[j, m] * field
    degree = np.arange(1, LEGENDRE + 1)
    squared = np.einsum("j,jqb->qb", 1.0 / (degree * (degree + 1.0)), z * z)
    return np.asarray(squared.max(axis=0) + 1.0 / (LEGENDRE + 1.0))


def _root(correlation: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.cholesky(correlation + _JITTER * np.eye(len(correlation))))


@lru_cache(maxsize=1)
def _coefficients() -> tuple[np.ndarray, np.ndarray]:
    """Hermite coefficients (LEGENDRE, HERMITE) of the functions from degree 1 on, and a root of what is left.

    What lies in Hermite degrees beyond is given the correlation between directions of the first of them, odd
    or even.
    """
    x = np.linspace(-9.0, 9.0, 9001)
    weight = np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi) * (x[1] - x[0])
    hermite = [np.ones_like(x), x]
    for m in range(2, HERMITE + 1):
        hermite.append((x * hermite[-1] - np.sqrt(m - 1.0) * hermite[-2]) / np.sqrt(m))
    levels = 2.0 * ndtr(x) - 1.0
    functions = np.array([np.sqrt(2 * j + 1) * eval_legendre(j, levels) for j in range(1, LEGENDRE + 1)])
    coefficients = (functions * weight) @ np.array(hermite[1:]).T
    values, vectors = np.linalg.eigh(np.eye(LEGENDRE) - coefficients @ coefficients.T)
    return coefficients, (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
