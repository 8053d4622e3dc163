"""One-dimensional differential entropy from spacings, as per-row terms whose mean is the estimate, in nats.

For sorted values x_(1) < … < x_(n) the mass between x_(i) and x_(i+m) is Beta(m, n + 1 − m), so
log(x_(i+m) − x_(i)) + ψ(n + 1) − ψ(m) is −log of the density around there, without bias where the density
is flat (Vasicek 1976; the digamma correction: van Es 1992). At equal bias this has less noise than the
nearest-neighbour estimator (Kozachenko & Leonenko 1987): beyond Var(log p), the variance is 0.13/n for m = 3
and 0.05/n for m = 8, against 0.36/n for five neighbours. And it has no bias at the hard edges of uniform or
exponential columns. m grows with n^(1/3), which keeps both bias and noise of the sum over many columns small.

Each row's term is the mean over the few spacings around it. That width is chosen so that the plain variance
of the terms equals the variance of the estimate: unsmoothed terms overstate it, nearest-neighbour terms
understate it (0.22/n for 0.36/n), and a bootstrap of terms is only as good as this.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma

from latentflow.errors import DataError

FEWEST_GAPS = 3
GAPS_PER_CUBE_ROOT = 0.375
SMOOTHING_BEYOND_SPACING = 3


def entropy_terms(x: np.ndarray, spacing: int | None = None) -> np.ndarray:
    """Per-row terms of the differential entropy of one column; their mean is the estimate.

    Parameters
    ----------
    x : ndarray (n,)
        Values of one column, in any unit and order.
    spacing : int, optional
        m, the number of gaps a spacing spans; by default 0.375 n^(1/3), at least 3 (8 at n = 10⁴).

    Returns
    -------
    ndarray (n,)
        Terms in nats (log of the column's unit), in the order of ``x``. The bias of their mean was within
        0.002 at n = 10⁴ on all densities tried, smooth, heavy-tailed or hard-edged, and about −0.005 at n =
        500.

    Raises
    ------
    DataError
        Fewer than two distinct values (the entropy is −∞) or values that are not finite.

    Notes
    -----
    Repeated values would make spacings zero and the estimate −∞. Spacings are therefore taken between
    *distinct* values, and a repeated value counts with its multiplicity: exact where whole rows are repeated,
    a finite upper figure where a column is rounded. :func:`tied_fraction` tells how much of that there is.
    """
    x = np.asarray(x, dtype=np.float64)
    if not np.isfinite(x).all():
        raise DataError("an entropy needs finite values, and this column has missing or infinite ones")
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    distinct = ordered[first]
    if len(distinct) < 2:
        raise DataError("a column with a single value has no differential entropy (−∞)")
    terms = np.empty_like(x)
    if spacing is None:
        spacing = max(FEWEST_GAPS, round(GAPS_PER_CUBE_ROOT * len(distinct) ** (1 / 3)))
    terms[order] = _spacing_terms(distinct, min(spacing, len(distinct) - 1))[np.cumsum(first) - 1]
    return terms


def entropy(x: np.ndarray) -> float:
    """Differential entropy of one column (n,), nats: the mean of :func:`entropy_terms`.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=20_000)
    >>> bool(abs(entropy(x) - 0.5 * np.log(2 * np.pi * np.e)) < 0.02)
    True
    """
    return float(entropy_terms(x).mean())


def tied_fraction(x: np.ndarray) -> float:
    """Share of rows of a column (n,) whose value occurs more than once, 0 … 1."""
    _, counts = np.unique(np.asarray(x), return_counts=True)
    return float(counts[counts > 1].sum() / max(len(x), 1))


def _spacing_terms(distinct: np.ndarray, spacing: int) -> np.ndarray:
    """Terms (u,) at sorted distinct values (u,): the mean of the spacings centred around each."""
    smoothing = spacing + SMOOTHING_BEYOND_SPACING
    u = len(distinct)
    logs = np.log(distinct[spacing:] - distinct[:-spacing]) + digamma(u + 1) - digamma(spacing)
    total = np.concatenate([[0.0], np.cumsum(logs)])
    start = np.arange(u) - (spacing + smoothing - 1) // 2
    # At the ends of the sample fewer spacings exist, but at least the outermost one always does.
    low = np.clip(start, 0, len(logs) - 1)
    high = np.clip(start + smoothing, low + 1, len(logs))
    return (total[high] - total[low]) / (high - low)
