"""Writing a table beside its destination, block by block, and putting it in place only when it is whole."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, DTypeLike, NDArray

from latentflow.data.atomic import replacing
from latentflow.data.hdf5 import HDF5_SUFFIXES, MAIN_KEY_ATTRIBUTE
from latentflow.data.parquet import import_pyarrow
from latentflow.data.source import as_text, default_names, unique_names
from latentflow.data.text_layout import is_number
from latentflow.errors import DataError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_CHUNK_BYTES = 2**20
_POUR_ROWS = 16384
_SPARE_BYTES = 2**18
WRITABLE_SUFFIXES = (*HDF5_SUFFIXES, *_DELIMITERS, ".parquet", ".npy")


class TableWriter:
    """Context manager that writes a table to a file; the suffix names the format.

    Rows are gathered in an HDF5 file beside the destination. On a clean exit that file is put in the place of
    `path`, or poured into the format asked for; after an error nothing is left behind, and a file that was at
    `path` stays as it was.

    HDF5: the rows in the dataset `key`, of shape (n, d) or (n, *sample_shape), with the column names in its
    attribute "columns", every extra in a dataset beside it, `attrs` on the root. CSV, TSV and Parquet: extras
    are further columns; only Parquet keeps `attrs`. NPY: the rows alone.

    Parameters
    ----------
    path : .h5 (.hdf5, .hdf, .h5ad), .csv, .tsv, .parquet or .npy
    columns : names of the d columns
    key : name of the main dataset in HDF5
    dtype : stored type; integers and booleans are stored exactly or refused
    sample_shape : shape of one row's sample, whose size is d
    attrs : provenance (str, int or float)

    Raises
    ------
    DataError : the format is unknown, the folder does not exist or cannot be written, a value does not fit
        `dtype`, rows and extras differ in number, or no rows were written.
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str],
        *,
        key: str = "X",
        dtype: DTypeLike = np.float64,
        sample_shape: tuple[int, ...] | None = None,
        attrs: Mapping[str, str | int | float] | None = None,
    ) -> None:
        self.path = Path(path)
        self.columns = tuple(columns)
        self.key = key
        self.dtype = np.dtype(dtype)
        self.sample_shape = sample_shape
        self.n_rows = 0
        self._attrs = dict(attrs or {})
        self._suffix = self.path.suffix.lower()
        self._gathered = self.path.with_name(f".{self.path.name}.{os.getpid()}.h5")
        self._extras: list[str] = []
        if self._suffix not in WRITABLE_SUFFIXES:
            raise DataError(
                f"{self.path}: cannot write this format; use one of {' '.join(WRITABLE_SUFFIXES)}"
            )
        if self._suffix == ".parquet":
            import_pyarrow()
        if sample_shape is not None and int(np.prod(sample_shape)) != len(self.columns):
            raise DataError(
                f"{self.path}: {len(self.columns)} columns do not fill samples of shape {sample_shape}"
            )

    @property
    def takes_extras(self) -> bool:
        """Whether the format has room for anything beside the main rows."""
        return self._suffix != ".npy"

    def __enter__(self) -> Self:
        if self.path.is_dir():
            raise DataError(f"{self.path} is a folder")
        if not self.path.parent.is_dir():
            raise DataError(f"{self.path}: the folder {self.path.parent} does not exist")
        try:
            # The file format of HDF5 1.8 lifts the limit of 64 KiB for the attribute with the column names.
            self._file = h5py.File(self._gathered, "w", libver=("v108", "latest"), track_order=True)
        except OSError as error:
            raise DataError(f"{self.path} cannot be written: {os.strerror(error.errno or 5)}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except DataError:
            raise
        except (OSError, ValueError, TypeError) as failure:
            # What h5py cannot store is a ValueError or a TypeError.
            raise DataError(f"{self.path} cannot be written: {str(failure).splitlines()[0]}") from None
        finally:
            self._file.close()
            with contextlib.suppress(OSError):
                self._gathered.unlink(missing_ok=True)

    def write(self, chunk: ArrayLike) -> None:
        """Append rows, (m, d), to the main table."""
        rows = np.asarray(chunk)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise DataError(f"{self.path}: rows of shape {rows.shape} do not fit {len(self.columns)} columns")
        stored = _cast(rows, self.dtype, self.columns, self.path)
        if self.sample_shape is not None:
            stored = stored.reshape(len(stored), *self.sample_shape)
        self._append(self.key, stored)
        self.n_rows += len(rows)

    def write_extra(self, name: str, chunk: ArrayLike) -> None:
        """Append values, (m,) or (m, k), to a further dataset or column, of the type of the first chunk.

        Text is stored as UTF-8 (what is missing as ""), dates as ISO 8601 text.
        """
        if not self.takes_extras:
            raise DataError(
                f"{self.path}: a .npy file has no room for '{name}' beside the rows; write .h5 instead"
            )
        if name == self.key:
            raise DataError(
                f"{self.path}: '{name}' is the name of the main dataset; carry it under another name"
            )
        if name not in self._extras:
            self._extras.append(name)
        self._append(name, _storable(np.asarray(chunk)))

    def _append(self, name: str, values: NDArray[Any]) -> None:
        # HDF5 does not survive a full disk (closing the file ends the process), so it must not come to that.
        if shutil.disk_usage(self.path.parent).free < 2 * values.nbytes + _SPARE_BYTES:
            raise DataError(f"{self.path} cannot be written: no space left on the device")
        try:
            if name not in self._file:
                dtype = h5py.string_dtype() if values.dtype == object else values.dtype
                row_bytes = max(1, dtype.itemsize * int(np.prod(values.shape[1:])))
                rows = max(1, min(len(values), _CHUNK_BYTES // row_bytes))
                dataset = self._file.create_dataset(
                    name,
                    shape=(0, *values.shape[1:]),
                    maxshape=(None, *values.shape[1:]),
                    chunks=(rows, *values.shape[1:]),
                    dtype=dtype,
                )
            dataset = self._file[name]
            start = len(dataset)
            dataset.resize(start + len(values), axis=0)
            dataset[start:] = values
            self._file.flush()
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise DataError(
                f"{self.path}: '{name}' cannot be written: {str(error).splitlines()[0]}"
            ) from None

    def _finish(self) -> None:
        if self.n_rows == 0:
            raise DataError(f"{self.path}: there are no rows to write")
        for name in self._extras:
            if len(self._file[name]) != self.n_rows:
                raise DataError(
                    f"{self.path}: '{name}' has {len(self._file[name])} entries for {self.n_rows} rows"
                )
        if self._suffix in HDF5_SUFFIXES:
            self._file[self.key].attrs["columns"] = np.array(self.columns, dtype=h5py.string_dtype())
            self._file.attrs[MAIN_KEY_ATTRIBUTE] = self.key
            self._file.attrs.update(self._attrs)
            self._file.close()
            os.replace(self._gathered, self.path)
            return
        with replacing(self.path) as beside:
            if self._suffix == ".npy":
                self._pour_npy(beside)
            elif self._suffix == ".parquet":
                self._pour_parquet(beside)
            else:
                self._pour_text(beside, _DELIMITERS[self._suffix])

    def _pour_npy(self, path: Path) -> None:
        source = self._file[self.key]
        with path.open("wb") as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": source.shape,
            }
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, self.n_rows, _POUR_ROWS):
                file.write(source[start : start + _POUR_ROWS].tobytes())

    def _pour_text(self, path: Path, delimiter: str) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            names = self._flat_names()
            # Names that are all numbers, or start like a comment, are told from data by their quotes.
            doubtful = names[0].startswith("#") or all(is_number(name, ".") for name in names)
            quoted = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
            (quoted if doubtful else writer).writerow(names)
            for columns in self._flat_columns():
                writer.writerows(zip(*(column.tolist() for column in columns), strict=True))

    def _pour_parquet(self, path: Path) -> None:
        arrow = import_pyarrow()
        names = self._flat_names()
        writer = None
        try:
            for columns in self._flat_columns():
                table = arrow.table([arrow.array(column) for column in columns], names=names)
                if writer is None:
                    texts = {name: str(value) for name, value in self._attrs.items()}
                    schema = table.schema.with_metadata(texts)
                    writer = arrow.parquet.ParquetWriter(path, schema)
                writer.write_table(table.cast(schema))
        finally:
            if writer is not None:
                writer.close()

    def _flat_names(self) -> list[str]:
        names = list(self.columns)
        for extra in self._extras:
            width = int(np.prod(self._file[extra].shape[1:]))
            plain = self._file[extra].ndim == 1
            names += (
                [extra]
                if plain
                else [f"{extra}{label.removeprefix('column')}" for label in default_names(width)]
            )
        return unique_names(names)

    def _flat_columns(self) -> Iterator[list[NDArray[Any]]]:
        """All columns, the main ones first, a block of rows at a time."""
        for start in range(0, self.n_rows, _POUR_ROWS):
            columns: list[NDArray[Any]] = []
            for name in (self.key, *self._extras):
                dataset = self._file[name]
                text = h5py.check_string_dtype(dataset.dtype) is not None
                block = (dataset.asstr() if text else dataset)[start : start + _POUR_ROWS]
                columns.extend(block.reshape(len(block), -1).T)
            yield columns


def read_attribute(path: Path, name: str) -> str | None:
    """What `TableWriter` noted about a whole HDF5 or Parquet file under a name; None where it noted nothing."""
    if path.suffix.lower() == ".parquet" and path.is_file():
        noted = (import_pyarrow().parquet.read_schema(path).metadata or {}).get(name.encode())
        return None if noted is None else noted.decode()
    if not path.is_file() or not h5py.is_hdf5(path):
        return None
    with h5py.File(path) as file:
        value = file.attrs.get(name)
    return None if value is None else str(value)


def _cast(rows: NDArray[Any], dtype: np.dtype[Any], columns: Sequence[str], path: Path) -> NDArray[Any]:
    """Rows in the stored type; integers and booleans exactly, floats without overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        stored = rows.astype(dtype)
    exact = dtype.kind in "iub"
    lost = stored != rows if exact else np.isfinite(rows) & ~np.isfinite(stored)
    if lost.any():
        row, column = np.argwhere(lost)[0]
        raise DataError(
            f"{path}: {rows[row, column]} in column '{columns[column]}' cannot be stored as {dtype.name}"
        )
    return stored


def _storable(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they are; text, dates and objects as an object array of str."""
    if values.dtype.kind in "biuf":
        return values
    if values.dtype.kind in "mM":
        return np.where(np.isnat(values), "", values.astype(str)).astype(object)
    text = as_text(values)
    for place, value in np.ndenumerate(values):
        if value is None or value is pd.NA or value != value:
            text[place] = ""
    return text
