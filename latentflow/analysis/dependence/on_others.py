"""How much the other coordinates tell of each one: a lower bound on I(coordinate i; all others), row by row.

I(c_i; c_−i) is by how much total correlation falls when coordinate i is left out. For any conditional density q,
E[log q(c_i | c_−i) − log p(c_i)] is at most that, on rows that q has not seen (Barber & Agakov 2003). Here q belongs
to an exponential family: with u the rank of c_i and h_1 … h_4 the Hermite functions of ranks,

    q(u | c_−i) = exp Σ_k η_k(c_−i) h_k(u) / Z(c_−i)

where every η_k is linear in the Hermite functions of the other coordinates that stand out from chance. It contains
Gaussian dependence and linear predictions of location, scale, skewness and tails of a coordinate from all others
together. What only a product of several other coordinates foretells stays unseen, which a lower bound may leave out.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

from latentflow.analysis.dependence.hermite import DEGREES, hermite_functions
from latentflow.analysis.dependence.shifts import shift_variances
from latentflow.statistics.thinning import thin

MOST_NODES = 64  # of the quadrature over u
MOST_FIT_ROWS = 4_000
PRECISION = 10.0  # of the normal prior on every coefficient, in independent rows
FALSE_ALARM_RATE = 0.05  # that anything stands out of what is unrelated to a coordinate
STOPPING = {"maxiter": 100, "ftol": 1e-7, "gtol": 1e-5}


def dependence_on_others(values: np.ndarray, *, block: int | None = None) -> np.ndarray:
    """Terms whose mean over the rows bounds I(coordinate i; the other coordinates) from below, nats.

    Parameters
    ----------
    values : ndarray (n, d)
        One representation of the rows, finite; in their original order where rows are autocorrelated.
    block : int or None
        Not None for autocorrelated rows: what stands out from chance is then judged against circular shifts, and
        the rows are halved in the middle.

    Returns
    -------
    ndarray (n, d)
        log q(c_i | c_−i) − log p(c_i) of every row, with q fitted on the half of the rows that the row is not in.
        Zero where nothing told of the coordinate on that half.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).standard_normal((4000, 3))
    >>> z[:, 1] = 0.6 * z[:, 0] + 0.8 * z[:, 1]
    >>> dependence_on_others(z).mean(axis=0).round(1).tolist()  # -log(0.8) = 0.22 nats
    [0.2, 0.2, 0.0]
    """
    n, d = values.shape
    functions, _ = hermite_functions(values)
    cross = functions @ functions.T / n
    variances = np.full_like(cross, 1.0 / n)
    if block is not None:
        variances = np.maximum(variances, shift_variances(functions, cross**2))
    rows = np.arange(n)
    halves = (rows[: n // 2], rows[n // 2 :]) if block is not None else (rows[::2], rows[1::2])
    terms = np.zeros((n, d))
    if d < 2:
        return terms
    for fitted, judged in (halves, halves[::-1]):
        standing_out = _standing_out(functions[:, fitted], variances * (n / len(fitted)), d)
        used = thin(fitted, MOST_FIT_ROWS)
        for i in range(d):
            chosen = np.flatnonzero(standing_out[i])
            if len(chosen):
                own = functions[DEGREES * i : DEGREES * (i + 1)]
                nodes = _nodes(own, values[:, i])
                # rows that are alike are worth as many fewer as they inflate the variance of a moment
                inflation = n * float(variances[DEGREES * i : DEGREES * (i + 1), chosen].max())
                coefficients = _fit(
                    own[:, used],
                    _design(functions[np.ix_(chosen, used)]),
                    nodes,
                    PRECISION * max(inflation, 1.0),
                )
                terms[judged, i] = _terms(
                    coefficients, own[:, judged], _design(functions[np.ix_(chosen, judged)]), nodes
                )
    return terms


def _standing_out(functions: np.ndarray, variances: np.ndarray, d: int) -> np.ndarray:
    """Functions of other coordinates, (d, 4 d), that correlate with one of a coordinate's own beyond chance.

    Beyond it means at a level of 0.05 over all functions of all others (Bonferroni).
    """
    cross = functions @ functions.T / functions.shape[1]
    tests = DEGREES * DEGREES * (d - 1)
    score = np.abs(cross) / np.sqrt(variances)
    best = score.reshape(d, DEGREES, DEGREES * d).max(axis=1)
    standing_out = best > norm.isf(0.5 * FALSE_ALARM_RATE / tests)
    standing_out &= ~np.repeat(np.eye(d, dtype=bool), DEGREES, axis=1)
    return np.asarray(standing_out)


def _nodes(own: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The coordinate's functions (4, nodes) at evenly spaced ranks of its own values."""
    n = len(column)
    at = ((np.arange(min(MOST_NODES, n)) + 0.5) * n / min(MOST_NODES, n)).astype(int)
    return np.asarray(own[:, np.argsort(column, kind="stable")[at]])


def _design(features: np.ndarray) -> np.ndarray:
    """Features (p, n) with a constant first: (1 + p, n)."""
    return np.concatenate([np.ones((1, features.shape[1])), features])


def _fit(own: np.ndarray, design: np.ndarray, nodes: np.ndarray, precision: float) -> np.ndarray:
    """Coefficients (4, 1 + p) of the largest penalised likelihood, which is concave in them."""
    shape, n = (len(own), len(design)), own.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = flat.reshape(shape)
        energy = nodes.T @ (coefficients @ design)  # (nodes, n)
        log_z = logsumexp(energy, axis=0) - np.log(nodes.shape[1])
        expected = nodes @ np.exp(energy - log_z) / nodes.shape[1]
        gradient = (expected - own) @ design.T + precision * coefficients
        value = (log_z - ((coefficients @ design) * own).sum(axis=0)).sum()
        value += 0.5 * precision * (flat @ flat)
        return float(value) / n, gradient.ravel() / n

    start = np.zeros(shape[0] * shape[1])
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", options=STOPPING)
    return np.asarray(optimum.x).reshape(shape)


def _terms(coefficients: np.ndarray, own: np.ndarray, design: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """log q(u | others) per row (n,), against the uniform density of ranks."""
    natural = coefficients @ design
    log_z = logsumexp(nodes.T @ natural, axis=0) - np.log(nodes.shape[1])
    return np.asarray((natural * own).sum(axis=0) - log_z)
