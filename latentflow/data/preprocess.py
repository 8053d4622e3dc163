"""From a table to whitened coordinates and back, exactly.

The order is: constant and linearly dependent columns are set aside → tied columns are dequantised (which
gives the *continuous* table, still in the user's units) → heavy tails are squeezed → the whole covariance is
whitened. Every step can be undone: lattice values, atoms, constants and rounded dependent columns come back
to the last bit, continuous ones to float rounding. What could not be undone is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from latentflow.bijection import Chain
from latentflow.data.columns import ColumnTreatment
from latentflow.data.lattice import Floats
from latentflow.data.treatment import TableTreatment
from latentflow.data.whitening import Whitening
from latentflow.errors import LatentFlowError, PreprocessingError

_FORMAT = 1
_TAILS = ("auto", "none", "asinh")


@dataclass(frozen=True)
class Preprocessor:
    """A fitted bijection between a table and its whitened coordinates; made by `fit` or `from_state`.

    Attributes
    ----------
    columns : tuple of str
        All D columns of the table.
    table : TableTreatment
        What is done column by column.
    whitening : Whitening
        Of the d kept columns.
    n_flow : int
        How many of the leading whitened directions the flow lives on; the other d − n_flow are carried.
    warnings : tuple of str
        What the user should know.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 2)).round(1)
    >>> preprocessor = Preprocessor.fit(X, ["a", "b"])
    >>> x, log_det = preprocessor.forward(X)
    >>> bool((preprocessor.inverse(x) == X).all())
    True
    """

    columns: tuple[str, ...]
    table: TableTreatment
    whitening: Whitening
    n_flow: int
    warnings: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        X: ArrayLike,
        columns: Sequence[str],
        *,
        train: ArrayLike | None = None,
        tails: str = "auto",
        components: int | None = None,
        seed: int = 0,
        dtype: DTypeLike = np.float64,
    ) -> Preprocessor:
        """Fit to a table.

        Lattices, atoms, constants and dependence are properties of the table and are found on all its rows;
        the squeezing of tails, means, scales and the covariance are those of the training rows.

        Parameters
        ----------
        X : (n, D)
            The table, in the user's units.
        columns : sequence of D str
        train : (n,) bool or (m,) int, optional
            Training rows; all by default.
        tails : {"auto", "none", "asinh"}
            Where to squeeze heavy tails: where the data call for it, nowhere, or in every column.
        components : int, optional
            Leading whitened directions for the flow; all by default. Fewer are used, with a warning, where
            the training rows do not fix as many.
        seed : int
            Of the deterministic dequantisation.
        dtype : dtype
            In which the table was stored; lattices are recognised, and values restored, at its precision.

        Raises
        ------
        LatentFlowError
            Fewer than two rows, no column that varies, or impossible `components` or `tails`.
        PreprocessingError
            A value that is missing or infinite.
        """
        names = tuple(str(column) for column in columns)
        table = _checked_table(X, names, 0)
        n = len(table)
        if n < 2:
            raise LatentFlowError(f"n_samples = {n}: a flow needs a table of at least two rows")
        if tails not in _TAILS:
            raise LatentFlowError(f"tails must be one of {', '.join(_TAILS)}, not {tails!r}")
        if components is not None and not 1 <= components <= len(names):
            raise LatentFlowError(
                f"--components (n_components) is {components}; it must lie between 1 and {len(names)}"
            )
        floating = np.issubdtype(np.dtype(dtype), np.floating)
        precision = np.dtype(dtype).name if floating and np.dtype(dtype).itemsize < 8 else "float64"
        rows = _training_rows(train, n)
        treated, squeezed = TableTreatment.fit(
            table, names, train=rows, tails=tails, seed=int(seed), precision=precision
        )
        kept = [treated.columns[j] for j in treated.kept]
        center, scale = np.array([[column.center, column.scale] for column in kept]).T
        whitening = Whitening.fit(squeezed[rows], center, scale)
        n_flow, warnings = _flow_size(whitening.rank, len(kept), len(rows), components)
        return cls(names, treated, whitening, n_flow, (*_dependence_warning(treated.columns), *warnings))

    @property
    def treatments(self) -> tuple[ColumnTreatment, ...]:
        """What is done to each of the D columns."""
        return self.table.columns

    @property
    def kept(self) -> NDArray[np.intp]:
        """Positions of the d columns that vary and are linearly independent; (d,)."""
        return self.table.kept

    @property
    def n_columns(self) -> int:
        """D, the columns of the table."""
        return len(self.columns)

    @property
    def n_kept(self) -> int:
        """d, the columns that the flow and the carried directions live on."""
        return len(self.whitening.center)

    def continuous(
        self, X: ArrayLike, rng: np.random.Generator | None = None, *, first_row: int = 0
    ) -> Floats:
        """The kept columns with ties spread inside their cells.

        Parameters
        ----------
        X : (n, D)
            In the user's units.
        rng : numpy Generator, optional
            For a fresh draw. Without one, the position of a value in its cell is a hash of the seed and of
            all values of its row: the same row always gets the same.
        first_row : int
            Number of the first row, for error messages about chunks of a file.

        Returns
        -------
        (n, d) float64
            In the user's units.

        Raises
        ------
        PreprocessingError
            A row that would not come back as it is: another value in a constant column, a value off the
            lattice of its column, dependent columns that disagree, a missing or infinite value.
        """
        table = _checked_table(X, self.columns, first_row)
        self.table.check(table, first_row)
        return self.table.forward(table, rng)[0]

    def forward(
        self, X: ArrayLike, rng: np.random.Generator | None = None, *, first_row: int = 0
    ) -> tuple[Floats, Floats]:
        """Whiten rows; parameters and errors as for `continuous`.

        Returns
        -------
        x : (n, d) float64
            Zero mean and identity covariance on the training rows (dequantised as without `rng`). The first
            ``n_flow`` coordinates are the directions of largest variance.
        log_det : (n,) float64
            log|det ∂x/∂c| in nats, with c = ``continuous(X)``.
        """
        return self.whiten(self.continuous(X, rng, first_row=first_row))

    def whiten(self, continuous: Floats) -> tuple[Floats, Floats]:
        """The smooth part of `forward`: continuous rows (n, d) to x (n, d) and log|det| (n,)."""
        return self._smooth.forward(continuous)

    @property
    def _smooth(self) -> Chain:
        return Chain((self.table.tails, self.whitening))

    def inverse(self, x: ArrayLike) -> Floats:
        """Undo `forward`.

        Parameters
        ----------
        x : (n, d)

        Returns
        -------
        (n, D) float64
            In the user's units: values of lattices, atoms and constants to the last bit, others to float
            rounding.

        Raises
        ------
        PreprocessingError
            Another number of coordinates, or one that is not finite.
        """
        whitened = np.asarray(x, dtype=np.float64)
        if whitened.ndim != 2 or whitened.shape[1] != self.n_kept:
            raise PreprocessingError(
                f"whitened rows must have shape (n, {self.n_kept}), not {whitened.shape}"
            )
        if not np.isfinite(whitened).all():
            row, j = (int(i) for i in np.argwhere(~np.isfinite(whitened))[0])
            raise PreprocessingError(
                f"whitened coordinate {j} of row {row} (counted from 0) is {whitened[row, j]}"
            )
        return self.table.inverse(self._smooth.inverse(whitened))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """A JSON-able dictionary and named arrays that hold everything, exactly."""
        table, arrays = self.table.state()
        white = vars(self.whitening)
        arrays |= {f"whitening.{key}": white[key] for key in ("center", "scale", "basis", "variances")}
        meta = {"format": _FORMAT, "columns": list(self.columns), "table": table, "rank": self.whitening.rank}
        return {**meta, "n_flow": self.n_flow, "warnings": list(self.warnings)}, arrays

    @classmethod
    def from_state(cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Preprocessor:
        """The preprocessor that `state` wrote.

        Raises
        ------
        PreprocessingError
            A format that this version does not know.
        """
        if meta.get("format") != _FORMAT:
            raise PreprocessingError(
                f"preprocessor format {meta.get('format')!r} is unknown to this version, which reads "
                f"{_FORMAT}; upgrade latentflow or fit again"
            )
        white = {key: arrays[f"whitening.{key}"] for key in ("center", "scale", "basis", "variances")}
        return cls(
            tuple(meta["columns"]),
            TableTreatment.from_state(meta["table"], arrays),
            Whitening(**white, rank=meta["rank"]),
            meta["n_flow"],
            tuple(meta["warnings"]),
        )


def _checked_table(X: ArrayLike, columns: tuple[str, ...], first_row: int) -> Floats:
    """Rows as float64 with the right columns and nothing missing."""
    table = np.asarray(X, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(columns):
        raise PreprocessingError(
            f"rows must have the {len(columns)} columns of the table fitted to, not shape {table.shape}"
        )
    finite = np.isfinite(table)
    if not finite.all():
        row, j = (int(i) for i in np.argwhere(~finite)[0])
        raise PreprocessingError(
            f"column '{columns[j]}' is {table[row, j]} in row {first_row + row} (counted from 0); "
            f"leave such rows out with --missing drop"
        )
    return table


def _training_rows(train: ArrayLike | None, n: int) -> NDArray[np.intp]:
    """Indices of the training rows; all rows where none or a single one is given, which fixes no scale."""
    if train is None:
        return np.arange(n)
    given = np.asarray(train)
    rows = np.flatnonzero(given) if given.dtype == bool else given.astype(np.intp)
    return rows if len(rows) > 1 else np.arange(n)


def _flow_size(rank: int, n_kept: int, n_train: int, components: int | None) -> tuple[int, list[str]]:
    """How many directions the flow lives on, and a warning where the training rows fix fewer than wanted."""
    wanted = min(components or n_kept, n_kept)
    if wanted <= rank:
        return wanted, []
    return rank, [
        f"{n_train} training rows fix only {rank} directions of {n_kept} columns: the flow lives on these "
        f"and carries the other {n_kept - rank} untouched; more rows or fewer columns lift this limit, "
        f"--components (n_components) sets a lower one"
    ]


def _dependence_warning(columns: Sequence[ColumnTreatment]) -> list[str]:
    names = [column.name for column in columns if column.role == "dependent"]
    if not names:
        return []
    what = (
        f"Column '{names[0]}' is a linear combination"
        if len(names) == 1
        else (f"Columns {', '.join(repr(name) for name in names)} are linear combinations")
    )
    return [f"{what} of other columns: the flow lives on the rest, and decoding restores the full table"]
