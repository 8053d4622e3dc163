"""What the verification of a bijection finds, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentflow.statistics.interval import Result


@dataclass(frozen=True)
class Quantiles(Result):
    """Of one figure over rows; each is a value that some row has, infinity where it has no finite one.

    Attributes
    ----------
    n : int
        Rows that have the figure.
    median, q90, q99, q999, maximum : float
        Quantiles at 50, 90, 99 and 99.9 %, and the largest.
    at : int
        The row of the maximum.
    """

    n: int
    median: float
    q90: float
    q99: float
    q999: float
    maximum: float
    at: int

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
    """One row, with what is known of it.

    Attributes
    ----------
    index : int
        Its position.
    latent_residual : float
        As in :class:`Trip`.
    data_error, condition : float or None
        As in :class:`Trip`.
    """

    index: int
    latent_residual: float
    data_error: float | None
    condition: float | None


@dataclass(frozen=True)
class Trip(Result):
    """One direction of going there and back; positions of rows are those in the file, of draws those of their order.

    Attributes
    ----------
    n : int
        Rows or draws.
    latent_residual : Quantiles
        max |E(D(z)) − z|, in units of the latents (standard deviation 1).
    data_error : Quantiles or None
        max |D(E(x)) − x|, in whitened units; None for draws, which start from no data.
    scaled_error : Quantiles or None
        The data error over the condition number of the row.
    condition : Quantiles or None
        Largest over smallest singular value of the Jacobian of the encoder.
    log_det_difference : Quantiles or None
        |log|det| of the discrete map − the continuous one|, nats. None for draws, and in many dimensions, where the
        continuous one is an estimate.
    lost : tuple of int
        Rows whose latents, or what these are decoded to, or the encoding of that, are not finite.
    not_inverted : tuple of int
        Rows whose latent residual is above the tolerance.
    not_restored : tuple of int
        Rows whose data error exceeds the tolerance; in single precision, data error over condition number.
    folded : tuple of int
        Rows at which the determinant of the encoder is not positive.
    worst : tuple of Row
        The worst first.
    """

    n: int
    latent_residual: Quantiles
    data_error: Quantiles | None
    scaled_error: Quantiles | None
    condition: Quantiles | None
    log_det_difference: Quantiles | None
    lost: tuple[int, ...]
    not_inverted: tuple[int, ...]
    not_restored: tuple[int, ...]
    folded: tuple[int, ...]
    worst: tuple[Row, ...]

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
    """How far one column is from itself after the way there and back.

    Attributes
    ----------
    name : str
    maximum : float
        Largest |restored − original|, in the column's own units.
    in_deviations : float
        The same in standard deviations of its rows.
    """

    name: str
    maximum: float
    in_deviations: float


@dataclass(frozen=True)
class WitnessAgreement(Result):
    """How far the latents of a model are from those of an independent solver.

    Attributes
    ----------
    solver : str
        torchdiffeq's, adaptive, in double precision.
    tolerance : float
        Of its steps, relative and absolute.
    distance : Quantiles
        ‖z − z*‖ of evenly spaced rows, z* the latents of the witness.
    mean_distance : float
        The mean of it, which the accuracy is about.
    accuracy : float or None
        That the fit asked for; None where the model does not say.
    """

    solver: str
    tolerance: float
    distance: Quantiles
    mean_distance: float
    accuracy: float | None


@dataclass(frozen=True)
class Verification(Result):
    """What a whole table shows of the bijection.

    Attributes
    ----------
    dtype : str
        The precision in which the flow was integrated.
    tolerance : float
        Largest latent residual and data error with which a row passes.
    evaluations : int
        Of the denoiser, for one encoding.
    data : Trip
        data → latents → data.
    draws : Trip
        N(0, I) → whitened rows → latents.
    columns : tuple of ColumnError
        In the user's units; values of lattices, constants and atoms come back to the last bit.
    exact_rows : int
        Rows of which every value came back to the last bit.
    passed : bool
        Whether no row and no draw fails.
    witness : WitnessAgreement or None
        The latents beside those of an independent solver; None where that was not asked for. Nothing fails by it.
    """

    dtype: str
    tolerance: float
    evaluations: int
    data: Trip
    draws: Trip
    columns: tuple[ColumnError, ...]
    exact_rows: int
    passed: bool
    witness: WitnessAgreement | None = None
