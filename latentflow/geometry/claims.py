"""The claims of the literature on trajectories, each with the rule by which it holds, set before it was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from latentflow.geometry.shape import NEAR_THE_END, TrajectoryShape
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result

#: (a) The mean largest distance from the chord is below this share of its length, with its whole interval.
STRAIGHT = 0.05
#: (b) The denoising trajectory is the nearer one at this share of trajectories and levels or more, interval included.
NEARER = 0.9
#: (c) Relative difference of the two sides of the identity, by finite differences.
TIED = 1e-3
#: (e) Share of the variance along a trajectory in three components, and of its bend in two directions.
FLAT, BEND_FLAT = 0.99, 0.9


@dataclass(frozen=True)
class Claim(Result):
    """One claim and what was measured."""

    name: Annotated[str, "A letter, as in the report."]
    statement: Annotated[str, "With its rule."]
    holds: Annotated[bool | None, "None where the data cannot tell."]
    figure: Annotated[Interval, "Of what the rule looks at first."]


def shape_claims(shape: TrajectoryShape) -> tuple[Claim, ...]:
    """Claims (a), (b), (c) and (e) for measured trajectories."""
    straight, nearer = shape.chord_deviation, shape.denoising_nearer_overall
    flat, bend = float(shape.components[-1]), float(shape.bend_components[-1])
    return (
        Claim(
            "a",
            f"Sampling trajectories keep within {100 * STRAIGHT:g} % of their chord's length of it, on average.",
            straight.high < STRAIGHT if shape.dimension > 1 else None,
            straight,
        ),
        Claim(
            "b",
            f"The denoising trajectory is nearer to the end than the sampling trajectory at {100 * NEARER:g} % of "
            f"trajectories and noise levels, from {NEAR_THE_END:g} times the smallest on.",
            nearer.low >= NEARER,
            nearer,
        ),
        Claim(
            "c",
            "The derivative of the denoising trajectory is the curvature of the sampling trajectory: "
            f"d²x/dσ² = −(1/σ) dD/dσ within {TIED:g}.",
            shape.tie_gap < TIED,
            _exact(shape.tie_gap),
        ),
        Claim(
            "e",
            f"Three components hold {100 * FLAT:g} % of the variance along a trajectory, and two directions across its "
            f"chord {100 * BEND_FLAT:g} % of its bend.",
            flat >= FLAT and bend >= BEND_FLAT if shape.dimension > 3 else None,
            _exact(flat),
        ),
    )


def _exact(value: float) -> Interval:
    return Interval(value, value, value)
