"""Words and numbers in the lines that a terminal shows."""

from __future__ import annotations

from collections.abc import Sequence


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "row"), count(36733, "row")
    ('1 row', '36 733 rows')
    """
    return f"{number:,}".replace(",", " ") + f" {noun}" + ("" if number == 1 else "s")


def names(columns: Sequence[str], most: int = 12) -> str:
    """Names in one line, cut where there are many.

    >>> names(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    if len(columns) <= most:
        return ", ".join(columns)
    return ", ".join(columns[:most]) + f" and {len(columns) - most} more"


def field(label: str, text: str) -> str:
    """A line of a summary: what it is about, then what there is to say."""
    return f"{label:<12}{text}"


def seconds(duration: float) -> str:
    """A duration to read: seconds below two minutes, else minutes."""
    return f"{duration:.1f} s" if duration < 120 else f"{duration / 60:.1f} min"
