"""Distance correlation of two columns in O(n log n), with an interval and the p-value of no dependence.

Not ``dcor``, which gives the same R* but no interval and p-values by permutation alone, and whose compiled loops bring
200 MB of numba and llvmlite and 20 s at the first call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from latentflow.analysis.dependence.hermite import DEGREES, empirical_p_values
from latentflow.analysis.dependence.shifts import shift_variances, shifted_statistic, surprise
from latentflow.statistics.interval import Interval
from latentflow.statistics.resample import variance_of_mean

GRID = 100  # quantiles on which the spectrum of a column's distances is computed


@dataclass(frozen=True)
class DistanceDependence:
    """Bias-corrected distance correlation of two columns.

    Attributes
    ----------
    squared : Interval
        R* of Székely & Rizzo (2013): about zero under independence, at most 1; possibly negative.
    p_value : float
        Of no dependence.
    """

    squared: Interval
    p_value: float

    @property
    def correlation(self) -> Interval:
        """Signed square root of ``squared``, on the scale of a correlation."""
        bounds = (self.squared.estimate, self.squared.low, self.squared.high)
        return Interval(*(float(np.sign(b) * np.sqrt(abs(b))) for b in bounds))


def distance_dependence(x: np.ndarray, y: np.ndarray, *, block: int | None = None) -> DistanceDependence:
    """Measure the dependence of two columns (n,), n ≥ 8, that both vary.

    Parameters
    ----------
    x, y : ndarray (n,)
        Finite; normal scores, or anything of which distances make sense.
    block : int or None
        Not None for autocorrelated rows in their original order, the rows per block of the interval.

    Notes
    -----
    Under independence n times the distance covariance has the law of Σ λ_i μ_j (χ²_ij − 1), where λ and μ are
    the eigenvalues of the centred distances of either column (Székely, Rizzo & Bakirov 2007, theorem 5). They
    are computed on quantiles, and the p-value is the saddle-point approximation of that law (Kuonen 1999),
    good far into the tail. With blocks the first four eigenfunctions on either side are compared at all
    circular shifts, and what autocorrelation adds to the mean of R* is subtracted.

    The interval joins the variance under independence, 2/n², with that of the influence of single rows, or of
    their blocks, on R*.
    """
    n = len(x)
    of_x, of_y = _Distances(x), _Distances(y)
    scale = float(np.sqrt(of_x.variance * of_y.variance))
    sums = product_sums(x, y)
    squared = covariance(sums, of_x.sums, of_y.sums) / scale
    influence = _row_means(sums, of_x, of_y) / scale - 0.5 * squared * (of_x.influence + of_y.influence)
    null = 2.0 / n**2
    if block is None:
        p_value = weighted_chi2_sf(n * squared * scale, np.outer(of_x.spectrum, of_y.spectrum).ravel())
    else:
        functions = np.concatenate([of_x.functions, of_y.functions])
        cross = (functions @ functions.T / n) ** 2
        between = shift_variances(functions, cross)[:DEGREES, DEGREES:]
        total = np.array(cross[:DEGREES, DEGREES:].sum())
        p_value = _shift_p_value(total, np.sort(shifted_statistic(functions, 0, 1)), between)
        independent = np.outer(of_x.spectrum[:DEGREES], of_y.spectrum[:DEGREES]) / n
        squared -= float((between - independent).sum()) / scale
        null = max(null, 2.0 * float((between**2).sum()) / scale**2)
    variance = null + max(0.0, 4.0 * variance_of_mean(influence, block or 1) - 2.0 * null)
    reach = float(norm.isf(0.025) * np.sqrt(variance))
    return DistanceDependence(Interval(squared, squared - reach, min(1.0, squared + reach)), p_value)


class _Distances:
    """What one column contributes: row sums of its distances, their spectrum, its distance variance."""

    def __init__(self, x: np.ndarray) -> None:
        n = len(x)
        self.x = x
        self.sums = weighted_sums(x, np.ones(n))
        squares = n * x**2 - 2.0 * x * x.sum() + float(x @ x)
        self.variance = covariance(squares, self.sums, self.sums)
        self.influence = _row_means(squares, self, self) / self.variance
        self.spectrum, vectors, at = _spectrum(x)
        shapes = np.stack([np.interp(x, at, vector) for vector in vectors.T[:DEGREES]])
        self.functions = np.sqrt(self.spectrum[:DEGREES, None]) * shapes  # (4, n), mean squares λ


def covariance(products: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared distance covariance (Székely & Rizzo 2014, eq. 3.2).

    Parameters
    ----------
    products : ndarray (n,)
        Σ_j a_ij b_ij for each row i.
    a, b : ndarray (n,)
        Row sums of the distances of either column.
    """
    n = len(a)
    inner = products.sum() - 2.0 * (a @ b) / (n - 2) + a.sum() * b.sum() / ((n - 1) * (n - 2))
    return float(inner / (n * (n - 3)))


