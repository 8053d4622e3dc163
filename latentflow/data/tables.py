"""Reading a user's table: one face for HDF5, text, Parquet and NumPy files, arrays and data frames.

A `Table` is lazy. It knows its columns and its row count, and gives its rows in blocks as float64; the whole
file is held only by `read`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from latentflow.data.hdf5 import HDF5_SUFFIXES, open_hdf5
from latentflow.data.memory import ArraySource, FrameSource, open_npy
from latentflow.data.parquet import ParquetSource
from latentflow.data.source import Source, position_of, shortened
from latentflow.data.text import TextSource
from latentflow.errors import DataError

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
PARQUET_SUFFIXES = (".parquet", ".pq")
_BLOCK_BYTES = 2**27


class Table:
    """A table of numbers: the chosen columns of a file, an array or a data frame.

    Attributes
    ----------
    path : the file, None for a table in memory
    key : dataset or group inside an HDF5 file ("/" is its root), "" for other formats
    columns : names of the chosen columns, unique, in order
    n_rows : number of rows
    dtype : common type of the stored values (rows are always given as float64)
    sample_shape : shape of one row's sample when an n-dimensional array (n, a, b, ...) was flattened to
        columns and all of them were chosen, else None
    """

    def __init__(self, source: Source, path: Path | None, which: Sequence[int]) -> None:
        fields = [source.fields[i] for i in which]
        self.path = path
        self.key = source.key
        self.columns = tuple(field.name for field in fields)
        self.n_rows = source.n_rows
        self.dtype: np.dtype[Any] = np.result_type(*(field.dtype for field in fields)).newbyteorder("=")
        complete = list(which) == list(range(len(source.fields)))
        self.sample_shape = source.sample_shape if complete else None
        self._source = source
        self._which = list(which)

    def __repr__(self) -> str:
        return f"Table({self._source.where!r}, {self.n_rows} rows, {len(self.columns)} columns)"

    @property
    def columns_of_file(self) -> tuple[str, ...]:
        """Names of all columns that there are to choose from."""
        return tuple(field.name for field in self._source.fields)

    def chunks(self, rows: int = 65536) -> Iterator[NDArray[np.float64]]:
        """Blocks of consecutive rows, in the order of the file.

        Parameters
        ----------
        rows : most rows in a block; wide tables come in smaller blocks (128 MiB at most)

        Yields
        ------
        ndarray (m, d) float64

        Raises
        ------
        DataError : the file cannot be read on, or an integer beyond 2**53 is met (names the column).
        """
        return self._source.blocks(self._which, self._block_rows(rows))

    def iter_complete(
        self, rows: int = 65536, *, missing: str = "drop"
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """Blocks as `chunks` gives them, without the rows that have a missing or infinite value.

        Parameters
        ----------
        rows : most rows in a block
        missing : "drop" leaves those rows out, "error" refuses them

        Yields
        ------
        index : (m,) positions of the rows in the file, from 0
        block : (m, d) float64, finite; blocks that have no complete row are left out

        Raises
        ------
        DataError : a value is missing, and none may be: how many there are in each column.
        """
        start = 0
        for block in self.chunks(rows):
            kept = np.flatnonzero(np.isfinite(block).all(axis=1))
            if missing != "drop" and len(kept) < len(block):
                self.refuse_missing()
            if len(kept):
                yield start + kept, block[kept]
            start += len(block)

    def read(self) -> NDArray[np.float64]:
        """All rows, (n, d) float64, in memory of their own."""
        out = np.empty((self.n_rows, len(self.columns)))
        start = 0
        for block in self.chunks():
            out[start : start + len(block)] = block
            start += len(block)
        return out

    def read_rows(self, index: ArrayLike) -> NDArray[np.float64]:
        """The rows at positions `index` (from 0), in that order, repeats allowed: (len(index), d) float64.

        Raises
        ------
        IndexError : a position is outside 0 ... n_rows - 1.
        """
        positions = np.asarray(index, dtype=np.intp)
        if len(positions) and (positions.min() < 0 or positions.max() >= self.n_rows):
            raise IndexError(f"row positions must lie in 0 ... {self.n_rows - 1}")
        return self._source.take(self._which, positions, self._block_rows(65536))

    def carried(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Columns of the file by name, chosen or not, untouched: (n,) arrays, text as objects of type str.

        In an HDF5 file also other datasets with one entry for each row, beside the table or by their path
        (``obs/cell_type``); those may have more than one dimension.

        Raises
        ------
        DataError : the file has no column or dataset of that name with one entry for each row.
        """
        return {name: self._source.untouched(name) for name in names}

    def missing_counts(self) -> dict[str, int]:
        """Missing values (NaN, +inf or -inf) of each chosen column that has any."""
        counts = np.zeros(len(self.columns), dtype=np.int64)
        for block in self.chunks():
            counts += (~np.isfinite(block)).sum(axis=0)
        return {name: int(count) for name, count in zip(self.columns, counts, strict=True) if count}

    def refuse_missing(self) -> NoReturn:
        """Raise the error for a table with missing values: how many there are in each column, and the way out.

        Raises
        ------
        DataError
        """
        counts = self.missing_counts()
        listed = ", ".join(f"{name}: {count}" for name, count in list(counts.items())[:10])
        more = f" and {len(counts) - 10} more columns" if len(counts) > 10 else ""
        raise DataError(
            f"{self.path or 'the table'} has missing or infinite values ({listed}{more}); "
            "leave these rows out with --missing drop"
        )

    def fingerprint(self) -> str:
        """SHA-256 (hex) over column names, shape and all values as float64; the same in every file format."""
        digest = hashlib.sha256(json.dumps([self.columns, self.n_rows]).encode())
        for block in self.chunks():
            block[np.isnan(block)] = np.nan  # one bit pattern, whichever the format stores
            digest.update(block.astype("<f8").tobytes())
        return digest.hexdigest()

    def _block_rows(self, rows: int) -> int:
        return max(1, min(rows, _BLOCK_BYTES // (8 * len(self.columns))))


def open_table(
    path: str | Path,
    *,
    key: str | None = None,
    columns: Sequence[str] | None = None,
    drop_columns: Sequence[str] | None = None,
    aside: Sequence[str | None] = (),
) -> Table:
    """Open a table in a file; the content tells HDF5, the suffix tells the rest.

    Parameters
    ----------
    path : an HDF5, CSV (`,` or `;`), TSV, whitespace (.txt, .dat), Parquet or NPY file
    key : dataset or group inside an HDF5 file; needed where there are several tables
    columns : names of the columns to take, in this order; all when None
    drop_columns : names of columns to leave out
    aside : names of what goes with the rows and is no data (labels, times): left out where it is a column

    Returns
    -------
    Table : repeated column names are made unique with a suffix (a, a_2); where the file names no columns they
        are called column00, column01, ...

    Raises
    ------
    DataError : the file is missing, empty, damaged or of an unknown format; the key or a column does not
        exist; several tables are in the file and no key was given; a chosen column does not hold numbers.
    """
    path = Path(path)
    source = _open_source(path, key, columns)
    there = [
        field.name for field in source.fields if field.name in aside and field.name not in (columns or ())
    ]
    return _choose(source, path, columns, [*(drop_columns or ()), *there])


def as_table(X: Any, columns: Sequence[str] | None = None) -> Table:
    """A table of what is in memory already (not copied).

    Parameters
    ----------
    X : array of shape (n, d), (n, a, b, ...) or (n,), record array, data frame, or a Table (returned as is)
    columns : names of an array's columns; of a data frame, the columns to take. A frame has its own names.

    Raises
    ------
    DataError : no rows or no columns, columns that are not numbers, or a wrong number of names.
    """
    if isinstance(X, Table):
        return X
    if isinstance(X, pd.DataFrame):
        return _choose(FrameSource(X, "the data frame"), None, columns, None)
    return _choose(ArraySource(np.asarray(X), "the array", columns), None, None, None)


def _open_source(path: Path, key: str | None, columns: Sequence[str] | None) -> Source:
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if not path.is_file():
        raise DataError(f"{path} is not a file")
    suffix = path.suffix.lower()
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty")
        with path.open("rb"):
            pass
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if h5py.is_hdf5(path):
        return open_hdf5(path, key, columns)
    if suffix in HDF5_SUFFIXES:
        raise DataError(f"{path} is not an HDF5 file, though it is named {suffix}")
    if key is not None:
        raise DataError(f"{path} is not an HDF5 file, so --key {key} names nothing in it")
    if suffix in TEXT_SUFFIXES:
        return TextSource(path)
    if suffix in PARQUET_SUFFIXES:
        return ParquetSource(path)
    if suffix == ".npy":
        return open_npy(path)
    known = " ".join([*HDF5_SUFFIXES, *TEXT_SUFFIXES, *PARQUET_SUFFIXES, ".npy"])
    raise DataError(f"{path} has an unknown format; expected one of {known}")


def _choose(
    source: Source, path: Path | None, columns: Sequence[str] | None, drop_columns: Sequence[str] | None
) -> Table:
    """Table of the chosen columns, once there is something to read and all of it is numbers."""
    where, fields = source.where, source.fields
    if source.n_rows == 0:
        raise DataError(f"{where} has no rows")
    if columns is None:
        which = list(range(len(fields)))
    else:
        which = [_find(name, source) for name in columns]
        for place, position in enumerate(which):
            if position in which[:place]:
                raise DataError(f"{where}: column '{fields[position].name}' is named twice in --columns")
    dropped = {_find(name, source) for name in drop_columns or ()}
    which = [position for position in which if position not in dropped]
    if not which:
        raise DataError(f"{where} has no columns" + (" left" if columns is not None or dropped else ""))
    refused = [fields[i] for i in which if fields[i].holds]
    if refused:
        named = shortened([f"'{field.name}' ({field.holds})" for field in refused])
        drop = f" '{','.join(field.name for field in refused)}'" if len(refused) <= 10 else ""
        raise DataError(
            f"{where}: columns without usable numbers: {named}; leave them out with --drop-columns{drop} "
            f"or name the columns to use with --columns"
        )
    return Table(source, path, which)


def _find(name: str, source: Source) -> int:
    names = [field.name for field in source.fields]
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if name not in names and close:
        raise DataError(f"{source.where} has no column '{name}'; did you mean {' or '.join(close)}?")
    return position_of(name, source.fields, source.where)
