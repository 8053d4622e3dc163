"""Latents against the components that a user has today, one by one: FastICA's, or those of a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from latentflow.analysis.axes.account import is_anchored, started_from_ica
from latentflow.analysis.dependence.on_others import dependence_on_others
from latentflow.analysis.ledger.ledger import ledger
from latentflow.analysis.preparation import Material, prepare
from latentflow.data.tables import open_table
from latentflow.errors import DataError
from latentflow.model.tables import open_for
from latentflow.orientation.ordering import explained_variance
from latentflow.statistics.interval import Interval
from latentflow.statistics.ranks import normal_scores
from latentflow.statistics.records import Result
from latentflow.statistics.resample import intervals

#: Nats below 0 from which a lower bound is said to have failed.
NOTHING_LEARNED = 0.02


@dataclass(frozen=True)
class ComparedLatent(Result):
    """One latent and the component matched with it."""

    name: Annotated[str, "The latent."]
    component: Annotated[
        str | None,
        "The component matched with it; None where components ran out, and so is all that follows from it.",
    ]
    spearman: Annotated[
        float | None,
        "Signed correlations with the component. Pearson's is that of the latent in source scale where the model has "
        "one, for a Gaussian latent is at best a bent copy of a component.",
    ]
    pearson: float | None
    variance_explained: Annotated[
        float, "Share of the variance of the standardised columns that each explains alone, linearly or not."
    ]
    component_variance_explained: float | None
    dependence: Annotated[
        float | None,
        "What the other latents tell of this one, and the other components of its component: lower bounds on the "
        "mutual information, nats. None where the bound found nothing, because nothing stood out from chance.",
    ]
    component_dependence: float | None
    adds: Annotated[
        Interval | None,
        "The second less the first, nats, paired over rows: the dependence on the others that is left in the "
        "component and not in the latent. A bound that found nothing counts as 0; None where neither found anything.",
    ]


@dataclass(frozen=True)
class Comparison(Result):
    """Latents and components of the same rows."""

    against: Annotated[str, "``FastICA``, or the file or array of the user's components."]
    latents: Annotated[tuple[ComparedLatent, ...], "In the order of the latents."]
    unmatched: Annotated[tuple[str, ...], "Components that no latent was left for."]
    agreement: Annotated[float, "Mean |Spearman correlation| of the matches."]
    total: Annotated[
        Interval | None,
        "TC(components) − TC(latents), nats, paired over rows, from the ledger; None for components of the user's, "
        "whose log-determinant is not known. The ``adds`` of the latents do not sum to it: what two coordinates share "
        "counts with each of them.",
    ]
    scale: Annotated[
        str, "``source`` or ``latent``: the scale in which Pearson's correlation takes the latents."
    ]
    which: Annotated[str, "``held out`` or ``all``: which rows of the table."]
    n_rows: Annotated[int, "Rows compared."]
    fitted_on: Annotated[
        str,
        "What FastICA was fitted on: ``training rows`` or ``same rows``; empty for components of the user's.",
    ]
    notes: Annotated[tuple[str, ...], "What a reader must know besides, one sentence each."]


def compare(
    model: Any,
    X: Any,
    *,
    components: Any = None,
    components_key: str | None = None,
    rows: str = "auto",
    missing: str = "error",
    n_boot: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare the latents of a model with FastICA's components of the same rows, or with the user's own.

    Parameters
    ----------
    model : FittedFlow
    X : path, Table, DataFrame or array (n, D)
        The table that the model was fitted on, or another one with the same columns.
    components : path or array (n, m), optional
        The user's components, one row for each row of the table. Without them FastICA is fitted on the training rows.
    components_key : str, optional
        The data set inside an HDF5 file of components.
    rows : {"auto", "held_out", "all"}
        ``auto``: of the model's own table the rows that its fit held out, of another table all.
    missing : {"error", "drop"}
    n_boot : int
        Bootstrap draws of the intervals.
    seed : int
        Of the bootstrap and of FastICA.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        As :func:`~latentflow.analysis.independence.independence_report`; the components do not have the table's rows,
        have missing values, or one that does not vary.
    """
    table = open_for(model, X)
    against, given = "FastICA", None
    names: tuple[str, ...] = ()
    if components is not None:
        against, given, names = _read(components, components_key, table.n_rows)
    material = prepare(model, table, rows=rows, missing=missing, seed=seed, sources=given)
    if material.sources is None:
        reference = material.representation("fastica")
        values, names = reference.values, reference.columns
    else:
        values = material.sources
        _refuse_flat(values, names, against)
    rng = np.random.default_rng(seed)
    total = None
    if given is None:
        chosen = [reference, material.representation("latents")]
        account = ledger(chosen, reference="fastica", rng=rng, n_boot=n_boot, block=material.block)
        total = account.differences["latents-fastica"]
    latents, scale = material.encoding.latents, getattr(model, "source_scale", None)
    sources = latents if scale is None else scale.forward(latents)[0]
    compared, unmatched = _compared(
        material, (tuple(model.latent_names), latents, sources), (tuple(names), values), rng, n_boot
    )
    matched = [abs(row.spearman) for row in compared if row.spearman is not None]
    return Comparison(
        against=against,
        latents=compared,
        unmatched=unmatched,
        agreement=float(np.mean(matched)),
        total=total,
        scale="latent" if scale is None else "source",
        which=material.choice.which,
        n_rows=len(latents),
        fitted_on="" if given is not None else "same rows" if material.choice.in_sample else "training rows",
        notes=(*_notes(model, material, own=given is not None), *_notes_on_bounds(compared)),
    )


