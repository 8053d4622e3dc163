"""The independence report of a fitted model on a table: all measurements, their alerts and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentflow.analysis.alerts import TIED, collect_alerts
from latentflow.analysis.axes.account import OrientationAccount, orientation_account
from latentflow.analysis.axes.ima import ima_contrast
from latentflow.analysis.axes.latent_facts import latent_facts
from latentflow.analysis.axes.recovery import recovery
from latentflow.analysis.baselines.fitted import gaussian_neg_log_prob
from latentflow.analysis.dependence.classifier import FEWEST_ROWS, joint_dependence
from latentflow.analysis.dependence.confirmation import confirm_pairs
from latentflow.analysis.dependence.discoveries import discoveries
from latentflow.analysis.dependence.magnitudes import magnitudes
from latentflow.analysis.dependence.pairwise import pairwise_dependence
from latentflow.analysis.gaussianity.joint import joint_gaussianity
from latentflow.analysis.gaussianity.marginal import gaussianity
from latentflow.analysis.gaussianity.mismatch import terminal_mismatch
from latentflow.analysis.ledger.densities import Baseline, BaselineDensity, baseline_densities
from latentflow.analysis.ledger.ledger import ledger
from latentflow.analysis.measures import PairwiseDependence
from latentflow.analysis.preparation import Material, densities, fastica_summary, prepare
from latentflow.analysis.provenance import provenance
from latentflow.analysis.results import FastICASummary, IndependenceResult, Rows
from latentflow.analysis.verdict import Evidence, judge
from latentflow.analysis.verification.roundtrip import round_trip
from latentflow.statistics.interval import Interval
from latentflow.statistics.resample import intervals
from latentflow.statistics.thinning import thin

TRAINING_ROWS_JUDGED = 1_000
#: Representations that are tested jointly and drawn; all others are in the ledger and the tables of pairs.
SHOWN = ("raw", "fastica", "latents")
SHOWN_ROWS = 1_000


def independence_report(
    model: Any,
    X: Any,
    *,
    rows: str = "auto",
    missing: str = "error",
    sources: Any = None,
    peers: Sequence[str] = (),
    n_boot: int = 1000,
    seed: int = 0,
) -> IndependenceResult:
    """Measure how independent the latents of a model are, against raw columns, PCA whitening and FastICA.

    Parameters
    ----------
    model : FittedFlow
        The fitted model.
    X : path, Table, DataFrame or array (n, D)
        The table the model was fitted on, or another one with the same columns, in the user's units.
    rows : {"auto", "held_out", "all"}
        ``auto``: of the model's own table exactly the rows that its fit held out, of another table all rows.
        At most 50 000, evenly spaced.
    missing : {"error", "drop"}
        What to do with rows of another table that have missing values.
    sources : str or array (n, m), optional
        The true sources, where they are known: a key of the table's file, or one row for each row of the table.
        Every representation is then matched with them.
    peers : sequence of {"picard", "spline_flow"}
        Further baselines, which need the extra ``peers``.
    n_boot : int
        Bootstrap draws of the intervals.
    seed : int
        Of the bootstrap, of FastICA, of the joint tests and of the draws of the round trip.

    Returns
    -------
    IndependenceResult
        All figures in nats and the user's units; see there.

    Raises
    ------
    DataError
        The table lacks a column of the model or has missing values; the model held no rows out; fewer than 10
        rows, or fewer training rows than columns; fewer than two columns vary; sources do not fit the rows; a
        peer is not installed.
    """
    material = prepare(model, X, rows=rows, missing=missing, seed=seed, sources=sources, peers=peers)
    rng = np.random.default_rng(seed)
    block, encoding = material.block, material.encoding
    entries = ledger(material.representations, rng=rng, n_boot=n_boot, block=block)
    own = -np.asarray(encoding.log_prob)
    gaussian = gaussian_neg_log_prob(material.whitening, material.continuous)
    scores = intervals(np.stack([own, gaussian, gaussian - own], axis=1), rng, n_boot, block)
    in_training = training_score(model, material, rng, n_boot)
    pairwise = _pairwise(material)
    closer = _closer(material, pairwise, rng)
    fastica = fastica_summary(material)
    account = _orientation(model, material, fastica, n_boot=n_boot, seed=seed)
    evidence = Evidence(
        ledger=entries,
        pairwise=pairwise,
        gaussianity=gaussianity(encoding.latents, model.latent_names, dependent=material.serial.dependent),
        fastica=fastica,
        rows=_rows(model, material),
        log_prob_gain=scores[2],
        overfit=None
        if in_training is None or material.choice.which == "all"
        else _gap(scores[0], in_training),
        tied_columns=_tied_share(_treatments(model)),
        history=dict(model.record.get("history") or {}),
        joint=closer["joint"].get("latents"),
        orientation=account,
    )
    trip = round_trip(model, material.values, encoding.latents, material.carried, rng)
    return IndependenceResult(
        provenance=provenance(model, material, rows=rows, n_boot=n_boot, seed=seed),
        columns=tuple(str(name) for name in model.columns),
        flow_columns=material.flow_columns,
        latent_names=tuple(model.latent_names),
        treatments=_treatments(model),
        rows=evidence.rows,
        alerts=collect_alerts(model, material, evidence),
        ledger=entries,
        neg_log_prob=scores[0],
        neg_log_prob_gaussian=scores[1],
        log_prob_gain=scores[2],
        neg_log_prob_train=in_training,
        pairwise=evidence.pairwise,
        gaussianity=evidence.gaussianity,
        round_trip=trip,
        fastica=evidence.fastica,
        history=evidence.history,
        far_rows=int(np.count_nonzero(encoding.far)),
        verdict=judge(evidence),
        densities=_densities(material, own, rng, n_boot),
        recovery=None if material.sources is None else recovery(material.representations, material.sources),
        latent_facts=latent_facts(
            encoding.latents, model.latent_names, material.continuous, material.flow_columns
        ),
        terminal_mismatch=terminal_mismatch(
            model.preprocessor.forward(material.values)[0][:, : encoding.latents.shape[1]],
            float(model.sigmas[-1]),
            block=block,
        ),
        joint_gaussianity=joint_gaussianity(encoding.latents, rng, block=block),
        orientation=account,
        **closer,
    )


def _closer(
    material: Material, pairwise: Mapping[str, PairwiseDependence], rng: np.random.Generator
) -> dict[str, Any]:
    """What a closer look at the representations of :data:`SHOWN` finds, as fields of the result."""
    shown = [material.representation(name) for name in SHOWN]
    block = material.block
    # with a handful of rows there is nothing to train a classifier on or to measure a pair again with
    tested = shown if len(material.values) >= FEWEST_ROWS else []
    picked = thin(np.arange(len(material.values)), SHOWN_ROWS)
    return {
        "discoveries": {name: discoveries(found.p_value) for name, found in pairwise.items()},
        "confirmed": {
            rep.name: confirm_pairs(rep.values, pairwise[rep.name], rng, block=block) for rep in shown
        },
        "joint": {
            rep.name: joint_dependence(rep.values, rep.name, rep.label, rng, block=block) for rep in tested
        },
        "magnitudes": {
            rep.name: magnitudes(rep.values, rep.name, label=rep.label, columns=rep.columns, block=block)
            for rep in shown
        },
        "samples": {rep.name: rep.values[picked] for rep in shown},
    }


def _orientation(
    model: Any, material: Material, fastica: FastICASummary, *, n_boot: int, seed: int
) -> OrientationAccount:
    # a generator of its own: every other figure stays what it was
    rng = np.random.default_rng([seed, 1])
    contrast = ima_contrast(model, material.values, rng=rng, n_boot=n_boot, block=material.block)
    return orientation_account(
        model.orientation, model.latent_names, fastica, contrast, network=model.network
    )


def _densities(
    material: Material, own: np.ndarray, rng: np.random.Generator, n_boot: int
) -> tuple[BaselineDensity, ...]:
    baselines = [
        Baseline("raw", "Raw columns"),
        Baseline("pca", "PCA whitening", material.whitening),
        Baseline("fastica", "FastICA", material.ica),
        *(Baseline(peer.name, peer.label, peer.map) for peer in material.peers),
    ]
    return baseline_densities(
        baselines, material.train, material.continuous, own, rng, n_boot=n_boot, block=material.block
    )


def training_score(model: Any, material: Material, rng: np.random.Generator, n_boot: int) -> Interval | None:
    """E[−log p] on at most 1 000 evenly spaced training rows, nats; None where they are not at hand."""
    if not material.choice.same_table:
        return None
    picked = thin(np.arange(len(material.train_values)), TRAINING_ROWS_JUDGED)
    terms = -np.asarray(densities(model, material.train_values[picked], 1).log_prob)
    block = material.block
    if block is not None:  # evenly spaced rows are farther apart than neighbours
        block = max(1, round(block * len(picked) / len(material.train_values)))
    return intervals(terms[:, None], rng, n_boot, block)[0]


def _gap(held_out: Interval, training: Interval) -> Interval:
    """Held-out figure less training figure, from two independent sets of rows."""
    estimate = held_out.estimate - training.estimate
    reach = float(np.hypot(held_out.half_width, training.half_width))
    return Interval(estimate, estimate - reach, estimate + reach)


def _pairwise(material: Material) -> dict[str, PairwiseDependence]:
    return {
        rep.name: pairwise_dependence(
            rep.values, rep.name, label=rep.label, columns=rep.columns, block=material.block
        )
        for rep in material.representations
    }


def _rows(model: Any, material: Material) -> Rows:
    n, serial = len(material.values), material.serial
    return Rows(
        which=material.choice.which,
        mode=str((model.record.get("split") or {}).get("mode", "random")),
        n_eval=n,
        n_table=material.table.n_rows,
        n_train=int(model.record.get("n_train", 0)),
        baselines="same rows" if material.choice.in_sample else "training rows",
        lag1=serial.lag1,
        dependent=serial.dependent,
        block=serial.block,
        effective_n=n / serial.inflation,
    )


def _treatments(model: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(treatment.to_dict() for treatment in model.preprocessor.treatments)


def _tied_share(treatments: Sequence[Mapping[str, Any]]) -> float:
    flowing = [t for t in treatments if t.get("role", "flow") == "flow"]
    tied = sum(
        t.get("lattice", "none") != "none" and float(t.get("tied_fraction") or 0.0) > TIED for t in flowing
    )
    return tied / max(len(flowing), 1)
