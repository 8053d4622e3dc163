"""Rows of a Parquet file, batch by batch (needs pyarrow, the extra `parquet`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentflow.data.source import Field, Source, as_float64, as_text, position_of, unique_names
from latentflow.errors import DataError

_EXACT_DECIMAL_DIGITS = 15


def import_pyarrow() -> Any:
    """The pyarrow module with its Parquet part; DataError naming the extra when it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError("Parquet files need pyarrow: pip install '.[parquet]'") from None
    return pyarrow


class ParquetSource(Source):
    """Columns of a Parquet file; the stored index of a data frame is not a column.

    Raises
    ------
    DataError : pyarrow is missing, or the file is not Parquet.
    """

    key = ""

    def __init__(self, path: Path) -> None:
        self._arrow = import_pyarrow()
        self.path = path
        self.where = str(path)
        with self._opened() as file:
            schema = file.schema_arrow
            self.n_rows = file.metadata.num_rows
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        self._places = [i for i, name in enumerate(schema.names) if name not in index]
        names = unique_names(schema.names[i] for i in self._places)
        self.fields = tuple(
            self._field(name, schema.types[i]) for name, i in zip(names, self._places, strict=True)
        )

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with self._arrow.parquet.ParquetFile(self.path) as file:
                yield file
        except (self._arrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{self.path} is not a readable Parquet file: {reason}") from None

    def _field(self, name: str, kind: Any) -> Field:
        types = self._arrow.types
        if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
            return Field.of(name, np.dtype(kind.to_pandas_dtype()))
        if types.is_decimal(kind) and kind.precision <= _EXACT_DECIMAL_DIGITS:
            return Field.of(name, np.dtype(np.float64))
        if types.is_string(kind) or types.is_large_string(kind):
            return Field(name, np.dtype(object), "text")
        return Field(name, np.dtype(object), "dates" if types.is_temporal(kind) else str(kind))

    def _batches(self, which: Sequence[int], rows: int) -> Iterator[list[Any]]:
        with self._opened() as file:
            stored = file.schema_arrow.names
            wanted = [stored[self._places[i]] for i in which]
            # Selection by name cannot tell apart columns of one name: then all are read and picked by place.
            by_place = len(set(stored)) < len(stored)
            for batch in file.iter_batches(batch_size=rows, columns=None if by_place else wanted):
                if by_place:
                    yield [batch.column(self._places[i]) for i in which]
                else:
                    yield [batch.column(name) for name in wanted]

    def blocks(self, which: Sequence[int], rows: int) -> Iterator[NDArray[np.float64]]:
        names = [self.fields[i].name for i in which]
        for columns in self._batches(which, rows):
            yield np.column_stack(
                [self._numbers(column, name) for column, name in zip(columns, names, strict=True)]
            )

    def _numbers(self, column: Any, name: str) -> NDArray[np.float64]:
        if self._arrow.types.is_decimal(column.type):
            column = column.cast(self._arrow.float64())
        present = column.drop_null().to_numpy(zero_copy_only=False)
        out = np.full(len(column), np.nan)
        out[column.is_valid().to_numpy(zero_copy_only=False)] = as_float64(
            present[:, None], [name], self.where
        )[:, 0]
        return out

    def untouched(self, name: str) -> NDArray[Any]:
        position = position_of(name, self.fields, self.where)
        pieces = [
            column.to_pandas().to_numpy() if column.null_count == 0 else _with_none(column)
            for (column,) in self._batches([position], 65536)
        ]
        values = np.concatenate(pieces)
        return as_text(values) if self.fields[position].holds == "text" and None not in values else values


def _with_none(column: Any) -> NDArray[Any]:
    out = np.empty(len(column), dtype=object)
    out[:] = column.to_pylist()
    return out
