"""What is known of the axes of the latents: how they were chosen, how well they are determined, what that allows.

Rotated latents are as independent as before, so the axes are a choice that no test of independence can confirm. The
account says by which method they were chosen, under which assumption about the mixing that method is right, how
precisely the data fix each pair of axes, and what follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from latentflow.analysis.measures import FastICASummary
from latentflow.orientation.record import Orientation
from latentflow.orientation.registry import method_of
from latentflow.score.networks import has_axes
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result

WELL_DETERMINED = 0.1  # radians: 5.7°, a cosine of 0.995
LOOSELY_DETERMINED = 0.35  # radians: 20°, a cosine of 0.94
PLANES_NAMED = 3  # in the sentence of the conclusion


@dataclass(frozen=True)
class LatentDetermination(Result):
    """How precisely the data fix the direction of one latent."""

    name: Annotated[str, "The latent."]
    angle_error: Annotated[
        float,
        "Largest standard error, radians, of the angle between it and another latent in their plane; π/4 where the "
        "plane is undetermined, 0 where there is no other latent.",
    ]
    most_confused_with: Annotated[str | None, "The latent with which it makes up that plane."]
    words: Annotated[
        str,
        "``well determined`` (at most 0.1 radians), ``loosely determined`` (at most 0.35) or ``undetermined``, as are "
        "all where the search for the axes did not converge.",
    ]


@dataclass(frozen=True)
class OrientationAccount(Result):
    """How the axes of the latents were chosen, and what that allows to conclude."""

    method: Annotated[
        str, "How the rotation was found; ``none`` where the latents stand as the flow gives them."
    ]
    asked: Annotated[str, "What was asked for; differs from the method where that was ``auto``."]
    reason: Annotated[
        str,
        "Why this method, where it was not asked for by name; of ``gaussianization``, whether its layers explain the "
        "rows.",
    ]
    converged: Annotated[bool, "Whether the joint diagonalisation, or the ICA behind an anchor, converged."]
    c_ima: Annotated[
        Interval,
        "Independent-mechanism contrast of the decoder in whitened coordinates, nats per row: 0 where every latent "
        "moves the data at right angles to the others. It does not tell which of two orientations is right.",
    ]
    c_ima_rows: Annotated[int, "Rows it was measured on."]
    agreement: Annotated[
        float | None,
        "Mean |Spearman correlation| of the latents with FastICA's components after matching; None where the latents "
        "were aligned with ICA components, so that it would be no evidence.",
    ]
    matched: Annotated[
        tuple[int, ...] | None, "The FastICA component matched with each latent; None likewise."
    ]
    correlation: Annotated[
        tuple[float, ...] | None, "Signed Spearman correlation of each match; None likewise."
    ]
    evidence: Annotated[str, "What the agreement with FastICA does and does not show, one sentence."]
    latents: Annotated[tuple[LatentDetermination, ...], "In the order of the latents."]
    undetermined: Annotated[
        tuple[tuple[str, str], ...],
        "Pairs of latents whose plane the data leave undetermined (above 0.35 radians), the worst first; all of them "
        "where the search for the axes did not converge.",
    ]
    conclusion: Annotated[str, "What may and may not be concluded from the axes, one sentence."]
    details: Annotated[Mapping[str, Any], "Figures of the method, as the fit recorded them."] = field(
        default_factory=dict
    )


def orientation_account(
    orientation: Orientation,
    names: Sequence[str],
    fastica: FastICASummary,
    c_ima: tuple[Interval, int],
    *,
    network: Mapping[str, Any] | None = None,
) -> OrientationAccount:
    """Account for an orientation.

    Parameters
    ----------
    orientation : Orientation
    names : sequence of str, length k
        Of the latents.
    fastica : FastICASummary
        How FastICA's components match the latents on the evaluated rows.
    c_ima : (Interval, int)
        As from :func:`~latentflow.analysis.axes.ima.ima_contrast`.
    network : mapping, optional
        Settings of the score network. Axes of a separable part started from FastICA's.

    Returns
    -------
    OrientationAccount
    """
    anchored = is_anchored(orientation)
    errors = orientation.standard_errors
    undetermined = undetermined_planes(errors, names)
    return OrientationAccount(
        method=orientation.method,
        asked=orientation.asked,
        reason=orientation.reason,
        converged=orientation.converged,
        c_ima=c_ima[0],
        c_ima_rows=c_ima[1],
        agreement=None if anchored else fastica.agreement,
        matched=None if anchored else fastica.matched,
        correlation=None if anchored else fastica.correlation,
        evidence=_evidence(orientation, fastica, network or {}),
        latents=determination(errors, names),
        undetermined=undetermined,
        conclusion=conclusion(orientation, undetermined),
        details=dict(orientation.details),
    )


def is_anchored(orientation: Orientation) -> bool:
    """Whether the latents were aligned with ICA components, by the method or, as its details say, in part of it."""
    return method_of(orientation.method).anchored or bool(orientation.details.get("anchored_to_ica", False))


def started_from_ica(orientation: Orientation, network: Mapping[str, Any]) -> str:
    """What was learned from FastICA's axes on and had a part in those of the latents; empty where nothing was.

    ``network`` has the settings of the score network.
    """
    if is_anchored(orientation) or orientation.method == "none":
        return ""
    if own_model := method_of(orientation.method).own_model:
        return f"{own_model} that gave the axes"
    return "network's own axes" if has_axes(network) else ""


def determination(angle_error: np.ndarray, names: Sequence[str]) -> tuple[LatentDetermination, ...]:
    """How well each latent's direction is fixed, from the errors (k, k) of all angles, radians.

    >>> import numpy as np
    >>> errors = np.array([[0, 0.02, 0.3], [0.02, 0, 0.01], [0.3, 0.01, 0]])
    >>> [(latent.words, latent.most_confused_with) for latent in determination(errors, ["a", "b", "c"])]
    [('loosely determined', 'c'), ('well determined', 'a'), ('loosely determined', 'a')]
    """
    k = len(names)
    errors = np.where(np.eye(k, dtype=bool), -1.0, angle_error)
    latents = []
    for index, name in enumerate(names):
        other = int(np.argmax(errors[index]))
        largest = max(float(errors[index, other]), 0.0)
        latents.append(LatentDetermination(name, largest, names[other] if k > 1 else None, _words(largest)))
    return tuple(latents)


def undetermined_planes(angle_error: np.ndarray, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of names whose angle has an error above 0.35 radians, the worst first."""
    first, second = np.triu_indices(len(names), 1)
    errors = np.asarray(angle_error)[first, second]
    order = [int(at) for at in np.argsort(-errors, kind="stable") if errors[at] > LOOSELY_DETERMINED]
    return tuple((names[first[at]], names[second[at]]) for at in order)


