"""A fitted model in a few lines, and why single latents of it may mean nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import nan

import numpy as np

from latentflow.analysis.axes.account import undetermined_planes
from latentflow.analysis.axes.hints import axis_hints
from latentflow.data.columns import ColumnTreatment
from latentflow.model.fitted_flow import FittedFlow
from latentflow.report.terminal.words import count, field, names, seconds

#: Undetermined planes named of one model, at most.
PLANES = 3


def model_lines(model: FittedFlow) -> list[str]:
    """Columns and what was done to them, rows and their roles, network and training."""
    record, preprocessor = model.record, model.preprocessor
    split, spent = record["split"], seconds(record["training_seconds"])
    losses = record["history"]["validation_loss"] or [nan]
    return [
        field("columns", f"{len(model.columns)}: {names(model.columns)}"),
        *_treated(preprocessor.treatments),
        field("latents", f"{len(model.latent_names)} of {preprocessor.n_kept} directions"),
        *orientation_lines(model),
        field(
            "rows",
            f"{record['n_train']} train, {record['n_validation']} validate, {record['n_held_out']} held out "
            f"({split['mode']} split)",
        ),
        *_base_lines(model),
        field(
            "network",
            f"{record['network']['structure']}; preset {record['preset']}, seed {record['seed']}",
        ),
        field(
            "training",
            f"{count(record['steps'], 'step')} in {spent}: {record['stopped']}; "
            f"validation loss {min(losses):.4f}",
        ),
    ]


def _base_lines(model: FittedFlow) -> list[str]:
    """What the base is, and whether a flow follows it; nothing where there is none."""
    if model.base is None:
        return []
    layers = model.base.layers
    small = "linear ICA with free densities" if layers == 1 else f"{layers} layers of linear ICA"
    after = (
        "a flow follows it" if model.ode else "no flow follows it, as validation rows show no gain from one"
    )
    return [field("base", f"{small}; {after}")]


def orientation_lines(model: FittedFlow) -> list[str]:
    """The method and how well it is determined, why this one where that was left to it, and what speaks against it.

    Before them, what the rows themselves say of the choice.
    """
    orientation = model.orientation
    if len(model.latent_names) == 1:
        return [field("orientation", "a single latent: no axes to choose")]
    if orientation.arbitrary:
        return [field("orientation", "none: the axes of the latents mean nothing")]
    lines = [f"{orientation.method}: {_determined(model)}"]
    if orientation.reason:
        lines.append(f"because {orientation.reason}")
    lines += [f"but {caution}" for caution in orientation.cautions]
    if hints := axis_hints(model):
        lines.insert(0, "; ".join(hints))
    return [field("" if at else "orientation", line) for at, line in enumerate(lines)]


def _determined(model: FittedFlow) -> str:
    """How well the axes are determined, in a clause."""
    if not model.orientation.converged:
        return "did not converge, so that no axis is determined"
    if planes := _undetermined(model):
        return f"axes undetermined in {_named(planes)}"
    return f"standard errors of the axes up to {model.orientation.angle_error.max(initial=0.0):.2g} radians"


def doubts(model: FittedFlow, chosen: Collection[str], *, together: bool) -> list[str]:
    """Why single latents of a model mean nothing, where they do: one sentence, or none.

    Parameters
    ----------
    model : FittedFlow
    chosen : collection of str
        The latents that something is done with.
    together : bool
        Whether it is done with all of them at once, so that a turn among them, or among the others, changes nothing.
    """
    everything = set(chosen) >= set(model.latent_names)
    if not chosen or len(model.latent_names) == 1 or (together and everything):
        return []
    if model.orientation.method == "none":
        return [
            "the latents of this model were not oriented: one of them is an arbitrary direction; see "
            "`latentflow orient`"
        ]
    if not model.orientation.converged:
        return [
            f"the search for the axes of this model (method {model.orientation.method}) did not converge: one of its "
            "latents may be any direction; see `latentflow orient`"
        ]
    planes = [
        plane
        for plane in _undetermined(model)
        if set(plane) & set(chosen) and not (together and set(plane) <= set(chosen))
    ]
    if not planes:
        return []
    way_out = "; take both latents of a plane, or neither" if together else ""
    return [
        f"the data do not fix the axes in {_named(planes)}: either latent may be any direction there{way_out}"
    ]


def _undetermined(model: FittedFlow) -> tuple[tuple[str, str], ...]:
    """Pairs of latents whose plane the data leave undetermined, the worst first."""
    return undetermined_planes(model.orientation.standard_errors, model.latent_names)


def _named(planes: Sequence[tuple[str, str]]) -> str:
    listed = names(["/".join(plane) for plane in planes], most=PLANES)
    return f"the plane of {listed}" if len(planes) == 1 else f"the planes of {listed}"


def axis_lines(model: FittedFlow) -> list[str]:
    """The columns that each latent moves most, a line for each latent, and before them what the figures are."""
    mean_jacobians, preprocessor = model.mean_jacobians, model.preprocessor
    if mean_jacobians is None:
        return []
    kept = preprocessor.kept
    spread = np.array([preprocessor.treatments[j].scale for j in kept])
    moved = mean_jacobians.mixing[kept] / np.where(spread > 0, spread, 1.0)[:, None]
    what = "source" if model.source_scale else "latent"
    lines = [field("moves most", f"columns, in their standard deviations per unit of the {what}")]
    for i, name in enumerate(model.latent_names):
        most = abs(moved[:, i]).argsort()[::-1][:3]
        columns = ", ".join(f"{model.columns[kept[j]]} {moved[j, i]:+.2f}" for j in most)
        lines.append(field(name, columns))
    return lines


def _treated(treatments: Sequence[ColumnTreatment]) -> list[str]:
    """The columns to which something was done beyond whitening, a line for each kind."""
    flow = [treatment for treatment in treatments if treatment.role == "flow"]
    kinds = {
        "constant": [treatment.name for treatment in treatments if treatment.role == "constant"],
        "dependent": [treatment.name for treatment in treatments if treatment.role == "dependent"],
        "lattice": [treatment.name for treatment in flow if treatment.lattice != "none"],
        "asinh": [treatment.name for treatment in flow if treatment.tails == "asinh"],
    }
    return [field(kind, names(which)) for kind, which in kinds.items() if which]
