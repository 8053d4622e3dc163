"""What the verification of a bijection finds, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from latentflow.statistics.records import Result


@dataclass(frozen=True)
class Quantiles(Result):
    """Of one figure over rows; each is a value that some row has, infinity where it has no finite one."""

    n: Annotated[int, "Rows that have the figure."]
    median: Annotated[float, "Quantiles at 50, 90, 99 and 99.9 %, and the largest."]
    q90: float
    q99: float
    q999: float
    maximum: float
    at: Annotated[int, "The row of the maximum."]

    @classmethod
    def of(cls, values: NDArray[np.float64], index: NDArray[np.intp]) -> Quantiles | None:
        """Of the values (n,) of rows at these positions (n,), NaN where a row was not looked at; None without any."""
        known = ~np.isnan(values)
        if not known.any():
            return None
        values, index = values[known], index[known]
        median, q90, q99, q999 = np.quantile(values, [0.5, 0.9, 0.99, 0.999], method="higher").tolist()
        worst = int(values.argmax())
        return cls(len(values), median, q90, q99, q999, float(values[worst]), int(index[worst]))


@dataclass(frozen=True)
class Row(Result):
    """One row, with what is known of it."""

    index: Annotated[int, "Its position."]
    latent_residual: Annotated[float, "As in :class:`Trip`."]
    data_error: float | None
    condition: float | None


@dataclass(frozen=True)
class Trip(Result):
    """One direction of going there and back; positions of rows are those in the file, of draws those of their order."""

    n: Annotated[int, "Rows or draws."]
    latent_residual: Annotated[
        Quantiles, "max |E(D(z)) − z|, in units of the latents (standard deviation 1)."
    ]
    data_error: Annotated[
        Quantiles | None, "max |D(E(x)) − x|, in whitened units; None for draws, which start from no data."
    ]
    scaled_error: Annotated[Quantiles | None, "The data error over the condition number of the row."]
    condition: Annotated[
        Quantiles | None, "Largest over smallest singular value of the Jacobian of the encoder."
    ]
    log_det_difference: Annotated[
        Quantiles | None,
        "|log|det| of the discrete map − the continuous one|, nats. None for draws, and in many dimensions, where the "
        "continuous one is an estimate.",
    ]
    lost: Annotated[
        tuple[int, ...],
        "Rows whose latents, or what these are decoded to, or the encoding of that, are not finite.",
    ]
    not_inverted: Annotated[tuple[int, ...], "Rows whose latent residual is above the tolerance."]
    not_restored: Annotated[
        tuple[int, ...],
        "Rows whose data error exceeds the tolerance; in single precision, data error over condition number.",
    ]
    folded: Annotated[tuple[int, ...], "Rows at which the determinant of the encoder is not positive."]
    worst: Annotated[tuple[Row, ...], "The worst first."]

    @property
    def failed(self) -> tuple[int, ...]:
        """Positions of all that fail in one way or another, ascending."""
        return tuple(sorted({*self.lost, *self.not_inverted, *self.not_restored, *self.folded}))

    @property
    def determinants(self) -> int:
        """At how many the determinant was looked at."""
        return 0 if self.condition is None else self.condition.n


@dataclass(frozen=True)
class ColumnError(Result):
    """How far one column is from itself after the way there and back."""

    name: Annotated[str, "Its name."]
    maximum: Annotated[float, "Largest |restored − original|, in the column's own units."]
    in_deviations: Annotated[float, "The same in standard deviations of its rows."]


@dataclass(frozen=True)
class WitnessAgreement(Result):
    """How far the latents of a model are from those of an independent solver."""

    solver: Annotated[str, "torchdiffeq's, adaptive, in double precision."]
    tolerance: Annotated[float, "Of its steps, relative and absolute."]
    distance: Annotated[Quantiles, "‖z − z*‖ of evenly spaced rows, z* the latents of the witness."]
    mean_distance: Annotated[float, "The mean of it, which the accuracy is about."]
    accuracy: Annotated[float | None, "That the fit asked for; None where the model does not say."]


@dataclass(frozen=True)
class Verification(Result):
    """What a whole table shows of the bijection."""

    dtype: Annotated[str, "The precision in which the flow was integrated."]
    tolerance: Annotated[float, "Largest latent residual and data error with which a row passes."]
    evaluations: Annotated[int, "Of the denoiser, for one encoding."]
    data: Annotated[Trip, "data → latents → data."]
    draws: Annotated[Trip, "N(0, I) → whitened rows → latents."]
    columns: Annotated[
        tuple[ColumnError, ...],
        "In the user's units; values of lattices, constants and atoms come back to the last bit.",
    ]
    exact_rows: Annotated[int, "Rows of which every value came back to the last bit."]
    passed: Annotated[bool, "Whether no row and no draw fails."]
    witness: Annotated[
        WitnessAgreement | None,
        "The latents beside those of an independent solver; None where that was not asked for. Nothing fails by it.",
    ] = None
