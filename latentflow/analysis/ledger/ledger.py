"""The total-correlation ledger: how much dependence each representation of the same rows has removed, in
nats.

For a differentiable bijection y = f(x), TC(y) = Σ_i H(y_i) − H(x) − E log|det ∂f/∂x|. H(x) is common to all
representations, so differences of TC need one-dimensional entropies and log-determinants only. Each row has
one term per representation, Σ_i h_i(row) − log|det|(row); intervals resample these terms, the same rows in
all representations, never the rows themselves (repeated rows would send the entropies to −∞).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from latentflow.analysis.measures import Ledger, LedgerEntry
from latentflow.errors import DataError
from latentflow.statistics.entropy import entropy_terms
from latentflow.statistics.resample import intervals


@dataclass(frozen=True)
class Representation:
    """Coordinates of the same rows under one bijection of the user's continuous columns.

    Attributes
    ----------
    name, label : str
        Key, and what a reader is told.
    values : ndarray (n, d)
    log_det : ndarray (n,) or float
        log|det| of the map from the user's columns to ``values``, nats, per row.
    columns : tuple of str
        Names of the d coordinates.
    """

    name: str
    label: str
    values: np.ndarray
    log_det: np.ndarray | float
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.columns:
            names = tuple(f"{self.name}{i:02d}" for i in range(self.values.shape[1]))
            object.__setattr__(self, "columns", names)

    def entropy_terms(self) -> np.ndarray:
        """Σ_i h_i per row (n,), nats; a column with a single value is refused by name."""
        total = np.zeros(len(self.values))
        for name, column in zip(self.columns, self.values.T, strict=True):
            try:
                total += entropy_terms(column)
            except DataError as error:
                raise DataError(
                    f"{self.label}: '{name}' cannot be judged on these {len(total)} rows ({error}); "
                    "use more rows, or leave that column out with --drop-columns and fit again"
                ) from error
        return total


def ledger(
    reps: Sequence[Representation],
    *,
    reference: str = "raw",
    rng: np.random.Generator,
    n_boot: int = 1000,
    block: int | None = None,
) -> Ledger:
    """Account for the total correlation that each representation removes relative to the reference.

    Parameters
    ----------
    reps : sequence of Representation
        The same n rows in the same order in each.
    reference : str
        Name of the representation that others are compared with.
    rng : numpy Generator
        Drives the bootstrap.
    n_boot : int
        Bootstrap draws.
    block : int or None
        Rows per block where rows are autocorrelated (they must then stand in their original order).

    Returns
    -------
    Ledger
        Estimates with 95 % percentile intervals, and the difference of every two representations.

    Raises
    ------
    DataError
        A coordinate has a single value on these rows.
    """
    names = [rep.name for rep in reps]
    base = names.index(reference)
    marginal = [rep.entropy_terms() for rep in reps]
    log_dets = [
        np.broadcast_to(np.asarray(rep.log_det, dtype=np.float64), rep.values.shape[:1]) for rep in reps
    ]
    terms = np.stack([h - j for h, j in zip(marginal, log_dets, strict=True)], axis=1)
    n = len(terms)
    pairs = list(combinations(range(len(reps)), 2))
    contrasts = [(base, i) for i in range(len(reps))] + pairs
    contrast_intervals = intervals(
        np.stack([terms[:, a] - terms[:, b] for a, b in contrasts], axis=1),
        rng=rng,
        n_boot=n_boot,
        block=block,
    )
    removed, differences = contrast_intervals[: len(reps)], contrast_intervals[len(reps) :]
    entries = tuple(
        LedgerEntry(
            name=rep.name,
            label=rep.label,
            removed=removed[i],
            marginal_entropy=float(marginal[i].mean()),
            mean_log_det=float(log_dets[i].mean()),
            product_neg_log_prob=float(terms[:, i].mean()),
        )
        for i, rep in enumerate(reps)
    )
    keyed = {f"{names[b]}-{names[a]}": gap for (a, b), gap in zip(pairs, differences, strict=True)}
    return Ledger(entries, keyed, reference, n, n_boot, block)
