"""How far several fits agree, in lines."""

from __future__ import annotations

from latentflow.analysis.comparison.agreement import Agreement
from latentflow.analysis.comparison.stability import Stability
from latentflow.report import numbers
from latentflow.report.terminal.words import count, field, names, seconds


def stability_lines(result: Stability) -> list[str]:
    """How far each latent agrees with its counterparts, how far the codes do, and what each further fit is."""
    lines = [
        f"{count(len(result.runs), 'fit')} on {count(result.n_rows, 'held-out row')}",
        f"{'latent':<12}{'median':>8}{'lowest':>8}  |Spearman| over pairs of fits",
    ]
    for row in result.latents.coordinates:
        lines.append(
            f"{row.name:<12}{numbers.fixed(row.median, 3):>8}{numbers.fixed(row.lowest, 3):>8}  {row.words}"
        )
    lines += [_whole(result.latents), _whole(result.fastica)]
    lines.append(
        field("log p", f"differs by {numbers.nats(result.log_prob_difference)} nats a row between two fits")
    )
    for run in result.runs[1:]:
        lines.append(
            field(
                f"seed {run.seed}",
                f"{run.width} x {run.depth}, {run.network}, orientation {run.orientation}: "
                f"log p {numbers.with_bounds(run.log_prob_gain)} nats "
                f"against the model, {seconds(run.seconds)}",
            )
        )
    shaky = [row.name for row in result.latents.coordinates if row.words == "unstable"]
    if shaky:
        lines.append(field("unstable", names(shaky)))
    return [*lines, *result.sentences]


def _whole(found: Agreement) -> str:
    return field(
        found.label,
        f"mean {numbers.fixed(found.mean, 3)}; distance between codes {numbers.fixed(found.distance, 3)}, after a "
        f"rotation {numbers.fixed(found.distance_rotated, 3)}, of unrelated codes {numbers.fixed(found.reference, 3)}",
    )
