"""Which rows train, which validate, and which are held out.

Rows in random order are split at random. Rows of a recording resemble their neighbours, so that a random
split would leave a near copy of every held-out row in the training set: they are split in blocks, and the
rows between a block of training rows and another block are dropped, until neighbours have become strangers.
Where a recording has a few rare events, such as blinks, the blocks are placed so that every role has its share of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from latentflow.data.lattice import Floats
from latentflow.data.rare_events import RareEvents, rare_events
from latentflow.errors import LatentFlowError

TRAIN, VALIDATION, HELD_OUT, GAP = 0, 1, 2, 3
ROLES = ("train", "validation", "held out", "gap")

# A lag-1 autocorrelation below this is too small to leak, however significant.
_MATERIAL = 0.2
# Neighbours this little correlated, in three quarters of the columns, count as strangers.
_STRANGERS = 0.1
_BULK = 0.75
# Gaps may take this share of the rows.
_MOST_GAP = 0.15
# Cycles of (training, held out, training, validation): enough for every role to see the whole recording.
_FEWEST_CYCLES, _MOST_CYCLES = 5, 12
# Placements of the blocks that are tried where events are rare: of three events, one in 15 gives each role one.
_PLACEMENTS = 100
# Autocorrelations are measured on this many rows at most, in this many stretches.
_MOST_ROWS, _STRETCHES = 200_000, 8


@dataclass(frozen=True)
class Split:
    """Roles of the rows of a table.

    Attributes
    ----------
    role : (n,) uint8
        TRAIN, VALIDATION, HELD_OUT or GAP (0 to 3).
    mode : {"random", "blocked"}
        How the roles were given out.
    lag1 : float
        Largest lag-1 autocorrelation of a column, in absolute value. Counters and clocks, which only rise or
        only fall, are left out beside other columns: they say nothing of how rows resemble each other.
    gap : int
        Rows dropped on the way from training rows to others; 0 for a random split.
    block_rows : int
        Rows of one held-out block (of one validation block where nothing is held out); 0 for a random split.
    rare : tuple of RareEvents
        What the table has few events of.
    """

    role: NDArray[np.uint8]
    mode: str
    lag1: float
    gap: int
    block_rows: int
    rare: tuple[RareEvents, ...] = ()

    def rows(self, role: int) -> NDArray[np.intp]:
        """Indices of the rows with a role, ascending."""
        return np.flatnonzero(self.role == role)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able summary, without the roles themselves."""
        counts = self.counts()
        names = ("n_train", "n_validation", "n_held_out", "n_gap")
        summary = {"mode": self.mode, "lag1": self.lag1, "gap": self.gap, "block_rows": self.block_rows}
        rare = [self._of_events(kind) for kind in self.rare]
        return {**summary, **dict(zip(names, counts, strict=True)), "rare_events": rare}

    def _of_events(self, kind: RareEvents) -> dict[str, Any]:
        """Where a kind of event is, how many there are, and how many each role has that has any rows."""
        shares = dict(zip(ROLES, zip(kind.counts(self.role), self.counts(), strict=True), strict=True))
        held = {name: events for name, (events, rows) in shares.items() if rows or name == "gap"}
        return {
            "column": kind.column,
            "along": kind.along,
            "events": len(kind.spans),
            "by_role": held,
        }

    def counts(self) -> list[int]:
        """Rows of each role."""
        return np.bincount(self.role, minlength=4).tolist()


def autocorrelation(X: ArrayLike, lag: int = 1) -> Floats:
    """Autocorrelation of the ranks of each column, which no spike can dominate.

    Parameters
    ----------
    X : (n, d)
    lag : int
        In rows, positive.

    Returns
    -------
    (d,) float64
        0 for constant columns, and where fewer than three pairs of rows are `lag` apart. Above 200 000 rows,
        it is measured on eight stretches of the table.
    """
    return _lagged(_standard_ranks(X), lag)


