"""From a model and a table to what is measured: chosen rows, and four representations of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from latentflow.analysis.baselines import ICABaseline, LinearMap, fit_fastica, pca_whitening
from latentflow.analysis.ledger import Representation
from latentflow.analysis.results import FastICASummary
from latentflow.analysis.rows import FEWEST_ROWS, Choice, choose_rows
from latentflow.analysis.serial import SerialStructure, serial_structure
from latentflow.data.tables import Table, as_table, open_table
from latentflow.errors import DataError

LABELS = {"raw": "Raw columns", "pca": "PCA whitening", "fastica": "FastICA", "latents": "Latents"}


@dataclass(frozen=True)
class Material:
    """Everything that the measurements take.

    Attributes
    ----------
    table : Table
    choice : Choice
        Which rows.
    values, train_values : ndarray (n, D), (m, D)
        Evaluated rows and rows that the baselines were fitted on, in the user's units.
    continuous : ndarray (n, d)
        Evaluated rows, kept columns, ties spread within their step; user's units.
    flow_columns : tuple of str, length d
    serial : SerialStructure
        How the evaluated rows hang together.
    whitening : LinearMap
    ica : ICABaseline
    encoding : Encoding
        With log p and log|det|.
    representations : tuple of Representation
        ``raw``, ``pca``, ``fastica``, ``latents``.
    """

    table: Table
    choice: Choice
    values: np.ndarray
    train_values: np.ndarray
    continuous: np.ndarray
    flow_columns: tuple[str, ...]
    serial: SerialStructure
    whitening: LinearMap
    ica: ICABaseline
    encoding: Any
    representations: tuple[Representation, ...]

    @property
    def block(self) -> int | None:
        """Rows per bootstrap block; None for rows that are taken as independent."""
        return (self.serial.block or 1) if self.serial.dependent else None

    @property
    def carried(self) -> np.ndarray | None:
        """Whitened directions beside the latents, None where there are none."""
        return _beside(self.encoding)


def prepare(model: Any, X: Any, *, rows: str, missing: str, seed: int) -> Material:
    """Choose and read rows, fit the baselines, encode; arguments and errors of ``independence_report``."""
    table = open_for(model, X)
    flow_columns = tuple(str(model.columns[i]) for i in model.preprocessor.kept)
    if len(flow_columns) < 2:
        raise DataError(
            "independence needs at least two columns that vary and do not follow from one another; "
            f"'{flow_columns[0]}' is the only one"
        )
    choice = choose_rows(model, table, rows)
    values = read_complete(table, choice.evaluate, missing)
    continuous = model.preprocessor.continuous(values)
    train_values, train = values, continuous
    if not choice.in_sample:
        train_values = read_complete(table, choice.train, missing)
        train = model.preprocessor.continuous(train_values)
    whitening, ica = pca_whitening(train), fit_fastica(train, seed)
    encoding = model.encode(values, log_prob=True)
    return Material(
        table=table,
        choice=choice,
        values=values,
        train_values=train_values,
        continuous=continuous,
        flow_columns=flow_columns,
        serial=serial_structure(continuous),
        whitening=whitening,
        ica=ica,
        encoding=encoding,
        representations=_represent(model, continuous, encoding, flow_columns, whitening, ica),
    )


def open_for(model: Any, X: Any) -> Table:
    """``X`` as a table with exactly the model's columns, in its order."""
    columns = tuple(str(name) for name in model.columns)
    if isinstance(X, str | os.PathLike):
        return open_table(Path(X), key=model.record.get("key") or None, columns=columns)
    if isinstance(X, Table):
        table = X
    elif hasattr(X, "columns"):
        table = as_table(X, columns)
    else:
        found = np.asarray(X)
        wide = int(np.prod(found.shape[1:])) if found.ndim > 1 else 1
        if wide != len(columns):
            raise DataError(f"the model was fitted on {len(columns)} columns, and this array has {wide}")
        table = as_table(found.reshape(len(found), wide), columns)
    if tuple(table.columns) != columns:
        absent = [name for name in columns if name not in table.columns]
        what = (
            f"column '{absent[0]}' of the model is not in it"
            if absent
            else "its columns differ from the model's"
        )
        raise DataError(f"{table.path or 'the table'} does not fit this model: {what}; choose with --columns")
    return table


def read_complete(table: Table, index: np.ndarray, missing: str) -> np.ndarray:
    """The rows (m, D) at these positions; those with missing values dropped or refused."""
    if missing not in ("error", "drop"):
        raise DataError(f"missing must be 'error' or 'drop', not {missing!r}")
    values = table.read_rows(index)
    complete = np.isfinite(values).all(axis=1)
    if complete.all():
        return values
    if missing == "error":
        table.refuse_missing()
    if complete.sum() < FEWEST_ROWS:
        raise DataError(
            f"{table.path or 'the table'} has {complete.sum()} complete rows; {FEWEST_ROWS} are needed"
        )
    return values[complete]


def fastica_summary(material: Material) -> FastICASummary:
    """How FastICA ran, and its components matched with the latents by |Spearman correlation|."""
    latents, components = material.encoding.latents, material.representations[2].values
    k = latents.shape[1]
    ranks = rankdata(np.concatenate([latents, components], axis=1), axis=0)
    correlation = np.corrcoef(ranks, rowvar=False)[:k, k:]
    own, other = linear_sum_assignment(-np.abs(correlation))
    signed = correlation[own, other]
    return FastICASummary(
        converged=material.ica.converged,
        n_iter=material.ica.n_iter,
        note=material.ica.note,
        agreement=float(np.abs(signed).mean()),
        matched=tuple(int(j) for j in other),
        correlation=tuple(float(value) for value in signed),
    )


def _represent(
    model: Any,
    continuous: np.ndarray,
    encoding: Any,
    flow_columns: tuple[str, ...],
    whitening: LinearMap,
    ica: ICABaseline,
) -> tuple[Representation, ...]:
    d = continuous.shape[1]
    carried = _beside(encoding)
    latents, names = encoding.latents, tuple(model.latent_names)
    if carried is not None:
        latents = np.concatenate([latents, carried], axis=1)
        names += tuple(f"carried{i:02d}" for i in range(carried.shape[1]))
    numbered = [f"{i:02d}" for i in range(d)]
    pca, pca_log_det = whitening.transform(continuous)
    components, ica_log_det = ica.transform(continuous)
    return (
        Representation("raw", LABELS["raw"], continuous, 0.0, flow_columns),
        Representation("pca", LABELS["pca"], pca, pca_log_det, tuple(f"pc{i}" for i in numbered)),
        Representation(
            "fastica", LABELS["fastica"], components, ica_log_det, tuple(f"ica{i}" for i in numbered)
        ),
        Representation("latents", LABELS["latents"], latents, np.asarray(encoding.log_det), names),
    )


def _beside(encoding: Any) -> np.ndarray | None:
    carried = encoding.carried
    return carried if carried is not None and carried.shape[1] > 0 else None
