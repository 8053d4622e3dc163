"""Lattices are found where they are, give back every value, and are not imagined where they are not."""

from __future__ import annotations

import json
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentflow.data.lattice import Lattice
from latentflow.data.lattice_search import find_lattice, simplest_fraction


def printed(values: np.ndarray, template: str) -> np.ndarray:
    """What a parser reads from numbers written with a template."""
    return np.array([float(template % value) for value in values])


def lattice_of(values: np.ndarray, precision: str = "float64") -> Lattice:
    return find_lattice(np.unique(values), len(values), precision)


def step_at(lattice: Lattice, value: float) -> float:
    return float(lattice.unit(np.array([value]))[0])


rng = np.random.default_rng(5)
NORMAL = rng.normal(100.0, 30.0, size=3000)
LOGNORMAL = rng.lognormal(0.0, 2.5, size=2000)
COUNTS = rng.integers(-3000, 9000, size=4000)

LATTICES = {
    "whole": (np.rint(NORMAL), "decimal", 1.0),
    "two decimals": (NORMAL.round(2), "decimal", 0.01),
    "five digits": (printed(LOGNORMAL, "%.5g"), "significant", None),
    "tiny, four digits": (printed(LOGNORMAL * 1e-12, "%.4g"), "significant", None),
    "quarters": (np.rint(NORMAL) * 0.25, "regular", 0.25),
    "fives from two": (np.rint(NORMAL) * 5.0 + 2.0, "regular", 5.0),
    "hidden, two decimals": (printed(COUNTS * 20 / 39, "%.2f"), "regular", 20 / 39),
    "hidden, six digits": (printed(np.append(COUNTS, [1_400_000]) * 20 / 39, "%.6g"), "regular", 20 / 39),
    "hidden, with an offset": (printed(COUNTS * 0.1 + 0.0446, "%.5g"), "regular", 0.1),
    "sixteen bits": (COUNTS / 32768, "regular", 1 / 32768),
    "scaled counts": (COUNTS * 4.88e-8, "regular", 4.88e-8),
    "inverse of a decimal": (COUNTS / 1.95 + 3.3, "regular", 1 / 1.95),
}


@pytest.mark.parametrize("name", LATTICES)
def test_every_value_is_reproduced_by_the_lattice_it_was_made_on(name: str) -> None:
    values, kind, step = LATTICES[name]
    lattice = lattice_of(values)
    assert lattice.kind == kind
    assert np.array_equal(lattice.nearest(values), values)
    if step is not None:
        assert step_at(lattice, float(np.median(values))) == pytest.approx(step, rel=1e-12)


@pytest.mark.parametrize("name", LATTICES)
def test_cells_tile_the_line_and_lead_back_to_their_values(name: str) -> None:
    values = np.unique(LATTICES[name][0])
    lattice = lattice_of(LATTICES[name][0])
    low, high = lattice.cell(values)
    width = high - low
    assert np.all(width > 0)
    assert np.all(high[:-1] <= low[1:] + 1e-6 * np.minimum(width[:-1], width[1:]))
    for share in (1e-3, 0.5, 1.0 - 1e-3):
        assert np.array_equal(lattice.nearest(low + share * width), values)


@pytest.mark.parametrize("name", LATTICES)
def test_a_lattice_survives_json(name: str) -> None:
    lattice = lattice_of(LATTICES[name][0])
    assert Lattice.from_dict(json.loads(json.dumps(lattice.to_dict())), "float64") == lattice


def test_a_hidden_step_also_holds_values_that_were_not_there_to_find_it() -> None:
    values = LATTICES["hidden, six digits"][0]
    lattice = lattice_of(values[::40])
    assert (lattice.numerator, lattice.denominator) == (20.0, 39.0)
    assert lattice.holds(values).all()


def test_points_printed_otherwise_are_kept_as_exceptions() -> None:
    points = 2.0 * np.arange(-140, 400) - 0.565  # beyond 100, five digits end half-way between two numbers
    half = np.abs(points) > 100
    cents = np.floor(points * 100) + (rng.random(len(points)) < 0.3)
    values = printed(np.where(half, cents / 100, points), "%.3f")
    lattice = lattice_of(values)
    assert step_at(lattice, 0.0) == 2.0
    assert len(lattice.exceptions) > 20
    assert np.array_equal(lattice.nearest(values), values)
    assert Lattice.from_dict(json.loads(json.dumps(lattice.to_dict())), "float64") == lattice


