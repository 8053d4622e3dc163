"""The most dependent pairs, looked at again with measures that share nothing with the screening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.special import ndtri

from latentflow.analysis.dependence.distance import distance_dependence
from latentflow.analysis.dependence.nearest_neighbours import mutual_information
from latentflow.analysis.dependence.pairwise import adjusted
from latentflow.analysis.measures import PairwiseDependence
from latentflow.statistics.interval import Interval
from latentflow.statistics.ranks import normal_scores
from latentflow.statistics.records import Result

MOST_ROWS = 10_000
MOST_PAIRS = 6


@dataclass(frozen=True)
class PairConfirmation(Result):
    """One of the most dependent pairs of a representation, confirmed or not."""

    i: Annotated[int, "Positions of the two columns, i < j."]
    j: int
    names: Annotated[tuple[str, str], "Their names."]
    nats: Annotated[
        float,
        "Effect size of the screening, nats. The pair was chosen because this is large, so it reads high.",
    ]
    p_value: Annotated[float, "Of the screening, for this pair alone."]
    p_bh: Annotated[
        float,
        "The same, adjusted over all pairs of the representation (Benjamini–Hochberg, –Yekutieli): these allow for "
        "the choice.",
    ]
    p_by: float
    distance_correlation: Annotated[
        Interval,
        "Of normal scores, bias-corrected (Székely & Rizzo 2013); the signed square root of their R*, so that it is "
        "on the scale of a correlation, about zero under independence and possibly negative.",
    ]
    distance_p: Annotated[float, "Of no dependence by distance covariance, for this pair alone."]
    distance_p_adjusted: Annotated[
        float,
        "The same, Bonferroni-adjusted over all pairs of the representation, which allows for the choice.",
    ]
    mutual_information: Annotated[
        Interval,
        "Kraskov–Stögbauer–Grassberger estimate, nats; about zero under independence and possibly negative.",
    ]
    n_rows: Annotated[int, "Rows that these two measures used."]


def confirm_pairs(
    values: np.ndarray,
    dependence: PairwiseDependence,
    rng: np.random.Generator,
    *,
    most: int = MOST_PAIRS,
    block: int | None = None,
) -> tuple[PairConfirmation, ...]:
    """Measure the pairs of largest effect size again, by distance correlation and by nearest neighbours.

    Parameters
    ----------
    values : ndarray (n, d)
        The representation that was screened, n ≥ 40; at most 10 000 evenly spaced rows are used.
    dependence : PairwiseDependence
        Its screening.
    rng : numpy Generator
        Breaks ties at random for the nearest neighbours.
    most : int
        Pairs at most.
    block : int or None
        Not None for autocorrelated rows in their original order, the rows per block: p-values then come from
        circular shifts of one column against the other, and intervals from blocks.

    Returns
    -------
    tuple of PairConfirmation
        Most dependent first; empty where there are no pairs. Pairs with a constant column are left out.

    Notes
    -----
    All measures are of normal scores. The pairs were chosen on these same rows for being the most dependent:
    where all are independent, the chosen ones look dependent by any measure that agrees with the screening.
    Their ``distance_p`` and their intervals do not know that; ``p_bh``, ``p_by`` and ``distance_p_adjusted``
    allow for it.
    """
    n = len(values)
    stride = -(-n // MOST_ROWS)
    values = values[::stride]
    first, second = np.triu_indices(values.shape[1], 1)
    p_value = dependence.p_value[first, second]
    p_bh, p_by = adjusted(p_value, "bh"), adjusted(p_value, "by")
    strongest = np.argsort(-dependence.nats[first, second], kind="stable")
    varies = np.ptp(values, axis=0) > 0.0
    chosen = [pair for pair in strongest if varies[first[pair]] and varies[second[pair]]][:most]
    width = None if block is None else -(-block // stride)
    confirmations = []
    for pair in chosen:
        i, j = int(first[pair]), int(second[pair])
        x, y = normal_scores(values[:, [i, j]]).T
        distance = distance_dependence(x, y, block=width)
        untied = (_untied_scores(values[:, column], rng) for column in (i, j))
        confirmations.append(
            PairConfirmation(
                i=i,
                j=j,
                names=(dependence.columns[i], dependence.columns[j]),
                nats=float(dependence.nats[i, j]),
                p_value=float(p_value[pair]),
                p_bh=float(p_bh[pair]),
                p_by=float(p_by[pair]),
                distance_correlation=distance.correlation,
                distance_p=distance.p_value,
                distance_p_adjusted=min(1.0, distance.p_value * len(first)),
                mutual_information=mutual_information(*untied, block=width),
                n_rows=len(values),
            )
        )
    return tuple(confirmations)


def _untied_scores(column: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normal scores (n,) with equal values in random order, which can only lower mutual information."""
    order = np.lexsort((rng.random(len(column)), column))
    scores = np.empty(len(column))
    scores[order] = ndtri((np.arange(len(column)) + 0.5) / len(column))
    return scores
