"""The ways to orient the latents of a fitted model, each from the same training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentflow.errors import LatentFlowError
from latentflow.flow.anchors import ICAAxes, ica_axes, normal_scores, procrustes
from latentflow.flow.derivative_axes import denoiser_axes, encoder_jacobians, metric_axes, pull_back_axes
from latentflow.flow.determination import angle_error
from latentflow.flow.gaussianization import GaussianizationFit, fit_gaussianization
from latentflow.flow.joint_diagonalisation import JointDiagonalisation
from latentflow.flow.orientation import Orientation
from latentflow.flow.structured_axes import StructuredAxes, group_axes, temporal_axes
from latentflow.model import FittedFlow

#: Beyond as many latents no Gaussianization is tried: its starts cost a Jacobian per row.
LAYERED_DIMENSION = 32
#: Rows on which likelihoods are compared.
LIKELIHOOD_ROWS = 1_000

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """What the ways to orient work on: training rows, whitened, and their latents before any orientation.

    Attributes
    ----------
    model : FittedFlow
    X : ndarray, shape (n, D)
        In the user's units.
    x, z : ndarray, shape (n, k)
    validation : ndarray of bool, shape (n,)
        Rows by which simple models are compared.
    positions : ndarray of int, shape (n,)
        When each row was taken, in steps.
    groups : ndarray of int, shape (n,), or None
    seed : int
    """

    model: FittedFlow
    X: Floats
    x: Floats
    z: Floats
    validation: NDArray[np.bool_]
    positions: Integers
    groups: Integers | None
    seed: int

    def generator(self) -> np.random.Generator:
        """A fresh generator, the same for every way, so that none depends on which others were tried."""
        return np.random.default_rng([self.seed, 7])

    def likelihood_rows(self) -> Floats:
        """Validation rows by whose likelihood models are compared, spread evenly over all of them, shape (m, k)."""
        rows = self.x[self.validation]
        most = max(100, min(LIKELIHOOD_ROWS, 20_000 // rows.shape[1]))
        return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]


def jacobian(material: Material) -> Orientation:
    """Axes of the denoiser's Jacobians."""
    found = denoiser_axes(material.model.flow, material.x, material.generator())
    return _diagonalised("jacobian", found, material)


def metric(material: Material) -> Orientation:
    """Axes of the decoder's metric."""
    jacobians = encoder_jacobians(material.model.flow, material.x, material.generator())
    return _diagonalised("metric", metric_axes(jacobians), material)


def ica(material: Material) -> Orientation:
    """The rotation nearest to FastICA's components."""
    return from_ica(material, ica_axes(material.x, material.seed))


def gaussianization(material: Material) -> Orientation:
    """The rotation nearest to the coordinates of a few layers of linear ICA."""
    k = material.x.shape[1]
    if k > LAYERED_DIMENSION:
        raise LatentFlowError(
            f"orientation gaussianization is for at most {LAYERED_DIMENSION} latents, not {k}: "
            "use --components, or another --orientation"
        )
    return from_layers(material, layered_fits(material, ica_axes(material.x, material.seed).rotation)[0])


def temporal(material: Material) -> Orientation:
    """Axes of the latents' variograms; where there are groups, they are recordings."""
    return _structured("temporal", temporal_axes(material.z, material.positions, material.groups))


def groups(material: Material) -> Orientation:
    """Axes of the latents' covariances within groups."""
    assert material.groups is not None
    return _structured("groups", group_axes(material.z, material.groups))


def from_ica(material: Material, found: ICAAxes) -> Orientation:
    """The orientation of a FastICA that has been run."""
    components = material.x @ found.rotation
    return Orientation(
        rotation=procrustes(material.z, components),
        method="ica",
        converged=found.converged,
        angle_error=angle_error(components),
        details={"anchored_to_ica": True},
    )


def from_layers(material: Material, layers: GaussianizationFit) -> Orientation:
    """The orientation of layers that have been fitted."""
    return Orientation(
        rotation=procrustes(material.z, layers.latents(material.x)),
        method="gaussianization",
        angle_error=angle_error(layers.components(material.x)),
        details={"start": layers.start, "layers": len(layers.flow.bends)},
    )


def linear_fit(material: Material, ica_rotation: Floats) -> GaussianizationFit:
    """Linear ICA with free densities, by maximum likelihood."""
    return _fits(material, {"linear": [ica_rotation]})[0]


def layered_fits(material: Material, ica_rotation: Floats) -> tuple[GaussianizationFit, ...]:
    """The two best fits with two and three layers, likelier first.

    They start with bends of the columns, which a post-non-linear mixture wants, and of the axes of the flow's
    pull-back metric, which are those of the last layer of a deeper one.
    """
    k = len(ica_rotation)
    rng = material.generator()
    turns: list[Floats] = [np.linalg.qr(rng.standard_normal((k, k)))[0] for _ in range(2)]
    whitening = material.model.preprocessor.whitening
    square = whitening.basis.shape[1] == k
    columns: Floats = np.eye(k)
    if square:
        columns = np.sqrt(whitening.variances)[:, None] * whitening.basis.T
    of_columns = ica_axes(_whitened(normal_scores(material.x @ columns)), material.seed).rotation
    jacobians = encoder_jacobians(material.model.flow, material.x, rng)
    last = pull_back_axes(jacobians).rotation
    copula = _whitening(normal_scores(material.x @ columns)) @ of_columns
    return _fits(
        material,
        {
            "columns, 2 layers": [columns, copula],
            "columns, 3 layers": [columns, np.eye(k), np.asarray(np.linalg.solve(columns, ica_rotation))],
            "pull-back axes, 2 layers": [last, last.T @ ica_rotation],
            "pull-back axes, 3 layers": [last, np.eye(k), last.T @ ica_rotation],
            "pull-back axes, 3 layers, turned": [last, turns[0], turns[0].T @ last.T @ ica_rotation],
            "pull-back axes, 3 layers, turned again": [last, turns[1], turns[1].T @ last.T @ ica_rotation],
        },
    )


def _fits(material: Material, starts: Mapping[str, list[Floats]]) -> tuple[GaussianizationFit, ...]:
    train = material.x[~material.validation]
    return fit_gaussianization(train, material.likelihood_rows(), starts, material.seed)


def _whitening(values: Floats) -> Floats:
    """The symmetric matrix that whitens columns, shape (k, k)."""
    variances, basis = np.linalg.eigh(np.cov(values.T))
    return np.asarray(basis / np.sqrt(variances) @ basis.T)


def _whitened(values: Floats) -> Floats:
    return values @ _whitening(values)


def _diagonalised(method: str, found: JointDiagonalisation, material: Material) -> Orientation:
    return Orientation(
        rotation=found.rotation,
        method=method,
        converged=found.converged,
        angle_error=angle_error(material.x @ found.rotation),
        details={"sweeps": found.sweeps, "off_diagonal": found.off_diagonal},
    )


def _structured(method: str, found: StructuredAxes) -> Orientation:
    axes = found.diagonalisation
    used = "lags" if method == "temporal" else "groups_used"
    return Orientation(
        rotation=axes.rotation,
        method=method,
        converged=axes.converged,
        angle_error=found.angle_error,
        details={"sweeps": axes.sweeps, "off_diagonal": axes.off_diagonal, used: list(found.used)},
    )


WAYS: Mapping[str, Callable[[Material], Orientation]] = {
    "jacobian": jacobian,
    "metric": metric,
    "ica": ica,
    "gaussianization": gaussianization,
    "temporal": temporal,
    "groups": groups,
}
