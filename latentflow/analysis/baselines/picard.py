"""Picard as a baseline, where the optional package ``python-picard`` is installed."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from latentflow.analysis.baselines.fitted import ICABaseline, LinearMap, pca_whitening
from latentflow.base.fastica import FIT_NUMBERS
from latentflow.statistics.matrices import nearest_orthogonal
from latentflow.statistics.thinning import thin

ITERATIONS = 500
STARTS = 2


def fit_picard(train: np.ndarray, seed: int = 0) -> ICABaseline | None:
    """Fit Picard-O (Ablin, Cardoso & Gramfort 2018, extended, tanh) to training rows (n, d).

    It maximises the same likelihood as FastICA with log-cosh, preconditioned by the Hessian, and so reaches
    its maximum where FastICA may circle around it. Where 500 iterations do not converge, another start is
    tried, and of two failures the later is kept and said to be one.

    Returns
    -------
    ICABaseline or None
        None where ``python-picard`` is not installed (``pip install '.[peers]'``).

    Raises
    ------
    DataError
        As :func:`latentflow.analysis.baselines.fitted.pca_whitening`.
    """
    if importlib.util.find_spec("picard") is None:
        return None
    from picard import picard  # type: ignore[import-not-found, import-untyped, unused-ignore]

    whitening = pca_whitening(train)
    n, d = train.shape
    rows = thin(np.arange(n), max(FIT_NUMBERS // d, 20 * d))
    white = whitening.transform(train[rows])[0]
    converged, note = False, ""
    for start in range(STARTS):
        with warnings.catch_warnings(record=True) as caught, threadpool_limits(1, user_api="blas"):
            warnings.simplefilter("always")
            _, unmixing, _, n_iter = picard(
                white.T,
                ortho=True,
                extended=True,
                whiten=False,
                centering=False,
                max_iter=ITERATIONS,
                random_state=seed + start,
                return_n_iter=True,
            )
        converged = not any("did not converge" in str(entry.message) for entry in caught)
        if converged:
            break
    note = "Converged" if converged else "Did not converge"
    note += f" within {ITERATIONS} iterations"
    if start > 0:
        note += f" from {'another start' if converged else f'any of {STARTS} starts'}"
    note += "." if len(rows) == n else f". Fitted on {len(rows)} evenly spaced rows of {n}."
    turned = whitening.weights @ nearest_orthogonal(unmixing).T
    return ICABaseline(LinearMap(whitening.mean, turned, whitening.log_det), converged, int(n_iter), note)
