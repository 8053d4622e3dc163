"""`latentflow traverse`: what the data look like as one latent runs."""

from __future__ import annotations

import click
import numpy as np

from latentflow.analysis.comparison.traverse import DEFAULT_EXTENT, DEFAULT_STEPS, traverse
from latentflow.report.terminal.model import doubts
from latentflow.report.terminal.words import count, field, names
from latentflow.report.traverse_page import write_traverse

from . import options
from .opening import Job, with_job
from .output import warn
from .pages import Page
from .progress import busy

PAGE = Page(".traverse.html", "--table-output", "table", ".csv")
COLUMNS_NAMED = 4  # of one latent


@click.command("traverse")
@options.data
@options.model("DATA")
@PAGE
@click.option("--latents", type=options.NameList(), help="The latents to run, by name.  [default: all]")
@click.option(
    "--extent",
    type=click.FloatRange(min=0, min_open=True, max=6),
    default=DEFAULT_EXTENT,
    show_default=True,
    help="How far from its median a latent runs, either way.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=2, max=1001),
    default=DEFAULT_STEPS,
    show_default=True,
    help="Values that each latent takes.",
)
@options.device
@with_job
def command(job: Job, latents: tuple[str, ...] | None, extent: float, steps: int) -> None:
    """Show what the rows of DATA look like as one latent runs and the others stay at their median.

    A latent runs from -2 to 2, or as far as --extent says. One self-contained HTML page with a drawing for each latent
    is written, and a CSV table: `latent`, `t`, and every column in the units of DATA. DATA only says where the model
    is; it is not read. The summary names the columns that each latent moves most, and how far, in their standard
    deviations.
    """
    model = job.model
    page, table = PAGE.places(job)
    with busy("decoding the axes of the latents", quiet=job.telling.silent):
        traversal = traverse(model, latents=latents, t=np.linspace(-extent, extent, steps))
        write_traverse(traversal, page, table, subject=job.data.name)
    moved = {
        name: {
            traversal.columns[j]: float(traversal.swing[i, j]) for j in traversal.strongest(i, COLUMNS_NAMED)
        }
        for i, name in enumerate(traversal.latent_names)
    }
    result = {
        **job.about(output=page, table_output=table),
        "latents": list(traversal.latent_names),
        "t": traversal.t.tolist(),
        "swing": moved,
    }
    lines = [
        f"{page}: {count(len(traversal.latent_names), 'latent')} from {-extent:g} to {extent:g}",
        field("table", str(table)),
        *(
            field(
                name,
                names([f"{column} {swing:.1f} sd" for column, swing in strongest.items()])
                or "moves no column",
            )
            for name, strongest in moved.items()
        ),
    ]
    warn(doubts(model, traversal.latent_names, together=False))
    job.telling(lines, result)
