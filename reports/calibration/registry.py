"""What is calibrated: procedures with the checks they promise to keep, and what repeated draws say of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

LEVEL = 0.05
#: Chance that a check that keeps its promise is called miscalibrated, one figure at a time.
ALARM = 1e-3
#: Departures from the nominal share smaller than this part of it are not called miscalibration, however certain:
#: nulls that are simulated once have an error of their own.
SLACK = 0.1
GRID = tuple((n, d) for n in (300, 3000) for d in (2, 10, 50))


@dataclass(frozen=True)
class Check:
    """One promise of a procedure.

    Attributes
    ----------
    name : str
        The key under which ``measure`` returns it.
    claim : str
        ``exact``: the share of rejections (of intervals that miss) is ``nominal``. ``at most``: it does not exceed
        it. ``shown``: nothing is promised, the figure is given for what it tells.
    nominal : float
        That share.
    """

    name: str
    claim: str = "exact"
    nominal: float = LEVEL


@dataclass(frozen=True)
class Procedure:
    """A test, or several that share one computation, and the null that it is run under.

    Attributes
    ----------
    name : str
        Told to the reader; it also seeds the draws.
    rows : str
        The null in words.
    draw : callable (n, d, rng) → data
        Data under the null.
    measure : callable (data, rng) → mapping
        Of each check's name to p-values (float, or an array of several that are uncorrelated), or to whether an
        interval misses the truth (bool, or an array of bool).
    checks : tuple of Check
    repeats : callable (n, d) → int
        Draws at this size.
    grid : tuple of (n, d)
    """

    name: str
    rows: str
    draw: Callable[[int, int, np.random.Generator], Any]
    measure: Callable[[Any, np.random.Generator], Mapping[str, Any]]
    checks: tuple[Check, ...]
    repeats: Callable[[int, int], int]
    grid: tuple[tuple[int, int], ...] = GRID


@dataclass(frozen=True)
class Figure:
    """What repeated draws say of one check at one size.

    Attributes
    ----------
    procedure, rows, check, claim : str
    nominal : float
    n, d : int
    repeats, trials, rejected : int
        Draws; p-values or intervals in them; how many rejected at the 5 % level, or missed the truth.
    rate, low, high : float
        Their share with its 95 % interval (Clopper and Pearson).
    at_1, at_10 : float or None
        Share of p-values below 0.01 and 0.10; None for intervals.
    judgement : str
        ``kept``, ``too often``, ``too seldom`` or ``shown``.
    """

    procedure: str
    rows: str
    check: str
    claim: str
    nominal: float
    n: int
    d: int
    repeats: int
    trials: int
    rejected: int
    rate: float
    low: float
    high: float
    at_1: float | None
    at_10: float | None
    judgement: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def generator(name: str, *numbers: int) -> np.random.Generator:
    """A generator of its own for every name and numbers, the same at every run."""
    return np.random.default_rng([zlib.crc32(name.encode()), *numbers])


def run(procedure: Procedure, n: int, d: int, *, share: float = 1.0) -> list[Figure]:
    """All checks of a procedure at one size; ``share`` scales the number of draws."""
    repeats = max(2, round(share * procedure.repeats(n, d)))
    found: dict[str, list[np.ndarray]] = {check.name: [] for check in procedure.checks}
    for k in range(repeats):
        rng = generator(procedure.name + procedure.rows, n, d, k)
        measured = procedure.measure(procedure.draw(n, d, rng), rng)
        for name, outcomes in found.items():
            outcomes.append(np.atleast_1d(np.asarray(measured[name])))
    return [
        _figure(procedure, check, n, d, repeats, np.concatenate(found[check.name]))
        for check in procedure.checks
    ]


def _figure(procedure: Procedure, check: Check, n: int, d: int, repeats: int, outcomes: np.ndarray) -> Figure:
    intervals = outcomes.dtype == bool
    trials, rejected = len(outcomes), int(np.sum(outcomes if intervals else outcomes < LEVEL))
    interval = binomtest(rejected, trials).proportion_ci(0.95)
    return Figure(
        procedure=procedure.name,
        rows=procedure.rows,
        check=check.name,
        claim=check.claim,
        nominal=check.nominal,
        n=n,
        d=d,
        repeats=repeats,
        trials=trials,
        rejected=rejected,
        rate=rejected / trials,
        low=float(interval.low),
        high=float(interval.high),
        at_1=None if intervals else float(np.mean(outcomes < 0.01)),
        at_10=None if intervals else float(np.mean(outcomes < 0.10)),
        judgement=judge(check, rejected, trials),
    )


def judge(check: Check, rejected: int, trials: int) -> str:
    """Whether so many rejections are within binomial error of what is claimed, at a level of 0.001."""
    if check.claim == "shown" or abs(rejected / trials - check.nominal) < SLACK * check.nominal:
        return check.claim if check.claim == "shown" else "kept"
    above = binomtest(rejected, trials, check.nominal, alternative="greater").pvalue
    below = binomtest(rejected, trials, check.nominal, alternative="less").pvalue
    if above < ALARM / 2:
        return "too often"
    if below < ALARM / 2 and check.claim == "exact":
        return "too seldom"
    return "kept"


def several(figures: Iterable[Figure], judgement: str) -> list[Figure]:
    """Those of the figures that were judged so."""
    return [figure for figure in figures if figure.judgement == judgement]
