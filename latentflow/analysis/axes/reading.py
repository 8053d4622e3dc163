"""Whether the axes of the latents may be read as sources, in so few words that every verdict can say it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentflow.analysis.axes.account import OrientationAccount

#: Mean |rank correlation| with FastICA's components from which its axes count as much the same.
MUCH_THE_SAME = 0.9


@dataclass(frozen=True)
class Reading:
    """Whether axes may be read as sources.

    Attributes
    ----------
    clause : str
        A clause without a full stop.
    label : str
        The same in two or three words.
    """

    clause: str
    label: str


def reading(account: OrientationAccount | None) -> Reading:
    """Whether the latents may be read as sources, by how their axes were chosen and how well they are determined."""
    if account is None or (account.method == "none" and len(account.latents) > 1):
        return Reading("no latent may be read as a source, for no axes were chosen", "axes arbitrary")
    k = len(account.latents)
    if k == 1:
        return Reading("with a single latent there are no axes to choose", "a single latent")
    if not account.converged:
        why = f"the search for the axes ({account.method}) did not converge"
        return Reading(f"no latent may be read as a source, for {why}", "axes not found")
    unfixed = sum(latent.words == "undetermined" for latent in account.latents)
    if unfixed:
        which = "no latent" if unfixed == k else f"{unfixed} of the {k} latents"
        not_ = "" if unfixed == k else " not"
        why = "these rows do not fix the axes" if unfixed == k else "these rows do not fix their axes"
        return Reading(f"{which} may{not_} be read as a source, for {why}", "axes open")
    if not account.details.get("bend_found", True):
        why = "the flow has not found the bend of the mixture"
        return Reading(f"no latent may be read as a source, for {why}", "axes doubtful")
    if cautions := account.details.get("cautions"):
        return Reading(f"no latent may be read as a source without doubt: {cautions[0]}", "axes doubtful")
    largest = max(latent.angle_error for latent in account.latents)
    ica = ""
    if account.agreement is not None:
        ica = (
            "; agreement with FastICA"
            if account.agreement >= MUCH_THE_SAME
            else "; FastICA has others, agreement"
        )
        ica += f" {account.agreement:.2f}"
    return Reading(
        f"they may be read as sources only if the assumption of the method {account.method} holds (axes fixed to "
        f"within {np.degrees(largest):.1f}°{ica})",
        "axes on a condition",
    )
