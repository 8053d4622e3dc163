"""The independence report of a fitted model on a table: all measurements, their alerts and the verdict."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from latentflow.analysis.alerts import TIED, collect_alerts
from latentflow.analysis.baselines import gaussian_neg_log_prob
from latentflow.analysis.dependence import pairwise_dependence
from latentflow.analysis.gaussianity import gaussianity
from latentflow.analysis.interval import Interval
from latentflow.analysis.ledger import ledger
from latentflow.analysis.measures import PairwiseDependence
from latentflow.analysis.preparation import Material, fastica_summary, prepare
from latentflow.analysis.resample import intervals
from latentflow.analysis.results import IndependenceResult, Rows
from latentflow.analysis.roundtrip import round_trip
from latentflow.analysis.rows import thin
from latentflow.analysis.verdict import Evidence, judge
from latentflow.errors import ModelFileError

TRAINING_ROWS_JUDGED = 1_000
PACKAGES = ("latentflow", "numpy", "scipy", "scikit-learn", "torch")
FIT_FACTS = (
    "seed",
    "preset",
    "steps",
    "device",
    "seconds",
    "n_train",
    "n_validation",
    "n_held_out",
    "sigma_min",
    "sigma_max",
)


def independence_report(
    model: Any, X: Any, *, rows: str = "auto", missing: str = "error", n_boot: int = 1000, seed: int = 0
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
    n_boot : int
        Bootstrap draws of the intervals.
    seed : int
        Of the bootstrap, of FastICA and of the draws of the round trip.

    Returns
    -------
    IndependenceResult
        All figures in nats and the user's units; see there.

    Raises
    ------
    DataError
        The table lacks a column of the model or has missing values; the model held no rows out; fewer than 10
        rows, or fewer training rows than columns; fewer than two columns vary.
    """
    material = prepare(model, X, rows=rows, missing=missing, seed=seed)
    rng = np.random.default_rng(seed)
    block, encoding = material.block, material.encoding
    account = ledger(material.representations, rng=rng, n_boot=n_boot, block=block)
    own = -np.asarray(encoding.log_prob)
    gaussian = gaussian_neg_log_prob(material.whitening, material.continuous)
    scores = intervals(np.stack([own, gaussian, gaussian - own], axis=1), rng, n_boot, block)
    in_training = training_score(model, material, rng, n_boot)
    evidence = Evidence(
        ledger=account,
        pairwise=_pairwise(material),
        gaussianity=gaussianity(encoding.latents, model.latent_names, dependent=material.serial.dependent),
        fastica=fastica_summary(material),
        rows=_rows(model, material),
        log_prob_gain=scores[2],
        overfit=None
        if in_training is None or material.choice.which == "all"
        else _gap(scores[0], in_training),
        tied_columns=_tied_share(_treatments(model)),
        history=dict(model.record.get("history") or {}),
    )
    trip = round_trip(model, material.values, encoding.latents, material.carried, rng)
    return IndependenceResult(
        provenance=_provenance(model, material, rows=rows, n_boot=n_boot, seed=seed),
        columns=tuple(str(name) for name in model.columns),
        flow_columns=material.flow_columns,
        latent_names=tuple(model.latent_names),
        treatments=_treatments(model),
        rows=evidence.rows,
        alerts=collect_alerts(model, material, evidence),
        ledger=account,
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
    )


def training_score(model: Any, material: Material, rng: np.random.Generator, n_boot: int) -> Interval | None:
    """E[−log p] on at most 1 000 evenly spaced training rows, nats; None where they are not at hand."""
    if not material.choice.same_table:
        return None
    picked = thin(np.arange(len(material.train_values)), TRAINING_ROWS_JUDGED)
    terms = -np.asarray(model.encode(material.train_values[picked], log_prob=True).log_prob)
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


def _provenance(model: Any, material: Material, *, rows: str, n_boot: int, seed: int) -> dict[str, Any]:
    record, table = model.record, material.table
    try:
        model_hash = model.hash
    except ModelFileError:  # a closed form has no file
        model_hash = None
    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    return {
        "version": versions["latentflow"],
        "versions": versions,
        "model_hash": model_hash,
        "model_version": record.get("version"),
        "file": None if table.path is None else str(table.path),
        "key": table.key,
        "fingerprint": table.fingerprint(),
        "seed": seed,
        "n_boot": n_boot,
        "rows": rows,
        "fit": {name: record[name] for name in FIT_FACTS if name in record},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
