"""Frozen result records: what their fields mean, said once beside each field, and how they become plain JSON."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import textwrap
from collections.abc import Mapping
from itertools import groupby
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

import numpy as np

ARRAY_DIGITS = 6  # significant digits of array entries in JSON; scalars keep full precision


@dataclasses.dataclass(frozen=True)
class Described:
    """Neighbouring fields of a record that one text stands for.

    Attributes
    ----------
    names : tuple of str
    types : tuple of type
        Annotation of each, without its text.
    words : str
        What they mean, with shapes and units, in the markup of docstrings.
    json : str
        How they read in JSON, where their types do not say so; else empty.
    """

    names: tuple[str, ...]
    types: tuple[Any, ...]
    words: str
    json: str


class Result:
    """Base of every frozen result: ``to_dict`` gives what ``json.dumps(..., allow_nan=False)`` accepts.

    A subclass is a dataclass whose fields carry their meaning, ``estimate: Annotated[float, "The estimate, nats."]``;
    a field without words shares those of the field above it. The docstring gets its section "Attributes" from them.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or '')}\n\n{_attributes(cls)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings, ints, floats, booleans and None; non-finite numbers become
        None.

        Entries of arrays are rounded to six significant digits, which halves the file; scalars are not.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: plain(getattr(self, field.name)) for field in fields}


def described(record: type[Result]) -> list[Described]:
    """The fields of a record in its own order, those that share a text together."""
    fields, words, json = [], "", ""
    for name, hint in get_type_hints(record, localns={record.__name__: record}, include_extras=True).items():
        if get_origin(hint) is ClassVar:
            continue
        if get_origin(hint) is Annotated:
            hint, words, json = (*get_args(hint), "")[:3]
        fields.append((name, hint, words, json))
    runs = (list(run) for _, run in groupby(fields, key=lambda field: field[2]))
    return [
        Described(tuple(field[0] for field in run), tuple(field[1] for field in run), *run[0][2:])
        for run in runs
    ]


def plain(value: Any) -> Any:
    """``value`` as JSON-able Python: results and mappings to dicts, arrays to lists, NaN to None."""
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(_rounded(value).tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str):
        return value
    return str(value)


def _attributes(record: type[Result]) -> str:
    """The section "Attributes" of a numpy-style docstring."""
    lines = ["Attributes", "----------"]
    for fields in described(record):
        # names of types without their modules
        types = dict.fromkeys(
            re.sub(r"\b(?:\w+\.)+", "", inspect.formatannotation(kind)) for kind in fields.types
        )
        lines.append(f"{', '.join(fields.names)} : {', '.join(types)}")
        lines += textwrap.wrap(fields.words, 116, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Floats rounded to ``ARRAY_DIGITS`` significant digits; other arrays as they are."""
    if not np.issubdtype(values.dtype, np.floating):
        return values
    flat = [float(f"{entry:.{ARRAY_DIGITS}g}") for entry in values.astype(np.float64).ravel()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)
