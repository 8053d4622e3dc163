"""Tables in text files: comma, semicolon or tab separated, or columns set apart by blanks.

Opening a file reads it from end to end, a piece at a time: that counts the rows, finds lines of the wrong
length and tells which columns are numbers, so that whatever is wrong is said before any work is done.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentflow.data.source import (
    EXACT_INTEGER,
    Field,
    Source,
    as_float64,
    default_names,
    position_of,
    unique_names,
)
from latentflow.data.text_layout import BLANKS, MISSING, is_number, open_text, records, sniff
from latentflow.errors import DataError

_SCAN_ROWS = 65536
_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")


class TextSource(Source):
    """Columns of a text table; see `latentflow.data.text_layout.sniff` for what is taken for a header.

    Blanks around names and before values are dropped, blank lines are skipped. True and false are the numbers
    1 and 0 where a column holds nothing else.

    Raises
    ------
    DataError : the file is empty or not UTF-8 text, or a line has too many or too few values (the message
        names the line).
    """

    key = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        with self._readable():
            self.layout = sniff(path)
            self._refuse_ragged()
        self.n_rows, kinds, large = self._scan()
        names = unique_names(self.layout.names or default_names(self.layout.width))
        big = {position for position in large if self._has_big_integers(position)}
        self.fields = tuple(
            Field(name, np.dtype(object), "integers beyond 2^53") if i in big else _field(name, kinds[i])
            for i, name in enumerate(names)
        )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError:
            raise DataError(f"{self.path} is not UTF-8 text; save it as UTF-8, or as HDF5") from None
        except (csv.Error, pd.errors.ParserError, OSError) as error:
            raise DataError(
                f"{self.path} cannot be read as a table: {str(error).strip().splitlines()[0]}"
            ) from None

    @contextmanager
    def _body(self) -> Iterator[TextIO]:
        """The open file, placed on its first data line."""
        with open_text(self.path) as file:
            for _ in islice(file, self.layout.skip):
                pass
            yield file

    def _refuse_ragged(self) -> None:
        width = self.layout.width
        with self._body() as file:
            for number, cells in records(file, self.layout.delimiter):
                if len(cells) != width:
                    line = number + self.layout.skip
                    raise DataError(
                        f"{self.path}: line {line} has {len(cells)} values where {width} are expected"
                    )

    def _frames(self, rows: int, **options: Any) -> Iterator[pd.DataFrame]:
        """The data lines as data frames of at most `rows` rows, columns labelled by position."""
        if "dtype" not in options and tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
            options["float_precision"] = "round_trip"  # the default parser of older versions is not exact
        blanks = self.layout.delimiter == BLANKS
        with self._readable(), self._body() as file:
            try:
                reader = pd.read_csv(
                    file,
                    sep=self.layout.delimiter,
                    decimal=self.layout.decimal,
                    header=None,
                    names=list(range(self.layout.width)),
                    index_col=False,
                    chunksize=rows,
                    low_memory=False,
                    skipinitialspace=True,
                    quoting=csv.QUOTE_NONE if blanks else csv.QUOTE_MINIMAL,
                    **options,
                )
            except pd.errors.EmptyDataError:
                return  # a header and nothing below it
            with reader:
                yield from reader

    def _scan(self) -> tuple[int, list[set[str]], list[int]]:
        """Row count, kinds of value met in each column, and the columns with numbers of 2**53 or more."""
        n_rows = 0
        kinds: list[set[str]] = [set() for _ in range(self.layout.width)]
        large: set[int] = set()
        for frame in self._frames(_SCAN_ROWS):
            n_rows += len(frame)
            for position in range(self.layout.width):
                kind = _kind(frame[position])
                kinds[position].add(kind)
                if kind in ("integer", "float"):
                    size = np.abs(frame[position].to_numpy(np.float64))
                    if (size[np.isfinite(size)] >= EXACT_INTEGER).any():
                        large.add(position)
        return n_rows, kinds, sorted(large)

    def _cells(self, position: int) -> Iterator[str]:
        """The cells of one column as they are written."""
        for frame in self._frames(_SCAN_ROWS, usecols=[position], dtype=str, keep_default_na=False):
            yield from frame[position]

    def _has_big_integers(self, position: int) -> bool:
        return any(
            _INTEGER.fullmatch(c.strip()) and abs(int(c)) > EXACT_INTEGER for c in self._cells(position)
        )

    def blocks(self, which: Sequence[int], rows: int) -> Iterator[NDArray[np.float64]]:
        for frame in self._frames(rows, usecols=sorted(which)):
            columns = []
            for position in which:
                values = frame[position]
                # Booleans with missing values among them come as objects.
                plain = values.to_numpy() if values.dtype.kind in "biuf" else values.to_numpy(np.float64)
                columns.append(as_float64(plain[:, None], [self.fields[position].name], self.where))
            yield np.hstack(columns)

    def untouched(self, name: str) -> NDArray[Any]:
        return _as_written(list(self._cells(position_of(name, self.fields, self.where))), self.layout.decimal)


def _kind(values: pd.Series[Any]) -> str:
    if values.dtype.kind in "iu":
        return "integer"
    if values.dtype.kind == "f":
        return "empty" if values.isna().all() else "float"
    # Python objects: integers beyond 64 bits, or booleans with missing values among them.
    kind = pd.api.types.infer_dtype(values, skipna=True)
    return kind if kind in ("boolean", "integer") else "text"


def _field(name: str, kinds: set[str]) -> Field:
    if "text" in kinds:
        return Field(name, np.dtype(object), "text")
    if "boolean" in kinds and kinds <= {"boolean", "empty"}:
        return Field.of(name, np.dtype(bool))
    if "boolean" in kinds:
        return Field(name, np.dtype(object), "both numbers and true/false")
    return Field.of(name, np.dtype(np.int64 if kinds == {"integer"} else np.float64))


def _as_written(cells: list[str], decimal: str) -> NDArray[Any]:
    """Cells as int64, float64 or bool where nothing that is written is lost by it, else as str."""
    stripped = [cell.strip() for cell in cells]
    integers = [int(cell) if _INTEGER.fullmatch(cell) else None for cell in stripped]
    canonical = [i is None or str(i) == cell for i, cell in zip(integers, stripped, strict=True)]  # not 007
    sizes = [abs(i) for i in integers if i is not None]
    if all(canonical) and len(sizes) == len(cells) and max(sizes) < 2**63:
        return np.array(integers, dtype=np.int64)
    if all(cell.lower() in ("true", "false") for cell in stripped):
        return np.array([cell.lower() == "true" for cell in stripped])
    if (
        all(canonical)
        and max(sizes, default=0) <= EXACT_INTEGER
        and all(is_number(c, decimal) for c in stripped)
    ):
        return np.array([np.nan if c in MISSING else float(c.replace(decimal, ".")) for c in stripped])
    return np.array(cells, dtype=object)
