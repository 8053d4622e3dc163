"""`latentflow fit`: learn the score of a table and write the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from latentflow.data.tables import open_table
from latentflow.model.fit import fit_table
from latentflow.model.fitted_flow import FittedFlow
from latentflow.orientation.registry import method_of

from . import options
from .description import model_lines
from .naming import MODEL_SUFFIX, beside, check_output, next_command
from .output import field, tell, warn
from .progress import FitProgress


@click.command("fit")
@options.data
@options.output(f"DATA with the ending {MODEL_SUFFIX}")
@options.key
@options.columns("all")
@click.option("--drop-columns", type=options.NameList(), help="Columns to leave out, by name.")
@options.missing
@click.option(
    "--tails",
    type=click.Choice(["auto", "none", "asinh"]),
    default="auto",
    show_default=True,
    help="Bend heavy tails and spikes: where the data call for it, never, or in every column.",
)
@click.option(
    "--split",
    type=click.Choice(["auto", "random", "blocked"]),
    default="auto",
    show_default=True,
    help="How rows are held out: auto takes blocks with gaps where neighbouring rows are alike.",
)
@click.option(
    "--held-out",
    type=click.FloatRange(0.0, 0.8),
    default=0.2,
    show_default=True,
    help="Share of the rows that the fit never sees and the report is made on.",
)
@click.option(
    "--components",
    type=click.IntRange(min=1),
    help="Leading whitened directions that the flow lives on; the rest is carried.  [default: all]",
)
@click.option(
    "--preset",
    type=click.Choice(["fast", "default", "best"]),
    default="default",
    show_default=True,
    help="How much to spend; sizes and steps follow from it and from the table.",
)
@click.option("--width", type=click.IntRange(min=1), help="Units in a layer.  [default: by preset and table]")
@click.option("--depth", type=click.IntRange(min=1), help="Residual blocks.  [default: by preset and table]")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps.  [default: by preset and table]")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Rows in a training step.  [default: by preset and table]",
)
@click.option(
    "--time-budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Train for this long, unless over-fitting ends it sooner: it takes the place of the steps of the preset; with "
    "--steps, whichever comes first. Calibration and orientation come on top.  [default: no limit]",
)
@click.option(
    "--accuracy",
    type=click.FloatRange(1e-8, 0.1),
    default="1e-4",  # as text, which is how --help shows it
    show_default=True,
    help="Mean error of the latents, usually 1e-2, 1e-3, 1e-4 or 1e-6; finer takes more evaluations. It is that of "
    "the latents: log|det| is off by about ten times as much. Decoding is exact whatever it is, but where a coarse "
    "encoder folds (1e-2, 1e-3: see `latentflow verify`).",
)
@options.orientation
@options.groups
@options.time
@options.time_order
@options.device
@options.seed("the split, the network and the noise")
@options.as_json
@options.quiet
def command(
    data: Path,
    output: Path | None,
    key: str | None,
    columns: tuple[str, ...] | None,
    drop_columns: tuple[str, ...] | None,
    missing: str,
    tails: str,
    split: str,
    held_out: float,
    components: int | None,
    preset: str,
    width: int | None,
    depth: int | None,
    steps: int | None,
    batch_size: int | None,
    time_budget: float | None,
    accuracy: float,
    orientation: str,
    groups: str | None,
    time: str | None,
    time_order: bool,
    device: str,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Learn the score of the table in DATA and write the model beside it.

    DATA is an HDF5, CSV, TSV, whitespace, Parquet or NPY file. The model remembers which rows it held out;
    `latentflow independence-report` on the same file uses exactly those.
    """
    output = output or beside(data, MODEL_SUFFIX)
    table = open_table(data, key=key, columns=columns, drop_columns=drop_columns, aside=(groups, time))
    check_output(output, data)
    with FitProgress(quiet=quiet or as_json) as progress:
        model = fit_table(
            table,
            missing=missing,
            tails=tails,
            split=split,
            held_out=held_out,
            components=components,
            preset=preset,
            width=width,
            depth=depth,
            steps=steps,
            batch_size=batch_size,
            time_budget=time_budget,
            accuracy=accuracy,
            orientation=orientation,
            groups=groups,
            time=time,
            time_order=time_order,
            device=device,
            seed=seed,
            progress=progress,
        )
    model.save(output)
    warn(model.record["warnings"])
    tell(_lines(model, data, output), _result(model, output), as_json=as_json, quiet=quiet)


def _result(model: FittedFlow, output: Path) -> dict[str, Any]:
    return {
        "command": "fit",
        "output": str(output),
        "model_hash": model.hash,
        "columns": list(model.columns),
        "latents": list(model.latent_names),
        "record": {name: value for name, value in model.record.items() if name != "history"},
    }


def _hint(model: FittedFlow) -> list[str]:
    """What to say of the rows another time, where it shows in them and would help the axes."""
    found, record = model.orientation, model.record
    alike = record["settings"]["split"] == "auto" and record["split"]["mode"] == "blocked"
    if not alike or found.asked != "auto" or method_of(found.method).needs:
        return []
    return [
        field(
            "hint",
            "neighbouring rows are alike; if they follow each other in time, --time-order may help the axes",
        )
    ]


def _lines(model: FittedFlow, data: Path, output: Path) -> list[str]:
    return [
        str(output),
        *model_lines(model),
        *_hint(model),
        field("next", next_command("encode", data, output)),
        field("", next_command("independence-report", data, output)),
    ]
