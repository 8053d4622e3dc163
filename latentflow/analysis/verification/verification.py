"""Does every row come back? A table through a fitted flow and back, and N(0, I) draws the other way.

The decoder solves for the pre-image of the encoder's discrete map E. Of each row this measures, anew and not by what
the decoder says of itself, the latent residual max |E(D(z)) − z| and the data error max |D(E(x)) − x| in whitened
units (standard deviations along the principal axes), and the Jacobian J = ∂E/∂x by forward differentiation of the same
steps: det J > 0 where the map does not fold, its condition number, by which rounding of z may grow on the way back, and
log|det J| next to the integral of the trace (Chen et al. 2018, arXiv 1806.07366, theorem 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.analysis.verification.results import ColumnError, Quantiles, Row, Trip, Verification
from latentflow.analysis.verification.witness import WitnessedRows
from latentflow.errors import DataError, PreprocessingError
from latentflow.flow.latent_map import LatentMap
from latentflow.flow.probability_flow import EXACT_TRACE_DIMENSION
from latentflow.model.tables import open_for
from latentflow.score.tensors import as_array
from latentflow.statistics.thinning import thin

Floats = NDArray[np.float64]
Blocks = Iterable[tuple[NDArray[np.intp], Floats]]

#: Largest latent residual and data error that pass, by precision.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}
#: Jacobian columns that a verification takes of the rows, and again of the draws, unless it is told how many rows.
TANGENTS = 250_000
#: Rows between two tellings of progress, and numbers of Jacobians held at once.
ROWS_AT_ONCE = 2048
WORST = 5


def verify(
    model: Any,
    X: Any,
    *,
    rows: int | None = None,
    missing: str = "error",
    **settings: Any,
) -> Verification:
    """Send the rows of a table to their latents and back, and as many draws of N(0, I) to rows and back.

    Parameters
    ----------
    model : FittedFlow
    X : path, Table, DataFrame or array (n, D)
        A table with the model's columns, in the user's units.
    rows : int, optional
        So many rows, evenly spaced; by default all.
    missing : {"error", "drop"}
        Whether rows with a missing value are an error or left out.
    **settings
        ``draws``, ``determinants``, ``witness``, ``tolerance``, ``seed`` and ``progress``, as for
        :func:`verify_blocks`.

    Returns
    -------
    Verification

    Raises
    ------
    DataError
        The table has not the columns of the model, a missing value, or no rows.
    PreprocessingError
        A row holds a value that the preprocessor refuses, naming row and column.
    """
    table = open_for(model, X)
    wanted = thin(np.arange(table.n_rows), rows or table.n_rows)

    def chosen() -> Iterator[tuple[NDArray[np.intp], Floats]]:
        for index, block in table.iter_complete(missing=missing):
            here = np.isin(index, wanted, assume_unique=True)
            if here.any():
                yield index[here], block[here]

    return verify_blocks(model, chosen(), n_rows=len(wanted), **settings)


def verify_blocks(
    model: Any,
    blocks: Blocks,
    *,
    n_rows: int,
    draws: int | None = None,
    determinants: int | None = None,
    witness: int | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Send rows to their latents and back, and as many draws of N(0, I) to rows and back.

    Parameters
    ----------
    model : FittedFlow
    blocks : iterable of (positions (m,), rows (m, D))
        Finite rows in the user's units.
    n_rows : int
        About how many there will be; fewer may come.
    draws : int, optional
        By default as many as rows.
    determinants : int, optional
        Rows, and draws, whose Jacobian is taken, evenly spaced; by default all, as long as these are no more than
        :data:`TANGENTS` columns of Jacobians.
    witness : int, optional
        Rows, evenly spaced, whose latents are compared with those of an independent solver; by default none.
    tolerance : float, optional
        Largest latent residual and data error that pass; by default that of the precision in :data:`TOLERANCES`.
    seed : int
        Of the draws.
    progress : callable, optional
        Told how many rows and draws are done.

    Returns
    -------
    Verification

    Raises
    ------
    DataError
        There are no rows.
    PreprocessingError
        A row holds a value that the preprocessor refuses, naming row and column.
    """
    tell = progress or (lambda done: None)
    k = model.preprocessor.n_flow
    wanted = max(1, TANGENTS // k) if determinants is None else determinants
    tolerance = TOLERANCES[model.dtype] if tolerance is None else tolerance
    there, columns = _Figures(k <= EXACT_TRACE_DIMENSION, _stride(n_rows, wanted)), _Columns()
    witnessed = WitnessedRows(model, thin(np.arange(n_rows), witness or 0))
    for index, rows in _parts(blocks):
        _row_trip(model, index, rows, there, columns, witnessed)
        tell(there.n)
    if there.n == 0:
        raise DataError("there are no rows to verify")
    draws = there.n if draws is None else draws
    back, rng = _Figures(False, _stride(draws, wanted)), np.random.default_rng(seed)
    for start in range(0, draws, ROWS_AT_ONCE):
        index = np.arange(start, min(draws, start + ROWS_AT_ONCE))
        _draw_trip(model.flow, index, model.tensor(rng.standard_normal((len(index), k))), back)
        tell(there.n + back.n)
    scaled = model.dtype != torch.float64
    data, drawn = there.trip(tolerance, scaled=scaled), back.trip(tolerance, scaled=scaled)
    return Verification(
        dtype=str(model.dtype).removeprefix("torch."),
        tolerance=tolerance,
        evaluations=model.flow.evaluations,
        data=data,
        draws=drawn,
        columns=columns.errors(model.columns),
        exact_rows=columns.exact,
        passed=not data.failed and not drawn.failed,
        witness=witnessed.agreement(),
    )


@dataclass
class _Figures:
    """The figures of each row, gathered part by part; NaN where a row was not looked at."""

    traces: bool  # whether the continuous log|det| is compared
    stride: int  # of the rows whose Jacobian is taken
    parts: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    n: int = 0

    def add(
        self, flow: LatentMap, index: NDArray[np.intp], x: Tensor, residual: Floats, error: Floats
    ) -> None:
        """Take in rows at x (m, k), with what was measured of them; infinite where x or the figure is not finite."""
        part = {"index": index, "residual": _or_infinite(residual), "error": error}
        picked = np.arange(-self.n % self.stride, len(index), self.stride)
        for name, values in _determinants(
            flow, x[torch.as_tensor(picked, device=x.device)], self.traces
        ).items():
            part[name] = np.full(len(index), np.nan)
            part[name][picked] = values
        self.parts.append(part)
        self.n += len(index)

    def trip(self, tolerance: float, *, scaled: bool) -> Trip:
        """The account of them; ``scaled`` judges the data error over the condition number."""
        every = {name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]}
        index, residual, error = every["index"], every["residual"], every["error"]
        with np.errstate(invalid="ignore"):  # an infinite error over an infinite condition number
            over = error / every["condition"]
        # where no condition number is known the error itself is judged, which is stricter
        judged = np.where(np.isnan(over), error, over) if scaled else error
        lost, folded = np.isinf(residual), every["sign"] <= 0
        # a fold is worse than any error, as it does not vanish with rounding
        worst = np.lexsort((-np.fmax(residual, judged), ~folded, ~lost))[:WORST]
        condition = every["condition"]

        def where(mask: NDArray[np.bool_]) -> tuple[int, ...]:
            return tuple(index[mask].tolist())

        quantiles = Quantiles.of(residual, index)
        assert quantiles is not None  # a residual is never NaN
        return Trip(
            n=len(index),
            latent_residual=quantiles,
            data_error=Quantiles.of(error, index),
            scaled_error=Quantiles.of(over, index),
            condition=Quantiles.of(condition, index),
            log_det_difference=Quantiles.of(every["log_det_difference"], index),
            lost=where(lost),
            not_inverted=where((residual > tolerance) & ~lost),
            not_restored=where((judged > tolerance) & ~lost),
            folded=where(folded & ~lost),
            worst=tuple(
                Row(int(index[i]), float(residual[i]), _known(error[i]), _known(condition[i])) for i in worst
            ),
        )


