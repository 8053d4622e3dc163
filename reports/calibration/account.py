"""Intervals of the ledger and of means, on exact maps whose total correlation is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import chi2, norm

from latentflow.analysis.ledger.ledger import Representation, ledger
from latentflow.statistics.resample import intervals
from reports.calibration.nulls import as_series, autoregressive
from reports.calibration.registry import GRID, Check, Procedure, generator

N_BOOT = 500
MODE, SPREAD = 0.9, float(np.sqrt(0.19))  # a source of two modes and unit variance
LEDGER = (
    Check("removed by the exact map"),
    Check("removed: interval too low", "shown", 0.025),
    Check("removed: interval too high", "shown", 0.025),
)
DIFFERENCE = Check("between two maps to independence")


@dataclass(frozen=True)
class Account:
    """Representations of the same rows, what the last one truly removes, and how rows are taken."""

    representations: list[Representation]
    removed: float
    block: int | None = None


@lru_cache(maxsize=16)
def mixing(d: int) -> np.ndarray:
    """A well-conditioned matrix (d, d) with dependence between all columns, the same at every run."""
    return np.eye(d) + 0.5 * generator("mixing", d).standard_normal((d, d)) / np.sqrt(d / 4)


@lru_cache(maxsize=16)
def turn(d: int) -> np.ndarray:
    """A rotation (d, d), the same at every run."""
    return np.linalg.qr(generator("turn", d).standard_normal((d, d)))[0]


def normal_mixture(n: int, d: int, rng: np.random.Generator) -> Account:
    """A linear mixture of N(0, I), its exact unmixing, and a rotation of it, which is as independent."""
    return _mixture_of(rng.standard_normal((n, d)), None)


def heavy_tails(n: int, d: int, rng: np.random.Generator) -> Account:
    """The same with each raw column bent, by exp(1.5 t) and sinh(1.5 t) in turn: the same total correlation."""
    plain = _mixture_of(rng.standard_normal((n, d)), None)
    raw = plain.representations[0].values / np.linalg.norm(mixing(d), axis=1)
    odd = np.arange(d) % 2 == 1
    bent = np.where(odd, np.sinh(1.5 * raw), np.exp(1.5 * raw))
    slopes = np.where(odd, np.log(1.5 * np.cosh(1.5 * raw)), np.log(1.5) + 1.5 * raw)
    scale = float(np.log(np.linalg.norm(mixing(d), axis=1)).sum())
    # from bent to latents: undo the bend, the scaling, and the mixture
    found = [Representation("raw", "raw", bent, 0.0)]
    found += [
        Representation(rep.name, rep.label, rep.values, rep.log_det + scale - slopes.sum(axis=1))
        for rep in plain.representations[1:]
    ]
    return Account(found, plain.removed)


def series(n: int, d: int, rng: np.random.Generator) -> Account:
    """The mixture of AR(1) sources, φ = 0.9."""
    sources = autoregressive(n, d, 0.9, rng)
    return _mixture_of(sources, as_series(sources @ mixing(d).T).block)


def _mixture_of(z: np.ndarray, block: int | None) -> Account:
    d = z.shape[1]
    log_det = -float(np.linalg.slogdet(mixing(d))[1])
    found = [
        Representation("raw", "raw", z @ mixing(d).T, 0.0),
        Representation("turned", "turned", z @ turn(d), log_det),
        Representation("latents", "latents", z, log_det),
    ]
    return Account(found, float(np.log(np.linalg.norm(mixing(d), axis=1)).sum()) + log_det, block)


def two_modes(n: int, d: int, rng: np.random.Generator) -> Account:
    """A linear mixture of two-mode sources and its exact map to N(0, I), which is not linear."""
    sources = rng.choice([-MODE, MODE], (n, d)) + SPREAD * rng.standard_normal((n, d))
    z = ndtri(0.5 * (ndtr((sources + MODE) / SPREAD) + ndtr((sources - MODE) / SPREAD)))
    density = 0.5 * (norm.pdf(sources, -MODE, SPREAD) + norm.pdf(sources, MODE, SPREAD))
    slopes = (np.log(density) - norm.logpdf(z)).sum(axis=1)
    log_det = slopes - float(np.linalg.slogdet(mixing(d))[1])
    found = [
        Representation("raw", "raw", sources @ mixing(d).T, 0.0),
        Representation("latents", "latents", z, log_det),
    ]
    return Account(found, two_mode_total_correlation(d))


@lru_cache(maxsize=4)
def two_mode_total_correlation(d: int) -> float:
    """Of the mixture of ``d`` two-mode sources, nats: every raw column is a mixture of 2^d normals."""
    signs = np.array(list(product([-MODE, MODE], repeat=d)))
    marginal = sum(mixture_entropy(signs @ row, SPREAD * float(np.linalg.norm(row))) for row in mixing(d))
    source = mixture_entropy(np.array([-MODE, MODE]), SPREAD)
    return marginal - d * source - float(np.linalg.slogdet(mixing(d))[1])


def mixture_entropy(means: np.ndarray, sd: float) -> float:
    """Entropy in nats of an equal mixture of normals, by the trapezoidal rule, exact for so smooth a density."""
    x = np.linspace(means.min() - 12.0 * sd, means.max() + 12.0 * sd, 4001)
    p = np.mean([norm.pdf(x, mean, sd) for mean in means], axis=0)
    return float(np.trapezoid(-p * np.log(np.maximum(p, 1e-300)), x))


def coverage(data: Account, rng: np.random.Generator) -> dict[str, Any]:
    """Whether the ledger's intervals miss what is true."""
    found = ledger(data.representations, rng=rng, n_boot=N_BOOT, block=data.block)
    removed = found.entry("latents").removed
    missed = {
        "removed by the exact map": removed.excludes(data.removed),
        "removed: interval too low": removed.high < data.removed,
        "removed: interval too high": removed.low > data.removed,
    }
    if "latents-turned" in found.differences:
        missed[DIFFERENCE.name] = found.differences["latents-turned"].excludes(0.0)
    return missed