def _standard_ranks(X: ArrayLike) -> Floats:
    """Ranks of each column with mean 0 and variance 1; constant columns stay 0; (min(n, 200 000), d)."""
    table = np.asarray(X)
    if len(table) > _MOST_ROWS:
        rows = _MOST_ROWS // _STRETCHES
        starts = np.linspace(0, len(table) - rows, _STRETCHES).astype(int)
        table = np.concatenate([table[start : start + rows] for start in starts])
    ranks = np.asarray(rankdata(table, axis=0), dtype=np.float64)
    ranks -= ranks.mean(axis=0)
    spread = ranks.std(axis=0)
    return np.divide(ranks, spread, out=np.zeros_like(ranks), where=spread > 0)


def _telling(ranks: Floats) -> Floats:
    """Columns that are not strictly monotone; all columns where every one is."""
    steps = np.diff(ranks, axis=0)
    monotone = (steps > 0).all(axis=0) | (steps < 0).all(axis=0)
    return ranks if monotone.all() else ranks[:, ~monotone]


def _lagged(ranks: Floats, lag: int) -> Floats:
    n = len(ranks)
    if n - lag < 3:
        return np.zeros(ranks.shape[1])
    return np.asarray(np.einsum("ij,ij->j", ranks[:-lag], ranks[lag:]) / (n - lag))


def make_split(
    X: ArrayLike,
    *,
    mode: str = "auto",
    held_out: float = 0.2,
    validation: float = 0.1,
    rng: np.random.Generator,
) -> Split:
    """Give every row a role.

    Parameters
    ----------
    X : (n, d)
        The table in the order of its rows.
    mode : {"auto", "random", "blocked"}
        ``"auto"`` splits in blocks where the autocorrelation of a column is above 0.2 and beyond chance.
    held_out, validation : float
        Shares of all rows, rounded down. Of fewer than ten rows none validates.
    rng : numpy Generator

    Returns
    -------
    Split

    Raises
    ------
    LatentFlowError
        Unknown mode, or shares that leave no rows to train on.
    """
    table = np.asarray(X)
    n = len(table)
    if mode not in ("auto", "random", "blocked"):
        raise LatentFlowError(f"split must be auto, random or blocked, not {mode!r}")
    if not (held_out >= 0 and validation >= 0 and held_out + validation < 1):
        raise LatentFlowError(
            f"held_out ({held_out}) and validation ({validation}) must be shares of the rows, summing to < 1"
        )
    ranks = _telling(_standard_ranks(table))
    lag1 = float(np.abs(_lagged(ranks, 1)).max(initial=0.0))
    if mode == "auto":
        mode = "blocked" if alike(lag1, n, ranks.shape[1]) else "random"
    n_held, n_valid = int(n * held_out + 1e-9), int(n * validation + 1e-9) if n >= 10 else 0
    if mode == "blocked" and n >= 10 and n_held + n_valid > 0:
        gap = _wanted_gap(ranks)
        rare = rare_events(table, reach=gap)
        first = _blocked(n, n_held, n_valid, lag1, gap, rng)
        others = (_blocked(n, n_held, n_valid, lag1, gap, rng) for _ in range(_PLACEMENTS - 1 if rare else 0))
        return replace(min((first, *others), key=lambda split: _unevenness(split, rare)), rare=rare)
    role = np.full(n, TRAIN, dtype=np.uint8)
    order = rng.permutation(n)
    role[order[:n_held]] = HELD_OUT
    role[order[n_held : n_held + n_valid]] = VALIDATION
    return Split(role, "random", lag1, 0, 0, rare_events(table))


def alike(lag1: float, n: int, d: int) -> bool:
    """Whether neighbours among n rows of d columns are alike: the largest autocorrelation matters and is no chance."""
    # The largest of d autocorrelations of independent rows stays below this, but for one table in hundreds.
    chance = (np.sqrt(2.0 * np.log(2.0 * max(d, 1))) + 3.0) / np.sqrt(max(n, 1))
    return bool(lag1 > max(_MATERIAL, chance))


