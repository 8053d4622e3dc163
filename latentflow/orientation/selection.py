"""Which orientation to take for rows of which neither the order nor groups are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentflow.base.based_flow import BasedFlow
from latentflow.base.fastica import ICAAxes, ica_axes
from latentflow.base.gaussianization import GaussianizationFit
from latentflow.orientation.methods import (
    LEAST_ADVANTAGE,
    MUCH_THE_SAME,
    Material,
    base,
    clearly_above,
    enough,
    flow_log_prob,
    from_ica,
    from_layers,
    jacobian,
    layered_fits,
    linear_fit,
    metric,
    one_more_layer,
)
from latentflow.orientation.record import Orientation, agreement
from latentflow.orientation.registry import method_of
from latentflow.score.networks import has_axes, is_separable
from latentflow.score.tensors import as_array

#: Rows below which models of the mixture are not compared.
FEWEST_ROWS = 1_000
#: Nats a row and coordinate by which two layers must be better than a linear model where the flow has found no bend:
#: in mixtures of two layers they are by 0.06 to 0.24, and by 0 to 0.05 in mixtures that are not, linear or smooth.
ADVANTAGE_WITHOUT_BEND = 0.08
#: And where it has found one, but layers are ahead of a linear model by less than this, they are not believed: of so
#: slight a bend three layers of twenty latents have explained all along wrong axes.
ADVANTAGE_WITH_BEND = 0.05

Floats = NDArray[np.float64]


def choose(material: Material) -> Orientation:
    """The orientation that the rows themselves speak for.

    Three models of growing size are compared by their likelihood of validation rows: linear ICA, two or three
    layers of it (:mod:`latentflow.base.gaussianization`), and the flow itself. Where the flow is no better than
    linear ICA, or its score is separable, which is linear ICA too, the mixture is linear, and the axes of the
    separable score are taken, or FastICA's; unless layers are far likelier, for a network can miss a bend, the more
    often the fewer the rows. Where the layers explain what the flow explains, they are taken, because so small a
    model hardly does that along wrong axes, unless there is little to explain, or the mixture has more layers than
    are tried and many sources; two of them unless three serve better
    (:func:`latentflow.orientation.methods.one_more_layer`). Else the axes of the decoder metric are, and whether
    FastICA has the same is said. With very few rows nothing is compared. A flow behind a base that explains the rows
    has the coordinates of the base as its axes.
    """
    x = material.x
    k = x.shape[1]
    if isinstance(material.flow, BasedFlow):
        return _behind_a_base(material, material.flow)
    components = ica_axes(x, material.seed)
    if len(x) < FEWEST_ROWS:
        reason = (
            f"{len(x)} rows are too few to compare models of the mixture (below {FEWEST_ROWS}), which is taken to be "
            "linear"
        )
        return _because(_linear(material, components), reason, {})
    of_flow = flow_log_prob(material)
    of_linear = linear_fit(material, components.rotation).log_prob
    figures: dict[str, Any] = {
        "log_prob_flow": float(of_flow.mean()),
        "log_prob_linear": float(of_linear.mean()),
    }
    levels = f"log p of validation rows, whitened: flow {of_flow.mean():.2f} nats, linear ICA {of_linear.mean():.2f}"
    if is_separable(material.network) or not clearly_above(of_flow, of_linear, LEAST_ADVANTAGE * k):
        best = max(of_flow, of_linear, key=np.mean)
        return _without_the_flow(material, components, best, figures, levels)
    reason = "no small model tried explains the rows"
    if _layers_are_tried(k):
        right = enough(of_flow, of_linear, k)
        layers = one_more_layer(material, layered_fits(material, 2)[0], right)
        levels = _with_layers(layers, figures, levels)
        if layers.log_prob.mean() >= right:
            reason = "a few layers of linear ICA explain the rows about as well as the flow"
            if (layers.log_prob - of_linear).mean() >= ADVANTAGE_WITH_BEND * k:
                return _because(from_layers(material, layers), f"{reason} ({levels})", figures)
            reason += ", but the mixture bends so little that wrong axes may do so too"
    return _by_the_metric(material, components, reason, figures, levels)


def _behind_a_base(material: Material, flow: BasedFlow) -> Orientation:
    """The coordinates of the base where it explains the rows, else the axes of the decoder metric."""
    k, layers = material.x.shape[1], flow.base.layers
    small = "linear ICA" if layers == 1 else f"{layers} layers of linear ICA"
    rows = flow.tensor(material.likelihood_rows())
    of_base = as_array(flow.base.log_prob(rows))
    figures: dict[str, Any] = {"log_prob_base": float(of_base.mean())}
    reason = f"nothing beyond {small} could be learned from these rows"
    levels = f"log p of validation rows, whitened: {small} {of_base.mean():.2f} nats"
    components = ica_axes(material.x, material.seed) if k > 1 else ICAAxes(np.eye(1), True)
    explains = flow.flow is None
    of_linear = linear_fit(material, components.rotation).log_prob
    figures["log_prob_linear"] = float(of_linear.mean())
    if flow.flow is not None:
        of_flow = flow_log_prob(material)
        figures["log_prob_flow"] = float(of_flow.mean())
        levels += f", with the flow {of_flow.mean():.2f}, linear ICA {of_linear.mean():.2f}"
        explains = bool(of_base.mean() >= enough(of_flow, of_linear, k)) or not clearly_above(
            of_flow, of_base, LEAST_ADVANTAGE * k
        )
        reason = f"{small} explains the rows about as well as the flow on it"
    if explains and (layers == 1 or (of_base - of_linear).mean() >= ADVANTAGE_WITH_BEND * k):
        return _because(base(material), f"{reason} ({levels})", {**figures, "explains": True})
    if explains:
        reason += ", but the mixture bends so little that wrong axes may do so too"
    else:
        reason = "no small model tried explains the rows"
    return _by_the_metric(material, components, reason, figures, levels)


def _by_the_metric(
    material: Material, components: ICAAxes, reason: str, figures: dict[str, Any], levels: str
) -> Orientation:
    """The axes of the decoder metric, and whether FastICA has the same."""
    decoder_axes = metric(material)
    both = agreement(decoder_axes.rotation, from_ica(material, components).rotation)
    figures["agreement_metric_ica"] = both
    reason += ", so the axes of the decoder metric are taken; "
    reason += (
        "FastICA's axes are much the same, which is no proof"
        if both >= MUCH_THE_SAME
        else "FastICA has other axes"
    )
    reason += f", the mean |cosine| is {both:.2f}"
    return _because(decoder_axes, f"{reason} ({levels})", figures)


def _without_the_flow(
    material: Material, components: ICAAxes, of_linear: Floats, figures: dict[str, Any], levels: str
) -> Orientation:
    """For a flow that has not found a bend: linear axes, or layers where these are far likelier."""
    k = material.x.shape[1]
    if _layers_are_tried(k):
        layers = layered_fits(material, 2)[0]
        far = clearly_above(layers.log_prob, of_linear, ADVANTAGE_WITHOUT_BEND * k)
        if far:
            layers = one_more_layer(material, layers)
        levels = _with_layers(layers, figures, levels)
        if far:
            reason = "the flow has found no bend in the mixture, and layers of linear ICA are far likelier"
            figures["bend_found"] = False
            return _because(from_layers(material, layers), f"{reason} ({levels})", figures)
    if is_separable(material.network):
        reason = "the flow is separable along axes of its own, so the mixture is taken to be linear"
    else:
        reason = "the flow is no better than linear ICA, so the mixture is taken to be linear"
    return _because(_linear(material, components), f"{reason} ({levels})", figures)


def _layers_are_tried(k: int) -> bool:
    most = method_of("gaussianization").most_latents
    return most is None or k <= most


def _with_layers(layers: GaussianizationFit, figures: dict[str, Any], levels: str) -> str:
    """The levels of log p in words, and the figures, with those of some layers."""
    figures["log_prob_layers"] = float(layers.log_prob.mean())
    return f"{levels}, {layers.layers} layers of it {layers.log_prob.mean():.2f}"


def _linear(material: Material, components: ICAAxes) -> Orientation:
    """Axes for a linear mixture: a separable score knows them better than FastICA's contrast does."""
    return jacobian(material) if has_axes(material.network) else from_ica(material, components)


def _because(orientation: Orientation, reason: str, figures: dict[str, Any]) -> Orientation:
    return replace(orientation, reason=reason, details={**orientation.details, **figures})