def product_sums(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Σ_j |x_i − x_j| |y_i − y_j| for each row i of (n,), in O(n log n).

    |a||b| is ab for concordant pairs and −ab for the others, so sums over rows that lie below in both columns
    are all that is needed (Huo & Székely 2016; Chaudhuri & Hu 2019).
    """
    n = len(x)
    by_x = np.argsort(x, kind="stable")
    u, v = x[by_x], y[by_x]
    by_v = np.argsort(v, kind="stable")
    terms = np.stack([np.ones(n), u, v, u * v], axis=1)
    total = terms.sum(axis=0)
    before = np.cumsum(terms, axis=0) - terms
    above = np.empty_like(terms)
    above[by_v] = total - np.cumsum(terms[by_v], axis=0)
    one, sum_u, sum_v, sum_uv = (2.0 * dominated_sums(by_v, terms) + above - before).T
    concordant = u * v * one - u * sum_v - v * sum_u + sum_uv
    result = np.empty(n)
    result[by_x] = 2.0 * concordant - (n * u * v - u * total[2] - v * total[1] + total[3])
    return result


def dominated_sums(by_value: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Sums of ``terms`` over the rows that come before a row and have a smaller value.

    Parameters
    ----------
    by_value : ndarray (n,) of int
        The positions of the rows in ascending order of their value.
    terms : ndarray (n, q)

    Returns
    -------
    ndarray (n, q)

    Notes
    -----
    Rows in order of value are parted again and again by the next binary digit of their position. At each
    parting a row of the upper part has the lower part's rows with smaller values before it in the list.
    """
    n, q = terms.shape
    digits = max(1, int(n - 1).bit_length())
    size = 1 << digits
    place = np.concatenate([by_value, np.arange(n, size)])
    padded = np.concatenate([terms, np.zeros((size - n, q))])
    result = np.zeros((size, q))
    for digit in reversed(range(digits)):
        upper = (place >> digit) & 1 == 1
        lower_terms = np.where(upper[:, None], 0.0, padded[place])
        sums = np.cumsum(lower_terms.reshape(-1, 2 << digit, q), axis=1).reshape(size, q)
        result[place[upper]] += sums[upper]
        parts = (place[~upper].reshape(-1, 1 << digit), place[upper].reshape(-1, 1 << digit))
        place = np.concatenate(parts, axis=1).ravel()
    return result[:n]


def weighted_sums(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Σ_j |x_i − x_j| w_j for each row i of (n,), in O(n log n)."""
    order = np.argsort(x, kind="stable")
    u, w = x[order], weights[order]
    weight, moment = np.cumsum(w), np.cumsum(w * u)
    result = np.empty(len(x))
    result[order] = u * (2.0 * weight - weight[-1]) + moment[-1] - 2.0 * moment
    return result


def weighted_chi2_sf(total: float, weights: np.ndarray) -> float:
    """P(Σ w (χ²₁ − 1) > total) for positive weights (q,): Lugannani & Rice's saddle-point formula."""
    largest = float(weights.max())
    weights, total = weights[weights > 1e-9 * largest] / largest, total / largest
    spread = float(np.sqrt(2.0 * (weights**2).sum()))
    if abs(total) < 1e-3 * spread:  # the formula is 0/0 at the mean
        near = [weighted_chi2_sf(shift * spread, weights) for shift in (-2e-3, 2e-3)]
        return 0.5 * (near[0] + near[1])
    if total <= -weights.sum():
        return 1.0

    def slope(t: float) -> float:
        return float((weights * (1.0 / (1.0 - 2.0 * weights * t) - 1.0)).sum()) - total

    low = -1.0
    while slope(low) > 0.0:
        low *= 2.0
    high = 0.5 * (1.0 - 1e-12)
    if slope(high) <= 0.0:  # p is too small for a float
        return 0.0
    saddle = float(brentq(slope, low, high))
    generating = -0.5 * float(np.log1p(-2.0 * weights * saddle).sum()) - saddle * float(weights.sum())
    curvature = 2.0 * float((weights**2 / (1.0 - 2.0 * weights * saddle) ** 2).sum())
    w = float(np.sign(saddle) * np.sqrt(max(2.0 * (saddle * total - generating), 0.0)))
    v = saddle * np.sqrt(curvature)
    return float(np.clip(norm.sf(w + np.log(v / w) / w), 0.0, 1.0))


def _shift_p_value(total: np.ndarray, shifts: np.ndarray, variances: np.ndarray) -> float:
    """The larger of two p-values of a sum of squares: its rank among shifts, and by their variances alone.

    Neighbouring shifts are nearly the same draw, so that ranks alone promise more than they hold.
    """
    matched = np.exp(-surprise(total, *(np.array((variances**power).sum()) for power in (1, 2, 3))))
    return float(max(empirical_p_values(total, shifts), matched))


def _row_means(products: np.ndarray, of_x: _Distances, of_y: _Distances) -> np.ndarray:
    """Mean over j of the product of centred distances of rows i and j, (n,), less its mean over i."""
    n = len(products)
    a, b = of_x.sums / n, of_y.sums / n
    crossed = weighted_sums(of_x.x, b) + weighted_sums(of_y.x, a)
    means = (products - crossed) / n - a * b + a * b.mean() + b * a.mean()
    return np.asarray(means - means.mean())


def _spectrum(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (m,) of the centred distances, descending, eigenvectors (m, m) of mean square 1, and where.

    ``where`` (m,) are the quantiles of the column at which the vectors stand.
    """
    at = np.quantile(x, (np.arange(GRID) + 0.5) / GRID)
    distances = np.abs(at[:, None] - at[None, :])
    row = distances.mean(axis=0)
    values, vectors = np.linalg.eigh((row[:, None] + row[None, :] - distances - row.mean()) / GRID)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1] * np.sqrt(GRID), at
