"""How numbers are written for a reader: as many digits as the interval supports, and a real minus sign.

Everything here returns text; a number that does not exist (None, NaN, infinity) is an en dash.
"""

from __future__ import annotations

import math

from latentflow.analysis.results import Interval

MISSING = "–"
MINUS = "−"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def fixed(value: float | None, decimals: int) -> str:
    """``value`` with this many decimals; never ``−0.00``.

    >>> fixed(-1.2345, 2), fixed(-0.0001, 2), fixed(None, 2)
    ('−1.23', '0.00', '–')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def nats(value: float | None) -> str:
    """A quantity in nats without an interval: two decimals from 1 on, three from 0.01, four below.

    >>> nats(8.3312), nats(0.12345), nats(0.00321), nats(1e-6), nats(0.0)
    ('8.33', '0.123', '0.0032', '< 0.0001', '0')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    if size < 5e-5:
        return "< 0.0001" if value > 0 else "0"
    return fixed(value, 1 if size >= 100 else 2 if size >= 1 else 3 if size >= 0.01 else 4)


def estimate(interval: Interval | None) -> str:
    """The estimate alone, with the digits that its interval supports.

    >>> estimate(Interval(8.3312, 8.2104, 8.4519))
    '8.33'
    """
    if interval is None:
        return MISSING
    decimals = _decimals(interval)
    return nats(interval.estimate) if decimals is None else fixed(interval.estimate, decimals)


def bounds(interval: Interval | None) -> str:
    """``[low, high]``, or nothing where the interval has no width.

    >>> bounds(Interval(8.3312, 8.2104, 8.4519))
    '[8.21, 8.45]'
    """
    decimals = None if interval is None else _decimals(interval)
    if interval is None or decimals is None:
        return ""
    return f"[{fixed(interval.low, decimals)}, {fixed(interval.high, decimals)}]"


def with_bounds(interval: Interval | None) -> str:
    """``estimate [low, high]``.

    >>> with_bounds(Interval(8.3312, 8.2104, 8.4519)), with_bounds(Interval(0.0, 0.0, 0.0))
    ('8.33 [8.21, 8.45]', '0')
    """
    return f"{estimate(interval)} {bounds(interval)}".strip()


def at_least(interval: Interval | None, unit: str = "nats") -> str:
    """A lower bound with its interval; none found, and the interval alone, where that holds zero.

    >>> at_least(Interval(0.52, 0.41, 0.63)), at_least(Interval(0.029, -0.026, 0.083))
    ('0.52 [0.41, 0.63] nats', 'none found [−0.03, 0.08]')
    """
    if interval is None:
        return MISSING
    if interval.low > 0:
        return f"{with_bounds(interval)} {unit}".strip()
    return f"none found {bounds(interval)}".strip()


def small(value: float | None) -> str:
    """A number of any magnitude, to two significant digits.

    >>> small(3.14e-10), small(0.0271), small(0.0), small(1234.5)
    ('3.1 × 10⁻¹⁰', '0.027', '0', '1234')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 < exponent < 5:
        return fixed(value, max(0, 1 - exponent))
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa} × {power_of_ten(int(power))}".replace("-", MINUS)


def power_of_ten(exponent: int) -> str:
    """``10⁻¹⁰``: in characters, since a tick label or a table cell sets no type."""
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def p_value(value: float | None) -> str:
    """A p-value; below one in ten thousand only that.

    >>> p_value(0.4321), p_value(0.01234), p_value(1e-9), p_value(1.0)
    ('0.43', '0.012', '< 0.0001', '1')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 1e-4:
        return "< 0.0001"
    if value >= 0.995:
        return "1"
    return fixed(value, 2 if value >= 0.1 else 3 if value >= 1e-3 else 4)


def count(value: float | None) -> str:
    """A whole number, thousands apart (a narrow space, which no locale misreads).

    >>> count(36733) == '36\\u202f733', count(512)
    (True, '512')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{round(value):,}".replace(",", "\u202f").replace("-", MINUS)


def many(amount: int, noun: str) -> str:
    """A count with its noun in the right number.

    >>> many(1, "column"), many(4, "column")
    ('1 column', '4 columns')
    """
    return f"{count(amount)} {noun}{'' if amount == 1 else 's'}"


def percent(share: float | None) -> str:
    """A share as a percentage that says 100 % only of all and 0 % only of none.

    >>> percent(1.0), percent(0.99999), percent(0.5), percent(1e-6)
    ('100 %', '> 99.9 %', '50 %', '< 0.1 %')
    """
    if share is None or not math.isfinite(share):
        return MISSING
    if 0.999 < share < 1:
        return "> 99.9 %"
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.3g} %"


def _decimals(interval: Interval) -> int | None:
    """Decimals that show the half-width to one significant digit, or two where it starts with 1 or 2.

    Four at most; None where the interval has no width, or none that is known.
    """
    half = interval.half_width
    if not math.isfinite(half) or half <= 0:
        return None
    mantissa, exponent = f"{half:.1e}".split("e")
    return min(4, max(0, (1 if float(mantissa) < 3 else 0) - int(exponent)))
