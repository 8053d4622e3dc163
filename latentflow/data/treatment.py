"""All columns of a table together: what is set aside, and the bijection of the columns that are kept.

*Raw* rows (n, D) become *continuous* rows (n, d) in the user's units, and these *squeezed* rows (n, d), which
the whitening takes. A raw row that would not come back as it is is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentflow.data.columns import ColumnTreatment, treat_column
from latentflow.data.hashing import hashed_uniforms
from latentflow.data.lattice import Floats
from latentflow.data.subspace import Dependence, find_dependence
from latentflow.data.tails import TableTails
from latentflow.data.ties import find_ties
from latentflow.errors import LatentFlowError, PreprocessingError


@dataclass(frozen=True)
class TableTreatment:
    """The treatments of all columns of a table.

    Attributes
    ----------
    columns : tuple of ColumnTreatment
        One for each of the D columns of the table.
    constants : (D,) float64
        The values of the constant columns, 0 elsewhere.
    dependence : Dependence
        How dependent columns follow from kept ones; its positions count the varying columns.
    seed : int
        Of the deterministic dequantisation.
    """

    columns: tuple[ColumnTreatment, ...]
    constants: Floats
    dependence: Dependence
    seed: int

    @classmethod
    def fit(
        cls,
        table: Floats,
        names: Sequence[str],
        *,
        train: NDArray[np.intp],
        tails: str,
        seed: int,
        precision: str,
    ) -> tuple[TableTreatment, Floats]:
        """Find ties, constants and dependence on all rows of a checked table, fit the rest to training rows.

        Returns
        -------
        TableTreatment
        squeezed : (n, d) float64
            The table as the whitening takes it.

        Raises
        ------
        LatentFlowError
            No column varies.
        """
        varying = np.flatnonzero((table != table[0]).any(axis=0))
        if len(varying) == 0:
            raise LatentFlowError(
                f"all {len(names)} columns are constant ({_listed(names)}): a flow needs a column that varies"
            )
        ties = [find_ties(table[:, j], precision) for j in varying]
        dependence = find_dependence(table[:, varying], ties)
        columns = [
            ColumnTreatment(
                name, "constant", center=float(value), note=f"Constant at {value:.6g}; set aside."
            )
            for name, value in zip(names, table[0], strict=True)
        ]
        for i in dependence.kept:
            j = int(varying[i])
            columns[j] = treat_column(names[j], table[:, j], ties[i], train, tails)
        kept_names = [names[j] for j in varying[dependence.kept]]
        for k, i in enumerate(dependence.dependent):
            j = int(varying[i])
            center, scale = float(dependence.center[i]), float(dependence.scale[i])
            note = f"Set aside; restored as {dependence.describe(k, kept_names)}."
            columns[j] = ColumnTreatment(
                names[j], "dependent", ties[i], center=center, scale=scale, note=note
            )
        constants = np.where(np.isin(np.arange(len(names)), varying), 0.0, table[0])
        fitted = cls(tuple(columns), constants, dependence, seed)
        squeezed, _ = fitted.tails.forward(fitted.forward(table)[0])
        for i, j in enumerate(fitted.kept):
            columns[j] = columns[j].located(squeezed[:, i], train)
        return replace(fitted, columns=tuple(columns)), squeezed

    def _where(self, role: str) -> NDArray[np.intp]:
        return np.array([j for j, column in enumerate(self.columns) if column.role == role], dtype=np.intp)

    @property
    def kept(self) -> NDArray[np.intp]:
        """Positions of the d columns that the flow lives on; (d,)."""
        return self._where("flow")

    def check(self, table: Floats, first_row: int) -> None:
        """Refuse rows that would not come back as they are.

        Raises
        ------
        PreprocessingError
            Naming the first such row, its column and its value.
        """
        for j, column in enumerate(self.columns):
            refused = column.refused(table[:, j])
            if column.role == "constant":
                refused = table[:, j] != self.constants[j]
            if refused.any():
                self._refuse(column, table[:, j], refused, first_row, self._reason(column))
        dependent = self._where("dependent")
        if len(dependent) == 0 or len(table) == 0:
            return
        restored = self._restore_dependent(table[:, self.kept])
        for i, j in enumerate(dependent):
            distance = np.abs(restored[:, i] - table[:, j])
            refused = distance > (0.0 if self.dependence.snapped[i] else self.dependence.tolerance[i])
            if refused.any():
                reason = "where it was a linear combination of other columns in the table fitted to"
                self._refuse(self.columns[j], table[:, j], refused, first_row, reason)

    @staticmethod
    def _reason(column: ColumnTreatment) -> str:
        if column.ties is None or column.ties.lattice.kind == "none":
            return f"where it was always {column.center!r} in the table fitted to"
        return f"which is off the lattice it had in the table fitted to ({column.ties.lattice.describe()})"

    @staticmethod
    def _refuse(
        column: ColumnTreatment, values: Floats, refused: NDArray[np.bool_], first_row: int, reason: str
    ) -> None:
        row = int(np.argmax(refused))
        raise PreprocessingError(
            f"column '{column.name}' is {float(values[row])!r} in row {first_row + row} (counted from 0), "
            f"{reason}, and could not be restored; leave such rows out, or fit to a table that holds them"
        )

    def forward(self, table: Floats, rng: np.random.Generator | None = None) -> tuple[Floats, Floats]:
        """Dequantise the kept columns of a checked table; (n, D) to (n, d), with log|det| 0, (n,)."""
        kept = self.kept
        result = table[:, kept]
        spread = [i for i, j in enumerate(kept) if self.columns[j].spreads]
        if spread and rng is None:
            uniforms = hashed_uniforms(table, self.seed, kept[spread].tolist())
        elif rng is not None:
            uniforms = rng.random((len(spread), len(table))).T
        for k, i in enumerate(spread):
            result[:, i] = self.columns[kept[i]].dequantise(result[:, i], uniforms[:, k])
        return result, np.zeros(len(table))

    @property
    def tails(self) -> TableTails:
        """What squeezes the tails of the kept columns."""
        return TableTails(tuple(self.columns[j].squeeze for j in self.kept))

    def inverse(self, continuous: Floats) -> Floats:
        """Continuous to raw, (n, d) to (n, D): exact values, constants and dependent columns included."""
        table = np.tile(self.constants, (len(continuous), 1))
        kept = self.kept
        for i, j in enumerate(kept):
            ties = self.columns[j].ties
            table[:, j] = continuous[:, i] if ties is None else ties.restore(continuous[:, i])
        dependent = self._where("dependent")
        if len(dependent):
            table[:, dependent] = self._restore_dependent(table[:, kept])
        return table

    def _restore_dependent(self, kept_values: Floats) -> Floats:
        ties = [self.columns[j].ties for j in self._where("dependent")]
        return self.dependence.restored(kept_values, [tie for tie in ties if tie is not None])

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON-able part and arrays, exact; `from_state` reads them back."""
        arrays: dict[str, NDArray[Any]] = {"constants": self.constants}
        metas = []
        for j, column in enumerate(self.columns):
            meta, own = column.state()
            metas.append(meta)
            arrays |= {f"column{j}.{key}": value for key, value in own.items()}
        arrays |= {f"dependence.{key}": value for key, value in vars(self.dependence).items()}
        return {"columns": metas, "seed": self.seed}, arrays

    @classmethod
    def from_state(cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> TableTreatment:
        """The treatment that `state` wrote."""
        columns = []
        for j, column in enumerate(meta["columns"]):
            start = f"column{j}."
            own = {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
            columns.append(ColumnTreatment.from_state(column, own))
        start = "dependence."
        own = {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
        return cls(tuple(columns), arrays["constants"], Dependence(**own), meta["seed"])


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ..."