@dataclass
class _Columns:
    """Errors in the user's units, and the spread of each column, gathered block by block."""

    exact: int = 0
    n: int = 0
    mean: Floats = field(default_factory=lambda: np.zeros(0))
    squares: Floats = field(default_factory=lambda: np.zeros(0))
    maximum: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, original: Floats, restored: Floats) -> None:
        """Take in rows (m, D) and what came back; moments are merged as by Chan, Golub & LeVeque (1983)."""
        if self.n == 0:
            self.mean, self.squares, self.maximum = np.zeros((3, original.shape[1]))
        m, mean = len(original), original.mean(0)
        shift, total = mean - self.mean, self.n + len(original)
        self.squares += ((original - mean) ** 2).sum(0) + shift**2 * (self.n * m / total)
        self.mean += shift * (m / total)
        self.n = total
        self.maximum = np.maximum(self.maximum, np.abs(restored - original).max(0))
        self.exact += int((restored == original).all(1).sum())

    def errors(self, names: tuple[str, ...]) -> tuple[ColumnError, ...]:
        """One for each column; a constant column counts in its own units."""
        deviation = np.sqrt(self.squares / max(1, self.n))
        scaled = self.maximum / np.where(deviation > 0, deviation, 1.0)
        rows = zip(names, self.maximum.tolist(), scaled.tolist(), strict=False)
        return tuple(ColumnError(*row) for row in rows)


