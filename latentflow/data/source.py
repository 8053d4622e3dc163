"""What every reader of a table gives: fields, a row count, and blocks of rows in the order of the file.

A `Source` knows one file format; `latentflow.data.tables.Table` adds to it what all formats share (choosing
columns, counting missing values, the fingerprint). A source reads lazily: it never holds more than one block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentflow.errors import DataError

Slicer = Callable[[int, int], NDArray[np.float64]]

EXACT_INTEGER = 2**53
_WHAT_IT_HOLDS = {
    "S": "text",
    "U": "text",
    "O": "text or objects",
    "T": "text",
    "c": "complex numbers",
    "M": "dates",
    "m": "time spans",
    "V": "records",
}


@dataclass(frozen=True)
class Field:
    """One column of a file.

    Attributes
    ----------
    name : the column's name, unique in its table
    dtype : type of the stored values
    holds : what the column holds when that is not numbers ("text", "dates"), else ""
    """

    name: str
    dtype: np.dtype[Any]
    holds: str = ""

    @classmethod
    def of(cls, name: str, dtype: np.dtype[Any]) -> Field:
        """Field of a stored type; booleans count as the numbers 0 and 1."""
        return cls(name, dtype, "" if dtype.kind in "biuf" else _WHAT_IT_HOLDS.get(dtype.kind, str(dtype)))


class Source(ABC):
    """A table in a file or in memory, as one format's reader sees it.

    Attributes
    ----------
    where : how messages name it (the path as the user gave it)
    key : dataset or group inside the file, "" where the format has none
    fields : all columns, also those that are not numbers
    sample_shape : shape of one sample when an n-dimensional array was flattened to columns, else None
    """

    where: str
    key: str
    fields: tuple[Field, ...]
    n_rows: int
    sample_shape: tuple[int, ...] | None = None

    @abstractmethod
    def blocks(self, which: Sequence[int], rows: int) -> Iterator[NDArray[np.float64]]:
        """Rows of the columns `which` in the order of the file, as (m, len(which)) arrays with m <= rows."""

    @abstractmethod
    def untouched(self, name: str) -> NDArray[Any]:
        """One column, or what else the file holds for each row, as stored; text as objects of type str.

        Raises
        ------
        DataError : the file has nothing of that name with one value for each row.
        """

    def take(self, which: Sequence[int], index: NDArray[np.intp], rows: int) -> NDArray[np.float64]:
        """Rows `index` of the columns `which`, in the order of `index`, reading from the start."""
        starts = _with_starts(self.blocks(which, rows))
        return gather(starts, index, len(which))


class SlicedSource(Source):
    """A source with random access to rows."""

    @abstractmethod
    def slices(self, which: Sequence[int]) -> AbstractContextManager[Slicer]:
        """Open the data; inside, a function (start, stop) -> (stop - start, len(which)) float64 array."""

    def blocks(self, which: Sequence[int], rows: int) -> Iterator[NDArray[np.float64]]:
        with self.slices(which) as read:
            for start in range(0, self.n_rows, rows):
                yield read(start, min(start + rows, self.n_rows))

    def take(self, which: Sequence[int], index: NDArray[np.intp], rows: int) -> NDArray[np.float64]:
        with self.slices(which) as read:
            wanted = np.unique(index // rows) * rows  # blocks that hold none of the rows are never read
            pieces = ((int(a), read(int(a), min(int(a) + rows, self.n_rows))) for a in wanted)
            return gather(pieces, index, len(which))


def gather(
    pieces: Iterable[tuple[int, NDArray[np.float64]]], index: NDArray[np.intp], width: int
) -> NDArray[np.float64]:
    """Pick rows `index` (any order, repeats allowed) from consecutive (first row, block) pieces."""
    out = np.empty((len(index), width))
    order = np.argsort(index, kind="stable")
    ranked = index[order]
    for start, block in pieces:
        low, high = np.searchsorted(ranked, [start, start + len(block)])
        out[order[low:high]] = block[ranked[low:high] - start]
    return out


def _with_starts(blocks: Iterable[NDArray[np.float64]]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    start = 0
    for block in blocks:
        yield start, block
        start += len(block)


def as_float64(block: NDArray[Any], names: Sequence[str], where: str) -> NDArray[np.float64]:
    """Copy of a numeric (m, d) block as float64, refusing what float64 cannot hold exactly.

    Raises
    ------
    DataError : an integer lies beyond 2**53, or a long double has more digits than float64; names the column.
    """
    with np.errstate(over="ignore"):
        out = block.astype(np.float64)
    if block.dtype.kind in "iu" and block.dtype.itemsize == 8:
        lost = block > EXACT_INTEGER
        if block.dtype.kind == "i":
            lost |= block < -EXACT_INTEGER
    elif block.dtype.kind == "f" and block.dtype.itemsize > 8:
        lost = (out != block) & ~np.isnan(out)
    else:
        return out
    if lost.any():
        name = names[int(np.flatnonzero(lost.any(axis=0))[0])]
        raise DataError(
            f"{where}: column '{name}' holds numbers that double precision cannot hold exactly "
            f"(integers beyond 2^53 are often ids); leave it out with --drop-columns '{name}'"
        )
    return out


def as_text(values: NDArray[Any]) -> NDArray[np.object_]:
    """Bytes or strings as an object array of str; bytes that are not UTF-8 survive as surrogates."""
    out = np.empty(values.shape, dtype=object)
    for place, value in np.ndenumerate(values):
        out[place] = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    return out


def position_of(name: str, fields: Sequence[Field], where: str) -> int:
    """Place of the column called `name`; DataError listing what there is when no column has that name."""
    for position, field in enumerate(fields):
        if field.name == name:
            return position
    raise DataError(f"{where} has no column '{name}'; it has {shortened([field.name for field in fields])}")


def default_names(count: int) -> list[str]:
    """Names for columns that have none: column00, column01, ... (with as many digits as needed)."""
    digits = max(2, len(str(count - 1)))
    return [f"column{i:0{digits}d}" for i in range(count)]


def unique_names(names: Iterable[Any]) -> list[str]:
    """Column names as unique strings: blank ones get a default name, repeated ones a suffix _2, _3, ...

    Examples
    --------
    >>> unique_names(["a", "b", "a", ""])
    ['a', 'b', 'a_2', 'column03']
    """
    given = [str(name) for name in names]
    taken = {name for name in given if name.strip()}
    seen: set[str] = set()
    result: list[str] = []
    for name, default in zip(given, default_names(len(given)), strict=True):
        base = name if name.strip() else default
        unique, number = base, 1
        # A made-up name gives way to one that the file has further on.
        while unique in seen or (unique != name and unique in taken):
            number += 1
            unique = f"{base}_{number}"
        seen.add(unique)
        result.append(unique)
    return result


def shortened(names: Sequence[str], limit: int = 10) -> str:
    """Names in one line, cut after `limit` of them."""
    text = ", ".join(names[:limit])
    return text if len(names) <= limit else f"{text}, ... ({len(names)} in all)"
