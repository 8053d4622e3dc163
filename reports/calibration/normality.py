"""Tests of normality latent by latent: Anderson–Darling with Holm; the radius; bands of moments and quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from latentflow.analysis.gaussianity.marginal import gaussianity
from reports.calibration.nulls import AutoregressiveRows, Series, normal
from reports.calibration.registry import Check, Procedure

MOMENTS = ("mean", "std", "skewness", "excess_kurtosis")
TRUTH = {"mean": 0.0, "std": 1.0, "skewness": 0.0, "excess_kurtosis": 0.0}
TOLD = {name: f"{name.replace('_', ' ')} beyond 1.96 standard errors" for name in MOMENTS}
ONE_BY_ONE = (
    Check("Anderson–Darling, worst latent, Holm"),
    Check("Anderson–Darling, every latent by itself"),
    Check("radius"),
    *(Check(told) for told in TOLD.values()),
    Check("median outside its quantile band"),
    Check("97.7 % quantile outside its band"),
    Check("outermost quantiles outside their band", "at most"),
)
#: Standard errors and bands are what a reader judges figures by, no tests: for rows of a series they are shown only.
SERIAL = tuple(
    Check(check.name, "exact" if "Anderson" in check.name or check.name == "radius" else "shown")
    for check in ONE_BY_ONE
)
SERIES = (AutoregressiveRows(0.15), AutoregressiveRows(0.9), AutoregressiveRows(0.0, 0.95))


def one_by_one(data: np.ndarray | Series, rng: np.random.Generator) -> dict[str, Any]:
    """P-values of the tests against N(0, 1) and N(0, I), and whether moments and quantiles leave their bands."""
    values, block = (data.values, data.block) if isinstance(data, Series) else (data, None)
    found = gaussianity(values, [str(j) for j in range(values.shape[1])], dependent=block is not None)
    outside = np.abs(found.quantiles - found.normal_quantiles) > found.quantile_band
    middle = len(found.normal_quantiles) // 2
    high = int(np.argmin(np.abs(found.normal_quantiles - 2.0)))
    reach = float(norm.isf(0.025))
    beyond = {
        TOLD[name]: np.array(
            [abs(getattr(z, name) - TRUTH[name]) > reach * getattr(z, f"{name}_se") for z in found.latents]
        )
        for name in MOMENTS
    }
    return {
        "Anderson–Darling, worst latent, Holm": min(z.p_holm for z in found.latents),
        "Anderson–Darling, every latent by itself": np.array([z.p_value for z in found.latents]),
        "radius": found.radius.p_value,
        **beyond,
        "median outside its quantile band": outside[:, middle],
        "97.7 % quantile outside its band": outside[:, high],
        "outermost quantiles outside their band": outside[:, [0, -1]].ravel(),
    }


def _many(n: int, d: int) -> int:
    return {2: 1000, 10: 600, 50: 200}[d]


def _few(n: int, d: int) -> int:
    return {2: 400, 10: 200, 50: 80}[d]


PROCEDURES = (
    Procedure("Gaussianity", "independent normal rows", normal, one_by_one, ONE_BY_ONE, _many),
    *(Procedure("Gaussianity", str(rows), rows, one_by_one, SERIAL, _few) for rows in SERIES),
)
