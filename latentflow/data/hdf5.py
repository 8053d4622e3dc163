"""Finding the table in an HDF5 file.

A file may hold one table or many, in the layouts that tools leave behind: a matrix, an array of samples, 1-D
datasets side by side, records, a data frame stored by pandas, an AnnData object. `open_hdf5` picks the table
where there is no doubt, and else lists what there is. How each layout is read is in
`latentflow.data.hdf5_layouts` and `latentflow.data.hdf5_stores`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import h5py

from latentflow.data.hdf5_layouts import HDF5Source, columns_source, matrix_source, opened, records_source
from latentflow.data.hdf5_stores import SparseSource, is_pandas_frame, is_sparse, pandas_source
from latentflow.data.source import Source, shortened
from latentflow.errors import DataError

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".h5ad")
MAIN_KEY_ATTRIBUTE = (
    "latentflow_key"  # on the root of files written by this package: which dataset is the table
)


@dataclass(frozen=True)
class Candidate:
    """Something in a file that can be read as a table: where it is, what it is, how plainly it is a table."""

    key: str
    what: str
    rank: int

    def __str__(self) -> str:
        return f"{self.key} {self.what}"


MATRIX, RECORDS, COLUMNS = range(3)


def open_hdf5(path: Path, key: str | None, columns: Sequence[str] | None) -> Source:
    """Open the table under `key`, or the one that the file is plainly about.

    Without a key, and within a group named by one, that is the first of these which exists: the dataset that
    this package wrote as the main one; a data frame stored by pandas; `X`; the only array of two or more
    dimensions; the only dataset of records; the only group of 1-D datasets side by side.

    Parameters
    ----------
    path : the file
    key : dataset or group inside it
    columns : names that the caller wants; if they are 1-D datasets of the group, those are the table

    Raises
    ------
    DataError : no such key, no table, several tables, or a layout that cannot be read without unpickling.
    """
    with opened(path) as file:
        if not key:
            return _from_group(file, path, columns)
        item = file.get(key)
        if isinstance(item, h5py.Dataset):
            return _from_dataset(item, path)
        if isinstance(item, h5py.Group):
            return _from_group(item, path, columns)
        candidates = list(_candidates(file))
        if not candidates:
            raise DataError(f"{path} has no dataset '{key}', and no table at all")
        close = get_close_matches(key, [candidate.key for candidate in candidates], n=1)
        hint = f", did you mean {close[0]}?" if close else ";"
        raise DataError(f"{path} has no dataset '{key}'{hint} --key can be one of: {_listed(candidates)}")


def _from_group(group: h5py.Group, path: Path, columns: Sequence[str] | None) -> Source:
    if is_pandas_frame(group):
        return pandas_source(group, path)
    if is_sparse(group):
        return SparseSource(group, path)
    for name in (group.attrs.get(MAIN_KEY_ATTRIBUTE), "X"):
        item = group.get(name) if isinstance(name, str) else None
        if isinstance(item, h5py.Dataset) and (item.ndim >= 2 or name != "X"):
            return _from_dataset(item, path)
        if isinstance(item, h5py.Group) and is_sparse(item):
            return SparseSource(item, path)
    if columns and all(isinstance(item := group.get(c), h5py.Dataset) and item.ndim == 1 for c in columns):
        return columns_source(group, path, columns)
    candidates = list(_candidates(group))
    for rank in (MATRIX, RECORDS, COLUMNS):
        ranked = [candidate for candidate in candidates if candidate.rank == rank]
        if len(ranked) > 1:
            raise DataError(f"{path} holds several tables; choose one with --key: {_listed(candidates)}")
        if ranked:
            chosen = group.file[ranked[0].key]
            if isinstance(chosen, h5py.Dataset):
                return _from_dataset(chosen, path)
            if rank == COLUMNS:
                return columns_source(chosen, path, columns)
            return _from_group(chosen, path, columns)
    inside = f"'{group.name.strip('/')}' in {path}" if group.name != "/" else str(path)
    raise DataError(f"{inside} holds no table of numbers (a 2-D dataset, or 1-D datasets of equal length)")


def _from_dataset(dataset: h5py.Dataset, path: Path) -> HDF5Source:
    if dataset.shape is None or dataset.ndim == 0:
        raise DataError(f"{path}: '{dataset.name.strip('/')}' is a single value, not a table")
    return records_source(dataset, path) if dataset.dtype.names else matrix_source(dataset, path)


def _candidates(group: h5py.Group, seen: frozenset[int] = frozenset()) -> Iterator[Candidate]:
    """All tables in a group and the groups below it."""
    key = group.name.strip("/") or "/"
    address = h5py.h5o.get_info(group.id).addr
    index_of_pytables = group.attrs.get("CLASS") == b"TINDEX"
    if address in seen or index_of_pytables:  # seen on the way down: a cycle of links
        return
    if is_pandas_frame(group):
        yield Candidate(key, "pandas data frame", MATRIX)
        return
    if is_sparse(group):
        yield Candidate(key, "sparse matrix", MATRIX)
        return
    flat = []
    only_flat = True  # where there is a better table in the group, its key means that one
    for name in group:
        item = group.get(name) if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
        if isinstance(item, h5py.Group):
            for candidate in _candidates(item, seen | {address}):
                only_flat = only_flat and candidate.rank == COLUMNS
                yield candidate
        elif isinstance(item, h5py.Dataset) and item.shape is not None and item.ndim:
            where, kind = item.name.strip("/"), item.dtype
            if kind.names:
                only_flat = False
                yield Candidate(where, f"{item.shape} records", RECORDS)
            elif kind.kind in "biuf" and item.ndim > 1:
                only_flat = False
                yield Candidate(where, f"{item.shape} {kind.name}", MATRIX)
            elif kind.kind in "biuf":
                flat.append(f"{name} {item.shape} {kind.name}")
    if flat and only_flat:
        yield Candidate(key, f"({shortened(flat)})", COLUMNS)


def _listed(candidates: Sequence[Candidate]) -> str:
    return "; ".join(map(str, candidates))