def _row_trip(
    model: Any,
    index: NDArray[np.intp],
    rows: Floats,
    figures: _Figures,
    columns: _Columns,
    witnessed: WitnessedRows,
) -> None:
    """Rows (m, D) to latents as they are written, with their orientation, and back."""
    flow, turn, k = model.flow, model.orientation.rotation, model.preprocessor.n_flow
    whitened = _whitened(model.preprocessor, index, rows)
    x = model.tensor(whitened[:, :k])
    with np.errstate(invalid="ignore"):  # rows without finite latents, which are reported
        latents = as_array(flow.encode(x)) @ turn @ turn.T
    witnessed.add(index, x, latents)
    back, residual = _return(flow, model.tensor(latents))
    there = np.isfinite(residual)
    error = np.where(there, np.abs(as_array(back) - whitened[:, :k]).max(1), np.inf)
    figures.add(flow, index, x, residual, error)
    if there.any():
        restored = np.concatenate([as_array(back), whitened[:, k:]], axis=1)[there]
        columns.add(rows[there], model.preprocessor.inverse(restored))


def _whitened(preprocessor: Any, index: NDArray[np.intp], rows: Floats) -> Floats:
    """Rows (m, D) that need not follow each other in their file, whitened (m, d); a refused one is named rightly."""
    try:
        x, _ = preprocessor.forward(rows, first_row=int(index[0]))
    except PreprocessingError:
        for position, row in zip(index.tolist(), rows, strict=True):
            preprocessor.forward(row[None], first_row=position)
        raise
    return np.asarray(x)


def _draw_trip(flow: LatentMap, index: NDArray[np.intp], z: Tensor, figures: _Figures) -> None:
    """Draws (m, k) to whitened rows and back."""
    x, residual = _return(flow, z)
    figures.add(flow, index, x, residual, np.full(len(index), np.nan))


def _return(flow: LatentMap, z: Tensor) -> tuple[Tensor, Floats]:
    """Decoded rows (m, k), and how far their own encoding lies from z (m,): infinity where either is not finite."""
    usable = torch.isfinite(z).all(1)
    x = torch.full_like(z, math.nan)
    if usable.any():
        x[usable] = flow.decode(z[usable])[0]
    decoded = torch.isfinite(x).all(1)
    gap = z.new_full((len(z),), math.inf)
    if decoded.any():
        gap[decoded] = (flow.encode(x[decoded]) - z[decoded]).abs().amax(1)
    return x, _or_infinite(as_array(gap))


def _determinants(flow: LatentMap, x: Tensor, traces: bool) -> dict[str, Floats]:
    """Sign of the determinant, condition number and gap between the two log|det| of rows x (m, k), each (m,)."""
    figures = {name: np.full(len(x), np.nan) for name in ("sign", "condition", "log_det_difference")}
    for here, _, jacobian in flow.jacobian_parts(x):
        jacobian = jacobian.double()
        sound = torch.isfinite(jacobian).all(2).all(1)
        usable = torch.where(sound[:, None, None], jacobian, 0.0)  # what is not finite is as good as singular
        sign, log_det = torch.linalg.slogdet(usable)
        values = torch.linalg.svdvals(usable)
        figures["sign"][here] = as_array(sign)
        figures["condition"][here] = np.nan_to_num(as_array(values[:, 0] / values[:, -1]), nan=np.inf)
        if traces:
            gap = log_det - flow.encode_with_log_det(x[here])[1].double()
            figures["log_det_difference"][here] = _or_infinite(as_array(gap.abs()))
    return figures


def _parts(blocks: Blocks) -> Iterator[tuple[NDArray[np.intp], Floats]]:
    for index, rows in blocks:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            yield index[start : start + ROWS_AT_ONCE], rows[start : start + ROWS_AT_ONCE]


def _stride(n: int, wanted: int) -> int:
    return max(1, math.ceil(n / max(1, wanted)))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _or_infinite(values: Floats) -> Floats:
    """NaN as infinity: what could not be computed is as far off as can be."""
    return np.where(np.isnan(values), np.inf, values)
