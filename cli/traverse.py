"""`latentflow traverse`: what the data look like as one latent runs."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from latentflow.analysis.comparison.traverse import EXTENT, STEPS, traverse
from latentflow.errors import DataError
from latentflow.report.traverse_page import write_traverse

from . import options
from .description import doubts
from .naming import beside, check_output
from .opening import open_model
from .output import count, field, names, tell, warn
from .progress import busy

PAGE_SUFFIX = ".traverse.html"
MOST = 4  # columns named of one latent


@click.command("traverse")
@options.data
@options.model("DATA")
@options.output(f"DATA with the ending {PAGE_SUFFIX}")
@click.option(
    "--table-output", type=options.FILE, help="The table to write.  [default: as the page, ending in .csv]"
)
@click.option("--latents", type=options.NameList(), help="The latents to run, by name.  [default: all]")
@click.option(
    "--extent",
    type=click.FloatRange(min=0, min_open=True, max=6),
    default=EXTENT,
    show_default=True,
    help="How far from its median a latent runs, either way.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=2, max=1001),
    default=STEPS,
    show_default=True,
    help="Values that each latent takes.",
)
@options.device
@options.as_json
@options.quiet
def command(
    data: Path,
    model_path: Path | None,
    output: Path | None,
    table_output: Path | None,
    latents: tuple[str, ...] | None,
    extent: float,
    steps: int,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show what the rows of DATA look like as one latent runs and the others stay at their median.

    A latent runs from -2 to 2, or as far as --extent says. One self-contained HTML page with a drawing for each latent
    is written, and a CSV table: `latent`, `t`, and every column in the units of DATA. DATA only says where the model
    is; it is not read. The summary names the columns that each latent moves most, and how far, in their standard
    deviations.
    """
    model, model_path = open_model(data, model_path, device=device)
    output = output or beside(data, PAGE_SUFFIX)
    table_output = table_output or output.with_suffix(".csv")
    if table_output == output:
        raise DataError(f"{output}: the page and its table need names of their own; see --table-output")
    for path in (output, table_output):
        check_output(path, *(each for each in (data, model_path) if each.exists()))
    with busy("decoding the axes of the latents", quiet=quiet or as_json):
        found = traverse(model, latents=latents, t=np.linspace(-extent, extent, steps))
        write_traverse(found, output, table_output, subject=data.name)
    moved = {
        name: {found.columns[j]: float(found.swing[i, j]) for j in found.strongest(i, MOST)}
        for i, name in enumerate(found.latent_names)
    }
    result = {
        "command": "traverse",
        "output": str(output),
        "table_output": str(table_output),
        "model": str(model_path),
        "model_hash": model.hash,
        "latents": list(found.latent_names),
        "t": found.t.tolist(),
        "swing": moved,
    }
    lines = [
        f"{output}: {count(len(found.latent_names), 'latent')} from {-extent:g} to {extent:g}",
        field("table", str(table_output)),
        *(
            field(
                name,
                names([f"{column} {swing:.1f} sd" for column, swing in strongest.items()])
                or "moves no column",
            )
            for name, strongest in moved.items()
        ),
    ]
    warn(doubts(model, found.latent_names, together=False))
    tell(lines, result, as_json=as_json, quiet=quiet)
