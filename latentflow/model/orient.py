"""Turning the latents of a fitted model: the rotation, then their order, their signs and their source scale.

Orientation needs the trained model and its training rows, and no further training of the flow.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentflow.components.source_scale import SourceScale
from latentflow.data.row_order import group_codes, time_steps, unlabelled
from latentflow.errors import DataError, LatentFlowError, LatentFlowWarning
from latentflow.model.fitted_flow import FittedFlow
from latentflow.orientation.methods import WAYS, Floats, Material, check_layered
from latentflow.orientation.ordering import by_explained_variance, explained_variance, loadings, signs
from latentflow.orientation.record import Orientation
from latentflow.orientation.rows import pick_rows
from latentflow.orientation.second_moments import large_groups, paired_rows
from latentflow.orientation.selection import choose
from latentflow.score.tensors import as_array

METHODS = ("auto", *WAYS, "none")

#: Fewest rows, at all and for each latent, from which axes can be found.
FEWEST, FEWEST_PER_LATENT = 8, 2


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
        ``jacobian``: the joint diagonaliser of the denoiser's Jacobians; ``metric``: that of the decoder's metric;
        ``ica``: the rotation nearest to FastICA's components; ``gaussianization``: the one nearest to a few layers of
        linear ICA; ``temporal``: the joint diagonaliser of log-variograms, then of greatest autoregressive likelihood,
        with innovations of any law; ``groups``: the joint diagonaliser of the covariances within groups; ``none``;
        ``auto``: ``temporal`` or ``groups`` where rows are told to be in time order or to have groups, else what
        :func:`latentflow.orientation.selection.choose` finds.
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
        With ``orientation``, ``source_scale`` and ``mean_jacobians`` that belong together.

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
    roles = _roles(model, len(np.asarray(X)), roles)
    told: dict[str, Any] = {"groups": groups, "time": time, "time_order": time_order}
    check_orientation(orientation, **told)
    check_rows(orientation, model.preprocessor.n_flow, len(np.asarray(X)), roles, **told)
    method = named(orientation, groups=groups, time=time, time_order=time_order)
    material = training_material(model, X, groups=groups, time=time, roles=roles, seed=seed, method=method)
    found = find_orientation(material, orientation, method)
    for caution in found.cautions:
        warnings.warn(f"orientation {found.method}: {caution}", LatentFlowWarning, stacklevel=2)
    return arranged(model, found, material.X, material.z)


def named(orientation: str, *, groups: ArrayLike | None, time: ArrayLike | None, time_order: bool) -> str:
    """The way that an orientation stands for, where what was told decides it; parameters as for :func:`orient`."""
    if orientation == "auto" and (time_order or time is not None):
        return "temporal"
    return "groups" if orientation == "auto" and groups is not None else orientation


def training_material(
    model: FittedFlow,
    X: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    time: ArrayLike | None = None,
    roles: NDArray[np.uint8] | None = None,
    seed: int | None = None,
    method: str = "auto",
) -> Material:
    """What the ways to orient work on; parameters as for :func:`orient`, and the way that :func:`named` names."""
    rows = np.asarray(X, dtype=np.float64)
    roles = _roles(model, len(rows), roles)
    if without := unlabelled(groups):
        warnings.warn(
            f"{without} of {len(rows)} rows have no label, and count as one group: leave them out if they are not",
            LatentFlowWarning,
            stacklevel=3,
        )
    positions, recordings = time_steps(
        time if method == "temporal" else None, group_codes(groups, len(rows)), len(rows)
    )
    picked, validation = pick_rows(method, model.preprocessor.n_flow, positions, recordings, roles)
    x = model.preprocessor.forward(rows[picked])[0][:, : model.preprocessor.n_flow]
    return Material(
        flow=model.flow,
        whitening=model.preprocessor.whitening,
        network=model.network,
        X=rows[picked],
        x=x,
        z=as_array(model.flow.encode(model.flow.tensor(x))),
        validation=validation,
        positions=positions[picked],
        groups=None if recordings is None else recordings[picked],
        seed=int(model.record.get("seed", 0)) if seed is None else seed,
    )


def find_orientation(material: Material, asked: str, method: str) -> Orientation:
    """The axes by one way, before they are put in order.

    Parameters
    ----------
    material : Material
    asked : str
        What was asked for.
    method : str
        What that stands for, as :func:`named` says.
    """
    k = material.x.shape[1]
    if k == 1 or method == "none":
        return replace(Orientation.identity(k), asked=asked)
    if method == "auto":
        return replace(choose(material), asked=asked)
    found = replace(WAYS[method](material), asked=asked)
    if asked != "auto":
        return found
    given = "the group of each row" if method == "groups" else "the order of the rows in time"
    return replace(found, reason=f"{given} was given")


def check_orientation(
    orientation: str,
    *,
    groups: ArrayLike | None,
    time: ArrayLike | None,
    time_order: bool,
    n: int | None = None,
) -> None:
    """Refuse what could not be done: an orientation that is unknown, or that lacks what it needs.

    Parameters are those of :func:`orient`; with the number of rows n, labels and times are looked at as well, before
    the work of a fit.
    """
    if orientation not in METHODS:
        raise LatentFlowError(f"orientation {orientation!r} is not known: choose one of {', '.join(METHODS)}")
    if orientation == "groups" and groups is None:
        raise LatentFlowError("orientation groups needs a label for each row: give --groups COLUMN (groups=)")
    if orientation == "temporal" and time is None and not time_order:
        raise LatentFlowError(
            "orientation temporal needs rows in the order of time: say so with --time-order (time_order=True), or "
            "give --time COLUMN (time=)"
        )
    if n is not None:
        time_steps(time, group_codes(groups, n), n)


def fewest_rows(k: int) -> int:
    """Rows below which nothing is known of the axes of k latents."""
    return max(FEWEST, FEWEST_PER_LATENT * k)


def check_rows(
    orientation: str,
    k: int,
    n: int,
    roles: NDArray[np.uint8] | None,
    *,
    groups: ArrayLike | None,
    time: ArrayLike | None,
    time_order: bool,
) -> None:
    """Refuse rows that are too few, or too far apart in time or in groups too small, for k latents.

    The other parameters are those of :func:`orient`; n is the number of rows.
    """
    method = named(orientation, groups=groups, time=time, time_order=time_order)
    if method == "none" or k == 1:
        return
    positions, recordings = time_steps(time if method == "temporal" else None, group_codes(groups, n), n)
    picked, _ = pick_rows(method, k, positions, recordings, roles)
    if len(picked) < fewest_rows(k):
        raise DataError(
            f"{len(picked)} rows are too few to orient {k} latents (below {fewest_rows(k)}): give more rows, or "
            "--orientation none"
        )
    own = None if recordings is None else recordings[picked]
    if method == "gaussianization":
        check_layered(k)
    elif method == "temporal":
        paired_rows(positions[picked], own, k)
    elif method == "groups":
        assert own is not None
        large_groups(own, k)


def arranged(model: FittedFlow, orientation: Orientation, X: Floats, z: Floats) -> FittedFlow:
    """The model with this orientation, its axes in order of explained variance and signed, its scale and picture.

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
    scale = SourceScale.fit(model.flow, rotation, latents, reach=model.reach)
    order = by_explained_variance(explained_variance(latents, columns))
    latents, scale = latents[:, order], scale.arranged(order, np.ones(len(order)))
    sign = signs(scale.forward(latents)[0], loadings(latents, columns))
    turned = replace(
        orientation,
        rotation=rotation[:, order] * sign,
        angle_error=orientation.angle_error[np.ix_(order, order)],
    )
    scale = scale.arranged(np.arange(len(sign)), sign)
    oriented = replace(model, orientation=turned, source_scale=scale, mean_jacobians=None)
    return replace(oriented, mean_jacobians=oriented.mean_jacobians_over(X))


def _roles(model: FittedFlow, n: int, roles: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Roles of n rows: those given, or the model's own where they are as many."""
    return model.roles if roles is None and len(model.roles) == n else roles
