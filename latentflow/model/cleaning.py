"""Cleaning: which latents to set to their median, as ICA users remove components, and what that did to each column.

A latent is N(0, 1), so its median is 0. With some latents at 0 the flow is decoded as ever; no linear model of what
they add to the columns is needed, and the rest of the row keeps what it had in the other latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentflow.errors import DataError

Floats = NDArray[np.float64]
Latent = str | int
#: One latent, or several, by name or by position.
Latents = Latent | Sequence[Latent] | NDArray[np.integer]


def latents_to_remove(
    names: Sequence[str], *, remove: Latents | None = None, keep: Latents | None = None
) -> NDArray[np.intp]:
    """Positions of the latents that cleaning sets to their median.

    Parameters
    ----------
    names : sequence of k str
        The latents of the model, in order.
    remove : name, position or sequence of them, optional
        The latents to remove. An empty sequence removes none.
    keep : name, position or sequence of them, optional
        The latents to keep; all others are removed.

    Returns
    -------
    ndarray of int, shape (m,)
        Increasing, each position once.

    Raises
    ------
    DataError
        If both or neither of ``remove`` and ``keep`` are given, or a latent does not exist; the message lists those
        that do.

    Examples
    --------
    >>> latents_to_remove(["latent00", "latent01", "latent02"], keep="latent01").tolist()
    [0, 2]
    """
    if (remove is None) == (keep is None):
        raise DataError(
            "cleaning needs to know which latents to remove, or which to keep: give remove or keep, one of them"
        )
    chosen = remove if remove is not None else keep
    assert chosen is not None
    several = [chosen] if isinstance(chosen, str | int | np.integer) else chosen
    named = np.zeros(len(names), dtype=bool)
    for latent in several:
        named[_position(latent, names)] = True
    return np.flatnonzero(named if remove is not None else ~named)


def _position(latent: object, names: Sequence[str]) -> int:
    if isinstance(latent, str) and latent in names:
        return names.index(latent)
    if isinstance(latent, int | np.integer) and not isinstance(latent, bool) and 0 <= latent < len(names):
        return int(latent)
    there = ", ".join(names) if len(names) <= 20 else f"{names[0]} to {names[-1]}"
    raise DataError(f"the model has no latent {latent!r}; it has {there} (positions 0 to {len(names) - 1})")


def without(latents: Floats, removed: NDArray[np.intp]) -> Floats:
    """A copy of latents, shape (n, k), in which those at the positions ``removed`` are at their median, 0."""
    cleaned = np.array(latents, dtype=np.float64)
    cleaned[:, removed] = 0.0
    return cleaned


def storable(rows: Floats, dtype: np.dtype[Any]) -> Floats:
    """Rows as a table of this type can hold them: whole numbers, and in its range, where it is one of integers."""
    if dtype.kind == "b":
        return np.clip(np.rint(rows), 0.0, 1.0)
    if dtype.kind not in "iu":
        return rows
    limits = np.iinfo(dtype)
    return np.clip(np.rint(rows), limits.min, limits.max)


def extrapolation(rows: NDArray[np.intp]) -> str:
    """What to say of rows, by position, that lie far outside the training data and were cleaned all the same."""
    listed = ", ".join(str(row) for row in rows[:5]) + (", …" if len(rows) > 5 else "")
    which = f"row {listed} lies" if len(rows) == 1 else f"{len(rows)} rows ({listed}) lie"
    return (
        f"{which} far outside the training data, where cleaning extrapolates: look at what it made of them; "
        "spikes are best cut before the fit"
    )


class VarianceAccount:
    """What cleaning did to each column, gathered block by block.

    Parameters
    ----------
    n_columns : int

    Notes
    -----
    ``removed`` is 1 − var(cleaned) / var(before). Where the removed part does not correlate with the rest, as in
    a linear mixture of independent sources, it is the share of the variance that the removed part had. A non-linear
    map need not keep that, and the share is negative where cleaning adds variance. ``changed`` is
    E(cleaned − before)² / var(before), never negative.
    """

    def __init__(self, n_columns: int) -> None:
        self.rows = 0
        # medians of the first block: squares about 0 would lose the digits of a small variance on a large mean
        self._about = np.zeros(n_columns)
        self._sums = np.zeros((2, n_columns))
        self._squares = np.zeros((2, n_columns))
        self._differences = np.zeros(n_columns)

    def add(self, before: Floats, cleaned: Floats) -> None:
        """Take in rows before and after cleaning, both of shape (m, D), in the same units."""
        if self.rows == 0:
            self._about = np.median(before, axis=0)
        for i, block in enumerate((before, cleaned)):
            centred = block - self._about
            self._sums[i] += centred.sum(axis=0)
            self._squares[i] += (centred**2).sum(axis=0)
        self._differences += ((cleaned - before) ** 2).sum(axis=0)
        self.rows += len(before)

    @property
    def removed(self) -> Floats:
        """Share of its variance that each column lost, shape (D,); 0 for a constant column."""
        before, cleaned = self._variances
        return self._share(before - cleaned)

    @property
    def changed(self) -> Floats:
        """Mean squared change of each column over its variance, shape (D,); 0 for a constant column."""
        return self._share(self._differences / max(1, self.rows))

    @property
    def _variances(self) -> Floats:
        n = max(1, self.rows)
        variances: Floats = self._squares / n - (self._sums / n) ** 2
        return variances

    def _share(self, part: Floats) -> Floats:
        whole = self._variances[0]
        return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
