"""What a classifier must be shown to see dependence: products of functions of different columns.

Rows and shuffled rows have the same columns one by one, so dependence is interaction and nothing else: a tree
that splits on one column at a time gains nothing from its first split, and boosted trees on the columns
alone, measured at 10 columns and 2 000 rows, found none of the dependences that the products below show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentflow.analysis.dependence.hermite import DEGREES

FEWEST_PRODUCTS, MOST_PRODUCTS = 8, 64  # products kept
TRAINING_ROWS_PER_PRODUCT = 10
TRIPLE_WORK = 1e10  # multiplications spent on triples; beyond it they are screened on fewer rows
SHRINK_AT_LEAST = 1e-3


@dataclass(frozen=True)
class Interactions:
    """Products of functions of different columns, chosen on training rows, and what linear correlation tells.

    Attributes
    ----------
    pairs : ndarray (p, 2) of int
        Rows of the (4 d, n) Hermite functions to be multiplied.
    triples : ndarray (q, 3) of int
        Columns whose first functions are multiplied.
    order : ndarray (p + q,) of int
        The products in the order of their evidence, strongest first, counting pairs before triples.
    precision : ndarray (d, d)
        Inverse of the shrunk correlation matrix of the first functions (normal scores), less the identity.
    log_det : float
        Of that correlation matrix.
    """

    pairs: np.ndarray
    triples: np.ndarray
    order: np.ndarray
    precision: np.ndarray
    log_det: float

    def features(self, functions: np.ndarray) -> np.ndarray:
        """Features (n, 1 + p + q) of Hermite functions (4 d, n).

        First the log-ratio of the Gaussian copula to the independent one, nats; then the products, strongest
        evidence first.
        """
        first = functions[::DEGREES]
        gaussian = -0.5 * ((first * (self.precision @ first)).sum(axis=0) + self.log_det)
        pairs = functions[self.pairs[:, 0]] * functions[self.pairs[:, 1]]
        triples = first[self.triples[:, 0]] * first[self.triples[:, 1]] * first[self.triples[:, 2]]
        products = np.concatenate([pairs, triples])[self.order]
        return np.concatenate([gaussian[None], products]).T


def choose_interactions(functions: np.ndarray) -> Interactions:
    """Choose the products whose means differ most from what independent columns would give.

    Parameters
    ----------
    functions : ndarray (4 d, m)
        Hermite functions of the training rows: mean 0 and mean square 1, d ≥ 2.

    Notes
    -----
    Under independence the mean of a product is zero with variance 1/m. Kept are those beyond the level that
    one product of all those tried would reach by chance, at least 8 and at most 64 or one for ten rows; pairs
    of any two of the four functions, and triples of the first function, which sees a sign that is the product
    of two others.
    """
    m = functions.shape[1]
    d = len(functions) // DEGREES
    precision, log_det = _shrunk_precision(functions[::DEGREES])
    most = max(FEWEST_PRODUCTS, min(MOST_PRODUCTS, m // TRAINING_ROWS_PER_PRODUCT))
    pairs, of_pairs = _strongest_pairs(functions, most)
    triples, of_triples = _strongest_triples(functions[::DEGREES], most)
    tried = (DEGREES**2 * d * (d - 1) / 2, d * (d - 1) * (d - 2) / 6)
    evidence = np.concatenate(
        [
            strength / np.sqrt(2.0 * np.log(2.0 * max(number, 2.0)))
            for strength, number in zip((of_pairs, of_triples), tried, strict=True)
        ]
    )
    ranked = np.argsort(-evidence, kind="stable")
    kept = ranked[: int(np.clip((evidence > 1.0).sum(), FEWEST_PRODUCTS, most))]
    in_pairs, in_triples = kept[kept < len(pairs)], kept[kept >= len(pairs)]
    order = np.argsort(-evidence[np.concatenate([in_pairs, in_triples])], kind="stable")
    return Interactions(pairs[in_pairs], triples[in_triples - len(pairs)], order, precision, log_det)


def _strongest_pairs(functions: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (p, 2) of functions of different columns and √m |mean of their product|, p ≤ most."""
    size, m = functions.shape
    moments = np.abs(functions @ functions.T)
    column = np.arange(size) // DEGREES
    moments[column[:, None] >= column[None, :]] = 0.0
    best = _largest(moments.ravel(), most)
    return np.stack(np.unravel_index(best, moments.shape), axis=1), moments.ravel()[best] / np.sqrt(m)


def _strongest_triples(first: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Triples (q, 3) of columns and √m |mean of the product of their first functions|, q ≤ most."""
    d = len(first)
    rows = int(np.clip(TRIPLE_WORK / d**3, 500, first.shape[1]))
    first = first[:, :: max(1, first.shape[1] // rows)]
    candidates, strengths = [np.empty((0, 3), dtype=int)], [np.empty(0)]
    for i in range(d - 2):
        rest = first[i + 1 :]
        moments = np.triu(np.abs((rest * first[i]) @ rest.T), 1)
        best = _largest(moments.ravel(), most)
        second, third = np.unravel_index(best, moments.shape)
        candidates.append(np.stack([np.full_like(second, i), second + i + 1, third + i + 1], axis=1))
        strengths.append(moments.ravel()[best] / np.sqrt(first.shape[1]))
    triples, strength = np.concatenate(candidates), np.concatenate(strengths)
    best = _largest(strength, most)
    return triples[best], strength[best]


def _largest(values: np.ndarray, most: int) -> np.ndarray:
    """Positions of the largest positive values, at most so many, in no order."""
    best = np.argpartition(values, -min(most, len(values)))[-most:] if len(values) else np.arange(0)
    return best[values[best] > 0.0]


def _shrunk_precision(first: np.ndarray) -> tuple[np.ndarray, float]:
    """Inverse less identity, and log-determinant, of the correlations shrunk towards none.

    The intensity is Schäfer & Strimmer's (2005, eq. 8), with 1/m for the variance of a correlation.
    """
    d, m = first.shape
    correlation = first @ first.T / m
    np.fill_diagonal(correlation, 1.0)
    power = float((correlation**2).sum()) - d
    shrink = float(np.clip(d * (d - 1) / m / max(power, 1e-300), SHRINK_AT_LEAST, 1.0))
    correlation *= 1.0 - shrink
    np.fill_diagonal(correlation, 1.0)
    return np.linalg.inv(correlation) - np.eye(d), float(np.linalg.slogdet(correlation)[1])
