"""How close latents are to N(0, 1), one by one, and to N(0, I) jointly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import erfc, log_ndtr, ndtr, ndtri
from scipy.stats import chi2, kstwo, norm

from latentflow.analysis.gaussianity import block_signs
from latentflow.analysis.measures import Gaussianity, LatentGaussianity, RadiusTest
from latentflow.statistics.serial import variance_inflation

QUANTILES = 121
FARTHEST_QUANTILE = 4.0


def gaussianity(z: np.ndarray, names: Sequence[str], *, dependent: bool = False) -> Gaussianity:
    """Test latents (n, k) against N(0, I), which has no free parameter.

    Parameters
    ----------
    z : ndarray (n, k)
        Latents.
    names : sequence of str
        k names.
    dependent : bool
        Whether rows are autocorrelated (and stand in order): standard errors then use each latent's effective
        number of rows, n / (1 + 2 Σ autocorrelations), and p-values come from blocks of rows whose signs are changed
        (:mod:`latentflow.analysis.gaussianity.block_signs`); where that leaves fewer than 12 blocks, p-values use the
        effective number of rows too, which errs on the side of not rejecting.

    Returns
    -------
    Gaussianity
        Moments with standard errors, Anderson–Darling with Holm's adjustment, ‖z‖² against χ²_k, and the
        quantiles for normal plots.
    """
    n, k = z.shape
    effective = np.array([n / variance_inflation(column) if dependent else float(n) for column in z.T])
    squared = [anderson_darling(column) for column in z.T]
    p_values = _p_values(z, squared, effective)
    adjusted = holm(p_values)
    latents = tuple(
        _latent(names[j], z[:, j], float(effective[j]), squared[j], float(p_values[j]), float(adjusted[j]))
        for j in range(k)
    )
    smallest = float(effective.min())
    edge = min(float(ndtri(1.0 - 1.0 / max(n, 3))), FARTHEST_QUANTILE)
    points = np.linspace(-edge, edge, QUANTILES)
    levels = ndtr(points)
    band = norm.isf(0.025) * np.sqrt(levels * (1.0 - levels) / smallest) / norm.pdf(points)
    quantiles = np.quantile(z, levels, axis=0).T
    radius = radius_test(z, dependent=dependent)
    return Gaussianity(latents, radius, levels, points, quantiles, band, n, smallest)


def _p_values(z: np.ndarray, squared: Sequence[float], effective: np.ndarray) -> np.ndarray:
    """P-value of each A² (k,), from as many rows as count, or from signed blocks of autocorrelated rows."""
    n = len(z)
    # Each latent's own autocorrelation is known badly from few rows, and the one where it comes out lowest would
    # decide: none is taken to be worth more rows than the latents are on average.
    careful = np.minimum(effective, n / np.mean(n / effective))
    p = np.array([anderson_darling_p(a * m / n, m) for a, m in zip(squared, careful, strict=True)])
    block = block_signs.signed_block(n / float(effective.min()), n)
    if block is None or effective.min() >= n:
        return p
    numbers = block_signs.block_numbers(n, block)
    signed = block_signs.signs(int(numbers[-1]) + 1, np.random.default_rng([23, n, len(p)]))
    for j, column in enumerate(z.T):
        if effective[j] < n:
            p[j] = block_signs.squared_p(block_signs.excess_counts(ndtr(column), numbers), signed)
    return p


def anderson_darling(z: np.ndarray) -> float:
    """A² of (n,) against N(0, 1) with nothing estimated (Anderson & Darling 1954)."""
    n = len(z)
    ordered = np.sort(z)
    weights = 2.0 * np.arange(1, n + 1) - 1.0
    return float(-n - (weights * (log_ndtr(ordered) + log_ndtr(-ordered[::-1]))).sum() / n)


def anderson_darling_p(statistic: float, n: float) -> float:
    """P(A² > statistic) for a fully specified continuous null at n rows.

    Marsaglia & Marsaglia (2004), whose limiting distribution is accurate to 0.4 % of p up to A² = 7; beyond,
    √3 erfc(√A²) with its first correction, the exact leading term of the tail, so that small p-values are
    right in their size too.
    """
    if statistic <= 0.0:
        return 1.0
    if statistic > 7.0:
        return float(np.sqrt(3.0) * erfc(np.sqrt(statistic)) / (1.0 - 0.2855 / statistic))
    below = _limiting_cdf(statistic)
    return float(np.clip(1.0 - below - _finite_sample(below, n), 0.0, 1.0))


def _limiting_cdf(z: float) -> float:
    if z < 2.0:
        series = np.polyval([0.00168691, -0.0116720, 0.0347962, -0.0649821, 0.247105, 2.00012], z)
        return float(np.exp(-1.2337141 / z) / np.sqrt(z) * series)
    return float(np.exp(-np.exp(np.polyval([-0.0003146, 0.008056, -0.082433, 0.43424, -2.30695, 1.0776], z))))


def _finite_sample(x: float, n: float) -> float:
    """What n rows add to the limiting distribution function where that is x."""
    if x > 0.8:
        return float(np.polyval([255.7844, -1116.360, 1950.646, -1705.091, 745.2337, -130.2137], x) / n)
    corner = 0.01265 + 0.1757 / n
    if x < corner:
        t = x / corner
        shape = np.sqrt(t) * (1.0 - t) * (49.0 * t - 102.0)
        return float(shape * (0.0037 / n**2 + 0.00078 / n + 0.00006) / n)
    t = (x - corner) / (0.8 - corner)
    shape = np.polyval([1.91864, -8.259, 14.458, -14.6538, 6.54034, -0.00022633], t)
    return float(shape * (0.04213 + 0.01365 / n) / n)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's (1979) step-down adjustment of p-values (k,) for the family-wise error; scipy has none."""
    k = len(p_values)
    order = np.argsort(p_values)
    adjusted = np.empty(k)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * (k - np.arange(k))))
    return adjusted


