"""Records of single measurements: ledger, pairwise dependence, Gaussianity, round trip; in nats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from latentflow.statistics.interval import Interval, Result


@dataclass(frozen=True)
class LedgerEntry(Result):
    """The total-correlation account of one representation.

    Attributes
    ----------
    name, label : str
        Key (``raw``, ``pca``, ``fastica``, ``latents``) and how a reader is told of it.
    removed : Interval
        TC(reference) − TC(this), nats: how much dependence this representation has removed.
        Zero with a zero-width interval for the reference itself.
    marginal_entropy : float
        Σ_i H(y_i), nats, in the units of this representation.
    mean_log_det : float
        E log|det ∂y/∂x| from the user's columns to this representation, nats.
    product_neg_log_prob : float
        Σ_i H(y_i) − E log|det| = H(x) + TC(y), nats, user's units: the −log p of the best density that takes
        these coordinates as independent. Comparable with ``neg_log_prob`` of the model.
    """

    name: str
    label: str
    removed: Interval
    marginal_entropy: float
    mean_log_det: float
    product_neg_log_prob: float


@dataclass(frozen=True)
class Ledger(Result):
    """The total-correlation ledger, on one common set of rows.

    Attributes
    ----------
    entries : tuple of LedgerEntry
        In the order of the representations; ``entry(name)`` finds one.
    differences : mapping of str to Interval
        ``"b-a"`` → removed(b) − removed(a) = TC(a) − TC(b), nats, paired by row; one for every pair of
        entries in their order, so ``"latents-fastica"`` > 0 says that the latents are more independent than
        FastICA.
    reference : str
        The entry relative to which ``removed`` is counted.
    n_rows, n_boot : int
        Rows and bootstrap draws.
    block : int or None
        Rows per block of the block bootstrap; None where rows were resampled one by one.
    """

    entries: tuple[LedgerEntry, ...]
    differences: Mapping[str, Interval]
    reference: str
    n_rows: int
    n_boot: int
    block: int | None

    def entry(self, name: str) -> LedgerEntry:
        """The entry called ``name``; ``KeyError`` where there is none."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(name)


@dataclass(frozen=True)
class PairwiseDependence(Result):
    """Dependence of every pair of columns of one representation, on normal scores.

    Attributes
    ----------
    name, label : str
        The representation.
    columns : tuple of str, length d
        Names along both axes of the matrices.
    nats : ndarray (d, d)
        Effect size max(0, ½(Σρ² − null mean)): mutual information in nats to leading order (reads high where
        dependence is strong). Symmetric, diagonal zero.
    statistic : ndarray (d, d)
        (n − 1) Σ_kl ρ_kl² over the 16 Hermite cross-moments k, l ≤ 4. Symmetric, diagonal zero.
    p_value : ndarray (d, d)
        Of no dependence, per pair, not adjusted. Symmetric, diagonal one.
    max_nats : float; max_pair : tuple of int
        The most dependent pair (i < j) and its effect size, nats. (0, 0) and 0.0 where d = 1.
    max_p_adjusted : float
        Bonferroni-adjusted p of the most significant pair.
    mean_nats : float
        Mean effect size over pairs, nats, before the floor at zero, so that its mean is zero under
        independence.
    tree : Interval
        Lower bound on the total correlation from pairs alone, nats: pairwise effect sizes summed over the
        maximum spanning tree (Chow & Liu 1968), tree and sum on different halves of the rows. Zero on average
        under independence, so the estimate may be slightly negative.
    n_rows : int
        Rows used.
    null : str
        ``chi2``, ``simulated`` (ranks at this n) or ``circular shifts``.
    """

    name: str
    label: str
    columns: tuple[str, ...]
    nats: np.ndarray
    statistic: np.ndarray
    p_value: np.ndarray
    max_nats: float
    max_pair: tuple[int, int]
    max_p_adjusted: float
    mean_nats: float
    tree: Interval
    n_rows: int
    null: str