def match(latents: np.ndarray, components: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match columns of (n, k) with columns of (n, m) by |Spearman correlation| (Kuhn 1955).

    Returns
    -------
    own, other : ndarray (min(k, m),) of int
        Matched columns, the first ascending.
    correlation : ndarray (k, m)
        All signed Spearman correlations.
    """
    k = latents.shape[1]
    ranks = rankdata(np.concatenate([latents, components], axis=1), axis=0)
    correlation = np.corrcoef(ranks, rowvar=False)[:k, k:]
    own, other = linear_sum_assignment(-np.abs(correlation))
    return own, other, correlation


def _compared(
    material: Material,
    ours: tuple[tuple[str, ...], np.ndarray, np.ndarray],
    theirs: tuple[tuple[str, ...], np.ndarray],
    rng: np.random.Generator,
    n_boot: int,
) -> tuple[tuple[ComparedLatent, ...], tuple[str, ...]]:
    """Each latent (names, values, values in source scale) with its component (names, values); those left over."""
    (latent_names, latents, sources), (names, components) = ours, theirs
    block = material.block
    own, other, spearman = match(latents, components)
    partner = dict(zip(own.tolist(), other.tolist(), strict=True))
    centred = material.continuous - material.continuous.mean(axis=0)
    columns = centred / np.maximum(centred.std(axis=0), np.finfo(float).tiny)
    explained = [explained_variance(normal_scores(values), columns) for values in (latents, components)]
    terms = [dependence_on_others(values, block=block) for values in (latents, components)]
    gaps = intervals(terms[1][:, other] - terms[0][:, own], rng, n_boot, block)
    bounds = [_bounds(each) for each in terms]
    gap = {
        i: between
        for i, j, between in zip(own.tolist(), other.tolist(), gaps, strict=True)
        if (bounds[0][i], bounds[1][j]) != (None, None)
    }
    compared = [
        ComparedLatent(
            name=name,
            component=None if j is None else names[j],
            spearman=None if j is None else float(spearman[i, j]),
            pearson=None if j is None else float(np.corrcoef(sources[:, i], components[:, j])[0, 1]),
            variance_explained=float(explained[0][i]),
            component_variance_explained=None if j is None else float(explained[1][j]),
            dependence=bounds[0][i],
            component_dependence=None if j is None else bounds[1][j],
            adds=gap.get(i),
        )
        for i, name, j in ((i, name, partner.get(i)) for i, name in enumerate(latent_names))
    ]
    left = tuple(names[j] for j in range(len(names)) if j not in partner.values())
    return tuple(compared), left


def _bounds(terms: np.ndarray) -> list[float | None]:
    """Means of the terms (n, d) of each bound; None where all are 0: nothing stood out from chance."""
    return [float(column.mean()) if column.any() else None for column in terms.T]


def _read(components: Any, key: str | None, n_rows: int) -> tuple[str, np.ndarray, tuple[str, ...]]:
    """The user's components: what they are called, their values (n, m), and a name for each."""
    if isinstance(components, str | os.PathLike):
        table = open_table(Path(components), key=key)
        source, values, names = Path(components).name, table.read(), tuple(map(str, table.columns))
    else:
        values = np.asarray(components, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        source, names = "the components given", tuple(f"component{i:02d}" for i in range(values.shape[-1]))
    if values.ndim != 2 or len(values) != n_rows:
        raise DataError(
            f"{source}: {len(values)} rows of components do not go with the {n_rows} rows of the table; give one row "
            "for each row of the table, in its order"
        )
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{source}: row {int(np.argmin(finite))} has a missing or infinite component; fill or drop it"
        )
    return source, values, names


def _refuse_flat(values: np.ndarray, names: Sequence[str], source: str) -> None:
    flat = np.flatnonzero(np.ptp(values, axis=0) == 0.0)
    if len(flat):
        raise DataError(
            f"{source}: component '{names[flat[0]]}' has a single value on these rows; leave it out"
        )


def _notes_on_bounds(compared: Sequence[ComparedLatent]) -> tuple[str, ...]:
    bounds = [row.dependence for row in compared]
    bounds += [row.component_dependence for row in compared if row.component is not None]
    notes = []
    if None in bounds:
        notes.append(
            "Where no figure stands for the dependence, nothing stood out from chance to the bound, which is no proof "
            "of independence: it does not see every kind of dependence, nor what is too weak to show in so many rows."
        )
    if any(bound is not None and bound <= -NOTHING_LEARNED for bound in bounds):
        notes.append(
            "A bound below 0 says nothing of the dependence: what one half of the rows taught did not hold in the "
            "other. Where there is one, what the latent adds says nothing either."
        )
    return tuple(notes)


def _notes(model: Any, material: Material, *, own: bool) -> tuple[str, ...]:
    notes = []
    if is_anchored(model.orientation):
        notes.append(
            "The latents were aligned with ICA components, so that their agreement with these is no evidence for "
            "either."
        )
    if model.orientation.arbitrary:
        notes.append(
            "The latents were not oriented: their axes are arbitrary, and so is every match (latentflow orient)."
        )
    started = started_from_ica(model.orientation, model.network)
    if started:
        notes.append(
            f"The {started} started from FastICA's, so that a high agreement with ICA components is weaker evidence "
            "than two ways that never met."
        )
    if not own and not material.ica.converged:
        notes.append("FastICA did not converge: this compares with where it stopped.")
    if material.choice.which == "all" and material.choice.same_table:
        notes.append("Training rows are among the rows compared, on which both look better than on new rows.")
    if own and material.choice.which == "held out":
        notes.append("Only rows that the fit held out are compared; the components may have seen them.")
    return tuple(notes)
