"""Whether latents are jointly N(0, I): energy distance, and the worst of many random projections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.special import ndtr

from latentflow.analysis.gaussianity import block_signs, projections
from latentflow.analysis.gaussianity.energy import (
    block_energy,
    energy_p_value,
    mean_distance,
    unbiased_energy,
)
from latentflow.analysis.gaussianity.marginal import anderson_darling
from latentflow.statistics.records import Result
from latentflow.statistics.serial import variance_inflation
from latentflow.statistics.thinning import thin

DIRECTIONS = 100
MOST_ROWS = 6_000
INFLATIONS_APART = 2.0  # variance inflations between rows that are taken as independent
FEWEST_ROWS = 5

NORMAL, SIGNS, THINNED = "N(0, I)", "sign-flipped blocks", "N(0, I), thinned rows"


@dataclass(frozen=True)
class JointGaussianity(Result):
    """How close rows of latents are, jointly, to N(0, I)."""

    energy: Annotated[
        float,
        "Squared energy distance to N(0, I) over twice the mean distance between a row and a draw from N(0, I): 0 for "
        "N(0, I), at most 1. Estimated without bias, so it may be slightly negative.",
    ]
    energy_p: Annotated[float, "Of no difference."]
    projections: Annotated[int, "Random directions."]
    projection_max: Annotated[float, "Largest Anderson–Darling A² against N(0, 1) over these projections."]
    projection_p: Annotated[float, "Of a maximum as large over this very set of directions."]
    n_rows: Annotated[int, "Rows used."]
    null: Annotated[
        str,
        "``N(0, I)``; for autocorrelated rows ``sign-flipped blocks`` or, where blocks would be too few, ``N(0, I), "
        "thinned rows``.",
    ]


def joint_gaussianity(
    z: np.ndarray, rng: np.random.Generator, *, block: int | None = None
) -> JointGaussianity:
    """Test latents against N(0, I) jointly.

    The energy distance (Székely & Rizzo 2005, eq. 5, here in its unbiased form) is zero for N(0, I) only, and
    so sees every misfit in the end; the largest A² over random directions shows one that is concentrated in
    few of them. Few directions in a high dimension see little: most projections of anything are nearly
    normal.

    Parameters
    ----------
    z : ndarray (n, d)
        Latents, in their original order where ``block`` is given. Evenly thinned to 6 000 rows.
    rng : numpy Generator
        Draws the directions, and the null of their maximum.
    block : int or None
        None for independent rows. Otherwise rows are autocorrelated: signs of blocks at least this long, and
        as long as the latents' own autocorrelation asks, give the null; where fewer than 12 blocks remain,
        only rows that are far enough apart to count as independent are used.

    Returns
    -------
    JointGaussianity
        With fewer than 5 rows the p-values are 1.
    """
    n, d = z.shape
    rows = thin(np.arange(n), MOST_ROWS)
    z = np.asarray(z, dtype=np.float64)[rows]
    directions = projections.random_directions(d, DIRECTIONS, rng)
    null, numbers = NORMAL, None
    if block is not None and len(z) >= FEWEST_ROWS:
        inflation = max(variance_inflation(column) for column in z.T)
        length = block_signs.signed_block(inflation, len(z))
        if length is None:
            null, z = THINNED, z[:: int(np.ceil(INFLATIONS_APART * inflation))]
        else:
            length = max(length, min(-(-block * len(z) // n), len(z) // block_signs.BLOCKS_AT_LEAST))
            null, numbers = SIGNS, block_signs.block_numbers(len(z), length)
    if len(z) < FEWEST_ROWS:
        return JointGaussianity(0.0, 1.0, DIRECTIONS, 0.0, 1.0, len(z), null)
    projected = z @ directions.T
    largest = max(anderson_darling(column) for column in projected.T)
    if numbers is None:
        squared = unbiased_energy(z)
        energy_p = energy_p_value(squared, len(z), d)
        projection_p = projections.largest_p(largest, len(z), directions, rng)
    else:
        squared, energy_p, projection_p = _by_blocks(z, projected, numbers, rng)
    scale = 2.0 * float(mean_distance((z**2).sum(axis=1), d).mean())
    return JointGaussianity(
        energy=squared / scale,
        energy_p=energy_p,
        projections=DIRECTIONS,
        projection_max=largest,
        projection_p=projection_p,
        n_rows=len(z),
        null=null,
    )


def _by_blocks(
    z: np.ndarray, projected: np.ndarray, numbers: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Squared energy distance from pairs of rows in different blocks, its p-value, and the projections'."""
    signed = block_signs.signs(int(numbers[-1]) + 1, rng)
    sums = block_energy(z, numbers)
    np.fill_diagonal(sums, 0.0)
    pairs = len(z) ** 2 - float((np.bincount(numbers) ** 2).sum())
    excess = np.stack([block_signs.excess_counts(ndtr(column), numbers) for column in projected.T], axis=1)
    squared = float(sums.sum()) / pairs
    return squared, block_signs.pairs_p(sums, signed), block_signs.largest_squared_p(excess, signed)
