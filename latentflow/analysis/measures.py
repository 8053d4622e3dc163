"""Records of single measurements: ledger, pairwise dependence, Gaussianity, round trip; in nats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result

PAIRS_SHOWN = 2  # per representation, point by point


@dataclass(frozen=True)
class LedgerEntry(Result):
    """The total-correlation account of one representation."""

    name: Annotated[str, "Key (``raw``, ``pca``, ``fastica``, ``latents``) and how a reader is told of it."]
    label: str
    removed: Annotated[
        Interval,
        "TC(reference) − TC(this), nats: how much dependence this representation has removed. Zero with a zero-width "
        "interval for the reference itself.",
    ]
    marginal_entropy: Annotated[float, "Σ_i H(y_i), nats, in the units of this representation."]
    mean_log_det: Annotated[float, "E log|det ∂y/∂x| from the user's columns to this representation, nats."]
    product_neg_log_prob: Annotated[
        float,
        "Σ_i H(y_i) − E log|det| = H(x) + TC(y), nats, user's units: the −log p of the best density that takes these "
        "coordinates as independent. Comparable with ``neg_log_prob`` of the model.",
    ]


@dataclass(frozen=True)
class Ledger(Result):
    """The total-correlation ledger, on one common set of rows."""

    entries: Annotated[
        tuple[LedgerEntry, ...], "In the order of the representations; ``entry(name)`` finds one."
    ]
    differences: Annotated[
        Mapping[str, Interval],
        '``"b-a"`` → removed(b) − removed(a) = TC(a) − TC(b), nats, paired by row; one for every pair of entries in '
        'their order, so ``"latents-fastica"`` > 0 says that the latents are more independent than FastICA.',
    ]
    reference: Annotated[str, "The entry relative to which ``removed`` is counted."]
    n_rows: Annotated[int, "Rows and bootstrap draws."]
    n_boot: int
    block: Annotated[
        int | None, "Rows per block of the block bootstrap; None where rows were resampled one by one."
    ]

    def entry(self, name: str) -> LedgerEntry:
        """The entry called ``name``; ``KeyError`` where there is none."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(name)


@dataclass(frozen=True)
class PairwiseDependence(Result):
    """Dependence of every pair of columns of one representation, on normal scores."""

    name: Annotated[str, "The representation."]
    label: str
    columns: Annotated[tuple[str, ...], "length d: Names along both axes of the matrices."]
    nats: Annotated[
        np.ndarray,
        "(d, d): Effect size max(0, ½(Σρ² − null mean)): mutual information in nats to leading order (reads high "
        "where dependence is strong). Symmetric, diagonal zero.",
    ]
    statistic: Annotated[
        np.ndarray,
        "(d, d): (n − 1) Σ_kl ρ_kl² over the 16 Hermite cross-moments k, l ≤ 4. Symmetric, diagonal zero.",
    ]
    p_value: Annotated[
        np.ndarray, "(d, d): Of no dependence, per pair, not adjusted. Symmetric, diagonal one."
    ]
    max_nats: Annotated[
        float, "The most dependent pair (i < j) and its effect size, nats. (0, 0) and 0.0 where d = 1."
    ]
    max_pair: tuple[int, int]
    max_p_adjusted: Annotated[float, "Bonferroni-adjusted p of the most significant pair."]
    mean_nats: Annotated[
        float,
        "Mean effect size over pairs, nats, before the floor at zero, so that its mean is zero under independence.",
    ]
    tree: Annotated[
        Interval,
        "Lower bound on the total correlation from pairs alone, nats: pairwise effect sizes summed over the maximum "
        "spanning tree (Chow & Liu 1968), tree and sum on different halves of the rows. Zero on average under "
        "independence, so the estimate may be slightly negative.",
    ]
    n_rows: Annotated[int, "Rows used."]
    null: Annotated[str, "``chi2``, ``simulated`` (ranks at this n) or ``circular shifts``."]

    def strongest(self, limit: int = PAIRS_SHOWN) -> list[tuple[int, int]]:
        """The ``limit`` most dependent pairs (i < j), strongest first; fewer where there are fewer pairs."""
        rows, columns = np.triu_indices(len(self.columns), k=1)
        order = np.argsort(-np.asarray(self.nats)[rows, columns], kind="stable")[:limit]
        return [(int(rows[at]), int(columns[at])) for at in order]


