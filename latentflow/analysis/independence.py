"""The independence report of a fitted model on a table: all measurements, their alerts and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentflow.analysis.alerts import collect_alerts, tied_share
from latentflow.analysis.axes.account import OrientationAccount, orientation_account
from latentflow.analysis.axes.hints import report_hints
from latentflow.analysis.axes.ima import ima_contrast
from latentflow.analysis.axes.latent_facts import latent_facts
from latentflow.analysis.axes.recovery import recovery
from latentflow.analysis.dependence.classifier import FEWEST_ROWS, joint_dependence
from latentflow.analysis.dependence.confirmation import confirm_pairs
from latentflow.analysis.dependence.magnitudes import magnitudes
from latentflow.analysis.dependence.pairwise import discoveries, pairwise_dependence
from latentflow.analysis.gaussianity.joint import joint_gaussianity
from latentflow.analysis.gaussianity.marginal import gaussianity
from latentflow.analysis.gaussianity.mismatch import terminal_mismatch
from latentflow.analysis.ledger.densities import Baseline, BaselineDensity, baseline_densities
from latentflow.analysis.ledger.ledger import ledger
from latentflow.analysis.likelihood import likelihood
from latentflow.analysis.measures import PairwiseDependence
from latentflow.analysis.preparation import Material, fastica_summary, prepare
from latentflow.analysis.provenance import provenance
from latentflow.analysis.results import FastICASummary, IndependenceResult, Rows
from latentflow.analysis.verdict import Evidence, judge
from latentflow.analysis.verification.roundtrip import round_trip
from latentflow.data.missing_events import headline_without
from latentflow.statistics.thinning import thin

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
    block, latents = material.block, material.encoding.latents
    rng = np.random.default_rng(seed)  # all draw from it, in this order
    entries = ledger(material.representations, rng=rng, n_boot=n_boot, block=block)
    scores = likelihood(model, material, rng, n_boot)
    pairwise = _pairwise(material)
    closer = _closer(material, pairwise, rng)
    trip = round_trip(model, material.values, latents, material.carried, rng)
    baselines = _densities(material, scores.terms, rng, n_boot)
    whole = joint_gaussianity(latents, rng, block=block)
    fastica = fastica_summary(material)
    treatments = tuple(treatment.to_dict() for treatment in model.preprocessor.treatments)
    evidence = Evidence(
        ledger=entries,
        pairwise=pairwise,
        gaussianity=gaussianity(latents, model.latent_names, dependent=material.serial.dependent),
        fastica=fastica,
        rows=_rows(model, material),
        log_prob_gain=scores.gain,
        overfit=scores.overfit,
        tied_columns=tied_share(treatments),
        history=dict(model.record.get("history") or {}),
        joint=closer["joint"].get("latents"),
        orientation=_orientation(model, material, fastica, n_boot=n_boot, seed=seed),
        hints=tuple(report_hints(model, baselines)),
        without=_without(model, material),
    )
    return IndependenceResult(
        provenance=provenance(
            model,
            material,
            rows=rows,
            missing=missing,
            sources=sources if sources is None or isinstance(sources, str) else "array",
            peers=list(peers),
            n_boot=n_boot,
            seed=seed,
        ),
        columns=tuple(str(name) for name in model.columns),
        flow_columns=material.flow_columns,
        latent_names=tuple(model.latent_names),
        treatments=treatments,
        rows=evidence.rows,
        alerts=collect_alerts(model, material, evidence),
        ledger=entries,
        neg_log_prob=scores.model,
        neg_log_prob_gaussian=scores.gaussian,
        log_prob_gain=scores.gain,
        neg_log_prob_train=scores.training,
        pairwise=pairwise,
        gaussianity=evidence.gaussianity,
        round_trip=trip,
        fastica=fastica,
        history=evidence.history,
        far_rows=int(np.count_nonzero(material.encoding.far)),
        verdict=judge(evidence),
        densities=baselines,
        recovery=None if material.sources is None else recovery(material.representations, material.sources),
        latent_facts=latent_facts(latents, model.latent_names, material.continuous, material.flow_columns),
        terminal_mismatch=_mismatch(model, material),
        joint_gaussianity=whole,
        orientation=evidence.orientation,
        **closer,
    )


def _pairwise(material: Material) -> dict[str, PairwiseDependence]:
    return {
        rep.name: pairwise_dependence(
            rep.values, rep.name, label=rep.label, columns=rep.columns, block=material.block
        )
        for rep in material.representations
    }


def _closer(
    material: Material, pairwise: Mapping[str, PairwiseDependence], rng: np.random.Generator
) -> dict[str, Any]:
    """What a closer look at the representations of :data:`SHOWN` finds, as fields of the result."""
    shown = [material.representation(name) for name in SHOWN]
    block = material.block
    # with a handful of rows there is nothing to train a classifier on or to measure a pair again with
    tested = shown if len(material.values) >= FEWEST_ROWS else []
    return {
        "discoveries": {name: discoveries(pairs.p_value) for name, pairs in pairwise.items()},
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
        "samples": {rep.name: thin(rep.values, SHOWN_ROWS) for rep in shown},
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


def _mismatch(model: Any, material: Material) -> float | None:
    whitened, _ = model.preprocessor.forward(material.values)
    k = material.encoding.latents.shape[1]
    return terminal_mismatch(whitened[:, :k], float(model.sigmas[-1]), block=material.block)


def _without(model: Any, material: Material) -> str:
    """Which rare events the split kept from the rows judged, or from those of the fit, where it is the fit's table."""
    if material.choice.which != "held out":
        return ""
    return headline_without(model.record.get("split") or {}, model.columns)


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
