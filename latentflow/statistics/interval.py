"""An estimate with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from latentflow.statistics.records import Result


@dataclass(frozen=True)
class Interval(Result):
    """An estimate with the bounds of its 95 % confidence interval, all in the same unit (mostly nats)."""

    estimate: Annotated[float, "The estimate."]
    low: Annotated[float, "Lower bound of the 95 % interval."]
    high: Annotated[float, "Upper bound of the 95 % interval."]

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return 0.5 * (self.high - self.low)

    def excludes(self, value: float = 0.0) -> bool:
        """Whether ``value`` lies outside the interval."""
        return not self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"
