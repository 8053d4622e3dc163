"""What an independence analysis finds, as frozen records; the report renders them and computes nothing.

Units: entropies, total correlation (TC), dependence and −log p are in nats; −log p and everything that
contains H(x) is per row of the table and in the user's units (after dequantisation of lattice columns). Four
representations of the same rows appear throughout, by these names and in this order: ``raw``, ``pca``,
``fastica``, ``latents``, and before the last the peers ``picard`` and ``spline_flow`` where they were asked for.

Schema version 1 (field ``schema`` of :class:`IndependenceResult`): ``to_dict()`` of each record holds exactly
its fields, by their names; arrays are nested lists; a number that does not exist is null.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from latentflow.analysis.axes.account import OrientationAccount
from latentflow.analysis.axes.latent_facts import LatentFacts
from latentflow.analysis.axes.recovery import Recovery
from latentflow.analysis.dependence.classifier import JointDependence
from latentflow.analysis.dependence.confirmation import PairConfirmation
from latentflow.analysis.dependence.discoveries import Discoveries
from latentflow.analysis.dependence.magnitudes import Magnitudes
from latentflow.analysis.gaussianity.joint import JointGaussianity
from latentflow.analysis.ledger.densities import BaselineDensity
from latentflow.analysis.measures import (
    FastICASummary,
    Gaussianity,
    Histogram,
    LatentGaussianity,
    Ledger,
    LedgerEntry,
    PairwiseDependence,
    RadiusTest,
    RoundTrip,
)
from latentflow.analysis.samples import shown_samples
from latentflow.data.atomic import write_whole
from latentflow.statistics.interval import Interval, Result, plain

__all__ = [
    "SCHEMA_VERSION",
    "FastICASummary",
    "Gaussianity",
    "Histogram",
    "IndependenceResult",
    "Interval",
    "LatentGaussianity",
    "Ledger",
    "LedgerEntry",
    "PairwiseDependence",
    "RadiusTest",
    "Result",
    "RoundTrip",
    "Rows",
    "Verdict",
]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Rows(Result):
    """Which rows the analysis stands on.

    Attributes
    ----------
    which : str
        ``held out`` (the model's own held-out rows of the file it was fitted on) or ``all`` (another table).
    mode : str
        How the fit split its rows: ``random`` or ``blocked``.
    n_eval, n_table, n_train : int
        Rows evaluated here, rows of the table, rows that trained the model.
    baselines : str
        ``training rows`` or ``same rows``: what PCA, FastICA and the Gaussian were fitted on.
    lag1 : float
        Largest lag-1 autocorrelation over the columns.
    dependent : bool
        Whether rows were treated as autocorrelated (block bootstrap, circular-shift nulls).
    block : int or None
        Rows per block of the bootstrap where they were.
    effective_n : float
        Number of independent rows that would tell as much about the mean of the slowest column; ``n_eval``
        if not dependent.
    """

    which: str
    mode: str
    n_eval: int
    n_table: int
    n_train: int
    baselines: str
    lag1: float
    dependent: bool
    block: int | None
    effective_n: float


@dataclass(frozen=True)
class Verdict(Result):
    """The conclusion in plain words.

    Attributes
    ----------
    code : str
        ``independent``, ``more_independent``, ``no_better`` or ``worse``.
    headline : str
        One sentence that can be read aloud.
    sentences : tuple of str
        The evidence, with figures and their intervals; for ``no_better`` and ``worse`` likely causes and what to try.
    meaning : tuple of str
        What independence does and does not mean.
    """

    code: str
    headline: str
    sentences: tuple[str, ...]
    meaning: tuple[str, ...]


@dataclass(frozen=True)
class IndependenceResult(Result):
    """Everything the independence report shows.

    Attributes
    ----------
    schema : int
        Version of this record (1).
    provenance : mapping
        ``version`` of latentflow, ``versions`` of it and what it stands on, ``model_hash``,
        ``model_version``, ``file``, ``key``, ``fingerprint`` of the table, ``seed``, ``n_boot``, ``rows`` (as
        asked for), ``fit`` (seed, preset, seconds, n_train … as recorded).
    columns : tuple of str
        All columns of the table (D).
    flow_columns : tuple of str
        The d columns of the ledger: varying and linearly independent.
    latent_names : tuple of str, length k
    treatments : tuple of mapping
        What the preprocessor did to each column (its ``to_dict()``).
    rows : Rows
    alerts : tuple of str
        What a reader must know before the figures, one sentence each; empty is good.
    ledger : Ledger
    neg_log_prob : Interval
        E[−log p] of the model on the evaluated rows, nats, user's units.
    neg_log_prob_gaussian : Interval
        The same of a Gaussian with mean and covariance of the training rows, on the same rows.
    log_prob_gain : Interval
        The paired difference of the two, positive where the model is better, nats.
    neg_log_prob_train : Interval or None
        E[−log p] of the model on (at most 1 000 of) its training rows, nats; None where they are not at hand.
    pairwise : mapping of str to PairwiseDependence
        By representation: ``raw``, ``pca``, ``fastica``, ``latents``.
    gaussianity : Gaussianity
    round_trip : RoundTrip
    fastica : FastICASummary
    history : mapping of str to list
        The training record: ``step``, ``train_loss``, ``validation_loss``.
    far_rows : int
        Evaluated rows that lie far outside the training data.
    verdict : Verdict
    discoveries : mapping of str to Discoveries
        By representation: how many pairs are found dependent at a false discovery rate of 5 %.
    confirmed : mapping of str to tuple of PairConfirmation
        ``raw``, ``fastica`` and ``latents``: their most dependent pairs, measured again by other means.
    joint : mapping of str to JointDependence
        The same three: a classifier's test of all coordinates at once, and the bound on TC that it gives.
    magnitudes : mapping of str to Magnitudes
        The same three: rank correlations of magnitudes.
    joint_gaussianity : JointGaussianity or None
        Of the latents.
    terminal_mismatch : float or None
        KL divergence, nats, that a perfect score would leave at the σ_max in use; None for heavy tails.
    densities : tuple of BaselineDensity
        −log p of the baselines with normal and with fitted marginals.
    recovery : Recovery or None
        Every representation against the true sources, where they were given.
    latent_facts : tuple of LatentFacts
        What each latent is worth in the data, and the columns it goes with.
    orientation : OrientationAccount or None
        How the axes of the latents were chosen, and what that allows to conclude.
    samples : mapping of str to ndarray (m, d)
        At most 1 000 evenly spaced evaluated rows of the three; ``to_dict`` keeps the pairs that are drawn.
    """

    provenance: Mapping[str, Any]
    columns: tuple[str, ...]
    flow_columns: tuple[str, ...]
    latent_names: tuple[str, ...]
    treatments: tuple[Mapping[str, Any], ...]
    rows: Rows
    alerts: tuple[str, ...]
    ledger: Ledger
    neg_log_prob: Interval
    neg_log_prob_gaussian: Interval
    log_prob_gain: Interval
    neg_log_prob_train: Interval | None
    pairwise: Mapping[str, PairwiseDependence]
    gaussianity: Gaussianity
    round_trip: RoundTrip
    fastica: FastICASummary
    history: Mapping[str, Any]
    far_rows: int
    verdict: Verdict
    discoveries: Mapping[str, Discoveries] = field(default_factory=dict)
    confirmed: Mapping[str, tuple[PairConfirmation, ...]] = field(default_factory=dict)
    joint: Mapping[str, JointDependence] = field(default_factory=dict)
    magnitudes: Mapping[str, Magnitudes] = field(default_factory=dict)
    joint_gaussianity: JointGaussianity | None = None
    terminal_mismatch: float | None = None
    densities: tuple[BaselineDensity, ...] = ()
    recovery: Recovery | None = None
    latent_facts: tuple[LatentFacts, ...] = ()
    orientation: OrientationAccount | None = None
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)
    schema: int = SCHEMA_VERSION
    #: What a notebook shows; set by :mod:`latentflow.report.notebook`, which lies above.
    notebook_view: ClassVar[Callable[[IndependenceResult], str] | None] = None

    def to_dict(self) -> dict[str, Any]:
        """As :meth:`Result.to_dict`; of the samples only the pairs that are drawn."""
        return {
            field.name: shown_samples(self.samples, self.pairwise)
            if field.name == "samples"
            else plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
        }

    def _repr_html_(self) -> str | None:
        """A short account for notebooks, once the report has registered its view; else the plain record is shown."""
        view = type(self).notebook_view
        return None if view is None else view(self)

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write ``to_dict()`` as UTF-8 JSON to ``path``, whole or not at all; returns the path."""
        write_whole({Path(path): json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False)})
        return Path(path)
