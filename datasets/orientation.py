"""Mixtures with known sources, by which orientations of latents and methods of unmixing are compared.

Independent sources pass an invertible map; what a method gives back is compared with the sources. The sets differ
in what could give the sources away. Every set is drawn for any number of sources d and rows n.

linear, one_gaussian, two_gaussians
    A matrix with singular values from 1 to 4. Sources of :func:`datasets.mixtures.draw_sources`; the last one, or
    the last two, are replaced by normal ones.
lrelu<k>
    k random rotations with a leaky ReLU of slope 0.2 between one and the next, so k - 1 of them: `lrelu1` is linear,
    `lrelu2` bends once. (In contrastive learning this counts as k layers, the last one linear.)
moebius
    Inversion about a point outside the support of the sources, followed by a rotation: a conformal map.
pnl_sinh, pnl_cube
    A rotation, then a function of each column by itself: sinh(1.2 u)/1.2, or u³ + 0.3 u.
radial
    Rotation, and each row drawn towards the origin by a function of its norm alone.
ar_gauss_<k>, ar_laplace_<k>
    Rows in the order of time: autoregressive sources of order 1, coefficients from 0.3 to 0.95, each its own, with
    normal or Laplace innovations, through the map of `lrelu<k>`.
groups_gauss_<k>, groups_laplace_<k>
    Rows in 40 segments of equal length; in each one every source is normal or Laplace with a standard deviation of
    its own, uniform between 0.1 and 2 (before all is scaled to unit variance), through the map of `lrelu<k>`. 40 000
    rows make the 40 segments of 1 000 rows of time-contrastive learning.

    python -m datasets.orientation lrelu2 lrelu2.h5 --rows 20000 --sources 5 --seed 0
"""

from __future__ import annotations

import argparse
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from datasets.mixing import Chain, Columnwise, Cube, Inversion, LeakyRelu, Map, Matrix, Radial, Sinh
from datasets.mixtures import SLOPE, draw_sources, rotation

Array = NDArray[np.float64]

#: What is drawn where no set is named; <k> may be any number of layers from 1.
NAMES = (
    "linear",
    "one_gaussian",
    "two_gaussians",
    *[f"lrelu{k}" for k in (2, 3, 4)],
    "moebius",
    "pnl_sinh",
    "pnl_cube",
    "radial",
    *[
        f"{kind}_{k}"
        for kind in ("ar_gauss", "ar_laplace", "groups_gauss", "groups_laplace")
        for k in (1, 2, 3, 4)
    ],
)

SEGMENTS = 40
DEVIATIONS = (0.1, 2.0)
COEFFICIENTS = (0.3, 0.95)
#: Each coordinate of the centre of the inversion, in standard deviations of a source. Uniform sources end at 1.73.
CENTRE = 4.0
SINH_GAIN, CUBE_SLOPE = 1.2, 0.3

_BURN_IN = 600  # 0.95^600 is 4e-14
_NAME = re.compile(r"(lrelu|ar_gauss_|ar_laplace_|groups_gauss_|groups_laplace_)([1-9]\d*)")


@dataclass(frozen=True)
class Mixture:
    """Rows of one set.

    Attributes
    ----------
    name : str
    X : (n, d) observed columns
    S : (n, d) sources, of mean 0 and variance 1 in law
    groups : (n,) int, the segment of each row, counted from 0; None where the set has no groups
    ordered : whether rows follow each other in time
    mixing : the invertible map from S to X
    """

    name: str
    X: Array
    S: Array
    groups: NDArray[np.int64] | None
    ordered: bool
    mixing: Map


def draw(name: str, rows: int, width: int, seed: int) -> Mixture:
    """One set; every set, width and seed has its own stream of random numbers.

    Parameters
    ----------
    name : one of `NAMES`, or the name of a family with another number of layers, as in ``lrelu5``
    rows, width : n and d, positive; d from 2
    seed : not negative

    Raises
    ------
    ValueError
        Unknown name, or too few rows or sources.
    """
    family, layers = _parse(name)
    if rows < 1 or width < 2:
        raise ValueError(f"a mixture wants a row and two sources at least, not {rows} and {width}")
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), width])
    mixing = _mixing(family, layers, width, rng)
    S, groups = _sources(family, rows, width, rng)
    return Mixture(name, mixing.forward(S), S, groups, family.startswith("ar_"), mixing)