def radii(n: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, float, int | None]:
    """−log p of N(0, I) at its own rows less its constant, ½‖z‖²; its mean; rows taken one by one."""
    return 0.5 * chi2.rvs(d, size=n, random_state=rng), 0.5 * d, None


def serial_means(n: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, float, int | None]:
    """½‖z‖² of AR(1) rows, φ = 0.9."""
    rows = as_series(autoregressive(n, d, 0.9, rng))
    return 0.5 * (rows.values**2).sum(axis=1), 0.5 * d, rows.block


def mean_missed(data: tuple[np.ndarray, float, int | None], rng: np.random.Generator) -> dict[str, Any]:
    """Whether the bootstrap interval of a mean misses it."""
    terms, truth, block = data
    return {"mean": intervals(terms[:, None], rng, N_BOOT, block)[0].excludes(truth)}


def _ledger(
    rows: str, draw: Callable[..., Account], checks: tuple[Check, ...], grid: tuple[tuple[int, int], ...]
) -> Procedure:
    return Procedure("Ledger", rows, draw, coverage, checks, lambda n, d: 400, grid)


WITHOUT_50 = tuple((n, d) for n in (300, 1000, 3000) for d in (2, 10))
SMALL = tuple((n, d) for n in (300, 3000) for d in (2, 10))
ENDS = tuple((n, d) for n in (300, 3000) for d in (2, 50))
PROCEDURES = (
    _ledger("mixture of normals", normal_mixture, (*LEDGER, DIFFERENCE), GRID),
    _ledger("mixture of two-mode sources", two_modes, LEDGER, WITHOUT_50),
    _ledger("heavy-tailed columns", heavy_tails, (*LEDGER, DIFFERENCE), SMALL),
    _ledger("mixture of AR(1) series, φ = 0.9", series, (*LEDGER, DIFFERENCE), GRID),
    Procedure("−log p", "½χ²", radii, mean_missed, (Check("mean"),), lambda n, d: 1000, ENDS),
    Procedure(
        "−log p", "AR(1), φ = 0.9", serial_means, mean_missed, (Check("mean"),), lambda n, d: 600, ENDS
    ),
)
