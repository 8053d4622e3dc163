"""Find the lattice on which the values of a column lie, if there is one.

Every candidate is verified on every value: a lattice is returned only if it gives back each value to the last
bit. Being reproduced is not enough, though. Few values fit many grids by chance, so a coarser grid than the
plain decimals must also be improbable otherwise: numbers spread over the finer grid would each fall on the
coarser one with a probability of the ratio of the steps, and the product over the values must be tiny.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from latentflow.data.lattice import FINEST_EXPONENT, Floats, Lattice

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


def find_lattice(values: Floats, n_rows: int, precision: str = "float64") -> Lattice:
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
    Lattice
        That of the plain floats where the values are those of a continuous column.
    """
    floats = Lattice(precision=precision)
    finest = _finest_step(values, precision)
    decimals = [replace(floats, decimals=p) for p in range(_MOST_DECIMALS + 1) if 10.0**-p >= finest]
    decimal = _coarsest(decimals, values)
    significant = _significant(values, floats, decimal)
    formats = [each for each in (decimal, significant) if each is not None]
    candidates = formats[:1]
    if decimal is not None and significant is not None:
        nonzero = values[values != 0]
        gain = np.log10(significant.unit(nonzero) / decimal.unit(nonzero)).sum()
        candidates = [significant if gain >= _EVIDENCE else decimal]
    if decimal is not None:
        candidates += _common_step(values, n_rows, decimal)
    for written in formats or [floats]:
        candidates += _hidden_step(values, written)
    return max(candidates, key=lambda lattice: _merit(lattice, values), default=floats)


def _merit(lattice: Lattice, values: Floats) -> tuple[float, int]:
    """Mean log10 of the step, to some digits, and then the fewer exceptions the better."""
    return round(float(np.log10(lattice.unit(values)).mean()), 6), -len(lattice.exceptions)


