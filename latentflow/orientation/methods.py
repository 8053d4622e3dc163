"""The functions behind the methods of :mod:`latentflow.orientation.registry`, each from the same training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentflow.base.based_flow import BasedFlow
from latentflow.base.fastica import ICAAxes, ica_axes
from latentflow.base.gaussianization import GaussianizationFit, Start, fit_gaussianization
from latentflow.base.initialisation import RemainingMixture, curves_to_normal, remove_layer
from latentflow.data.whitening import Whitening
from latentflow.errors import LatentFlowError
from latentflow.flow.latent_map import LatentMap
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.orientation.cramer_rao import angle_error
from latentflow.orientation.jacobians import (
    denoiser_axes,
    encoder_jacobians,
    kink_axes,
    metric_axes,
    pull_back_axes,
    push_forward_axes,
)
from latentflow.orientation.joint_diagonalisation import JointDiagonalisation
from latentflow.orientation.procrustes import procrustes
from latentflow.orientation.record import Orientation, agreement
from latentflow.orientation.second_moments import StructuredAxes, group_axes, temporal_axes
from latentflow.score.tensors import as_array
from latentflow.statistics.matrices import symmetric_whitening
from latentflow.statistics.ranks import normal_scores
from latentflow.statistics.thinning import thin

#: Rows on which likelihoods are compared.
LIKELIHOOD_ROWS = 1_000
#: Share of the flow's advantage over linear ICA that layers must reach to count as right, and nats a row and
#: coordinate that they may then be short of it: right ones are by 0.01 at the most, and too few layers by more.
EXPLAINED_SHARE, LARGEST_SHORTFALL = 0.9, 0.02
#: Nats a row and coordinate by which a larger model of the mixture must be better to be taken for that alone.
LEAST_ADVANTAGE = 0.01
#: Mean |cosine| of two sets of axes from which they count as much the same, and as the same: of two or three axes any
#: other ones are often much the same by chance.
MUCH_THE_SAME, THE_SAME = 0.9, 0.99

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """What the methods work on: training rows, whitened, and their latents before any orientation.

    Attributes
    ----------
    flow : LatentMap
    whitening : Whitening
        By which rows were whitened.
    network : mapping
        Settings of the network behind the flow (:mod:`latentflow.score.networks`); empty for a closed form.
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

    flow: LatentMap
    whitening: Whitening
    network: Mapping[str, Any]
    X: Floats
    x: Floats
    z: Floats
    validation: NDArray[np.bool_]
    positions: Integers
    groups: Integers | None
    seed: int

    def generator(self) -> np.random.Generator:
        """A fresh generator, the same for every method, so that none depends on which others were tried."""
        return np.random.default_rng([self.seed, 7])

    @cached_property
    def jacobians(self) -> tuple[Floats, Floats]:
        """Some of the rows, shape (m, k), and ∂z/∂x there, shape (m, k, k): computed once for whoever asks."""
        return encoder_jacobians(self.flow, self.x, self.generator())

    def likelihood_rows(self) -> Floats:
        """Validation rows by whose likelihood models are compared, spread evenly over all of them, shape (m, k)."""
        rows = self.x[self.validation]
        most = max(100, min(LIKELIHOOD_ROWS, 20_000 // rows.shape[1]))
        return thin(rows, most)


def jacobian(material: Material) -> Orientation:
    """Axes of the denoiser's Jacobians; of those of the encoder where a base keeps the denoiser from the rows."""
    if isinstance(material.flow, ProbabilityFlow):
        axes = denoiser_axes(material.flow, material.x, material.generator())
    else:
        axes = push_forward_axes(material.jacobians[1])
    return _diagonalised("jacobian", axes, material)


def metric(material: Material) -> Orientation:
    """Axes of the decoder's metric."""
    return _diagonalised("metric", metric_axes(material.jacobians[1]), material)


def ica(material: Material) -> Orientation:
    """The rotation nearest to FastICA's components."""
    return from_ica(material, ica_axes(material.x, material.seed))


def gaussianization(material: Material) -> Orientation:
    """The rotation nearest to the coordinates of a few layers of linear ICA."""
    k, of_flow = material.x.shape[1], flow_log_prob(material)
    of_linear = linear_fit(material, ica_axes(material.x, material.seed).rotation).log_prob
    right = enough(of_flow, of_linear, k)
    best = one_more_layer(material, layered_fits(material, 2)[0], right)
    levels = {"flow": of_flow.mean(), "linear": of_linear.mean(), "layers": best.log_prob.mean()}
    explains = bool(levels["layers"] >= right)
    listed = ", ".join(f"{name} {level:.2f}" for name, level in levels.items())
    reason = (
        f"it was asked for; {best.layers} layers of linear ICA {'explain' if explains else 'do not explain'} what the "
        f"flow does (log p of validation rows, whitened, nats: {listed})"
    )
    figures = {f"log_prob_{name}": float(level) for name, level in levels.items()} | {"explains": explains}
    aligned = from_layers(material, best)
    return replace(aligned, reason=reason, details={**aligned.details, **figures})


def base(material: Material) -> Orientation:
    """The rotation nearest to the coordinates of the base.

    Raises
    ------
    LatentFlowError
        If the flow has no base.
    """
    if not isinstance(material.flow, BasedFlow):
        raise LatentFlowError(
            "orientation base needs a model with a base: fit with --base ica or --base layers, or choose another one"
        )
    own, rows = material.flow.base, material.flow.tensor(material.x)
    return Orientation(
        rotation=procrustes(material.z, as_array(own(rows)[0])),
        method="base",
        angle_error=angle_error(as_array(own.components(rows))),
        details={"layers": own.layers},
    )


def temporal(material: Material) -> Orientation:
    """Axes of the latents as independent series; where there are groups, they are recordings."""
    return _structured("temporal", temporal_axes(material.z, material.positions, material.groups), "lags")


def groups(material: Material) -> Orientation:
    """Axes of the latents' covariances within groups."""
    assert material.groups is not None
    return _structured("groups", group_axes(material.z, material.groups), "groups_used")


def none(material: Material) -> Orientation:
    """The latents as the flow gives them."""
    return Orientation.identity(material.x.shape[1])


def flow_log_prob(material: Material) -> Floats:
    """log p of the validation rows by the flow, whitened, nats, shape (m,)."""
    return as_array(material.flow.log_prob(material.flow.tensor(material.likelihood_rows())))


def enough(of_flow: Floats, of_linear: Floats, k: int) -> float:
    """Mean log p, nats, from which layers of k coordinates count as right: they explain what the flow does, nearly."""
    most = of_linear.mean() + EXPLAINED_SHARE * (of_flow - of_linear).mean()
    return float(max(most, of_flow.mean() - LARGEST_SHORTFALL * k))


def from_ica(material: Material, axes: ICAAxes) -> Orientation:
    """The orientation of a FastICA that has been run."""
    components = material.x @ axes.rotation
    return Orientation(
        rotation=procrustes(material.z, components),
        method="ica",
        converged=axes.converged,
        angle_error=angle_error(components),
        details={"anchored_to_ica": True},
    )


def from_layers(material: Material, layers: GaussianizationFit) -> Orientation:
    """The orientation of layers that have been fitted."""
    return Orientation(
        rotation=procrustes(material.z, layers.latents(material.x)),
        method="gaussianization",
        angle_error=angle_error(layers.components(material.x)),
        details={"start": layers.start, "layers": layers.layers},
    )


def clearly_above(one: Floats, other: Floats, least: float) -> bool:
    """Whether mean log p of the same rows is higher by a least amount, in nats, and by two standard errors."""
    gain = one - other
    return bool(gain.mean() > max(least, 2 * gain.std() / np.sqrt(len(gain))))


def one_more_layer(material: Material, two: GaussianizationFit, right: float = -np.inf) -> GaussianizationFit:
    """Three layers where they serve better than two, else these.

    Where two explain the rows a third one can explain them along wrong axes, so it must be clearly likelier; or at
    least as likely, with the axes of the decoder metric, which two layers then do not have. These are two readings of
    one flow, and where two layers are right (leaky ReLU, post-non-linear) they have not been seen to agree against
    them.

    Parameters
    ----------
    material : Material
    two : GaussianizationFit
        Of two layers.
    right : float
        Mean log p of validation rows, nats, from which layers explain what the flow does; by default the flow, and so
        its metric, tells nothing.
    """
    three = layered_fits(material, 3)[0]
    gain = float((three.log_prob - two.log_prob).mean())
    if two.log_prob.mean() < right:
        return three if gain > 0 else two
    if clearly_above(three.log_prob, two.log_prob, LEAST_ADVANTAGE * material.x.shape[1]):
        return three
    if gain > 0 and right > -np.inf:
        axes = metric(material).rotation
        with_two, with_three = (
            agreement(procrustes(material.z, fit.latents(material.x)), axes) for fit in (two, three)
        )
        if with_two < MUCH_THE_SAME and with_three >= THE_SAME:
            return three
    return two


def linear_fit(material: Material, ica_rotation: Floats) -> GaussianizationFit:
    """Linear ICA with free densities, by maximum likelihood."""
    return _fits(
        material, [Start("linear", (ica_rotation,), (curves_to_normal(material.x @ ica_rotation),))]
    )[0]


def layered_fits(material: Material, layers: int) -> tuple[GaussianizationFit, ...]:
    """The best fits with two layers or more, likelier first.

    They start where the flow's own derivatives say that the layers are, as far as these can be peeled off the mixture
    (:mod:`latentflow.base.initialisation`), with two readings of the axes of each. What is then left is linear: its
    axes are FastICA's, or those of the derivatives again. With two layers, functions of the columns make one more
    start, which a post-non-linear mixture wants.
    """
    ends = [RemainingMixture.whole(*material.jacobians)]
    for _ in range(layers - 1):
        ends = [remove_layer(end, axes) for end in ends for axes in _readings(end)]
    starts = []
    for number, end in enumerate(ends):
        for last, axes in (
            ("FastICA", ica_axes(end.rows, material.seed)),
            ("axes", pull_back_axes(end.jacobians)),
        ):
            matrices = (*end.matrices, end.whitening @ axes.rotation)
            curves = (*end.curves, curves_to_normal(end.rows @ axes.rotation))
            starts.append(Start(f"layer-wise {number}, {last}", matrices, curves))
    return _fits(material, [*starts, *([_of_columns(material)] if layers == 2 else [])])


def _readings(mixture: RemainingMixture) -> tuple[Floats, Floats]:
    """Axes of the outermost layer of what is left."""
    return (
        pull_back_axes(mixture.jacobians).rotation,
        kink_axes(mixture.rows, mixture.jacobians).rotation,
    )


def _of_columns(material: Material) -> Start:
    """Columns made normal, and FastICA of them."""
    k = material.x.shape[1]
    basis = material.whitening
    columns: Floats = np.eye(k)
    if basis.basis.shape[1] == k:
        columns = np.sqrt(basis.variances)[:, None] * basis.basis.T
    u = material.x @ columns
    scores = normal_scores(u)
    whiten = symmetric_whitening(scores)
    copula = whiten @ ica_axes(scores @ whiten, material.seed).rotation
    return Start("columns", (columns, copula), (curves_to_normal(u), curves_to_normal(scores @ copula)))


def _fits(material: Material, starts: list[Start]) -> tuple[GaussianizationFit, ...]:
    train = material.x[~material.validation]
    return fit_gaussianization(train, material.likelihood_rows(), starts, material.seed)


def _diagonalised(method: str, axes: JointDiagonalisation, material: Material) -> Orientation:
    return Orientation(
        rotation=axes.rotation,
        method=method,
        converged=axes.converged,
        angle_error=angle_error(material.x @ axes.rotation),
        details={"sweeps": axes.sweeps, "off_diagonal": axes.off_diagonal},
    )


def _structured(method: str, structured: StructuredAxes, used: str) -> Orientation:
    """The orientation by second moments; ``used`` is what the lags or groups are called whose matrices were used."""
    axes = structured.diagonalisation
    return Orientation(
        rotation=axes.rotation,
        method=method,
        converged=axes.converged,
        angle_error=structured.angle_error,
        details={
            "sweeps": axes.sweeps,
            "off_diagonal": axes.off_diagonal,
            used: list(structured.used),
            "cautions": list(structured.cautions),
        },
    )
