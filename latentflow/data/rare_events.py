"""Rare events of a table: a few runs of rows that stand apart from all others, which a split must not put in one role.

A run of extreme rows counts once, for its rows are one event: a blink, a spike, a storm. A few events stand apart where
the gap below the smallest of them is too wide for the tail of the others. Under a Pareto tail of index α the m-th
largest of independent values, y_m, is above the next one by m α log(y_m / y_{m+1}) ~ Exp(1), and the same spacings
below the gap, whose mean is Hill's estimate of 1/α, make that a test (Hill 1975, Annals of Statistics 3, 1163). Where
tails fall faster than any Pareto's, as those of normal and Laplace values do, α grows outwards and the test errs
towards silence.

Events may show in no single column, because what causes them is mixed with stronger things. So the directions in which
fourth moments are extreme are looked at beside the columns (FOBI: Cardoso 1989, ICASSP, p. 2109, eq. 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentflow.data.lattice import Floats

#: As many events of a kind are rare; of more, every role has its share by chance.
MOST_EVENTS = 20
#: The chance that one is found among independent rows whose tails fall as powers; of lighter tails it is far less.
ALARM = 0.05
#: Robust standard deviations from the median from which a row is part of an event, most of which are not rare.
_LEVEL = 2.0
#: The smallest event above the gap is larger than the largest below it by this factor.
_WIDE = 1.2
#: Events below the gap from which the tail is estimated.
_FEWEST_BELOW, _MOST_BELOW = 10, 50
#: How often events are looked for, without those found before.
_ROUNDS = 4
#: Runs of rows within this share of the table count as one, for what is large in between oscillates.
_SAME_EVENT = 0.005
#: Directions are looked at with as many rows for each column, up to as many columns.
_ROWS_PER_COLUMN, _MOST_COLUMNS = 100, 128
#: Of two kinds with this share of their events in common, one is told.
_SHARED = 0.5

Integers = NDArray[np.intp]


@dataclass(frozen=True)
class RareEvents:
    """One kind of rare event.

    Attributes
    ----------
    column : int
        In which column it is, or shows most.
    along : {"column", "direction"}
        Whether it stands apart in that column, or only in a combination of columns.
    spans : (m, 2) int
        First row and the row after the last one of each event, ascending.
    """

    column: int
    along: str
    spans: Integers

    def counts(self, role: NDArray[np.uint8], *, whole: bool = False) -> list[int]:
        """How many events have most of their rows, or all of them, in each of the four roles."""
        rows = np.array([np.bincount(role[start:stop], minlength=4) for start, stop in self.spans])
        most = rows.argmax(axis=1)
        if whole:
            most = most[rows.max(axis=1) == rows.sum(axis=1)]
        return [int(count) for count in np.bincount(most, minlength=4)]


def rare_events(X: Floats, *, reach: int = 1) -> tuple[RareEvents, ...]:
    """The kinds of rare events of a table, each told once.

    Parameters
    ----------
    X : (n, d)
        Finite, in the order of its rows.
    reach : int
        Rows that are as far apart may still be one event: 1 where rows do not follow each other.

    Returns
    -------
    tuple of RareEvents
        Those with the fewest events first.
    """
    n = len(X)
    if n == 0:
        return ()
    reach = int(np.clip(reach, 1, max(_SAME_EVENT * n, 1)))
    values = np.asarray(X - np.median(X, axis=0), dtype=np.float64)
    found: list[RareEvents] = []
    for _ in range(_ROUNDS):
        new = [*_in_columns(values, reach), *_in_directions(values, reach)]
        found = _told_once([*found, *new], reach)
        if not new:
            break
        for kind in new:  # a great event hides smaller ones: look again without it
            for start, stop in kind.spans:
                values[max(start - reach, 0) : stop + reach] = 0.0
    return tuple(sorted(found, key=lambda kind: len(kind.spans)))


def _in_columns(values: Floats, reach: int) -> list[RareEvents]:
    """Kinds of events that stand apart in a column of values (n, d) about their median."""
    tests = 2 * values.shape[1]  # the level is shared with the directions
    spans = [_apart(np.abs(column), reach, tests) for column in values.T]
    return [RareEvents(at, "column", each) for at, each in enumerate(spans) if len(each)]


def _in_directions(values: Floats, reach: int) -> list[RareEvents]:
    """Kinds of events that stand apart along a direction; their column is the one that goes with it most."""
    directions = _directions(values)
    found = []
    for weights in directions.T:
        line = values @ weights
        spans = _apart(np.abs(line - np.median(line)), reach, 2 * values.shape[1])
        if len(spans):
            shares = np.abs(values.T @ line) / np.sqrt(np.maximum((values**2).sum(axis=0), 1e-300))
            found.append(RareEvents(int(shares.argmax()), "direction", spans))
    return found


def _directions(values: Floats) -> Floats:
    """Weights (d, d) of the combinations of columns whose fourth moments are extreme; (d, 0) where rows are few."""
    n, d = values.shape
    none = np.zeros((d, 0))
    if not 2 <= d <= _MOST_COLUMNS or n < _ROWS_PER_COLUMN * d:
        return none
    centred = values - values.mean(axis=0)
    with np.errstate(over="ignore"):
        spread = centred.std(axis=0)
    if not np.isfinite(spread).all():
        return none
    scaled = centred / np.where(spread > 0, spread, 1.0)
    variances, basis = np.linalg.eigh(scaled.T @ scaled / n)
    kept = variances > 1e-9 * max(variances[-1], 1e-300)
    whiten = basis[:, kept] / np.sqrt(variances[kept])
    white = scaled @ whiten
    fourth = (white * (white**2).sum(axis=1, keepdims=True)).T @ white / n
    weights = whiten @ np.linalg.eigh(fourth)[1]
    return weights / np.where(spread > 0, spread, np.inf)[:, None]


def _apart(distance: Floats, reach: int, tests: int) -> Integers:
    """Spans (m, 2) of the events that stand apart in a series of distances from its median; (0, 2) where none do."""
    none = np.zeros((0, 2), np.intp)
    scale = 1.4826 * np.median(distance)
    if not scale > 0:
        return none
    spans, peaks = _runs(distance, _LEVEL * scale, reach)
    order = np.argsort(-peaks, kind="stable")
    tail = np.log(_untied(peaks[order]))
    wide = np.flatnonzero(tail[:-1] - tail[1:] > np.log(_WIDE)) + 1
    wide = wide[wide <= MOST_EVENTS]
    wide = wide[wide < len(tail) - _FEWEST_BELOW]
    # the level is shared out as 1/m², for the larger gap that a single event needs is no rarer by chance
    adjusted = [_chance(tail, int(m)) * tests * m**2 * np.pi**2 / 6 for m in wide]
    if not adjusted or min(adjusted) > ALARM:
        return none
    return spans[np.sort(order[: wide[int(np.argmin(adjusted))]])]


def _untied(falling: Floats) -> Floats:
    """Values in falling order, those that are the same spread downwards within the smallest step between others."""
    values, first, counts = np.unique(-falling, return_index=True, return_counts=True)
    if len(values) < 2:
        return falling
    place = (np.arange(len(falling)) - np.repeat(first, counts)) / np.repeat(counts, counts)
    return falling - np.diff(values).min() * place


def _chance(tail: Floats, m: int) -> float:
    """Of so wide a gap below the m largest of values whose logarithms fall along ``tail``."""
    spacings = -np.diff(tail[m - 1 : m + _MOST_BELOW + 1])
    spacings *= np.arange(m, m + len(spacings))  # each Exp(α), independent (Rényi)
    return float((1.0 + spacings[0] / max(spacings[1:].sum(), 1e-300)) ** (1 - len(spacings)))


def _runs(distance: Floats, level: float, reach: int) -> tuple[Integers, Floats]:
    """Spans (m, 2) of the rows above a level, those within reach of each other together, and the peak of each, (m,)."""
    above = np.flatnonzero(distance > level)
    if not len(above):
        return np.zeros((0, 2), np.intp), np.zeros(0)
    first = np.flatnonzero(np.diff(above, prepend=above[0] - reach - 1) > reach)
    last = np.append(first[1:], len(above)) - 1
    return np.stack([above[first], above[last] + 1], axis=1), np.maximum.reduceat(distance[above], first)


def _told_once(found: Sequence[RareEvents], reach: int) -> list[RareEvents]:
    """One of all kinds that are much the same events, the first that was found."""
    kept: list[RareEvents] = []
    for kind in found:
        alike = [at for at, other in enumerate(kept) if _in_common(kind, other, reach) >= _SHARED]
        if not alike:
            kept.append(kind)
        elif len(kind.spans) > len(kept[alike[0]].spans):  # the same events, seen more fully
            kept[alike[0]] = replace(kept[alike[0]], spans=kind.spans)
    return kept


def _in_common(kind: RareEvents, other: RareEvents, reach: int) -> float:
    """Events of one kind within reach of one of the other, as a share of the kind that has more."""
    begun = np.searchsorted(other.spans[:, 0], kind.spans[:, 1] + reach, side="left")
    ended = np.searchsorted(other.spans[:, 1], kind.spans[:, 0] - reach, side="right")
    return int((begun > ended).sum()) / max(len(kind.spans), len(other.spans))