def _coarsest(lattices: Iterable[Lattice], values: Floats) -> Lattice | None:
    """The first of lattices, the coarser ones first, that holds every value; most fail on a few."""
    few = values[:: max(1, len(values) // 64)]
    return next((each for each in lattices if each.holds(few).all() and each.holds(values).all()), None)


def _finest_step(values: Floats, precision: str) -> float:
    """The smallest step that rounding errors at the largest value leave recognisable."""
    largest = np.abs(values).max()
    stored = float(np.spacing(largest.astype(precision)))
    return max(_SPACINGS * stored, _DOUBLE_SPACINGS * float(np.spacing(largest)))


def _significant(values: Floats, floats: Lattice, decimal: Lattice | None) -> Lattice | None:
    """The coarsest significant-digits format of the values."""
    nonzero = values[values != 0]
    most = min(int(-np.log10(_SPACINGS * np.finfo(floats.precision).eps)), _MOST_DECIMALS)
    digits = [replace(floats, digits=digits) for digits in range(1, most + 1)]
    coarsest = _coarsest(digits, nonzero) if len(nonzero) >= _FEWEST_VALUES else None
    if coarsest is None:
        return None
    units = np.log10(coarsest.unit(nonzero))
    # Three decades of room below the smallest number seen, so that later rows fit; none where zeros are seen,
    # as the cell of zero is as wide as the finest unit.
    finest = round(float(units.min())) - (3 if len(nonzero) == len(values) else 0)
    # Small numbers that use fewer digits than they might have a last decimal, too.
    if decimal is not None and decimal.decimals is not None:
        unused = np.maximum(-decimal.decimals - units, 0.0).sum()
        finest = -decimal.decimals if unused >= _CAPPED else finest
    return _coarsest([replace(coarsest, finest=max(finest, FINEST_EXPONENT))], values)


def _common_step(values: Floats, n_rows: int, decimal: Lattice) -> list[Lattice]:
    """Greatest common divisor of the differences, in units of the last decimal."""
    power = 10.0 ** (decimal.decimals or 0)
    whole = np.rint(values * power).astype(np.int64)
    step = int(np.gcd.reduce(np.diff(whole)))
    seen_often = n_rows >= 10 * len(values)
    if step <= 1 or not (seen_often or (len(values) - 1) * np.log10(step) >= _EVIDENCE):
        return []
    lattice = replace(decimal, offset=int(whole[0]) % step / power, numerator=float(step), denominator=power)
    return [lattice] if lattice.holds(values).all() else []


def _hidden_step(values: Floats, written: Lattice) -> list[Lattice]:
    """A regular lattice that the printed digits hide, such as steps of 0.5128 printed with two decimals."""
    if len(values) < _FEWEST_VALUES:
        return []
    # A printed number is off by half a unit at most, a computed float by a few roundings at the largest one.
    spacing = float(np.spacing(np.abs(values).max().astype(written.precision)))
    tolerance = 2.0 * spacing + 0.500001 * written.unit(values)
    gaps, slack = np.diff(values), tolerance[1:] + tolerance[:-1]
    closest = int(np.argmin(gaps + slack))
    gap, off = float(gaps[closest]), float(slack[closest])
    if gap < max(_COARSER * off, _finest_step(values, written.precision)):
        return []
    for parts in (1, 2, 3, 4):
        low, high = (gap - off) / parts, (gap + off) / parts
        telling = tolerance <= high / (2.0 * _COARSER)  # coarsely printed values say nothing of the step
        sample = _some(np.flatnonzero(telling))
        lattices = _regular(written, values[sample], tolerance[sample], low, high)
        exact = _coarsest(lattices, values)
        if exact is None and lattices and written.kind != "none":
            exact = _with_exceptions(lattices[0], written, values)
        if exact is not None:
            return [exact]
    return []


def _with_exceptions(lattice: Lattice, written: Lattice, values: Floats) -> Lattice | None:
    """The lattice with exceptions for the values that were written one unit beside what it says."""
    missed = values[~lattice.holds(values)]
    near = np.abs(lattice.nearest(missed) - missed) <= 1.001 * written.unit(missed)
    if len(missed) > _MOST_EXCEPTIONS or not near.all():
        return None
    exceptions = zip(lattice.index(missed).tolist(), missed.tolist(), strict=True)
    return _coarsest([replace(lattice, exceptions=tuple(sorted(exceptions)))], values)


def _some(index: NDArray[np.intp]) -> NDArray[np.intp]:
    """Some thousands at most: a run about the median, whose values show the step, and a comb."""
    middle = len(index) // 2
    if len(index) <= 4096:
        return index
    return np.union1d(index[middle - 1536 : middle + 1536], index[:: len(index) // 512])


def _regular(written: Lattice, values: Floats, tolerance: Floats, low: float, high: float) -> list[Lattice]:
    """Regular lattices with a step between two bounds, and a point within the tolerance of each value."""
    last = len(values) - 1
    if last + 1 < _FEWEST_VALUES:
        return []
    low, high = _narrow(values, tolerance, low, high)
    middle = 0.5 * (low + high)
    odds = np.log10(middle / (2.0 * tolerance))
    ambiguous = (values[-1] - values[0]) * (high - low) >= 0.9 * low * high
    if low > high or ambiguous or odds.sum() - 3.0 * np.median(odds) < _EVIDENCE:
        return []
    index = np.rint((values - values[len(values) // 2]) / middle)
    step = _step_through_zero(values, tolerance, index, low, high)
    if step is not None:
        return _ways_to_compute(written, 0.0, step)
    low, high = (_edge(values, tolerance, index, bound) for bound in (low, high))
    if low > high:
        return []
    step = simplest_fraction(low, high)
    rest = values - index * float(step)
    start, stop = float((rest - tolerance).max()), float((rest + tolerance).min())
    if start > stop:
        return []
    nearest = round(start / float(step))
    shifts = [float(step) * k for k in range(nearest - 8, nearest + 9)]
    decimals = [_shortest_decimal(start - shift, stop - shift) for shift in shifts]
    shortest = min(decimals, key=lambda decimal: decimal[:2])
    # The shortest decimal may sit where printed halves are ambiguous; the middle of the window does not.
    offsets = (shortest[-1], 0.5 * (start + stop) - shifts[8])
    return [lattice for offset in offsets for lattice in _ways_to_compute(written, offset, step)]


def _narrow(values: Floats, tolerance: Floats, low: float, high: float) -> tuple[float, float]:
    """Bounds of the step after ever longer gaps between values; crossed where no step fits."""
    last = len(values) - 1
    for lag in [*(2**i for i in range(last.bit_length()) if 2**i < last), last]:
        gaps, slack = values[lag:] - values[:-lag], tolerance[lag:] + tolerance[:-lag]
        settled = False
        while low <= high and not settled:
            clear = gaps * (high - low) < 0.4 * low * high  # the number of steps in the gap is beyond doubt
            steps = np.maximum(np.rint(gaps[clear] * 2.0 / (low + high)), 1.0)
            width = high - low
            low = float(((gaps - slack)[clear] / steps).max(initial=low))
            high = float(((gaps + slack)[clear] / steps).min(initial=high))
            settled = high - low >= 0.9 * width
    return low, high


def _edge(values: Floats, tolerance: Floats, index: Floats, step: float) -> float:
    """The step nearest to one outside for which an offset fits all values.

    Newton's method on the width of the window of offsets, which is concave in the step and linear in pieces.
    """
    for _ in range(60):
        rest = values - index * step
        i, j = int(np.argmax(rest - tolerance)), int(np.argmin(rest + tolerance))
        gap = values[i] - values[j] - tolerance[i] - tolerance[j]
        if index[i] == index[j] or gap <= (index[i] - index[j]) * step:
            break
        step = float(gap / (index[i] - index[j]))
    return step


def _step_through_zero(
    values: Floats, tolerance: Floats, index: Floats, low: float, high: float
) -> Fraction | None:
    """The simplest fraction for the step of a lattice that passes through zero."""
    reference = len(values) // 2
    anchor = values[reference] + np.array([-1.0, 1.0]) * tolerance[reference]
    ends = np.divide.outer(anchor, [low, high])
    first, last = floor(ends.min()), ceil(ends.max())
    steps: list[Fraction] = []
    for k in range(first, min(last, first + 200) + 1):  # more would mean that the step is hardly known
        with np.errstate(divide="ignore"):  # a value at zero bounds nothing, and one beside it leaves no step
            bounds = np.sort(np.stack([values - tolerance, values + tolerance]) / (index + k), axis=0)
        lowest, highest = float(bounds[0].max()), float(bounds[1].min())
        if 0 < lowest <= highest:
            steps.append(simplest_fraction(lowest, highest))
    return min(steps, key=lambda fraction: fraction.denominator, default=None)


def _ways_to_compute(written: Lattice, offset: float, step: Fraction) -> list[Lattice]:
    """Ways to compute ``offset + k · step`` that differ in float rounding: one of them made the values."""
    value = float(step)
    ways = [(float(step.numerator), float(step.denominator)), (1.0, float(f"{1.0 / value:.12g}"))]
    ways += [(value + k * float(np.spacing(value)), 1.0) for k in (0, 1, -1, 2, -2, 3, -3, 4, -4)]
    return [replace(written, offset=offset, numerator=up, denominator=down) for up, down in ways]


def _shortest_decimal(low: float, high: float) -> tuple[int, float, float]:
    """Digits after the point, size, and value of the shortest decimal number in an interval."""
    for decimals in range(16):
        power = 10.0**decimals
        first = ceil(low * power)
        if first <= high * power:
            value = min(max(first, 0), floor(high * power)) / power
            return decimals, abs(value), value
    return 16, abs(low + high), 0.5 * (low + high)


def simplest_fraction(low: float | Fraction, high: float | Fraction) -> Fraction:
    """The fraction of smallest denominator in a closed interval, by continued fractions.

    Examples
    --------
    >>> simplest_fraction(0.51281, 0.51283)
    Fraction(20, 39)
    """
    whole = ceil(low)
    if whole <= high:
        return Fraction(whole)
    low, high = (Fraction(end) - (whole - 1) for end in (low, high))
    return whole - 1 + 1 / simplest_fraction(1 / high, 1 / low)