@dataclass(frozen=True)
class LatentGaussianity(Result):
    """How close one latent is to N(0, 1) on the evaluated rows.

    Attributes
    ----------
    name : str
    mean, std, skewness, excess_kurtosis : float
        Moments; 0, 1, 0, 0 for N(0, 1).
    mean_se, std_se, skewness_se, excess_kurtosis_se : float
        Their standard errors under N(0, 1) at the effective number of rows.
    anderson_darling : float
        A² against N(0, 1) with nothing estimated.
    p_value, p_holm : float
        Of A², alone and Holm-adjusted over the latents.
    """

    name: str
    mean: float
    std: float
    skewness: float
    excess_kurtosis: float
    mean_se: float
    std_se: float
    skewness_se: float
    excess_kurtosis_se: float
    anderson_darling: float
    p_value: float
    p_holm: float


@dataclass(frozen=True)
class RadiusTest(Result):
    """‖z‖² of each row against χ² with d degrees of freedom (Kolmogorov–Smirnov).

    Attributes
    ----------
    ks, p_value : float
        Largest distance of the distribution functions, and its p-value at the effective number of rows.
    mean_ratio : float
        Mean of ‖z‖²/d; 1 for N(0, I).
    degrees : int
        d, the number of latents.
    """

    ks: float
    p_value: float
    mean_ratio: float
    degrees: int


@dataclass(frozen=True)
class Gaussianity(Result):
    """Gaussianity of the latents, one by one and jointly.

    Attributes
    ----------
    latents : tuple of LatentGaussianity, length k
    radius : RadiusTest
    probabilities : ndarray (m,)
        Levels of the quantile plots, in (0, 1).
    normal_quantiles : ndarray (m,)
        Φ⁻¹ of them.
    quantiles : ndarray (k, m)
        Quantiles of each latent at these levels.
    quantile_band : ndarray (m,)
        Half-width of the pointwise 95 % band of such a quantile under N(0, 1).
    n_rows : int
    effective_n : float
        Rows that count as independent; equals ``n_rows`` where rows are not autocorrelated.
    """

    latents: tuple[LatentGaussianity, ...]
    radius: RadiusTest
    probabilities: np.ndarray
    normal_quantiles: np.ndarray
    quantiles: np.ndarray
    quantile_band: np.ndarray
    n_rows: int
    effective_n: float


@dataclass(frozen=True)
class Histogram(Result):
    """Counts of log10 of a positive error per row.

    Attributes
    ----------
    edges : ndarray (m + 1,)
        log10 of the bin edges.
    counts : ndarray (m,) of int
    exact : int
        Rows whose error is exactly zero and which no bin holds.
    """

    edges: np.ndarray
    counts: np.ndarray
    exact: int


@dataclass(frozen=True)
class RoundTrip(Result):
    """Errors of going there and back.

    Attributes
    ----------
    n : int
        Rows of data → latent → data.
    data_max, data_q50, data_q99 : float
        Maximum, median and 99 % quantile over the rows of a row's largest |restored − original|, in standard
        deviations of the column.
    exact_rows : float
        Share of rows restored bit by bit.
    histogram : Histogram
        Of the same row errors.
    latent_n : int
        Draws from N(0, I) of latent → whitened row → latent; 0 where the model does not offer this direction.
    latent_max, latent_q50, latent_q99 : float or None
        The like for a draw's largest |returned − drawn|, in units of the latent (standard deviation 1).
    """

    n: int
    data_max: float
    data_q50: float
    data_q99: float
    exact_rows: float
    histogram: Histogram
    latent_n: int
    latent_max: float | None
    latent_q50: float | None
    latent_q99: float | None


@dataclass(frozen=True)
class FastICASummary(Result):
    """How FastICA ran, and how the latents line up with its components.

    Attributes
    ----------
    converged : bool
    n_iter : int
        Iterations of the run that was kept.
    note : str
        What was tried, one sentence; says so where nothing converged.
    agreement : float
        Mean |Spearman correlation| of latents with FastICA components after optimal matching, 0 … 1.
    matched : tuple of int, length k
        The FastICA component matched with each latent.
    correlation : tuple of float, length k
        Signed Spearman correlation of each match.
    """

    converged: bool
    n_iter: int
    note: str
    agreement: float
    matched: tuple[int, ...]
    correlation: tuple[float, ...]
