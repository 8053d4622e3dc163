"""−log p of the judged rows under the model and under a Gaussian, and of rows that the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latentflow.analysis.baselines.fitted import gaussian_neg_log_prob
from latentflow.analysis.preparation import Material, densities
from latentflow.statistics.interval import Interval
from latentflow.statistics.resample import intervals
from latentflow.statistics.thinning import thin

TRAINING_ROWS_JUDGED = 1_000


@dataclass(frozen=True)
class Likelihood:
    """E[−log p] in nats per row and the user's units.

    Attributes
    ----------
    terms : ndarray (n,)
        −log p of each row under the model.
    model, gaussian : Interval
        Means over the rows, of the model and of a Gaussian with the moments of the training rows.
    gain : Interval
        Mean of the paired differences, positive where the model is better.
    training : Interval or None
        Of the model on at most 1 000 evenly spaced training rows; None where they are not at hand.
    overfit : Interval or None
        ``model`` less ``training``; None where there is no such figure, or the judged rows hold training rows.
    """

    terms: np.ndarray
    model: Interval
    gaussian: Interval
    gain: Interval
    training: Interval | None
    overfit: Interval | None


def likelihood(model: Any, material: Material, rng: np.random.Generator, n_boot: int) -> Likelihood:
    """Judge the model's density on the rows of the analysis."""
    terms = -np.asarray(material.encoding.log_prob)
    gaussian = gaussian_neg_log_prob(material.whitening, material.continuous)
    columns = np.stack([terms, gaussian, gaussian - terms], axis=1)
    own, other, gain = intervals(columns, rng, n_boot, material.block)
    training = _on_training_rows(model, material, rng, n_boot)
    overfit = None
    if training is not None and material.choice.which != "all":
        overfit = _difference(own, training)
    return Likelihood(terms, own, other, gain, training, overfit)


def _on_training_rows(
    model: Any, material: Material, rng: np.random.Generator, n_boot: int
) -> Interval | None:
    if not material.choice.same_table:
        return None
    rows = thin(material.train_values, TRAINING_ROWS_JUDGED)
    terms = -np.asarray(densities(model, rows, 1).log_prob)
    block = material.block
    if block is not None:  # evenly spaced rows are farther apart than neighbours
        block = max(1, round(block * len(rows) / len(material.train_values)))
    return intervals(terms[:, None], rng, n_boot, block)[0]


def _difference(first: Interval, second: Interval) -> Interval:
    """First less second, two figures from independent sets of rows."""
    estimate = first.estimate - second.estimate
    reach = float(np.hypot(first.half_width, second.half_width))
    return Interval(estimate, estimate - reach, estimate + reach)
