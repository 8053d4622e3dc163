"""Turning the latents of a fitted model: the rotation, then their order, their signs and their source scale.

Orientation needs the trained model and its training rows, and no further training of the flow.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentflow.components.source_scale import SourceScale
from latentflow.data.complete_rows import beside_rows, complete_rows
from latentflow.data.tables import Table
from latentflow.errors import DataError, LatentFlowWarning
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.tables import is_table_of_fit
from latentflow.orientation.methods import Floats, Material
from latentflow.orientation.ordering import by_explained_variance, explained_variance, loadings, signs
from latentflow.orientation.record import Orientation
from latentflow.orientation.registry import METHODS, method_of
from latentflow.orientation.request import OrientationRequest
from latentflow.orientation.rows import PickedRows
from latentflow.orientation.selection import choose
from latentflow.score.tensors import as_array


def orient(
    model: FittedFlow,
    X: ArrayLike,
    *,
    orientation: str = "auto",
    groups: ArrayLike | None = None,
    time: ArrayLike | None = None,
    time_order: bool = False,
    roles: NDArray[np.uint8] | None = None,
    seed: int | None = None,
) -> FittedFlow:
    """The same model with its latents oriented, in a definite order, with definite signs and a source scale.

    Parameters
    ----------
    model : FittedFlow
        However it is oriented now.
    X : array_like, shape (n, D)
        The table that the model was fitted to, or other rows of the same law; in the user's units.
    orientation : str
        ``auto``, the method that goes by what is known of the rows (time before groups), or where nothing is what
        :func:`latentflow.orientation.selection.choose` finds; or one of

        {methods}

    groups : array_like, shape (n,), optional
        A label for each row, of any type. For ``temporal`` the labels are recordings: no pair of rows spans two.
    time : array_like, shape (n,), optional
        When each row was taken, in numbers of any unit, or as dates (text in ISO 8601 too); steps are multiples of the
        median difference. Where it falls, within a label where there are groups, another recording begins; where it
        falls all over and hardly any two rows were taken at once, the rows are in no order, or the newest comes
        first, and it gives them theirs.
    time_order : bool
        Rows follow each other in time, at equal steps; where there are groups, those of a label do.
    roles : ndarray of uint8, shape (n,), optional
        Roles of the rows, as in the model; rows held out are not looked at. By default the model's own where they are
        as many as X has rows, else all rows are used.
    seed : int, optional
        By default that of the fit.

    Returns
    -------
    FittedFlow
        With ``orientation``, ``source_scale`` and ``mean_jacobians`` that belong together, and a record of its own.
        Latents that stand as the flow gives them have no source scale, as their axes are not those of sources.

    Raises
    ------
    LatentFlowError
        If the orientation is unknown, or lacks the time order, the groups or the rows that it needs.

    Warns
    -----
    LatentFlowWarning
        If rows have no label: they count as one group. If series share their trends, or many rows are in groups too
        small to be used.
    """
    values = np.asarray(X, dtype=np.float64)
    request = OrientationRequest.of(orientation, len(values), groups=groups, time=time, time_order=time_order)
    if roles is None and len(model.roles) == len(values):
        roles = model.roles
    turned = orient_by(model, values, request, request.rows(model.preprocessor.n_flow, roles), seed=seed)
    turned.record["settings"] = {
        **turned.record.get("settings", {}),
        "orientation": orientation,
        "time_order": time_order,
    }
    if orientation == "auto" or method_of(orientation).needs:
        # columns from before are not what these axes go by
        turned.record |= {name: None for name in ("groups", "time") if name in turned.record}
        given = {"groups": groups, "time": time}
        turned.record["beside_rows"] = [name for name, values in given.items() if values is not None]
    return turned


orient.__doc__ = (orient.__doc__ or "").replace(
    "{methods}", "\n        ".join(f"* ``{method.name}``: {method.label}" for method in METHODS.values())
)


def orient_table(
    model: FittedFlow,
    table: Table,
    *,
    orientation: str = "auto",
    groups: str | ArrayLike | None = None,
    time: str | ArrayLike | None = None,
    time_order: bool = False,
) -> FittedFlow:
    """The same model with its latents oriented by the rows of a table, as :func:`orient` does it.

    Columns of groups and times that the model was fitted or oriented with are read again where none are given, and
    rows with missing values left out where the fit did that.

    Parameters
    ----------
    model : FittedFlow
    table : Table
        Of the columns of the model. Rows that the fit held out are not looked at where it is the table of the fit.
    orientation, time_order
        As for :func:`orient`.
    groups, time : str or array_like, shape (n,), optional
        The name of a column or dataset of the file, or the values themselves.

    Returns
    -------
    FittedFlow

    Raises
    ------
    LatentFlowError
        As for :func:`orient`; or if values are missing and may not be left out, or a column is not there.
    """
    columns = _columns(model, table, orientation, {"groups": groups, "time": time}, time_order)
    rows = complete_rows(
        table,
        missing=model.record.get("missing", "error"),
        groups=columns.get("groups"),
        time=columns.get("time"),
        time_order=time_order,
    )
    turned = orient(
        model,
        rows.values,
        orientation=orientation,
        groups=rows.groups,
        time=rows.time,
        time_order=time_order,
        roles=model.roles[rows.complete]
        if is_table_of_fit(model, table)
        else np.zeros(len(rows.values), np.uint8),
    )
    turned.record |= {name: column if isinstance(column, str) else None for name, column in columns.items()}
    return turned


def _columns(
    model: FittedFlow, table: Table, orientation: str, given: dict[str, Any], time_order: bool
) -> dict[str, Any]:
    """What to go by as groups and times: what is given, else the columns that the model went by before.

    With auto, whatever is given stands alone: a time from before would outvote groups that were just given.
    """
    auto = orientation == "auto"
    known = {name: column for name, column in given.items() if column is not None}
    if auto and (known or time_order):
        return given
    if not auto and method_of(orientation).needs is None:
        return known
    if time_order:  # equal steps, as just said
        known.setdefault("time", None)
    for name in given:
        if name not in known:
            known[name] = _still_there(table, model.record.get(name), required=not auto)
    return known


def _still_there(table: Table, column: str | None, *, required: bool) -> str | None:
    """A column that was read before, or None with a warning where this table has none of that name.

    Raises
    ------
    DataError
        If it is not there and is required.
    """
    try:
        beside_rows(table, column)
    except DataError as missing:
        if required:
            raise
        warnings.warn(f"{missing}; orienting without it", LatentFlowWarning, stacklevel=4)
        return None
    return column


def orient_by(
    model: FittedFlow,
    X: Floats,
    request: OrientationRequest,
    picked: PickedRows,
    *,
    seed: int | None = None,
) -> FittedFlow:
    """The same model oriented as a request says, which was checked and whose rows were picked before.

    Parameters
    ----------
    model, X, seed
        As for :func:`orient`; its record stays what it was, in a copy.
    request : OrientationRequest
        About these rows.
    picked : PickedRows
        By :meth:`~latentflow.orientation.request.OrientationRequest.rows`.

    Warns
    -----
    LatentFlowWarning
        If series share their trends, or many rows are in groups too small to be used.
    """
    material = material_for(model, X, request, picked, seed=seed)
    orientation = find_orientation(material, request)
    for caution in orientation.cautions:
        warnings.warn(f"orientation {orientation.method}: {caution}", LatentFlowWarning, stacklevel=3)
    return arranged(model, orientation, material.X, material.z)


def material_for(
    model: FittedFlow,
    X: Floats,
    request: OrientationRequest,
    picked: PickedRows,
    *,
    seed: int | None = None,
) -> Material:
    """What the methods work on; parameters as for :func:`orient_by`."""
    rows = X[picked.rows]
    x = model.preprocessor.forward(rows)[0][:, : model.preprocessor.n_flow]
    return Material(
        flow=model.flow,
        whitening=model.preprocessor.whitening,
        network=model.network,
        X=rows,
        x=x,
        z=as_array(model.flow.encode(model.flow.tensor(x))),
        validation=picked.validation,
        positions=request.positions[picked.rows],
        groups=request.labels_of(picked),
        seed=int(model.record.get("seed", 0)) if seed is None else seed,
    )


def find_orientation(material: Material, request: OrientationRequest) -> Orientation:
    """The axes that were asked for, before they are put in order."""
    if material.x.shape[1] == 1:
        orientation = Orientation.identity(1)
    elif request.method == "auto":
        orientation = choose(material)
    else:
        method = method_of(request.method)
        orientation = method.axes(material)
        if request.asked == "auto" and method.needs:
            orientation = replace(orientation, reason=f"{method.needs.given} was given")
    return replace(orientation, asked=request.asked)


def arranged(model: FittedFlow, orientation: Orientation, X: Floats, z: Floats) -> FittedFlow:
    """The model with this orientation, its axes in order of explained variance and signed, and what belongs to them.

    Parameters
    ----------
    model : FittedFlow
    orientation : Orientation
        Axes in any order and of any sign.
    X : ndarray, shape (n, D)
        Training rows.
    z : ndarray, shape (n, k)
        Their latents before any orientation.
    """
    preprocessor, rotation = model.preprocessor, orientation.rotation
    squeezed = preprocessor.table.tails.forward(preprocessor.continuous(X))[0]
    columns = (squeezed - preprocessor.whitening.center) / preprocessor.whitening.scale
    latents = z @ rotation
    scale = None
    if not orientation.arbitrary:  # axes that nothing chose are not those of sources
        scale = SourceScale.fit(model.flow, rotation, latents, reach=model.reach)
    sources = scale.forward(latents)[0] if scale else latents
    order = by_explained_variance(explained_variance(latents, columns))
    sign = signs(sources[:, order], loadings(latents[:, order], columns))
    turned = replace(
        orientation,
        rotation=rotation[:, order] * sign,
        angle_error=orientation.angle_error[np.ix_(order, order)],
    )
    oriented = replace(
        model,
        orientation=turned,
        source_scale=scale.arranged(order, sign) if scale else None,
        mean_jacobians=None,
        record=copy.deepcopy(model.record),
    )
    return replace(oriented, mean_jacobians=oriented.mean_jacobians_over(X))
