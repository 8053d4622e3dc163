"""An estimate with its 95 % interval, and how results become plain JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

ARRAY_DIGITS = 6  # significant digits of array entries in JSON; scalars keep full precision


class Result:
    """Base of every frozen result: ``to_dict`` gives what ``json.dumps(..., allow_nan=False)`` accepts."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings, ints, floats, booleans and None; non-finite numbers become
        None.

        Entries of arrays are rounded to six significant digits, which halves the file; scalars are not.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: plain(getattr(self, field.name)) for field in fields}


@dataclasses.dataclass(frozen=True)
class Interval(Result):
    """An estimate with the bounds of its 95 % confidence interval, all in the same unit (mostly nats)."""

    estimate: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return 0.5 * (self.high - self.low)

    def excludes(self, value: float = 0.0) -> bool:
        """Whether ``value`` lies outside the interval."""
        return not self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


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


def _rounded(values: np.ndarray) -> np.ndarray:
    """Floats rounded to ``ARRAY_DIGITS`` significant digits; other arrays as they are."""
    if not np.issubdtype(values.dtype, np.floating):
        return values
    flat = [float(f"{entry:.{ARRAY_DIGITS}g}") for entry in values.astype(np.float64).ravel()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)
