"""`latentflow stability`: fit again with other seeds and sizes, and say how far the latents agree."""

from __future__ import annotations

import json
from pathlib import Path

import click

from latentflow.analysis.comparison.agreement import Agreement
from latentflow.analysis.comparison.stability import Stability, expected_seconds, stability
from latentflow.data.atomic import write_whole
from latentflow.report import numbers

from . import options
from .naming import beside, check_output
from .opening import open_model_and_table
from .output import count, field, names, seconds, tell
from .progress import FitProgress

OUTPUT_SUFFIX = ".stability.json"


@click.command("stability")
@options.data
@options.model("DATA")
@options.output(f"DATA with the ending {OUTPUT_SUFFIX}")
@options.key
@options.columns("those of the model")
@options.missing
@click.option(
    "--runs",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Fits in all, counting the model that there is.",
)
@options.setting(
    "preset", default=None, shown="as for the model", help="How much to spend on each further fit."
)
@options.groups
@options.time
@options.time_order
@options.n_boot
@options.device
@options.seed("the first further fit (the others count on from it), of FastICA and of the bootstrap")
@options.as_json
@options.quiet
def command(
    data: Path,
    model_path: Path | None,
    output: Path | None,
    key: str | None,
    columns: tuple[str, ...] | None,
    missing: str,
    runs: int,
    preset: str | None,
    groups: str | None,
    time: str | None,
    time_order: bool,
    n_boot: int,
    device: str,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fit DATA again with other seeds and network sizes, and say how far the latents agree.

    All fits train on the same rows and are compared on the rows that the model has held out: by the rank correlation
    of each latent with its counterparts, and by the distance between the latents of a row in two fits, before and
    after the best rotation. Only the distance before is large where fits agree on the map but not on its axes. FastICA
    is run as often beside it. The figures are written as JSON. The columns of groups and times that the model was told
    of are read again where none are named.
    """
    model, model_path, table = open_model_and_table(data, model_path, key=key, columns=columns, device=device)
    output = output or beside(data, OUTPUT_SUFFIX)
    check_output(output, data, model_path)
    if not (quiet or as_json):
        spent = seconds(expected_seconds(model, runs, preset))
        click.echo(f"{count(runs - 1, 'further fit')}: about {spent} of training", err=True)
    if not time_order:  # equal steps, as just said
        time = time or model.record.get("time")
    with FitProgress(quiet=quiet or as_json) as progress:
        result = stability(
            model,
            table,
            runs=runs,
            preset=preset,
            missing=missing,
            groups=groups or model.record.get("groups"),
            time=time,
            time_order=time_order,
            device=device,
            n_boot=n_boot,
            seed=seed,
            progress=progress,
        )
    told = {"command": "stability", "model": str(model_path), "model_hash": model.hash, "output": str(output)}
    document = {**told, "result": result.to_dict()}
    write_whole({output: json.dumps(document, allow_nan=False, ensure_ascii=False)})
    tell(_lines(result, output), document, as_json=as_json, quiet=quiet)


def _lines(result: Stability, output: Path) -> list[str]:
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
    return [*lines, *result.sentences, str(output)]


def _whole(found: Agreement) -> str:
    return field(
        found.label,
        f"mean {numbers.fixed(found.mean, 3)}; distance between codes {numbers.fixed(found.distance, 3)}, after a "
        f"rotation {numbers.fixed(found.distance_rotated, 3)}, of unrelated codes {numbers.fixed(found.reference, 3)}",
    )
