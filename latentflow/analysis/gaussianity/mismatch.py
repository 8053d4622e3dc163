"""The terminal mismatch: how far the exact flow's latents are from N(0, I) because it stops at σ_max."""

from __future__ import annotations

import numpy as np

from latentflow.statistics.thinning import thin

MOST_ROWS = 3_000
CHUNK_ROWS = 500
TAIL_SHARE = 0.1  # rows that tell the tail index
MOST_TAIL_ROWS = 2_000
FOURTH_MOMENT = 0.25  # an extreme value index above this has no fourth moment
STANDARD_ERRORS = 2.0  # by which an index must be above that to count as above it


def terminal_mismatch(x_white: np.ndarray, sigma_max: float, *, block: int | None = None) -> float | None:
    """KL divergence from N(0, I) of the exact latents of whitened rows, to leading order, in nats.

    Noise of level σ added to whitened rows and scaled back to unit variance leaves cumulants of order r
    smaller by (1 + σ²)^(−r/2), so that

        KL ≈ ‖κ₃‖² / (12 (1 + σ²)³) + ‖κ₄‖² / (48 (1 + σ²)⁴)

    with the full third and fourth cumulant tensors (the Gram–Charlier expansion of the negentropy, Comon 1994,
    eq. 3.5, in d dimensions). It holds for a perfect score: what an imperfect one adds is not in it.

    Parameters
    ----------
    x_white : ndarray (n, d)
        Whitened rows: mean zero, identity covariance. Evenly thinned to 3 000.
    sigma_max : float
        Noise level at which the flow stops, whitened units.
    block : int or None
        Rows closer than this are not paired, where rows are autocorrelated and in order.

    Returns
    -------
    float or None
        At least zero. None where a column has so heavy a tail that its fourth moment does not exist, or there
        are no two rows to pair.

    Notes
    -----
    The tensors have d³ and d⁴ entries, but their norms need neither: with the Hermite tensors He_r,
    ‖κ_r‖² = E⟨He_r(x), He_r(y)⟩ over independent rows x, y, a polynomial in x·y, ‖x‖² and ‖y‖². The mean over
    all pairs of different rows has no bias from finite n, at any d.
    """
    n = len(x_white)
    rows = thin(np.arange(n), MOST_ROWS)
    x = np.asarray(x_white, dtype=np.float64)[rows]
    apart = 1 if block is None else max(1, int(np.ceil(block * len(x) / n)))
    if len(x) <= apart or heavy_tailed(np.asarray(x_white)):
        return None
    third, fourth = squared_cumulants(x, apart)
    blurred = 1.0 + sigma_max**2
    return max(0.0, third / (12.0 * blurred**3) + fourth / (48.0 * blurred**4))


def squared_cumulants(x: np.ndarray, apart: int = 1) -> tuple[float, float]:
    """‖κ₃‖² and ‖κ₄‖² of whitened rows (n, d), from all pairs of rows at least ``apart`` apart; unbiased."""
    n, d = x.shape
    size = (x**2).sum(axis=1)
    third = fourth = 0.0
    pairs = 0
    for start in range(0, n - apart, CHUNK_ROWS):
        own = np.arange(start, min(start + CHUNK_ROWS, n - apart))
        s = x[own] @ x[start + apart :].T
        a, b = size[own][:, None], size[None, start + apart :]
        used = np.arange(start + apart, n)[None, :] - own[:, None] >= apart
        square, both = s * s, a + b
        three = s * (square - 3.0 * both + (3.0 * d + 6.0))
        four = square * (square - 6.0 * both + (6.0 * d + 24.0))
        four += 3.0 * both * (both - 2.0 * (d + 2.0)) + 3.0 * d * (d + 2.0)
        third += float(three[used].sum())
        fourth += float(four[used].sum())
        pairs += int(used.sum())
    return third / pairs, fourth / pairs


def heavy_tailed(x: np.ndarray) -> bool:
    """Whether some column of (n, d) has a tail with no fourth moment, beyond doubt.

    The moment estimator of the extreme value index γ (Dekkers, Einmahl & de Haan 1989), which unlike Hill's is
    zero on average for exponential tails, on the largest distances from the column's median; moments of order
    r exist for γ < 1/r.
    """
    distance = np.abs(x - np.median(x, axis=0))
    k = min(int(TAIL_SHARE * len(x)), MOST_TAIL_ROWS)
    if k < 10:
        return False
    top = np.sort(distance, axis=0)[-k - 1 :]
    excess = np.log(np.maximum(top[1:], 1e-300)) - np.log(np.maximum(top[0], 1e-300))
    first, second = excess.mean(axis=0), (excess**2).mean(axis=0)
    usable = second > first**2 * (1.0 + 1e-9)
    ratio = np.where(usable, first**2 / np.where(usable, second, 1.0), 0.0)
    gamma = first + 1.0 - 0.5 / (1.0 - ratio)
    error = np.sqrt((1.0 + gamma**2) / k)
    return bool((usable & (gamma - STANDARD_ERRORS * error > FOURTH_MOMENT)).any())