def _parse(name: str) -> tuple[str, int]:
    """Family and number of layers."""
    layered = _NAME.fullmatch(name)
    if layered:
        return layered[1].rstrip("_"), int(layered[2])
    if name not in NAMES:
        raise ValueError(f"no set is called {name!r}; there are {', '.join(NAMES)}")
    return name, 1


def autoregressive(rows: int, width: int, law: str, rng: np.random.Generator) -> Array:
    """Stationary series s_t = φ s_{t-1} + √(1-φ²) e_t of variance 1, (rows, width); law of e "gauss" or "laplace"."""
    steps = _noise(rows + _BURN_IN, width, law, rng)
    coefficients = np.linspace(*COEFFICIENTS, width)
    series = [
        lfilter([np.sqrt(1 - c**2)], [1, -c], steps[:, i])[_BURN_IN:] for i, c in enumerate(coefficients)
    ]
    return np.column_stack(series)


def modulated(rows: int, width: int, law: str, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Sources (rows, width) whose standard deviation changes from segment to segment, and the segment of each row."""
    deviations = rng.uniform(*DEVIATIONS, size=(SEGMENTS, width))
    deviations /= np.sqrt(np.mean(deviations**2, axis=0))
    groups = np.arange(rows) * SEGMENTS // rows
    return _noise(rows, width, law, rng) * deviations[groups], groups


def _noise(rows: int, width: int, law: str, rng: np.random.Generator) -> Array:
    if law == "gauss":
        return rng.normal(size=(rows, width))
    return rng.laplace(scale=np.sqrt(0.5), size=(rows, width))


def _sources(
    family: str, rows: int, width: int, rng: np.random.Generator
) -> tuple[Array, NDArray[np.int64] | None]:
    kind, _, law = family.partition("_")
    if kind == "ar":
        return autoregressive(rows, width, law, rng), None
    if kind == "groups":
        return modulated(rows, width, law, rng)
    S = draw_sources(rows, width, rng)
    normal = {"one_gaussian": 1, "two_gaussians": 2}.get(family, 0)
    S[:, width - normal :] = rng.normal(size=(rows, normal))
    return S, None


def _mixing(family: str, layers: int, width: int, rng: np.random.Generator) -> Map:
    turn = Matrix(rotation(width, rng))
    if family in ("linear", "one_gaussian", "two_gaussians"):
        return Matrix(turn.A @ np.diag(np.geomspace(1, 4, width)) @ rotation(width, rng))
    if family == "moebius":
        return Chain((Inversion(CENTRE * rng.choice([-1.0, 1.0], size=width)), turn))
    if family == "pnl_sinh":
        return Chain((turn, Columnwise(Sinh(SINH_GAIN))))
    if family == "pnl_cube":
        return Chain((turn, Columnwise(Cube(CUBE_SLOPE))))
    if family == "radial":
        return Chain((turn, Radial(np.sqrt(width))))
    maps: list[Map] = [turn]
    for _ in range(layers - 1):
        maps += [LeakyRelu(SLOPE), Matrix(rotation(width, rng))]
    return Chain(tuple(maps))


def write(path: str | Path, name: str, *, rows: int = 20_000, width: int = 5, seed: int = 0) -> None:
    """Write one set to HDF5: `X` (rows, d), `S` (rows, d), and `group` (rows,) where there are groups."""
    mixture = draw(name, rows, width, seed)
    with h5py.File(path, "w") as file:
        file.attrs["recipe"] = f"datasets.orientation {name} --rows {rows} --sources {width} --seed {seed}"
        file.attrs["ordered"] = mixture.ordered
        file["X"], file["S"] = mixture.X, mixture.S
        if mixture.groups is not None:
            file["group"] = mixture.groups


def main(arguments: list[str] | None = None) -> None:
    """Command line: NAME OUT.h5 [--rows N] [--sources D] [--seed S]."""
    parser = argparse.ArgumentParser(description="Write a mixture of known sources to HDF5.")
    parser.add_argument("name", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("out", metavar="OUT.h5")
    parser.add_argument("--rows", type=int, default=20_000, help="(default: %(default)s)")
    parser.add_argument("--sources", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        write(options.out, options.name, rows=options.rows, width=options.sources, seed=options.seed)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
