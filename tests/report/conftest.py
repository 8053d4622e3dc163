"""Results as an analysis would give them, from a small known mixture, without fitting anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from latentflow.analysis.results import (
    FastICASummary,
    Gaussianity,
    Histogram,
    IndependenceResult,
    Interval,
    LatentGaussianity,
    Ledger,
    LedgerEntry,
    PairwiseDependence,
    RadiusTest,
    RoundTrip,
    Rows,
    Verdict,
)
from tests.report.records import further_records

LABELS = {"raw": "Raw columns", "pca": "PCA whitening", "fastica": "FastICA", "latents": "Latents"}
REMOVED = {"raw": 0.0, "pca": 0.61, "fastica": 1.38, "latents": 8.33}


def interval(estimate: float, half: float) -> Interval:
    return Interval(estimate, estimate - half, estimate + half)


def _ledger(n: int) -> Ledger:
    entries = tuple(
        LedgerEntry(
            name=name,
            label=label,
            removed=interval(REMOVED[name], 0.0 if name == "raw" else 0.02 + 0.02 * REMOVED[name]),
            marginal_entropy=31.07 - REMOVED[name],
            mean_log_det=-12.5 if name != "raw" else 0.0,
            product_neg_log_prob=14.13 - REMOVED[name],
        )
        for name, label in LABELS.items()
    )
    names = list(LABELS)
    differences = {
        f"{b}-{a}": interval(REMOVED[b] - REMOVED[a], 0.09)
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    }
    return Ledger(entries, differences, reference="raw", n_rows=n, n_boot=1000, block=None)


def _pairwise(name: str, values: np.ndarray, columns: tuple[str, ...]) -> PairwiseDependence:
    """Effect sizes from linear and squared normal scores, which is enough of the real thing to look at."""
    n, d = values.shape
    scores = stats.norm.ppf(stats.rankdata(values, axis=0) / (n + 1))
    total = np.zeros((d, d))
    moments = (scores, (scores**2 - 1) / np.sqrt(2))
    for left in moments:
        for right in moments:
            total += (left.T @ right / n) ** 2
    nats = np.maximum(0.0, 0.5 * (total - 4 / n))
    np.fill_diagonal(nats, 0.0)
    p_value = np.ones((d, d)) if d == 1 else stats.chi2.sf(n * total, 4)
    np.fill_diagonal(p_value, 1.0)
    i, j = np.unravel_index(int(np.argmax(nats)), nats.shape)
    pairs = max(1, d * (d - 1) // 2)
    return PairwiseDependence(
        name=name,
        label=LABELS[name],
        columns=columns,
        nats=nats,
        statistic=n * total,
        p_value=p_value,
        max_nats=float(nats.max()),
        max_pair=(int(min(i, j)), int(max(i, j))),
        max_p_adjusted=float(min(1.0, pairs * p_value.min())),
        mean_nats=float(nats.sum() / (2 * pairs)),
        tree=interval(float(nats.max() * (d - 1) * 0.4), 0.004),
        n_rows=n,
        null="chi2",
    )


def _gaussianity(z: np.ndarray, names: tuple[str, ...]) -> Gaussianity:
    n, d = z.shape
    probabilities = (np.arange(99) + 0.5) / 99
    normal = stats.norm.ppf(probabilities)
    latents = tuple(
        LatentGaussianity(
            name=name,
            mean=float(column.mean()),
            std=float(column.std()),
            skewness=float(stats.skew(column)),
            excess_kurtosis=float(stats.kurtosis(column)),
            mean_se=n**-0.5,
            std_se=(2 * n) ** -0.5,
            skewness_se=(6 / n) ** 0.5,
            excess_kurtosis_se=(24 / n) ** 0.5,
            anderson_darling=0.4 + 3.0 * (index % 7 == 1) + 0.01 * index,
            p_value=0.02 if index % 7 == 1 else 0.6,
            p_holm=0.03 if index % 7 == 1 else 1.0,
        )
        for index, (name, column) in enumerate(zip(names, z.T, strict=True))
    )
    return Gaussianity(
        latents=latents,
        radius=RadiusTest(ks=0.012, p_value=0.31, mean_ratio=1.004, degrees=d),
        probabilities=probabilities,
        normal_quantiles=normal,
        quantiles=np.quantile(z, probabilities, axis=0).T,
        quantile_band=1.96 * np.sqrt(probabilities * (1 - probabilities) / n) / stats.norm.pdf(normal),
        n_rows=n,
        effective_n=float(n),
    )


def _round_trip(n: int) -> RoundTrip:
    errors = 10 ** np.random.default_rng(4).normal(-13.0, 0.7, n)
    exact = round(0.2 * n)
    counts, edges = np.histogram(np.log10(errors[exact:]), bins=30)
    return RoundTrip(
        n=n,
        data_max=float(errors.max()),
        data_q50=float(np.median(errors)),
        data_q99=float(np.quantile(errors, 0.99)),
        exact_rows=exact / n,
        histogram=Histogram(edges, counts, exact),
        latent_n=512,
        latent_max=2.1e-9,
        latent_q50=4e-13,
        latent_q99=3e-11,
    )


def _treatments(columns: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "name": name,
            "role": "flow",
            "lattice": "decimal" if index == 1 else "none",
            "step": 0.01 if index == 1 else None,
            "tied_fraction": 0.37 if index == 1 else 0.0,
            "tails": "asinh" if index == 2 else "none",
            "center": 1.5,
            "scale": 0.25,
            "note": "readings on a lattice of step 0.01, dequantised within it"
            if index == 1
            else "used as it is",
        }
        for index, name in enumerate(columns)
    )


def _history(steps: int = 6000) -> dict[str, list[float | None]]:
    rng = np.random.default_rng(5)
    at = np.arange(10, steps + 1, 10)
    smooth = 0.55 + 0.5 * np.exp(-at / 400)
    return {
        "step": at.tolist(),
        "train_loss": (smooth + 0.03 * rng.standard_normal(at.size)).tolist(),
        "validation_loss": [
            float(loss + 0.02 + 1e-5 * step) if step % 200 == 0 else None
            for loss, step in zip(smooth, at, strict=True)
        ],
    }


def build_result(
    d: int = 4, n: int = 1200, columns: tuple[str, ...] | None = None, **changes: Any
) -> IndependenceResult:
    """A plausible result for d columns; ``changes`` replace fields of it."""
    rng = np.random.default_rng(7)
    z = rng.standard_normal((n, d))
    mixing = np.eye(d) + rng.normal(0, 0.6 / np.sqrt(d), (d, d))
    mixing[0] += 0.8  # one source that every column knows of
    raw = np.where(z > 0, z, 0.2 * z) @ mixing
    z = z + 0.04 * np.roll(z, 1, axis=1) ** 2
    half_way = z + 0.25 * np.roll(z, 1, axis=1) ** 2
    if columns is None:
        columns = tuple(f"Turbine sensor {index}" if index % 3 == 0 else f"temp{index}" for index in range(d))
    latent_names = tuple(f"latent{index:02d}" for index in range(d))
    ica_names = tuple(f"ica{index:02d}" for index in range(d))
    values = {"raw": raw, "pca": half_way, "fastica": half_way, "latents": z}
    pairwise = {
        "raw": _pairwise("raw", raw, columns),
        "pca": _pairwise("pca", half_way, tuple(f"pc{index:02d}" for index in range(d))),
        "fastica": _pairwise("fastica", half_way, ica_names),
        "latents": _pairwise("latents", z, latent_names),
    }
    fields: dict[str, Any] = {
        "provenance": {
            "version": "0.1.0",
            "model_hash": "3f" * 32,
            "model_version": "0.1.0",
            "file": "gas_turbine.csv",
            "key": "",
            "fingerprint": "a9" * 32,
            "seed": 0,
            "n_boot": 1000,
            "rows": "auto",
            "fit": {"seed": 0, "preset": "default", "seconds": 171.3, "n_train": 26447},
        },
        "columns": columns,
        "flow_columns": columns,
        "latent_names": latent_names,
        "treatments": _treatments(columns),
        "rows": Rows("held out", "random", n, 36733, 26447, "training rows", 0.12, False, None, float(n)),
        "alerts": (
            "Column temp1 holds few decimals: 37 % of its rows share their value with another row.",
            "Columns show a lag-1 autocorrelation of up to 0.12.",
        ),
        "ledger": _ledger(n),
        "neg_log_prob": interval(5.812, 0.031),
        "neg_log_prob_gaussian": interval(7.204, 0.035),
        "log_prob_gain": interval(1.392, 0.02),
        "neg_log_prob_train": interval(5.71, 0.04),
        "pairwise": pairwise,
        "gaussianity": _gaussianity(z, latent_names),
        "round_trip": _round_trip(n),
        "fastica": FastICASummary(
            True,
            14,
            "Converged at once.",
            0.71,
            tuple(range(d)),
            tuple(0.9 - 1.3 * (i % 2) for i in range(d)),
        ),
        "history": _history(),
        "far_rows": 3,
        "verdict": Verdict(
            code="more_independent",
            headline="The latents are more independent than FastICA by 6.95 nats [6.86, 7.04].",
            sentences=(
                "They removed 8.33 nats [8.14, 8.52] of total correlation, FastICA 1.38 [1.33, 1.43].",
                "What is left between any two latents is at most 0.003 nats.",
            ),
            meaning=(
                "Independent coordinates are not the sources: any rotation of them is as independent.",
                "Independence was measured on these rows; it says nothing of rows from elsewhere.",
            ),
        ),
    }
    return IndependenceResult(**{**fields, **further_records(values, pairwise), **changes})


@pytest.fixture(scope="session")
def make_result() -> Callable[..., IndependenceResult]:
    return build_result


@pytest.fixture(scope="session")
def result() -> IndependenceResult:
    return build_result()
