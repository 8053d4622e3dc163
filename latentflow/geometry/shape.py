"""What trajectories look like: how straight, how flat, how fast, and how early their end can be seen.

Claims (a), (b), (c) and (e) of Chen et al. (2023, arXiv 2305.19947; 2024, arXiv 2405.11326), measured one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.integrate import trapezoid
from scipy.stats import norm

from latentflow.geometry.trajectories import Floats, Trajectories
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result

#: The band that is told of a quantity by σ: its 5 %, 50 % and 95 % quantiles over trajectories.
BAND = (0.05, 0.5, 0.95)
#: Principal components told.
COMPONENTS = 3
#: The denoising trajectory ends at D(x; σ_min), the sampling trajectory at x(σ_min): within this many σ_min of the
#: end the distance to it says more of that than of the trajectories.
NEAR_THE_END = 4.0


@dataclass(frozen=True)
class Band(Result):
    """Quantiles over trajectories at each noise level."""

    low: Annotated[Floats, "(m + 1,): The 5 %, 50 % and 95 % quantiles."]
    median: Floats
    high: Floats


@dataclass(frozen=True)
class TrajectoryShape(Result):
    """The shape of sampling trajectories, over all that were followed."""

    n_rows: Annotated[int, "Trajectories, and whitened coordinates."]
    dimension: int
    sigmas: Annotated[Floats, "(m + 1,): Decreasing noise levels."]
    chord_length: Annotated[float, "Median ‖x(σ_max) − x(σ_min)‖, whitened units."]
    chord_deviation: Annotated[
        Interval, "Mean over trajectories of the largest distance to the chord, as a share of its length."
    ]
    chord_deviation_data: Annotated[
        Interval, "The same distance in units of √d, the root mean square radius of the data."
    ]
    deviation: Annotated[Band, "Distance to the chord by σ, as a share of its length."]
    sampling_distance: Annotated[Band, "‖x(σ) − x(σ_min)‖/√d and ‖D(x(σ); σ) − x(σ_min)‖/√d."]
    denoising_distance: Band
    denoising_nearer: Annotated[
        Floats, "(m + 1,): Share of trajectories whose denoising trajectory is the nearer one."
    ]
    denoising_nearer_overall: Annotated[
        Interval, "That share over all levels, uniform in log σ, but those within four σ_min of the end."
    ]
    curvature: Annotated[Band, "Of σ ↦ x(σ): ‖x″ across x′‖/‖x′‖², per unit of length, whitened."]
    turning: Annotated[Band, "Angle by which dx/dσ turns per unit of log σ, radians."]
    total_turning: Annotated[Interval, "Mean over trajectories of its integral from σ_max to σ_min, radians."]
    tie_gap: Annotated[
        float,
        "Root mean square of d²x/du² − dx/du + dD/du, by finite differences of the states alone, over that of dD/du: "
        "0 where the denoising trajectory's derivative governs the curvature, up to the differences' own error.",
    ]
    speed: Annotated[Band, "‖dx/dσ‖/√d."]
    variance_preserving_speed: Annotated[
        Band, "‖dy/d log σ‖/√d of y = x/√(1+σ²), the state and the axis on which the encoder steps."
    ]
    components: Annotated[
        Floats,
        "(3,): Mean share of a trajectory's variance that its first 1, 2, 3 principal components explain.",
    ]
    bend_components: Annotated[
        Floats,
        "(2,): Mean share of its squared distance from its chord that the best 1, 2 directions across the chord "
        "explain.",
    ]


def trajectory_shape(paths: Trajectories) -> TrajectoryShape:
    """Measure followed trajectories; intervals are of means over trajectories, at 95 %."""
    root = np.sqrt(paths.dimension)
    from_chord, length = across_chord(paths.sampling)
    distance = np.linalg.norm(from_chord, axis=2)
    to_end, denoised_to_end = distances_to_end(paths)
    nearer = denoised_to_end < to_end
    early = paths.sigmas >= NEAR_THE_END * paths.sigmas[-1]
    bend, turn = curvature(paths)
    sigma = paths.sigmas[:, None]
    slope = np.linalg.norm(paths.sampling - paths.denoising, axis=2) / sigma
    preserving = paths.sampling / (1 + sigma[:, :, None] ** 2) - paths.denoising
    return TrajectoryShape(
        n_rows=paths.rows,
        dimension=paths.dimension,
        sigmas=paths.sigmas,
        chord_length=float(np.median(length)),
        chord_deviation=mean_interval(distance.max(0) / length),
        chord_deviation_data=mean_interval(distance.max(0) / root),
        deviation=_band(distance / length),
        sampling_distance=_band(to_end / root),
        denoising_distance=_band(denoised_to_end / root),
        denoising_nearer=nearer.mean(1),
        denoising_nearer_overall=mean_interval(nearer[early].mean(0)),
        curvature=_band(bend),
        turning=_band(turn),
        total_turning=mean_interval(-trapezoid(turn, np.log(paths.sigmas), axis=0)),
        tie_gap=tie_gap(paths),
        speed=_band(slope / root),
        variance_preserving_speed=_band(np.linalg.norm(preserving, axis=2) / np.sqrt(1 + sigma**2) / root),
        components=explained(paths.sampling - paths.sampling.mean(0), COMPONENTS),
        bend_components=explained(from_chord, COMPONENTS - 1),
    )


def across_chord(states: Floats) -> tuple[Floats, Floats]:
    """What is left of states (m + 1, n, d) across the chord from first to last, and its length (n,).

    A trajectory that ends where it began has no chord; its distance is that from its end, and its length 1.
    """
    chord = states[0] - states[-1]
    length = np.linalg.norm(chord, axis=1)
    length = np.where(length > 0, length, 1.0)
    unit = chord / length[:, None]
    offset = states - states[-1]
    along = np.einsum("mnd,nd->mn", offset, unit)
    return offset - along[:, :, None] * unit, length


def distances_to_end(paths: Trajectories) -> tuple[Floats, Floats]:
    """‖x(σ) − x(σ_min)‖ and ‖D(x(σ); σ) − x(σ_min)‖, shape (m + 1, n) each."""
    end = paths.sampling[-1]
    return np.linalg.norm(paths.sampling - end, axis=2), np.linalg.norm(paths.denoising - end, axis=2)


def curvature(paths: Trajectories) -> tuple[Floats, Floats]:
    """Curvature per unit of length, and angle turned per unit of log σ, shape (m + 1, n) each.

    Both from the denoising trajectory alone: x″ = −D′/σ, of which the part across x′ = (x − D)/σ bends.
    """
    direction = paths.sampling - paths.denoising
    squared = np.maximum((direction**2).sum(2), np.finfo(np.float64).tiny)
    along = (paths.slope * direction).sum(2) / squared
    bend = np.linalg.norm(paths.slope - along[:, :, None] * direction, axis=2)
    turn = bend / np.sqrt(squared)
    return turn / np.sqrt(squared), turn


def tie_gap(paths: Trajectories) -> float:
    """How far d²x/du² − dx/du, from finite differences of the states, is from −dD/du; relative, root mean square.

    Fourth-order central differences over u = log σ, whose own error at the default grid is about 1e-5.
    """
    u = np.log(paths.sigmas)
    du = float(u[1] - u[0])
    if len(u) < 5 or not np.allclose(np.diff(u), du):
        raise ValueError("finite differences need five noise levels or more, uniform in log σ")
    x = [paths.sampling[k : len(u) - 4 + k] for k in range(5)]
    first = (x[0] - 8 * x[1] + 8 * x[3] - x[4]) / (12 * du)
    second = (-x[0] + 16 * x[1] - 30 * x[2] + 16 * x[3] - x[4]) / (12 * du * du)
    slope = paths.slope[2:-2]
    size = np.sqrt((slope**2).mean())
    return float(np.sqrt(((second - first + slope) ** 2).mean()) / size) if size > 0 else 0.0


def explained(offsets: Floats, most: int) -> Floats:
    """Mean over trajectories of the share of Σ‖offset‖² that the first 1 … ``most`` directions explain, (most,).

    Parameters
    ----------
    offsets : ndarray, shape (m + 1, n, d)
        Already centred, for shares of the variance. Trajectories without any offset count as explained.
    most : int
    """
    gram = np.einsum("mni,mnj->nij", offsets, offsets)
    values = np.linalg.eigvalsh(gram)[:, ::-1].clip(min=0)
    total = values.sum(1)
    shares = np.ones((len(values), most))
    moved = total > 0
    first = np.cumsum(values, axis=1)[:, :most] / np.where(moved, total, 1)[:, None]
    shares[:, : first.shape[1]] = np.where(moved[:, None], first, 1.0)
    return np.asarray(shares.mean(0))


def mean_interval(values: Floats) -> Interval:
    """Mean of values (n,) over trajectories with its normal 95 % interval."""
    mean = float(values.mean())
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("inf")
    reach = float(norm.ppf(0.975)) * error
    return Interval(mean, mean - reach, mean + reach)


def _band(values: Floats) -> Band:
    return Band(*np.quantile(values, BAND, axis=1))
