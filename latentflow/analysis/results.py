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
from typing import Annotated, Any, ClassVar

import numpy as np

from latentflow.analysis.axes.account import OrientationAccount
from latentflow.analysis.axes.latent_facts import LatentFacts
from latentflow.analysis.axes.recovery import Recovery
from latentflow.analysis.dependence.classifier import JointDependence
from latentflow.analysis.dependence.confirmation import PairConfirmation
from latentflow.analysis.dependence.magnitudes import Magnitudes
from latentflow.analysis.dependence.pairwise import Discoveries
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
from latentflow.data.atomic import write_whole
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result, plain

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
    """Which rows the analysis stands on."""

    which: Annotated[
        str,
        "``held out`` (the model's own held-out rows of the file it was fitted on) or ``all`` (another table).",
    ]
    mode: Annotated[str, "How the fit split its rows: ``random`` or ``blocked``."]
    n_eval: Annotated[int, "Rows evaluated here, rows of the table, rows that trained the model."]
    n_table: int
    n_train: int
    baselines: Annotated[
        str, "``training rows`` or ``same rows``: what PCA, FastICA and the Gaussian were fitted on."
    ]
    lag1: Annotated[float, "Largest lag-1 autocorrelation over the columns."]
    dependent: Annotated[
        bool, "Whether rows were treated as autocorrelated (block bootstrap, circular-shift nulls)."
    ]
    block: Annotated[int | None, "Rows per block of the bootstrap where they were."]
    effective_n: Annotated[
        float,
        "Number of independent rows that would tell as much about the mean of the slowest column; ``n_eval`` if not "
        "dependent.",
    ]


@dataclass(frozen=True)
class Verdict(Result):
    """The conclusion in plain words."""

    code: Annotated[str, "``independent``, ``more_independent``, ``no_better`` or ``worse``."]
    headline: Annotated[
        str,
        "One sentence that can be read aloud; before it another one where rows of the split lack rare events. Of "
        "latents called independent it says whether their axes may be read as sources, and how many rows count.",
    ]
    sentences: Annotated[
        tuple[str, ...],
        "The evidence, with figures and their intervals; for ``no_better`` and ``worse`` likely causes and what to "
        "try.",
    ]
    meaning: Annotated[tuple[str, ...], "What independence does and does not mean."]
    notices: Annotated[
        tuple[str, ...],
        "What to know before the axes are read, one sentence each: that the rows look like a recording of which no "
        "time was told, that linear ICA explains them, or those of validation, better than the flow.",
    ] = ()


