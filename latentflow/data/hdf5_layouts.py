"""Reading the layouts in which HDF5 files hold tables, with h5py alone and nothing unpickled.

Every layout but the sparse one comes down to the same thing: *parts*, each a dataset whose rows give some of
the table's columns. Files are opened for each reading and closed after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from latentflow.data.source import (
    Field,
    SlicedSource,
    Slicer,
    as_float64,
    as_text,
    default_names,
    shortened,
    unique_names,
)
from latentflow.errors import DataError

NAME_ATTRIBUTES = ("columns", "column_names", "names", "feature_names")


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; what h5py cannot open or read becomes one line."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        reason = str(error).strip("'\"").splitlines()[0]
        hint = (
            "; its compression filter may be missing (pip install hdf5plugin)" if "filter" in reason else ""
        )
        raise DataError(f"{path} cannot be read (damaged, or still being written?): {reason}{hint}") from None


@dataclass(frozen=True)
class Part:
    """Columns of the table that one dataset gives.

    Attributes
    ----------
    dataset : path inside the file
    places : for each column of the dataset, which column of the table it is; -1 for one that is left out
    """

    dataset: str
    places: tuple[int, ...]


class HDF5Source(SlicedSource):
    """Rows spread over one or more datasets of an HDF5 file."""

    def __init__(
        self,
        item: h5py.Dataset | h5py.Group,
        path: Path,
        fields: Sequence[Field],
        parts: Sequence[Part],
        n_rows: int,
        sample_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.path = path
        self.where = str(path)
        self.key = item.name.strip("/") or "/"
        self.fields = tuple(fields)
        self.n_rows = n_rows
        self.sample_shape = sample_shape
        self._parts = tuple(parts)
        self._home = item.parent.name if isinstance(item, h5py.Dataset) else item.name

    @contextmanager
    def slices(self, which: Sequence[int]) -> Iterator[Slicer]:
        target = {position: place for place, position in enumerate(which)}
        with opened(self.path) as file:
            plan = []
            for part in self._parts:
                picks = [i for i, position in enumerate(part.places) if position in target]
                if picks:
                    plan.append((file[part.dataset], picks, [target[part.places[i]] for i in picks]))

            def read(start: int, stop: int) -> NDArray[np.float64]:
                out = np.empty((stop - start, len(which)))
                for dataset, picks, places in plan:
                    names = [self.fields[which[place]].name for place in places]
                    out[:, places] = _numbers(dataset, picks, start, stop, names, self.where)
                return out

            yield read

    def untouched(self, name: str) -> NDArray[Any]:
        with opened(self.path) as file:
            for part in self._parts:
                for pick, position in enumerate(part.places):
                    if position >= 0 and self.fields[position].name == name:
                        return _column(file[part.dataset], pick)
            return carried_dataset(file, self._home, name, self)


def _numbers(
    dataset: h5py.Dataset, picks: Sequence[int], start: int, stop: int, names: Sequence[str], where: str
) -> NDArray[np.float64]:
    """Rows start ... stop of some columns of one dataset."""
    if dataset.dtype.names:
        labels = [dataset.dtype.names[i] for i in picks]
        rows = dataset.fields(labels)[start:stop]
        columns = [
            as_float64(rows[label][:, None], [name], where) for label, name in zip(labels, names, strict=True)
        ]
        return np.hstack(columns)
    if dataset.ndim == 2:
        low, high = (
            min(picks),
            max(picks) + 1,
        )  # one range of columns is much faster to read than a list of them
        return as_float64(dataset[start:stop, low:high][:, np.asarray(picks) - low], names, where)
    flat = dataset[start:stop].reshape(stop - start, -1)
    return as_float64(flat[:, list(picks)], names, where)


def _column(dataset: h5py.Dataset, pick: int) -> NDArray[Any]:
    if dataset.dtype.names:
        label = dataset.dtype.names[pick]
        return _as_stored(dataset.fields(label)[:], dataset.dtype[label])
    if dataset.ndim == 1:
        return _as_stored(dataset[:], dataset.dtype)
    place = np.unravel_index(pick, dataset.shape[1:])
    return _as_stored(dataset[(slice(None), *map(int, place))], dataset.dtype)


def _as_stored(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return as_text(values) if dtype.kind == "S" or h5py.check_string_dtype(dtype) else values


def carried_dataset(file: h5py.File, home: str, name: str, source: SlicedSource) -> NDArray[Any]:
    """Another dataset of the file with one entry for each row: beside the table, or by its path."""
    for item in (file[home].get(name), file.get(name)):
        if isinstance(item, h5py.Dataset) and item.ndim and len(item) == source.n_rows:
            return _as_stored(item[:], item.dtype)
        if isinstance(item, h5py.Group) and {"codes", "categories"} <= set(
            item
        ):  # AnnData's categorical column
            codes, labels = item["codes"][:], _as_stored(item["categories"][:], item["categories"].dtype)
            if len(codes) == source.n_rows:
                return np.where(codes >= 0, labels[codes], "") if labels.dtype == object else labels[codes]
    beside = [key for key, item in file[home].items() if isinstance(item, h5py.Dataset) and item.ndim]
    fitting = [key for key in beside if len(file[home][key]) == source.n_rows]
    known = list(dict.fromkeys([*[field.name for field in source.fields], *fitting]))
    raise DataError(
        f"{source.where} has no column or dataset '{name}' with {source.n_rows} entries; "
        f"there are {shortened(known)}"
    )


def field_of(name: str, dtype: np.dtype[Any]) -> Field:
    """Field of an HDF5 type: strings and enumerations (but for booleans) are not numbers."""
    if h5py.check_string_dtype(dtype):
        return Field(name, dtype, "text")
    if h5py.check_enum_dtype(dtype):
        return Field(name, dtype, "categories")
    return Field.of(name, dtype)


def column_names(item: h5py.Dataset | h5py.Group, width: int) -> list[str]:
    """Names for a matrix's columns: an attribute of it or of its group, AnnData's `var`, or default ones."""
    for holder in (item, item.parent):
        for attribute in NAME_ATTRIBUTES:
            stored = np.asarray(holder.attrs.get(attribute, ()))
            if stored.shape == (width,) and stored.dtype.kind in "SUO":
                return unique_names(as_text(stored))
    for home in (item.parent, item.file):
        var = home.get("var")
        labels: Any = None
        if isinstance(var, h5py.Group):
            labels = var.get(str(var.attrs.get("_index", "_index")))
        elif isinstance(var, h5py.Dataset) and var.dtype.names:  # as AnnData wrote it before version 0.7
            labels = var.fields(var.dtype.names[0])
        if labels is not None and len(labels) == width:
            return unique_names(as_text(labels[:]))
    return default_names(width)


def matrix_source(dataset: h5py.Dataset, path: Path) -> HDF5Source:
    """(n,) one column, (n, d) d columns, (n, a, b, ...) flattened to a·b·... columns."""
    width = int(np.prod(dataset.shape[1:]))
    names = column_names(dataset, width) if dataset.ndim > 1 else [dataset.name.rsplit("/", 1)[-1]]
    fields = [field_of(name, dataset.dtype) for name in names]
    shape = dataset.shape[1:] if dataset.ndim > 2 else None
    return HDF5Source(dataset, path, fields, [Part(dataset.name, tuple(range(width)))], len(dataset), shape)


def records_source(dataset: h5py.Dataset, path: Path) -> HDF5Source:
    """One column for each field of a compound type; the index of a pandas table is left out."""
    labels = dataset.dtype.names
    stored_by_pandas = dataset.parent.attrs.get("pandas_type") == b"frame_table"
    if stored_by_pandas and any(label.startswith("values_block_") for label in labels):
        stored = dataset.parent.name.strip("/")
        raise DataError(
            f"{path}: '{stored}' is a pandas table whose column names are pickled, and "
            f"nothing is unpickled; store the frame with to_hdf(..., format='fixed') or as CSV or Parquet"
        )
    if dataset.ndim > 1:
        raise DataError(
            f"{path}: '{dataset.name.strip('/')}' has records in {dataset.ndim} dimensions, not one a row"
        )
    names = unique_names(labels)
    fields = []
    for name, label in zip(names, labels, strict=True):
        meaning = dataset.attrs.get(f"{label}_dtype", b"")
        dated = isinstance(meaning, bytes) and meaning.startswith((b"datetime", b"timedelta"))
        stored = dataset.dtype[label]
        fields.append(Field(name, stored, "dates") if dated else field_of(name, stored))
    left_out = 1 if stored_by_pandas and labels[0] == "index" else 0
    part = Part(dataset.name, tuple(range(-left_out, len(labels) - left_out)))
    return HDF5Source(dataset, path, fields[left_out:], [part], len(dataset))


def columns_source(group: h5py.Group, path: Path, columns: Sequence[str] | None) -> HDF5Source:
    """1-D datasets of equal length side by side, in the order in which the file lists them.

    Raises
    ------
    DataError : they differ in length, and `columns` does not name a set of equal length.
    """
    items = {name: item for name, item in group.items() if isinstance(item, h5py.Dataset) and item.ndim == 1}
    if group.attrs.get("pandas_type") == b"series":
        items.pop("index", None)
    numbers = {name: item for name, item in items.items() if not field_of(name, item.dtype).holds} or items
    if columns is not None and len({len(item) for item in numbers.values()}) > 1:
        numbers = {name: item for name, item in numbers.items() if name in columns} or numbers
    lengths = {len(item) for item in numbers.values()}
    if len(lengths) > 1:
        listed = shortened([f"{name} ({len(item)})" for name, item in numbers.items()])
        raise DataError(f"{path}: 1-D datasets differ in length: {listed}; name those to use with --columns")
    n_rows = lengths.pop()
    items = {name: item for name, item in items.items() if len(item) == n_rows}
    fields = [field_of(name, item.dtype) for name, item in items.items()]
    parts = [Part(item.name, (place,)) for place, item in enumerate(items.values())]
    return HDF5Source(group, path, fields, parts, n_rows)
