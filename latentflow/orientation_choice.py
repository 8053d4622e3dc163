"""Which orientation to take for rows of which neither their order nor groups are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from latentflow.flow.anchors import ICAAxes, ica_axes
from latentflow.flow.orientation import Orientation
from latentflow.orientation_ways import (
    LAYERED_DIMENSION,
    Material,
    enough,
    flow_log_prob,
    from_ica,
    from_layers,
    jacobian,
    layers_that_explain,
    linear_fit,
    metric,
)

#: Rows below which models of the mixture are not compared.
FEWEST_ROWS = 1_000
#: Nats a row and coordinate by which the flow must be better than linear ICA for the mixture not to count as linear.
ADVANTAGE = 0.01
#: Mean |cosine| of the metric's axes with FastICA's from which the one counts as confirmed by the other.
AGREE = 0.9

Floats = NDArray[np.float64]


def choose(material: Material) -> Orientation:
    """The orientation that the rows themselves speak for.

    Three models of growing size are compared by their likelihood of validation rows: linear ICA, two or three layers
    of it (:mod:`latentflow.flow.gaussianization`), and the flow itself. Where the flow is no better than linear ICA,
    the mixture is linear, and the axes of a separable score are taken, or FastICA's. Where the layers explain what the
    flow explains, they are taken, the fewest that do, because so small a model does that for the right axes only. Else
    the axes of the decoder metric are, and whether FastICA confirms them is told. With few rows nothing is compared.
    """
    x = material.x
    k = x.shape[1]
    components = ica_axes(x, material.seed)
    if len(x) < FEWEST_ROWS:
        words = f"{len(x)} rows are too few to compare models of the mixture (below {FEWEST_ROWS}), which is taken to "
        words += "be linear"
        return _told(_linear(material, components), words, {})
    of_flow = flow_log_prob(material)
    of_linear = linear_fit(material, components.rotation).log_prob
    figures: dict[str, Any] = {
        "log_prob_flow": float(of_flow.mean()),
        "log_prob_linear": float(of_linear.mean()),
    }
    gain = of_flow - of_linear
    told = f"log p of validation rows, whitened: flow {of_flow.mean():.2f} nats, linear ICA {of_linear.mean():.2f}"
    if gain.mean() <= max(ADVANTAGE * k, 2 * gain.std() / np.sqrt(len(gain))):
        words = f"the flow is no better than linear ICA, so the mixture is taken to be linear ({told})"
        return _told(_linear(material, components), words, figures)
    if k <= LAYERED_DIMENSION:
        right = enough(of_flow, of_linear)
        tried = layers_that_explain(material, components.rotation, right)
        layers = max(tried, key=lambda fit: fit.log_prob.mean())
        figures["log_prob_layers"] = float(layers.log_prob.mean())
        told += f", {layers.layers} layers of it {layers.log_prob.mean():.2f}"
        if layers.log_prob.mean() >= right:
            words = f"a few layers of linear ICA explain the rows about as well as the flow ({told})"
            return _told(from_layers(material, layers), words, figures)
    found = metric(material)
    both = agreement(found.rotation, from_ica(material, components).rotation)
    figures["agreement_metric_ica"] = both
    words = "no small model tried explains the rows, so the axes of the decoder metric are taken; FastICA "
    words += f"{'confirms' if both >= AGREE else 'does not confirm'} them, the mean |cosine| is {both:.2f}"
    return _told(found, f"{words} ({told})", figures)


def _linear(material: Material, components: ICAAxes) -> Orientation:
    """Axes for a linear mixture: a separable score knows them better than FastICA's contrast does."""
    structure = str(material.model.record.get("network", {}).get("structure", ""))
    return jacobian(material) if structure.startswith("separable") else from_ica(material, components)


def agreement(one: Floats, other: Floats) -> float:
    """Mean |cosine| of two sets of axes, shape (k, k) each, every axis with its match; 1 where they are the same.

    >>> agreement(np.eye(3), -np.eye(3)[:, [2, 0, 1]])
    1.0
    """
    cosines = np.abs(one.T @ other)
    return float(cosines[linear_sum_assignment(-cosines)].mean())


def _told(found: Orientation, reason: str, figures: dict[str, Any]) -> Orientation:
    return replace(found, reason=reason, details={**found.details, **figures})
