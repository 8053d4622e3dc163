"""HDF5 tables as pandas (fixed format) and AnnData (sparse X) lay them out; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from latentflow.data.hdf5_layouts import HDF5Source, Part, carried_dataset, column_names, field_of, opened
from latentflow.data.source import Field, SlicedSource, Slicer, as_float64, as_text, unique_names
from latentflow.errors import DataError


def is_pandas_frame(group: h5py.Group) -> bool:
    """Whether a group is a data frame in pandas' fixed format."""
    return "axis0_variety" in group.attrs and "nblocks" in group.attrs


def pandas_source(group: h5py.Group, path: Path) -> HDF5Source:
    """Data frame in pandas' fixed format: columns of one type lie together in (rows, columns) blocks.

    Raises
    ------
    DataError : the columns have several levels of names, or names that are pickled.
    """
    name = group.name.strip("/")
    if group.attrs["axis0_variety"] != b"regular" or _pickled(group["axis0"]):
        raise DataError(
            f"{path}: the columns of the data frame '{name}' have names of mixed type or several levels; "
            f"give them plain names, or store the frame as CSV or Parquet"
        )
    labels = group["axis0"][:].tolist()
    names = unique_names(as_text(np.array(labels, dtype=object)))
    free: dict[Any, list[int]] = {}
    for position, label in enumerate(labels):
        free.setdefault(label, []).append(position)
    fields: list[Field] = [Field(label, np.dtype(object), "text or objects") for label in names]
    parts: list[Part] = []
    n_rows = len(group["axis1"]) if "axis1" in group else 0
    for number in range(int(group.attrs["nblocks"])):
        values = group[f"block{number}_values"]
        if _pickled(values):
            continue  # Python objects: the columns stay "text or objects"
        places = tuple(free[label].pop(0) for label in group[f"block{number}_items"][:].tolist())
        meaning = values.attrs.get("value_type", b"")
        for place in places:
            # Dates and time spans are stored as integers, and only an attribute says so.
            dated = meaning.startswith((b"datetime", b"timedelta"))
            fields[place] = (
                Field(names[place], values.dtype, "dates") if dated else field_of(names[place], values.dtype)
            )
        parts.append(Part(values.name, places))
        n_rows = len(values)
    return HDF5Source(group, path, fields, parts, n_rows)


def _pickled(dataset: h5py.Dataset) -> bool:
    return dataset.dtype.kind == "O" and not h5py.check_string_dtype(dataset.dtype)


def is_sparse(group: h5py.Group) -> bool:
    """Whether a group is a sparse matrix as AnnData writes it."""
    return {"data", "indices", "indptr"} <= set(group)


class SparseSource(SlicedSource):
    """Rows of a sparse matrix in compressed row order, made dense a block at a time.

    Raises
    ------
    DataError : the matrix is stored by columns, so that rows cannot be read one after the other.
    """

    def __init__(self, group: h5py.Group, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self.key = group.name.strip("/")
        layout = group.attrs.get("encoding-type", group.attrs.get("h5sparse_format", "csr"))
        shape = group.attrs.get("shape", group.attrs.get("h5sparse_shape"))
        if "csr" not in str(layout) or shape is None:
            raise DataError(
                f"{path}: the sparse matrix '{self.key}' is not in row order; convert it to csr or dense"
            )
        self.n_rows, self._width = map(int, shape)
        self._dtype = group["data"].dtype
        self.fields = tuple(field_of(name, self._dtype) for name in column_names(group, self._width))
        self._home = group.parent.name

    @contextmanager
    def slices(self, which: Sequence[int]) -> Iterator[Slicer]:
        names = [self.fields[i].name for i in which]
        with opened(self.path) as file:
            data, indices, indptr = (file[self.key][part] for part in ("data", "indices", "indptr"))

            def read(start: int, stop: int) -> NDArray[np.float64]:
                bounds = indptr[start : stop + 1]
                low, high = int(bounds[0]), int(bounds[-1])
                rows = sparse.csr_matrix(
                    (data[low:high], indices[low:high], bounds - bounds[0]), shape=(stop - start, self._width)
                )
                return as_float64(rows[:, list(which)].toarray(), names, self.where)

            yield read

    def untouched(self, name: str) -> NDArray[Any]:
        for position, field in enumerate(self.fields):
            if field.name == name:
                return np.concatenate(list(self.blocks([position], 65536)))[:, 0].astype(self._dtype)
        with opened(self.path) as file:
            return carried_dataset(file, self._home, name, self)