CONTINUOUS = {
    "normal": rng.normal(size=2000),
    "uniform": rng.random(2000),
    "five values": rng.normal(size=5),
    "standardised counts": (rng.integers(0, 60, size=2000) - 24.83) / 14.31,
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_no_lattice_is_seen_in_continuous_numbers(name: str) -> None:
    assert lattice_of(CONTINUOUS[name]).kind == "none"


def test_single_precision_is_judged_at_single_precision() -> None:
    normal = rng.normal(size=4000).astype(np.float32)
    assert lattice_of(normal.astype(float), "float32").kind == "none"
    assert lattice_of(rng.random(4000, dtype=np.float32).astype(float), "float32").kind == "none"
    decimals = NORMAL.round(2).astype(np.float32).astype(float)
    lattice = lattice_of(decimals, "float32")
    assert step_at(lattice, 1.0) == 0.01
    assert np.array_equal(lattice.nearest(decimals + 0.003), decimals)
    as_double = lattice_of(decimals, "float64")
    assert step_at(as_double, 1.0) < 0.01


def test_a_coarser_grid_needs_evidence() -> None:
    few = lattice_of(np.array([20.0, 30.0, 40.0]))
    assert step_at(few, 30.0) == 1.0
    often = lattice_of(np.repeat([20.0, 30.0, 40.0], 20))
    assert step_at(often, 30.0) == 10.0
    # Many numbers are evidence by themselves, unless one of them says otherwise.
    tens = 10.0 * rng.permutation(200)
    many = lattice_of(tens)
    assert step_at(many, 0.0) == 10.0
    spoilt = lattice_of(np.append(tens, 57.0))
    assert step_at(spoilt, 0.0) == 1.0


def test_digits_explain_a_column_only_where_they_explain_more_than_decimals() -> None:
    whole = lattice_of(np.arange(1.0, 2000.0))
    assert whole.kind == "decimal"
    decades = printed(rng.lognormal(3.0, 1.0, size=500), "%.4g")
    digits = lattice_of(decades)
    assert digits.digits == 4
    # Smaller numbers than any seen still fit, with as many digits.
    assert digits.holds(np.array([0.04321])).all()
    assert not digits.holds(np.array([54.321])).any()


def test_powers_of_ten_own_an_asymmetric_cell() -> None:
    lattice = Lattice(digits=3, finest=-8)
    low, high = lattice.cell(np.array([10.0, -10.0, 10.1, 0.0]))
    np.testing.assert_allclose(low, [9.995, -10.05, 10.05, -0.5e-8], rtol=1e-12)
    np.testing.assert_allclose(high, [10.05, -9.995, 10.15, 0.5e-8], rtol=1e-12)


@settings(max_examples=60)
@given(
    step=st.fractions(min_value=Fraction(1, 50), max_value=50, max_denominator=60),
    offset=st.integers(-500, 500),
    decimals=st.integers(3, 6),
    seed=st.integers(0, 10_000),
)
def test_any_regular_lattice_is_reproduced(step: Fraction, offset: int, decimals: int, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(-2000, 2000, size=300)
    values = np.array([float(f"{float(int(k) * step + Fraction(offset, 10)):.{decimals}f}") for k in counts])
    lattice = lattice_of(values)
    assert np.array_equal(lattice.nearest(values), values)
    # Nothing finer than the step is reported where the digits leave it visible.
    assert step_at(lattice, 0.0) >= float(step) * (1 - 1e-9) or float(step) < 10 * 10.0**-decimals


@settings(max_examples=60)
@given(st.fractions(-20, 20, max_denominator=80), st.fractions(Fraction(1, 10**7), Fraction(1, 50)))
def test_the_simplest_fraction_is_the_simplest(low: Fraction, length: Fraction) -> None:
    start, stop = Fraction(float(low)), Fraction(float(low + length))
    best = simplest_fraction(float(low), float(low + length))
    assert start <= best <= stop
    for denominator in range(1, min(best.denominator, 400)):
        assert Fraction(floor(stop * denominator), denominator) < start


@pytest.mark.parametrize("decimals", range(13))
def test_restored_decimals_equal_what_a_parser_reads(decimals: int) -> None:
    whole = rng.integers(-(10**6), 10**6, size=500)
    values = np.array([float(f"{k}e-{decimals}") for k in whole])
    assert np.array_equal(Lattice(decimals=decimals).nearest(values * (1 + 3e-16)), values)