def conclusion(orientation: Orientation, undetermined: Sequence[tuple[str, str]]) -> str:
    """What may and may not be concluded from these axes, in one sentence."""
    if len(orientation.rotation) == 1:
        return (
            "There is a single latent, and so no axis to choose: it rises or falls with the one direction of the data "
            "that the flow lives on, and whether that is a source no figure of this report can show."
        )
    if orientation.method == "none":
        return (
            "The axes of the latents are arbitrary, so that no single latent may be read as a component or a source: "
            "any rotation of them is as independent (latentflow orient chooses one)."
        )
    if not orientation.converged:
        return (
            f"The search for the axes (method {orientation.method}) did not converge, so that no single latent may be "
            "read as a component or a source, although together they are as independent as any rotation of them."
        )
    method = method_of(orientation.method)
    bend_found = orientation.details.get("bend_found", True)
    allowed = f"If {method.assumption}, the latents are those sources up to order, sign and a monotone scale"
    if not bend_found:
        allowed = (
            f"If {method.assumption}, the axes are those of the sources, but the latents only resemble them"
        )
    if undetermined:
        allowed += f", except {_named(undetermined)}, whose axes these data do not fix"
    if not bend_found:
        return (
            f"{allowed}: the layers are far likelier than the flow, which has not found their bend and so cannot have "
            "undone it (more rows or --preset best may help)."
        )
    if orientation.cautions:
        return f"{allowed}, but {'; '.join(orientation.cautions)}; other axes are as independent."
    explains = orientation.details.get("explains", "log_prob_layers" in orientation.details)
    if explains and method.own_model:
        return (
            f"{allowed}; that so small a model explains the rows about as well as the flow speaks for that, but is no "
            "proof, for a mixture of more layers than were tried can look so along wrong axes, and other axes are as "
            "independent."
        )
    return (
        f"{allowed}; no figure of this report can show whether that holds, for other axes are as independent."
    )


def _named(planes: Sequence[tuple[str, str]]) -> str:
    phrases = [f"within the plane of {first} and {second}" for first, second in planes[:PLANES_NAMED]]
    more = len(planes) - len(phrases)
    if more:
        phrases.append(f"{more} more")
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def _evidence(orientation: Orientation, fastica: FastICASummary, network: Mapping[str, Any]) -> str:
    if is_anchored(orientation):
        return "Agreement with FastICA is no evidence here: the latents were aligned with ICA components."
    measured = f"Mean absolute rank correlation with matched FastICA components: {fastica.agreement:.2f}"
    if not fastica.converged:
        return f"{measured}; FastICA did not converge, so this shows little."
    if len(orientation.rotation) == 1:
        return f"{measured}; a single direction leaves nothing to choose, so that it says nothing of either."
    if orientation.method == "none":
        return f"{measured}; the axes were not chosen, so that it says nothing of either."
    started = started_from_ica(orientation, network)
    if started:
        return (
            f"{measured}; the {started} started from FastICA's, so that a high figure is weaker evidence than two ways "
            "that never met."
        )
    return (
        f"{measured}; FastICA had no part in the choice of the axes: a high figure means that two ways lead to the "
        "same components, which behind a strongly bent mixture can both be wrong, a low one that at least one is wrong."
    )


def _words(error: float) -> str:
    if error <= WELL_DETERMINED:
        return "well determined"
    return "loosely determined" if error <= LOOSELY_DETERMINED else "undetermined"