@dataclass(frozen=True)
class LatentGaussianity(Result):
    """How close one latent is to N(0, 1) on the evaluated rows."""

    name: Annotated[str, "Its name."]
    mean: Annotated[float, "Moments; 0, 1, 0, 0 for N(0, 1)."]
    std: float
    skewness: float
    excess_kurtosis: float
    mean_se: Annotated[float, "Their standard errors under N(0, 1) at the effective number of rows."]
    std_se: float
    skewness_se: float
    excess_kurtosis_se: float
    anderson_darling: Annotated[float, "A² against N(0, 1) with nothing estimated."]
    p_value: Annotated[float, "Of A², alone and Holm-adjusted over the latents."]
    p_holm: float


@dataclass(frozen=True)
class RadiusTest(Result):
    """‖z‖² of each row against χ² with d degrees of freedom (Kolmogorov–Smirnov)."""

    ks: Annotated[
        float,
        "Largest distance of the distribution functions, and its p-value at the effective number of rows.",
    ]
    p_value: float
    mean_ratio: Annotated[float, "Mean of ‖z‖²/d; 1 for N(0, I)."]
    degrees: Annotated[int, "d, the number of latents."]


@dataclass(frozen=True)
class Gaussianity(Result):
    """Gaussianity of the latents, one by one and jointly."""

    latents: Annotated[tuple[LatentGaussianity, ...], "length k: Each latent on its own, in their order."]
    radius: Annotated[
        RadiusTest, "‖z‖² of each row against χ² with d degrees of freedom (Kolmogorov–Smirnov)."
    ]
    probabilities: Annotated[np.ndarray, "(m,): Levels of the quantile plots, in (0, 1)."]
    normal_quantiles: Annotated[np.ndarray, "(m,): Φ⁻¹ of them."]
    quantiles: Annotated[np.ndarray, "(k, m): Quantiles of each latent at these levels."]
    quantile_band: Annotated[
        np.ndarray, "(m,): Half-width of the pointwise 95 % band of such a quantile under N(0, 1)."
    ]
    n_rows: Annotated[int, "Rows used."]
    effective_n: Annotated[
        float, "Rows that count as independent; equals ``n_rows`` where rows are not autocorrelated."
    ]


@dataclass(frozen=True)
class Histogram(Result):
    """Counts of log10 of a positive error per row."""

    edges: Annotated[np.ndarray, "(m + 1,): log10 of the bin edges."]
    counts: Annotated[np.ndarray, "(m,): Rows in each bin."]
    exact: Annotated[int, "Rows whose error is exactly zero and which no bin holds."]


@dataclass(frozen=True)
class RoundTrip(Result):
    """Errors of going there and back."""

    n: Annotated[int, "Rows of data → latent → data."]
    data_max: Annotated[
        float,
        "Maximum, median and 99 % quantile over the rows of a row's largest |restored − original|, in standard "
        "deviations of the column.",
    ]
    data_q50: float
    data_q99: float
    exact_rows: Annotated[float, "Share of rows restored bit by bit."]
    histogram: Annotated[Histogram, "Of the same row errors."]
    latent_n: Annotated[
        int,
        "Draws from N(0, I) of latent → whitened row → latent; 0 where the model does not offer this direction.",
    ]
    latent_max: Annotated[
        float | None,
        "The like for a draw's largest |returned − drawn|, in units of the latent (standard deviation 1).",
    ]
    latent_q50: float | None
    latent_q99: float | None


@dataclass(frozen=True)
class FastICASummary(Result):
    """How FastICA ran, and how the latents line up with its components."""

    converged: Annotated[bool, "Whether it converged."]
    n_iter: Annotated[int, "Iterations of the run that was kept."]
    note: Annotated[str, "What was tried, one sentence; says so where nothing converged."]
    agreement: Annotated[
        float, "Mean |Spearman correlation| of latents with FastICA components after optimal matching, 0 … 1."
    ]
    matched: Annotated[tuple[int, ...], "length k: The FastICA component matched with each latent."]
    correlation: Annotated[tuple[float, ...], "length k: Signed Spearman correlation of each match."]
