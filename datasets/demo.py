"""A small table with known causes, for the first tour: four sensors that each feel four hidden sources.

The story is a pump house. Its load switches between two regimes, the weather spreads evenly between its
extremes, leaks are mostly small and rarely large, and turbulence has long tails on both sides: four
independent sources, none of them Gaussian. Each sensor reads a mixture that has passed a smooth bend
(slope 1 upwards, 0.25 downwards) between two rotations, in a unit and from a zero point of its own.

The map is one-to-one and only mildly curved, but no linear map undoes it: linear ICA leaves dependence
that any test finds, and since `sources` and `log_p` are written beside the sensors' readings `X`,
whatever claims to do better can be checked against the truth.

    python -m datasets.demo demo.h5 --rows 4000 --seed 0
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]

SOURCES = ("load", "weather", "leaks", "turbulence")
COLUMNS = ("temperature_C", "pressure_hPa", "flow_l_min", "vibration_mm_s")
ZERO = np.array([21.0, 1013.0, 140.0, 6.0])
UNIT = np.array([3.2, 7.5, 18.0, 0.9])

_DOWNWARDS = 0.25
_SHARPNESS = 2.0
_MODE_SPREAD = 0.35


def draw_sources(rows: int, rng: np.random.Generator) -> Array:
    """The four sources, (rows, 4), independent, of mean 0 and variance 1."""
    load = (rng.choice([-1.0, 1.0], size=rows) + _MODE_SPREAD * rng.normal(size=rows)) / np.hypot(
        1, _MODE_SPREAD
    )
    weather = rng.uniform(-np.sqrt(3), np.sqrt(3), size=rows)
    leaks = rng.exponential(size=rows) - 1
    turbulence = rng.laplace(scale=np.sqrt(0.5), size=rows)
    return np.column_stack([load, weather, leaks, turbulence])


def source_log_p(S: Array) -> Array:
    """Log density of each row of sources, (n,), nats."""
    scale = np.hypot(1, _MODE_SPREAD)
    modes = [stats.norm.logpdf(S[:, 0], at / scale, _MODE_SPREAD / scale) for at in (-1, 1)]
    return (
        special.logsumexp(modes, axis=0)
        - np.log(2)
        + stats.uniform.logpdf(S[:, 1], -np.sqrt(3), 2 * np.sqrt(3))
        + stats.expon.logpdf(S[:, 2], loc=-1)
        + stats.laplace.logpdf(S[:, 3], scale=np.sqrt(0.5))
    )


def bend(u: Array) -> tuple[Array, Array]:
    """Smooth one-to-one bend of each coordinate, and the log of its slope, which lies in 0.25 ... 1."""
    bent = _DOWNWARDS * u + (1 - _DOWNWARDS) * np.logaddexp(0, _SHARPNESS * u) / _SHARPNESS
    return bent, np.log(_DOWNWARDS + (1 - _DOWNWARDS) * special.expit(_SHARPNESS * u))


def mix(S: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Readings of the sensors, (n, 4), and log|det| of the map from sources to readings, (n,).

    The generator gives the two rotations; the same generator state gives the same sensors.
    """
    first, second = (stats.special_ortho_group.rvs(len(SOURCES), random_state=rng) for _ in range(2))
    bent, log_slope = bend(S @ first.T)
    return ZERO + UNIT * (bent @ second.T), log_slope.sum(axis=1) + np.log(UNIT).sum()


def write(path: str | Path, *, rows: int = 4000, seed: int = 0) -> None:
    """Write `X` (rows, 4) with its column names, `sources` (rows, 4) and `log_p` (rows,) in nats."""
    rng = np.random.default_rng(seed)
    S = draw_sources(rows, rng)
    X, log_det = mix(S, rng)
    with h5py.File(path, "w") as file:
        file.attrs["recipe"] = f"datasets.demo --rows {rows} --seed {seed}"
        for name, values, columns in (("X", X, COLUMNS), ("sources", S, SOURCES)):
            file[name] = values
            file[name].attrs["columns"] = np.array(columns, dtype=h5py.string_dtype())
        file["log_p"] = source_log_p(S) - log_det


def main(arguments: list[str] | None = None) -> None:
    """Command line: OUT.h5 [--rows N] [--seed S]."""
    parser = argparse.ArgumentParser(
        description="Write the demonstration set, four sensors of known sources."
    )
    parser.add_argument("out", metavar="OUT.h5")
    parser.add_argument("--rows", type=int, default=4000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    write(options.out, rows=options.rows, seed=options.seed)


if __name__ == "__main__":
    main()
