"""Four synthetic sets with a known law: what a density model can reach on them is known row by row.

lin5, nl5, nl10
    Independent sources of unit variance, in turn Laplace, uniform, two-mode mixture, exponential and
    Student t with 5 degrees of freedom, mixed by an invertible map: `lin5` by a matrix (what linear
    ICA is made for), `nl5` and `nl10` by random rotations with a leaky ReLU (slope 0.2) between them,
    two in 5 dimensions and three in 10 (what linear ICA cannot undo).
rings
    Four columns: a point on one of two noisy rings, a sine of three times its angle, and its squared radius.
    Curved, with a hole and two parts, and no mixture of sources.

Each set is a group with `X` (n, d), for the mixtures the sources `S` (n, d), and `log_p` (n,): the exact log
density of each row, in nats in the units of X. The gap mean(log_p - log p of a model) on held-out rows is an
estimate of the Kullback-Leibler divergence that is free of most of the sampling error.

    python -m datasets.mixtures mixtures.h5 --rows 20000 --seed 0
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]

SLOPE = 0.2
MODE_SPREAD = 0.3  # of each mode, where the modes are at -1 and 1; then all is scaled to unit variance
RING_RADII = (1.0, 2.2)
RING_NOISE, SINE_NOISE, SQUARE_NOISE = 0.12, 0.2, 0.3

_MODE_SCALE = np.sqrt(1 + MODE_SPREAD**2)
_T_SCALE = np.sqrt(5 / 3)


@dataclass(frozen=True)
class Sample:
    """Rows of one set.

    Attributes
    ----------
    X : (n, d) observed columns
    S : (n, d) sources, None where the set is not a mixture
    log_p : (n,) log density of the rows of X, nats
    """

    X: Array
    S: Array | None
    log_p: Array


def draw_sources(rows: int, width: int, rng: np.random.Generator) -> Array:
    """Independent sources of mean 0 and variance 1, (rows, width), the five laws in turn."""
    laws = (
        lambda: rng.laplace(scale=np.sqrt(0.5), size=rows),
        lambda: rng.uniform(-np.sqrt(3), np.sqrt(3), size=rows),
        lambda: (rng.choice([-1.0, 1.0], size=rows) + MODE_SPREAD * rng.normal(size=rows)) / _MODE_SCALE,
        lambda: rng.exponential(size=rows) - 1,
        lambda: rng.standard_t(5, size=rows) / _T_SCALE,
    )
    return np.column_stack([laws[i % 5]() for i in range(width)])


def source_log_p(S: Array) -> Array:
    """Log density of each row of sources, (n,), nats."""
    modes = stats.norm(scale=MODE_SPREAD / _MODE_SCALE)
    laws = (
        lambda s: stats.laplace.logpdf(s, scale=np.sqrt(0.5)),
        lambda s: stats.uniform.logpdf(s, -np.sqrt(3), 2 * np.sqrt(3)),
        lambda s: (
            np.logaddexp(modes.logpdf(s - 1 / _MODE_SCALE), modes.logpdf(s + 1 / _MODE_SCALE)) - np.log(2)
        ),
        lambda s: stats.expon.logpdf(s, loc=-1),
        lambda s: stats.t.logpdf(s, 5, scale=1 / _T_SCALE),
    )
    return np.sum([laws[i % 5](S[:, i]) for i in range(S.shape[1])], axis=0)


def rotation(width: int, rng: np.random.Generator) -> Array:
    """Random rotation, uniform over the group."""
    return stats.special_ortho_group.rvs(width, random_state=rng)


def linear_mixture(rows: int, width: int, rng: np.random.Generator) -> Sample:
    """X = S Aᵀ with singular values of A from 1 to 4, so that log p(x) = log p(s) - log|det A|."""
    A = rotation(width, rng) @ np.diag(np.geomspace(1, 4, width)) @ rotation(width, rng)
    S = draw_sources(rows, width, rng)
    return Sample(S @ A.T, S, source_log_p(S) - np.linalg.slogdet(A)[1])


def leaky_mixture(rows: int, width: int, layers: int, rng: np.random.Generator) -> Sample:
    """Random rotations, `layers` of them, with a leaky ReLU between one and the next.

    A rotation keeps volumes and the leaky ReLU shrinks them by its slope for each negative coordinate:
    log p(x) = log p(s) - log(slope) · (number of negative coordinates over all layers).
    """
    S = draw_sources(rows, width, rng)
    X = S @ rotation(width, rng).T
    log_p = source_log_p(S)
    for _ in range(layers - 1):
        log_p -= np.log(SLOPE) * (X < 0).sum(axis=1)
        X = np.where(X < 0, SLOPE * X, X) @ rotation(width, rng).T
    return Sample(X, S, log_p)


def rings(rows: int, rng: np.random.Generator) -> Sample:
    """A point (x, y) on one of two rings, sin(3 angle), and the squared radius, each with normal noise."""
    angle = rng.uniform(-np.pi, np.pi, size=rows)
    radius = rng.choice(RING_RADII, size=rows) + RING_NOISE * rng.normal(size=rows)
    X = np.column_stack(
        [
            radius * np.cos(angle),
            radius * np.sin(angle),
            np.sin(3 * angle) + SINE_NOISE * rng.normal(size=rows),
            radius**2 + SQUARE_NOISE * rng.normal(size=rows),
        ]
    )
    return Sample(X, None, rings_log_p(X))


def rings_log_p(X: Array) -> Array:
    """Log density of rows of `rings`, (n,), nats: p(r)/(2 pi r) · p(third | angle) · p(fourth | r)."""
    radius = np.hypot(X[:, 0], X[:, 1])
    angle = np.arctan2(X[:, 1], X[:, 0])
    # A radius drawn below zero (8 standard deviations off) would count at the opposite angle; it is left out.
    of_radius = special.logsumexp(
        [stats.norm.logpdf(radius, r, RING_NOISE) for r in RING_RADII], axis=0
    ) - np.log(2)
    return (
        of_radius
        - np.log(2 * np.pi * radius)
        + stats.norm.logpdf(X[:, 2], np.sin(3 * angle), SINE_NOISE)
        + stats.norm.logpdf(X[:, 3], radius**2, SQUARE_NOISE)
    )


def draw(name: str, rows: int, seed: int) -> Sample:
    """One of the sets lin5, nl5, nl10, rings; each has its own stream of random numbers."""
    number = ("lin5", "nl5", "nl10", "rings").index(name)
    rng = np.random.default_rng([seed, number])
    if name == "rings":
        return rings(rows, rng)
    if name == "lin5":
        return linear_mixture(rows, 5, rng)
    return leaky_mixture(rows, 5, 2, rng) if name == "nl5" else leaky_mixture(rows, 10, 3, rng)


def write(path: str | Path, *, rows: int = 20_000, seed: int = 0) -> None:
    """Write all four sets to one HDF5 file, a group for each."""
    with h5py.File(path, "w") as file:
        file.attrs["recipe"] = f"datasets.mixtures --rows {rows} --seed {seed}"
        for name in ("lin5", "nl5", "nl10", "rings"):
            sample = draw(name, rows, seed)
            group = file.create_group(name)
            group["X"] = sample.X
            group["log_p"] = sample.log_p
            if sample.S is not None:
                group["S"] = sample.S


def main(arguments: list[str] | None = None) -> None:
    """Command line: OUT.h5 [--rows N] [--seed S]."""
    parser = argparse.ArgumentParser(
        description="Write the synthetic sets lin5, nl5, nl10 and rings to HDF5."
    )
    parser.add_argument("out", metavar="OUT.h5")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of each set (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    write(options.out, rows=options.rows, seed=options.seed)


if __name__ == "__main__":
    main()