@dataclass(frozen=True)
class IndependenceResult(Result):
    """Everything the independence report shows."""

    provenance: Annotated[
        Mapping[str, Any],
        "``version`` of latentflow, ``versions`` of it and what it stands on, ``model_hash``, ``model_version``, "
        "``file``, ``key``, ``fingerprint`` of the table, ``model_file`` where it is known, ``seed``, ``n_boot``, "
        "``rows`` (as asked for), ``fit`` (seed, preset, seconds, n_train … as recorded), and for who wants to run "
        "both again ``options`` of the report and ``fit_options``, those of the fit that are not the defaults.",
    ]
    columns: Annotated[tuple[str, ...], "All columns of the table (D)."]
    flow_columns: Annotated[tuple[str, ...], "The d columns of the ledger: varying and linearly independent."]
    latent_names: Annotated[tuple[str, ...], "length k: Names of the latents."]
    treatments: Annotated[
        tuple[Mapping[str, Any], ...], "What the preprocessor did to each column (its ``to_dict()``)."
    ]
    rows: Annotated[Rows, "Which rows the analysis stands on."]
    alerts: Annotated[
        tuple[str, ...], "What a reader must know before the figures, one sentence each; empty is good."
    ]
    ledger: Annotated[Ledger, "The total-correlation ledger, on one common set of rows."]
    neg_log_prob: Annotated[Interval, "E[−log p] of the model on the evaluated rows, nats, user's units."]
    neg_log_prob_gaussian: Annotated[
        Interval, "The same of a Gaussian with mean and covariance of the training rows, on the same rows."
    ]
    log_prob_gain: Annotated[
        Interval, "The paired difference of the two, positive where the model is better, nats."
    ]
    neg_log_prob_train: Annotated[
        Interval | None,
        "E[−log p] of the model on (at most 1 000 of) its training rows, nats; None where they are not at hand.",
    ]
    pairwise: Annotated[
        Mapping[str, PairwiseDependence], "By representation: ``raw``, ``pca``, ``fastica``, ``latents``."
    ]
    gaussianity: Annotated[Gaussianity, "Gaussianity of the latents, one by one and jointly."]
    round_trip: Annotated[RoundTrip, "Errors of going there and back."]
    fastica: Annotated[FastICASummary, "How FastICA ran, and how the latents line up with its components."]
    history: Annotated[
        Mapping[str, Any], "The training record: ``step``, ``train_loss``, ``validation_loss``."
    ]
    far_rows: Annotated[int, "Evaluated rows that lie far outside the training data."]
    verdict: Annotated[Verdict, "The conclusion in plain words."]
    discoveries: Annotated[
        Mapping[str, Discoveries],
        "By representation: how many pairs are found dependent at a false discovery rate of 5 %.",
    ] = field(default_factory=dict)
    confirmed: Annotated[
        Mapping[str, tuple[PairConfirmation, ...]],
        "``raw``, ``fastica`` and ``latents``: their most dependent pairs, measured again by other means.",
    ] = field(default_factory=dict)
    joint: Annotated[
        Mapping[str, JointDependence],
        "The same three: a classifier's test of all coordinates at once, and the bound on TC that it gives.",
    ] = field(default_factory=dict)
    magnitudes: Annotated[Mapping[str, Magnitudes], "The same three: rank correlations of magnitudes."] = (
        field(default_factory=dict)
    )
    joint_gaussianity: Annotated[JointGaussianity | None, "Of the latents."] = None
    terminal_mismatch: Annotated[
        float | None,
        "KL divergence, nats, that a perfect score would leave at the σ_max in use; None for heavy tails.",
    ] = None
    densities: Annotated[
        tuple[BaselineDensity, ...], "−log p of the baselines with normal and with fitted marginals."
    ] = ()
    recovery: Annotated[
        Recovery | None, "Every representation against the true sources, where they were given."
    ] = None
    latent_facts: Annotated[
        tuple[LatentFacts, ...], "What each latent is worth in the data, and the columns it goes with."
    ] = ()
    orientation: Annotated[
        OrientationAccount | None,
        "How the axes of the latents were chosen, and what that allows to conclude.",
    ] = None
    samples: Annotated[
        Mapping[str, np.ndarray],
        "(m, d): At most 1 000 evenly spaced evaluated rows of the three; ``to_dict`` keeps the pairs that are drawn.",
        "object of array of {columns, x, y}",
    ] = field(default_factory=dict)
    schema: Annotated[int, "Version of this record (1)."] = SCHEMA_VERSION
    #: What a notebook shows; set by :mod:`latentflow.report.notebook`, which lies above.
    notebook_view: ClassVar[Callable[[IndependenceResult], str] | None] = None

    def to_dict(self) -> dict[str, Any]:
        """As :meth:`Result.to_dict`; of the samples only the pairs that are drawn."""
        return {
            field.name: self.shown_samples() if field.name == "samples" else plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
        }

    def shown_samples(self) -> dict[str, list[dict[str, Any]]]:
        """What of the samples a reader sees, as plain JSON: per representation its strongest pairs, and their points.

        Returns
        -------
        dict of str to list of dict
            ``columns`` (two names), ``x`` and ``y`` (m numbers each, six significant digits) of every such pair.
        """
        return {
            name: [
                {
                    "columns": [pairs.columns[i], pairs.columns[j]],
                    "x": plain(values[:, i]),
                    "y": plain(values[:, j]),
                }
                for i, j in pairs.strongest()
            ]
            for name, values in self.samples.items()
            if (pairs := self.pairwise.get(name)) is not None
        }

    def _repr_html_(self) -> str | None:
        """A short account for notebooks, once the report has registered its view; else the plain record is shown."""
        view = type(self).notebook_view
        return None if view is None else view(self)

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write ``to_dict()`` as UTF-8 JSON to ``path``, whole or not at all; returns the path."""
        write_whole({Path(path): json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False)})
        return Path(path)
