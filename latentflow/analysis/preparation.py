"""From a model and a table to what is measured: chosen rows, and four representations of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from latentflow.analysis.axes.recovery import read_sources
from latentflow.analysis.baselines.fitted import ICABaseline, LinearMap, fit_fastica, pca_whitening
from latentflow.analysis.baselines.representations import Peer, carried_directions, fit_peers, represent
from latentflow.analysis.ledger.ledger import Representation
from latentflow.analysis.results import FastICASummary
from latentflow.analysis.rows import Choice, choose_rows, read_complete
from latentflow.data.tables import Table
from latentflow.errors import DataError
from latentflow.model.tables import open_for
from latentflow.statistics.serial import SerialStructure, serial_structure

#: Up to so many latents the trace of the log-determinant is exact in the report.
EXACT_TRACE_COLUMNS = 16


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
        ``raw``, ``pca``, ``fastica``, the peers, ``latents``.
    train : ndarray (m, d)
        Rows that the baselines were fitted on, as ``continuous``.
    peers : tuple of Peer
    sources : ndarray (n, m) or None
        The truth of the evaluated rows, where it was given.
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
    train: np.ndarray
    peers: tuple[Peer, ...]
    sources: np.ndarray | None

    def representation(self, name: str) -> Representation:
        """The representation called ``name``."""
        return next(rep for rep in self.representations if rep.name == name)

    @property
    def block(self) -> int | None:
        """Rows per bootstrap block; None for rows that are taken as independent."""
        return (self.serial.block or 1) if self.serial.dependent else None

    @property
    def carried(self) -> np.ndarray | None:
        """Whitened directions beside the latents, None where there are none."""
        return carried_directions(self.encoding)


def prepare(
    model: Any,
    X: Any,
    *,
    rows: str,
    missing: str,
    seed: int,
    sources: Any = None,
    peers: Sequence[str] = (),
) -> Material:
    """Choose and read rows, fit the baselines, encode; arguments and errors of ``independence_report``."""
    table = open_for(model, X)
    flow_columns = tuple(str(model.columns[i]) for i in model.preprocessor.kept)
    if len(flow_columns) < 2:
        what_varies = f"'{flow_columns[0]}' is the only one" if flow_columns else "there is none"
        raise DataError(
            f"independence needs at least two columns that vary and do not follow from one another; {what_varies}"
        )
    choice = choose_rows(model, table, rows)
    values, kept = read_complete(table, choice.evaluate, missing)
    truth = None if sources is None else read_sources(sources, table, kept)
    continuous = model.preprocessor.continuous(values)
    train_values, train = values, continuous
    if not choice.in_sample:
        train_values, _ = read_complete(table, choice.train, missing)
        train = model.preprocessor.continuous(train_values)
    whitening, ica = pca_whitening(train), fit_fastica(train, seed)
    fitted_peers = fit_peers(peers, train, seed)
    encoding = densities(model, values, seed)
    refuse_broken(encoding, tuple(model.latent_names))
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
        representations=represent(model, continuous, encoding, flow_columns, whitening, ica, fitted_peers),
        train=train,
        peers=fitted_peers,
        sources=truth,
    )


def densities(model: Any, X: np.ndarray, seed: int) -> Any:
    """Rows encoded with their log-densities; in many dimensions by random traces, because only means of them count."""
    if model.preprocessor.n_flow <= EXACT_TRACE_COLUMNS:
        return model.encode(X, log_prob=True)
    return model.encode(X, log_prob=True, trace_seed=seed)


def refuse_broken(encoding: Any, names: tuple[str, ...]) -> None:
    """Refuse latents and densities that are not finite, and latents that do not vary: none can be judged."""
    latents = np.asarray(encoding.latents)
    finite = np.isfinite(latents).all(axis=1) & np.isfinite(encoding.log_prob) & np.isfinite(encoding.log_det)
    if not finite.all():
        raise DataError(
            f"{(~finite).sum()} of {len(latents)} rows have latents or densities that are not finite: the model "
            "is broken there; fit again"
        )
    flat = [name for name, column in zip(names, latents.T, strict=True) if np.ptp(column) == 0.0]
    if flat:
        more = f" and {len(flat) - 1} more have" if len(flat) > 1 else " has"
        raise DataError(
            f"latent '{flat[0]}'{more} a single value on these {len(latents)} rows, so nothing can be said of "
            "independence; give rows that vary, or fit again without the column it stands for (--drop-columns)"
        )


def fastica_summary(material: Material) -> FastICASummary:
    """How FastICA ran, and its components matched with the latents by |Spearman correlation|."""
    latents, components = material.encoding.latents, material.representation("fastica").values
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
