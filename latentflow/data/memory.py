"""Tables that are in memory, or mapped into it: numpy arrays, .npy files, pandas data frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentflow.data.source import (
    Field,
    SlicedSource,
    Slicer,
    as_float64,
    as_text,
    default_names,
    position_of,
    unique_names,
)
from latentflow.errors import DataError


class ArraySource(SlicedSource):
    """Rows of a numpy array: (n, d), (n, a, b, ...) flattened, (n,) one column, or a record array."""

    key = ""

    def __init__(self, array: NDArray[Any], where: str, names: Sequence[str] | None = None) -> None:
        if array.ndim == 0:
            raise DataError(f"{where}: not a table; expected an array of rows by columns")
        self.where = where
        self.array = array
        self.n_rows = len(array)
        if array.dtype.names is not None:
            if array.ndim > 1:
                raise DataError(
                    f"{where}: records in {array.ndim} dimensions are not a table; expected one record a row"
                )
            stored = array.dtype.names
            self.fields = tuple(
                Field.of(name, array.dtype[label])
                for name, label in zip(unique_names(stored), stored, strict=True)
            )
            return
        width = int(np.prod(array.shape[1:]))
        if names is not None and len(names) != width:
            raise DataError(f"{where}: {len(names)} column names for {width} columns")
        self.sample_shape = array.shape[1:] if array.ndim > 2 else None
        self.fields = tuple(
            Field.of(name, array.dtype) for name in unique_names(names or default_names(width))
        )

    @contextmanager
    def slices(self, which: Sequence[int]) -> Iterator[Slicer]:
        names = [self.fields[i].name for i in which]
        labels = self.array.dtype.names

        def read(start: int, stop: int) -> NDArray[np.float64]:
            rows = self.array[start:stop]
            if labels is None:
                return as_float64(rows.reshape(stop - start, -1)[:, list(which)], names, self.where)
            columns = [as_float64(rows[labels[i]][:, None], [self.fields[i].name], self.where) for i in which]
            return np.hstack(columns)

        yield read

    def untouched(self, name: str) -> NDArray[Any]:
        position = position_of(name, self.fields, self.where)
        if self.array.dtype.names is not None:
            column = np.array(self.array[self.array.dtype.names[position]])
        else:
            column = np.array(self.array.reshape(self.n_rows, -1)[:, position])
        return as_text(column) if column.dtype.kind in "SU" else column


class FrameSource(SlicedSource):
    """Rows of a pandas data frame; its index is not a column."""

    key = ""

    def __init__(self, frame: pd.DataFrame, where: str) -> None:
        self.where = where
        self.frame = frame
        self.n_rows = len(frame)
        names = unique_names(frame.columns)
        self.fields = tuple(_frame_field(name, frame.iloc[:, i]) for i, name in enumerate(names))

    @contextmanager
    def slices(self, which: Sequence[int]) -> Iterator[Slicer]:
        def read(start: int, stop: int) -> NDArray[np.float64]:
            part = self.frame.iloc[start:stop]
            return np.column_stack(
                [numeric_values(part.iloc[:, i], self.fields[i].name, self.where) for i in which]
            )

        yield read

    def untouched(self, name: str) -> NDArray[Any]:
        values = self.frame.iloc[:, position_of(name, self.fields, self.where)]
        if isinstance(values.dtype, np.dtype):
            return values.to_numpy(copy=True)
        # Extension types come back as plain numpy where that loses nothing, and else as Python objects.
        plain = pd.api.types.is_numeric_dtype(values.dtype) and not values.isna().any()
        return values.to_numpy() if plain else values.to_numpy(dtype=object)


def numeric_values(values: pd.Series[Any], name: str, where: str) -> NDArray[np.float64]:
    """Numeric pandas column as float64, with NaN where it has no value; DataError where that is not exact."""
    if isinstance(values.dtype, np.dtype):
        return as_float64(values.to_numpy()[:, None], [name], where)[:, 0]
    # The values that are present are looked at as stored: a missing one would turn integers to floats first.
    present = values.dropna().to_numpy(dtype=getattr(values.dtype, "numpy_dtype", np.float64))
    out = np.full(len(values), np.nan)
    out[values.notna().to_numpy()] = as_float64(present[:, None], [name], where)[:, 0]
    return out


def _frame_field(name: str, values: pd.Series[Any]) -> Field:
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return Field.of(name, dtype)
    numeric = pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)
    if numeric and not isinstance(dtype, pd.CategoricalDtype):
        return Field.of(name, np.dtype(getattr(dtype, "numpy_dtype", np.float64)))
    if isinstance(dtype, pd.CategoricalDtype):
        return Field(name, np.dtype(object), "categories")
    if isinstance(dtype, pd.DatetimeTZDtype):
        return Field(name, np.dtype(object), "dates")
    return Field(name, np.dtype(object), "text" if pd.api.types.is_string_dtype(dtype) else str(dtype))


def open_npy(path: Path) -> ArraySource:
    """Map a .npy file into memory (nothing is unpickled).

    Raises
    ------
    DataError : not a .npy file, damaged, or it holds Python objects.
    """
    try:
        return ArraySource(np.lib.format.open_memmap(path, mode="r"), str(path))
    except DataError:
        raise
    except (ValueError, OSError, EOFError) as error:
        if "Python objects" in str(error):
            raise DataError(f"{path} holds Python objects, which are never unpickled; save numbers") from None
        if "empty file" in str(error):
            raise DataError(f"{path} has no rows") from None
        raise DataError(f"{path} is not a readable .npy file: {str(error).splitlines()[0]}") from None