def radius_test(z: np.ndarray, *, dependent: bool = False) -> RadiusTest:
    """‖z‖² of each row of (n, k) against χ²_k by Kolmogorov–Smirnov, which sees some joint misfit.

    Where rows are dependent, the p-value comes as in :func:`gaussianity`.
    """
    n, k = z.shape
    squared = (z**2).sum(axis=1)
    levels = np.sort(chi2.cdf(squared, k))
    steps = np.arange(1, n + 1) / n
    distance = float(max((steps - levels).max(), (levels - steps + 1.0 / n).max()))
    inflation = variance_inflation(squared) if dependent else 1.0
    p_value = float(kstwo.sf(distance, max(round(n / inflation), 1)))
    block = block_signs.signed_block(inflation, n) if inflation > 1.0 else None
    if block is not None:
        numbers = block_signs.block_numbers(n, block)
        signed = block_signs.signs(int(numbers[-1]) + 1, np.random.default_rng([31, n, k]))
        p_value = block_signs.largest_p(block_signs.excess_counts(chi2.cdf(squared, k), numbers), signed)
    return RadiusTest(ks=distance, p_value=p_value, mean_ratio=float(squared.mean() / k), degrees=k)


def _latent(
    name: str, x: np.ndarray, effective: float, squared: float, p: float, p_holm: float
) -> LatentGaussianity:
    mean, std = float(x.mean()), float(x.std())
    scores = (x - mean) / std if std > 0.0 else np.zeros_like(x)
    return LatentGaussianity(
        name=name,
        mean=mean,
        std=std,
        skewness=float((scores**3).mean()),
        excess_kurtosis=float((scores**4).mean() - 3.0),
        mean_se=effective**-0.5,
        std_se=(2.0 * effective) ** -0.5,
        skewness_se=(6.0 / effective) ** 0.5,
        excess_kurtosis_se=(24.0 / effective) ** 0.5,
        anderson_darling=squared,
        p_value=p,
        p_holm=p_holm,
    )
