"""Find the lattice on which the values of a column lie, if there is one.

Every candidate is verified on every value: a lattice is returned only if it gives back each value to the last
bit. Being reproduced is not enough, though. Few values fit many grids by chance, so a coarser grid than the
plain decimals must also be improbable otherwise: numbers spread over the finer grid would each fall on the
coarser one with a probability of the ratio of the steps, and the product over the values must be tiny.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

import numpy as np

from latentflow.data.lattice import FINEST_EXPONENT, Floats, Lattice, Rounding

_MOST_DECIMALS = 12
# A format counts only where its numbers are at least this many spacings of the stored dtype apart (finer ones
# fit anything), and this many spacings of the doubles in which columns are whitened and restored.
_SPACINGS = 4.0
_DOUBLE_SPACINGS = 64.0
# log10 of the odds against a coincidence that a grid coarser than the plain one must show.
_EVIDENCE = 6.0
_FEWEST_VALUES = 10
# The same, that significant digits end at a last decimal as well.
_CAPPED = 3.0
_MOST_EXCEPTIONS = 4096
# How much coarser than the printed digits a hidden step must be to be told from them.
_COARSER = 4.0

Formula = tuple[float, float, float]  # offset, numerator, denominator


def find_lattice(values: Floats, n_rows: int, precision: str = "float64") -> Lattice | None:
    """The coarsest lattice that reproduces every value of a column exactly.

    Parameters
    ----------
    values : (m,) float64
        The distinct values of the column, ascending, at least two.
    n_rows : int
        Rows of the column (how often the values were seen: many rows on few values are evidence, too).
    precision : str
        Name of the dtype that held the column.

    Returns
    -------
    Lattice or None
        None where the values are those of a continuous column.
    """
    decimal = _fewest_decimals(values, precision)
    significant = _fewest_digits(values, precision, decimal)
    plain = significant if _explains_better(significant, decimal, values) else decimal
    found = [Lattice(plain)] if plain is not None else []
    if decimal is not None:
        found += _common_step(values, n_rows, decimal)
    for rounding in [f for f in (decimal, significant) if f is not None] or [Rounding(precision=precision)]:
        found += _hidden_step(values, rounding)
    return max(found, key=lambda lattice: _merit(lattice, values), default=None)


def _merit(lattice: Lattice, values: Floats) -> tuple[float, int]:
    """Mean log10 of the step, to some digits, and then the fewer exceptions the better."""
    steps = np.array([lattice.numerator / lattice.denominator]) if lattice.numerator else None
    log_step = np.log10(lattice.rounding.unit(values) if steps is None else steps).mean()
    return round(float(log_step), 6), -len(lattice.exceptions)


def _reproduces(rounding: Rounding, values: Floats) -> bool:
    probe = values[:: max(1, len(values) // 64)]
    return bool(
        np.array_equal(rounding.apply(probe), probe) and np.array_equal(rounding.apply(values), values)
    )


def _finest_step(values: Floats, precision: str) -> float:
    """The smallest step that rounding errors at the largest value leave recognisable."""
    largest = np.abs(values).max()
    return max(
        _SPACINGS * float(np.spacing(largest.astype(precision))),
        _DOUBLE_SPACINGS * float(np.spacing(largest)),
    )


def _fewest_decimals(values: Floats, precision: str) -> Rounding | None:
    """The coarsest fixed-decimals format of the values."""
    finest = _finest_step(values, precision)
    for decimals in range(_MOST_DECIMALS + 1):
        if 10.0**-decimals < finest:
            return None
        rounding = Rounding(decimals=decimals, precision=precision)
        if _reproduces(rounding, values):
            return rounding
    return None


def _fewest_digits(values: Floats, precision: str, decimal: Rounding | None) -> Rounding | None:
    """The coarsest significant-digits format of the values."""
    nonzero = values[values != 0]
    if len(nonzero) < _FEWEST_VALUES:
        return None
    most = int(-np.log10(_SPACINGS * np.finfo(precision).eps))
    for digits in range(1, min(most, _MOST_DECIMALS) + 1):
        rounding = Rounding(digits=digits, precision=precision)
        if _reproduces(rounding, nonzero):
            break
    else:
        return None
    units = np.log10(rounding.unit(nonzero))
    # Three decades of room below the smallest number seen, so that later rows fit; none where zeros are seen,
    # as the cell of zero is as wide as the finest unit.
    finest = round(float(units.min())) - (3 if len(nonzero) == len(values) else 0)
    # Small numbers that use fewer digits than they might have a last decimal, too.
    if decimal is not None and decimal.decimals is not None:
        unused = np.maximum(-decimal.decimals - units, 0.0).sum()
        finest = -decimal.decimals if unused >= _CAPPED else finest
    finest = max(finest, FINEST_EXPONENT)
    rounding = Rounding(digits=digits, finest=finest, precision=precision)
    return rounding if _reproduces(rounding, values) else None


def _explains_better(significant: Rounding | None, decimal: Rounding | None, values: Floats) -> bool:
    """Whether significant digits are the grid of the values, rather than fixed decimals."""
    if significant is None or decimal is None:
        return significant is not None
    nonzero = values[values != 0]
    return bool(np.log10(significant.unit(nonzero) / decimal.unit(nonzero)).sum() >= _EVIDENCE)


def _common_step(values: Floats, n_rows: int, decimal: Rounding) -> list[Lattice]:
    """Greatest common divisor of the differences, in units of the last decimal."""
    assert decimal.decimals is not None
    power = 10.0**decimal.decimals
    whole = np.rint(values * power).astype(np.int64)
    step = int(np.gcd.reduce(np.diff(whole)))
    seen_often = n_rows >= 10 * len(values)
    if step <= 1 or not (seen_often or (len(values) - 1) * np.log10(step) >= _EVIDENCE):
        return []
    lattice = Lattice(decimal, offset=int(whole[0]) % step / power, numerator=float(step), denominator=power)
    return [lattice] if lattice.holds(values).all() else []


def _hidden_step(values: Floats, rounding: Rounding) -> list[Lattice]:
    """A regular lattice that the printed digits hide, such as steps of 0.5128 printed with two decimals."""
    if len(values) < _FEWEST_VALUES:
        return []
    # A printed number is off by half a unit at most, a computed float by a few roundings at the largest one.
    spacing = np.spacing(np.abs(values).max().astype(rounding.precision)).astype(np.float64)
    printed = rounding.decimals is not None or rounding.digits is not None
    tolerance = 2.0 * spacing + (0.500001 * rounding.unit(values) if printed else np.zeros_like(values))
    gaps, slack = np.diff(values), tolerance[1:] + tolerance[:-1]
    closest = int(np.argmin(gaps + slack))
    if gaps[closest] < max(_COARSER * slack[closest], _finest_step(values, rounding.precision)):
        return []
    for parts in (1, 2, 3, 4):
        low = float(gaps[closest] - slack[closest]) / parts
        high = float(gaps[closest] + slack[closest]) / parts
        telling = tolerance <= high / (2.0 * _COARSER)  # coarsely printed values say nothing of the step
        chosen = _sample(values[telling], tolerance[telling])
        if chosen is None:
            continue
        lattices = [Lattice(rounding, *formula) for formula in _fit_step(*chosen, (low, high))]
        exact = [lattice for lattice in lattices if lattice.holds(values).all()]
        if not exact and printed and lattices:
            exact = _written_otherwise(lattices[0], values)
        if exact:
            return exact[:1]
    return []


def _written_otherwise(lattice: Lattice, values: Floats) -> list[Lattice]:
    """The lattice with exceptions for the values that were written one unit beside what it says."""
    missed = values[~lattice.holds(values)]
    near = np.abs(lattice.nearest(missed) - missed) <= 1.001 * lattice.rounding.unit(missed)
    if len(missed) > _MOST_EXCEPTIONS or not near.all():
        return []
    corrected = lattice.with_exceptions(values)
    return [corrected] if corrected.holds(values).all() else []


def _sample(values: Floats, tolerance: Floats) -> tuple[Floats, Floats] | None:
    """Some thousands of the values at most: a run about the median, which shows the step, and a comb."""
    if len(values) < _FEWEST_VALUES:
        return None
    index = np.arange(len(values))
    if len(values) > 4096:
        middle = len(values) // 2
        index = np.union1d(index[middle - 1536 : middle + 1536], index[:: len(values) // 512])
    return values[index], tolerance[index]


def _fit_step(values: Floats, tolerance: Floats, bounds: tuple[float, float]) -> list[Formula]:
    """Formulas of a regular lattice that has a point within the tolerance of each value, likeliest first."""
    narrowed = _narrow(values, tolerance, bounds)
    if narrowed is None:
        return []
    low, high = narrowed
    middle = 0.5 * (low + high)
    odds = np.log10(middle / (2.0 * tolerance))
    if odds.sum() - 3.0 * np.median(odds) < _EVIDENCE:
        return []
    reference = len(values) // 2
    index = np.rint((values - values[reference]) / middle)
    step = _step_through_zero(values, tolerance, index, reference, narrowed)
    if step is not None:
        return _ways_to_compute(0.0, step)
    return _step_and_offset(values, tolerance, index, narrowed)


def _narrow(values: Floats, tolerance: Floats, bounds: tuple[float, float]) -> tuple[float, float] | None:
    """Narrow the interval of the step by ever longer spans; None where no step fits or it stays wide."""
    low, high = bounds
    lag = 1
    while True:
        gaps, slack = values[lag:] - values[:-lag], tolerance[lag:] + tolerance[:-lag]
        for _ in range(20):
            clear = gaps * (high - low) < 0.4 * low * high  # the number of steps in the span is beyond doubt
            if not clear.any():
                break
            steps = np.maximum(np.rint(gaps[clear] * 2.0 / (low + high)), 1.0)
            new_low = max(low, float(((gaps - slack)[clear] / steps).max()))
            new_high = min(high, float(((gaps + slack)[clear] / steps).min()))
            if new_low > new_high:
                return None
            settled = new_high - new_low > 0.9 * (high - low)
            low, high = new_low, new_high
            if settled:
                break
        if lag == len(values) - 1:
            return (low, high) if (values[-1] - values[0]) * (high - low) < 0.9 * low * high else None
        lag = min(2 * lag, len(values) - 1)


def _step_through_zero(
    values: Floats, tolerance: Floats, index: Floats, reference: int, bounds: tuple[float, float]
) -> Fraction | None:
    """The simplest fraction for the step of a lattice that passes through zero."""
    anchor, slack = float(values[reference]), float(tolerance[reference])
    ends = [end / bound for end in (anchor - slack, anchor + slack) for bound in bounds]
    first, last = floor(min(ends)), ceil(max(ends))
    found: list[Fraction] = []
    for k in range(first, min(last, first + 200) + 1):  # more would mean that the step is hardly known
        steps = index + k
        zero = steps == 0
        if np.any(np.abs(values[zero]) > tolerance[zero]):
            continue
        signed = np.where(steps < 0, -values, values)[~zero]
        counts = np.abs(steps[~zero])
        low, high = ((signed - tolerance[~zero]) / counts).max(), ((signed + tolerance[~zero]) / counts).min()
        if 0 < low <= high:
            found.append(simplest_fraction(float(low), float(high)))
    return min(found, key=lambda fraction: fraction.denominator, default=None)


def _step_and_offset(
    values: Floats, tolerance: Floats, index: Floats, bounds: tuple[float, float]
) -> list[Formula]:
    """The simplest step, then the simplest offset, of a lattice that does not pass through zero."""

    def window(step: float) -> tuple[float, float]:
        rest = values - index * step
        return float((rest - tolerance).max()), float((rest + tolerance).min())

    def width(step: float) -> float:
        low, high = window(step)
        return high - low

    # The width of the window of offsets is concave in the step: climb to its top, then find its two zeros.
    low, high = bounds
    for _ in range(100):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (left, high) if width(left) < width(right) else (low, right)
    best = 0.5 * (low + high)
    if width(best) < 0:
        return []
    step = simplest_fraction(_edge(width, best, bounds[0]), _edge(width, best, bounds[1]))
    start, stop = window(float(step))
    if start > stop:
        return []
    nearest = round(start / float(step))
    shifts = [float(step) * k for k in range(nearest - 8, nearest + 9)]
    shortest = min(
        (_shortest_decimal(start - s, stop - s) for s in shifts), key=lambda found: (found[0], abs(found[1]))
    )
    # The shortest decimal may sit where printed halves are ambiguous; the middle of the window does not.
    return _ways_to_compute(shortest[1], step) + _ways_to_compute(0.5 * (start + stop) - shifts[8], step)


def _edge(width: Callable[[float], float], inside: float, outside: float) -> float:
    """Bisection for the last point from `inside` towards `outside` where `width` is not negative."""
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        if width(middle) >= 0:
            inside = middle
        else:
            outside = middle
    return inside


def _ways_to_compute(offset: float, step: Fraction) -> list[Formula]:
    """Ways to compute ``offset + k · step`` that differ in float rounding: one of them made the values."""
    value = float(step)
    ways = [(float(step.numerator), float(step.denominator)), (1.0, float(f"{1.0 / value:.12g}"))]
    ways += [(value + k * float(np.spacing(value)), 1.0) for k in (0, 1, -1, 2, -2, 3, -3, 4, -4)]
    return [(offset, *way) for way in ways]


def _shortest_decimal(low: float, high: float) -> tuple[int, float]:
    """Digits after the point, and value, of the shortest decimal number in an interval."""
    for decimals in range(16):
        power = 10.0**decimals
        first = ceil(low * power)
        if first <= high * power:
            return decimals, min(max(first, 0), floor(high * power)) / power
    return 16, 0.5 * (low + high)


def simplest_fraction(low: float, high: float) -> Fraction:
    """The fraction of smallest denominator in a closed interval, by continued fractions.

    Examples
    --------
    >>> simplest_fraction(0.51281, 0.51283)
    Fraction(20, 39)
    """
    a, b = Fraction(low), Fraction(high)
    if a < 0 < b or a == 0 or b == 0:
        return Fraction(0)
    if b < 0:
        return -simplest_fraction(-high, -low)
    terms: list[int] = []
    while True:
        whole = floor(a)
        if whole == a:
            break
        if whole + 1 <= b:
            whole += 1
            break
        terms.append(whole)
        a, b = 1 / (b - whole), 1 / (a - whole)
    result = Fraction(whole)
    for term in reversed(terms):
        result = term + 1 / result
    return result
