"""What a density built on each baseline is worth on new rows, with normal and with fitted marginals.

Total correlation does not change when each coordinate is made normal by a map of its own, so the ledger needs
one entry for a baseline with and without that; −log p does change, by what the marginals are short of normal,
and is therefore told both ways here. FastICA with normal marginals is but a rotation of PCA whitening, and
its −log p is that of a Gaussian: a comparison with it alone would be one with a straw man.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np

from latentflow.analysis.ledger.marginals import fit_marginal
from latentflow.errors import DataError
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result
from latentflow.statistics.resample import intervals


class Bijection(Protocol):
    """A fitted baseline."""

    def transform(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates (n, d) and log|det| per row (n,), nats, of rows (n, d) in the user's units."""


@dataclass(frozen=True)
class Baseline:
    """A baseline by name; without a map it is the columns themselves.

    Attributes
    ----------
    name, label : str
    map : Bijection or None
    """

    name: str
    label: str
    map: Bijection | None = None

    def transform(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates (n, d) and log|det| per row (n,), nats."""
        return (X, np.zeros(len(X))) if self.map is None else self.map.transform(X)


@dataclass(frozen=True)
class BaselineDensity(Result):
    """−log p of new rows under a baseline whose coordinates are taken as independent; nats, user's units."""

    name: Annotated[
        str,
        "Key (``raw``, ``pca``, ``fastica``, ``picard``, ``spline_flow``) and how a reader is told of it.",
    ]
    label: str
    neg_log_prob: Annotated[Interval, "With a normal density for each coordinate."]
    neg_log_prob_gaussianised: Annotated[
        Interval, "With each coordinate made normal by a density that was fitted to it on the training rows."
    ]
    gain: Annotated[
        Interval,
        "``neg_log_prob_gaussianised`` less the model's −log p, paired by row, nats: positive where the model is "
        "better.",
    ]


def baseline_densities(
    baselines: Sequence[Baseline],
    train: np.ndarray,
    rows: np.ndarray,
    model_neg_log_prob: np.ndarray,
    rng: np.random.Generator,
    *,
    n_boot: int = 1000,
    block: int | None = None,
) -> tuple[BaselineDensity, ...]:
    """Judge the density of each baseline on new rows.

    Parameters
    ----------
    baselines : sequence of Baseline
        Fitted on ``train``.
    train : ndarray (m, d)
        Continuous training rows, user's units: what the marginals are fitted on too.
    rows : ndarray (n, d)
        Continuous rows to judge.
    model_neg_log_prob : ndarray (n,)
        −log p of the model on the same rows, nats, user's units.
    rng : numpy Generator
        Of the bootstrap.
    n_boot : int
    block : int or None
        Rows per bootstrap block where rows are autocorrelated.

    Returns
    -------
    tuple of BaselineDensity
        In the order of ``baselines``.

    Raises
    ------
    DataError
        A coordinate has a single value on the training rows.
    """
    own = np.asarray(model_neg_log_prob, dtype=np.float64)
    terms = [own]
    for baseline in baselines:
        fitted, _ = baseline.transform(train)
        judged, log_det = baseline.transform(rows)
        terms.append(_normal(fitted, judged).sum(axis=1) - log_det)
        terms.append(_gaussianised(fitted, judged) - log_det)
        terms.append(terms[-1] - own)
    baseline_intervals = intervals(np.stack(terms[1:], axis=1), rng, n_boot, block)
    return tuple(
        BaselineDensity(baseline.name, baseline.label, *baseline_intervals[3 * i : 3 * i + 3])
        for i, baseline in enumerate(baselines)
    )


def _normal(fitted: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """−log density of judged coordinates under normals with the mean and variance of the fitted ones."""
    scale = fitted.std(axis=0)
    if not (scale > 0.0).all():
        raise DataError("a column has a single value on the training rows; leave it out with --drop-columns")
    z = (judged - fitted.mean(axis=0)) / scale
    return np.asarray(0.5 * z**2 + 0.5 * np.log(2.0 * np.pi) + np.log(scale))


def _gaussianised(fitted: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Σ −log density of judged coordinates under densities fitted one by one: (n,)."""
    total = np.zeros(len(judged))
    for known, new in zip(fitted.T, judged.T, strict=True):
        total += fit_marginal(known).neg_log_prob(new)
    return total
