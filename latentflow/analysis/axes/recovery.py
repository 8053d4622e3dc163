"""How well each representation has recovered known sources: correlations after matching, and Amari's index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from latentflow.analysis.ledger.ledger import Representation
from latentflow.data.tables import Table, open_table
from latentflow.errors import DataError
from latentflow.statistics.records import Result

_NOTHING = 1e-300


@dataclass(frozen=True)
class RecoveryEntry(Result):
    """Coordinates of one representation against the true sources."""

    name: Annotated[str, "The representation."]
    label: str
    mcc_pearson: Annotated[
        float,
        "Mean over the sources of the absolute correlation with the coordinate matched to each, 0 … 1, each with the "
        "matching that is best for it. A source left without a coordinate counts as zero.",
    ]
    mcc_spearman: float
    amari: Annotated[
        float,
        "Amari's index of the regression of the coordinates on the sources, 0 (each coordinate follows one source, "
        "linearly) … 1.",
    ]
    matched: Annotated[
        tuple[int | None, ...],
        "length m: The coordinate matched with each source by absolute Spearman correlation; None where coordinates "
        "ran out.",
    ]
    correlation: Annotated[tuple[float | None, ...], "length m: Signed Spearman correlation of each match."]


@dataclass(frozen=True)
class Recovery(Result):
    """Recovery of known sources, on the evaluated rows."""

    entries: Annotated[tuple[RecoveryEntry, ...], "In the order of the representations."]
    n_rows: Annotated[int, "Rows used."]


def read_sources(sources: Any, table: Table, index: np.ndarray) -> np.ndarray:
    """The sources (n, m) of the rows at these positions of the table.

    Parameters
    ----------
    sources : str or array (n_table, m)
        A key of the table's own file, or the sources themselves, one row for each row of the table.
    table : Table
    index : ndarray (n,) of int

    Raises
    ------
    DataError
        The file or the key is not there, the numbers of rows differ, or values are missing.
    """
    if isinstance(sources, str):
        if table.path is None:
            raise DataError("sources by key need a table that is a file; give the sources as an array")
        truth = open_table(table.path, key=sources)
        if truth.n_rows != table.n_rows:
            raise DataError(
                f"{table.path}: '{sources}' has {truth.n_rows} rows and the table {table.n_rows}; sources need one "
                "row for each row of the table"
            )
        values = truth.read_rows(index)
    else:
        known = np.asarray(sources, dtype=np.float64)
        if known.ndim == 1:
            known = known[:, None]
        if known.ndim != 2 or len(known) != table.n_rows:
            raise DataError(
                f"the sources have shape {known.shape} and the table has {table.n_rows} rows; sources need one row "
                "for each row of the table"
            )
        values = known[index]
    if not np.isfinite(values).all():
        raise DataError(f"{(~np.isfinite(values)).sum()} values of the sources are missing or infinite")
    return values


def recovery(representations: Sequence[Representation], sources: np.ndarray) -> Recovery:
    """Compare representations with known sources.

    Parameters
    ----------
    representations : sequence of Representation
        Coordinates (n, d) of the same n rows.
    sources : ndarray (n, m)
        The truth for these rows, in any unit; m may differ from d.

    Returns
    -------
    Recovery

    Raises
    ------
    DataError
        Other rows than the representations have, missing values, or a source that does not vary.

    Notes
    -----
    Mean correlation after the best one-to-one matching (Kuhn 1955) is the measure of Hyvärinen & Morioka
    (2016); Spearman's is blind to a monotone distortion of each coordinate, Pearson's is not. Amari's index
    (Amari, Cichocki & Yang 1996, eq. 24, scaled to 0 … 1) is taken of the coefficients that regress
    standardised coordinates on standardised sources jointly. Where d ≠ m, its sums run over all entries of a
    row or column, its means over the matched ones.
    """
    truth = _checked(np.asarray(sources, dtype=np.float64), len(representations[0].values))
    ranks = rankdata(truth, axis=0)
    entries = tuple(_entry(rep, truth, ranks) for rep in representations)
    return Recovery(entries, len(truth))


def amari_index(gains: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> float:
    """Amari's index of a gain matrix (d, m), 0 … 1, over the matched rows and columns.

    >>> import numpy as np
    >>> both = np.arange(2)
    >>> amari_index(np.array([[0.0, -3.0], [2.0, 0.0]]), both, both)
    0.0
    >>> amari_index(np.ones((2, 2)), both, both)
    1.0
    """
    size = np.abs(gains)
    d, m = size.shape
    along = (size / np.maximum(size.max(axis=1, keepdims=True), _NOTHING)).sum(axis=1) - 1.0
    down = (size / np.maximum(size.max(axis=0, keepdims=True), _NOTHING)).sum(axis=0) - 1.0
    terms = []
    if m > 1:
        terms.append(float(along[rows].mean()) / (m - 1))
    if d > 1:
        terms.append(float(down[columns].mean()) / (d - 1))
    return float(np.mean(terms)) if terms else 0.0


def _entry(rep: Representation, truth: np.ndarray, ranks: np.ndarray) -> RecoveryEntry:
    values = np.asarray(rep.values, dtype=np.float64)
    m = truth.shape[1]
    pearson = _correlations(values, truth)
    spearman = _correlations(rankdata(values, axis=0), ranks)
    own, source = linear_sum_assignment(-np.abs(pearson))
    best_pearson = float(np.abs(pearson[own, source]).sum()) / m
    own, source = linear_sum_assignment(-np.abs(spearman))
    coordinate = {int(j): int(i) for i, j in zip(own, source, strict=True)}
    gains = np.linalg.lstsq(_standardised(truth), _standardised(values), rcond=None)[0].T
    return RecoveryEntry(
        name=rep.name,
        label=rep.label,
        mcc_pearson=best_pearson,
        mcc_spearman=float(np.abs(spearman[own, source]).sum()) / m,
        amari=amari_index(gains, own, source),
        matched=tuple(coordinate.get(j) for j in range(m)),
        correlation=tuple(float(spearman[coordinate[j], j]) if j in coordinate else None for j in range(m)),
    )


def _checked(sources: np.ndarray, n: int) -> np.ndarray:
    if sources.ndim == 1:
        sources = sources[:, None]
    if sources.ndim != 2 or len(sources) != n:
        raise DataError(f"sources must be known for the {n} evaluated rows, and have shape {sources.shape}")
    if not np.isfinite(sources).all():
        row, column = np.argwhere(~np.isfinite(sources))[0]
        raise DataError(
            f"source {column} is missing or infinite at evaluated row {row}; give complete sources"
        )
    flat = np.flatnonzero(np.ptp(sources, axis=0) == 0.0)
    if len(flat):
        raise DataError(f"source {flat[0]} has a single value on the evaluated rows; leave it out")
    return sources


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    return np.asarray(centred / np.maximum(centred.std(axis=0), _NOTHING))


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return _standardised(a).T @ _standardised(b) / len(a)