def _unevenness(split: Split, rare: Sequence[RareEvents]) -> tuple[int, float]:
    """How many roles lack a kind of event, and how far all are from their share of each kind, as χ² is.

    An event that two roles share counts for neither.
    """
    shares = np.array(split.counts()[:GAP]) / (len(split.role) - split.counts()[GAP])
    shares = shares[there := shares > 0]
    missing, apart = 0, 0.0
    for kind in rare:
        counts, wanted = np.array(kind.counts(split.role, whole=True)[:GAP])[there], shares * len(kind.spans)
        missing += int((counts == 0).sum())
        apart += float(((counts - wanted) ** 2 / wanted).sum())
    return missing, apart


def _wanted_gap(ranks: Floats) -> int:
    """First lag at which the bulk of the columns has forgotten; the longest looked at where none has."""
    stretch = len(ranks) if len(ranks) < _MOST_ROWS else _MOST_ROWS // _STRETCHES
    longest = max(stretch // 10, 1)
    lag = 1
    while lag < longest:
        if np.mean(np.abs(_lagged(ranks, lag)) < _STRANGERS) >= _BULK:
            return lag
        lag = max(lag + 1, int(lag * 1.25))
    return longest


def _blocked(n: int, n_held: int, n_valid: int, lag1: float, wanted: int, rng: np.random.Generator) -> Split:
    """Cycles of blocks over the whole table, with gaps taken from the training rows."""
    kinds = [(HELD_OUT, n_held), (VALIDATION, n_valid)]
    kinds = [(role, rows) for role, rows in kinds if rows]
    boundaries = 2 * len(kinds)  # per cycle
    fewest = int(np.clip(min(_FEWEST_CYCLES, n // 80, *[rows // 4 for _, rows in kinds]), 1, None))
    affordable = int(_MOST_GAP * n / (boundaries * wanted))
    cycles = int(np.clip(affordable, fewest, max(_MOST_CYCLES, fewest)))
    cycles = max(min([cycles, *[rows for _, rows in kinds]]), 1)
    gap = int(np.clip(_MOST_GAP * n / (boundaries * cycles), 1, wanted))
    role = np.full(n, TRAIN, dtype=np.uint8)
    edges = np.linspace(0, n, cycles + 1).round().astype(int)
    quotas = {kind: np.diff(np.linspace(0, rows, cycles + 1).round().astype(int)) for kind, rows in kinds}
    for cycle, (start, stop) in enumerate(pairwise(edges.tolist())):
        blocks = [(kind, int(quotas[kind][cycle])) for kind, _ in kinds]
        _place(role[start:stop], [blocks[i] for i in rng.permutation(len(blocks))], gap, rng)
    _open_gaps(role, gap)
    return Split(role, "blocked", lag1, gap, round(kinds[0][1] / cycles))


def _place(
    role: NDArray[np.uint8], blocks: Sequence[tuple[int, int]], gap: int, rng: np.random.Generator
) -> None:
    """Put blocks into one cycle, in place, with training rows before, between and after them."""
    stretches = len(blocks) + 1
    free = len(role) - sum(rows for _, rows in blocks)
    least = min(gap, free // stretches)
    # Beyond the rows that every stretch needs: half in equal parts, half at random.
    cuts = np.sort(rng.random(len(blocks)))
    shares = 0.5 / stretches + 0.5 * np.diff(np.concatenate([[0.0], cuts, [1.0]]))
    position = 0
    for (kind, rows), share in zip(blocks, shares[:-1], strict=True):
        position += least + int((free - least * stretches) * share)
        role[position : position + rows] = kind
        position += rows


def _open_gaps(role: NDArray[np.uint8], gap: int) -> None:
    """Turn the training rows within `gap` of a row of another role into gap rows, in place."""
    other = np.flatnonzero(role != TRAIN)
    near = np.zeros(len(role) + 1, dtype=np.int64)
    np.add.at(near, np.maximum(other - gap, 0), 1)
    np.add.at(near, np.minimum(other + gap + 1, len(role)), -1)
    role[(np.cumsum(near[:-1]) > 0) & (role == TRAIN)] = GAP
