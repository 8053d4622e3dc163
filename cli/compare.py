"""`latentflow compare`: latents against FastICA's components, or the user's own, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from latentflow.analysis.comparison.comparison import ComparedLatent, Comparison, compare
from latentflow.report import numbers

from . import options
from .opening import Job, with_job
from .output import count
from .progress import busy

HEADINGS = (
    ("latent", ""),
    ("component", ""),
    ("Spearman", ""),
    ("Pearson", ""),
    ("variance", "latent"),
    ("explained", "component"),
    ("dependence", "latent"),
    ("on others", "component"),
    ("latent adds", "nats [95 %]"),
)
LEFT = 2  # columns of names, set to the left


@click.command("compare")
@options.data
@options.model("DATA")
@options.key
@options.columns("those of the model")
@options.missing
@click.option(
    "--components",
    type=options.FILE,
    help="A file of your own components to compare with: one column each, nothing else in it, and one row for each "
    "row of DATA.  "
    "[default: FastICA, fitted on the training rows]",
)
@click.option(
    "--components-key", metavar="NAME", help="The data set or group inside an HDF5 file of components."
)
@options.rows
@options.n_boot
@options.device
@options.seed("the bootstrap and of FastICA")
@with_job
def command(job: Job, components: Path | None, components_key: str | None, rows: str, n_boot: int) -> None:
    """Compare the latents of DATA with FastICA's components, matched one to one.

    For each latent: its component, their correlations, the share of the variance of DATA that each of the two
    explains, lower bounds in nats on how much all other latents tell of it and all other components of its component,
    and the difference of these two bounds.
    """
    model, table = job.model, job.table
    with busy("comparing", quiet=job.telling.silent):
        result = compare(
            model,
            table,
            components=components,
            components_key=components_key,
            rows=rows.replace("-", "_"),
            missing=job.missing,
            n_boot=n_boot,
            seed=job.seed,
        )
    job.telling(_lines(result), {**job.about(), "result": result.to_dict()})


def _lines(result: Comparison) -> list[str]:
    which = "held-out row" if result.which == "held out" else "row"
    lines = [f"latents against {result.against}, {count(result.n_rows, which)}", ""]
    lines += _aligned([*zip(*HEADINGS, strict=True), *map(_row, result.latents)])
    lines.append("")
    if result.unmatched:
        lines.append(f"without a latent: {', '.join(result.unmatched)}")
    lines.append(
        f"mean |Spearman| {numbers.fixed(result.agreement, 3)}; Pearson takes latents in {result.scale} scale"
    )
    if result.total is not None:
        lines.append(
            f"in all, the latents remove {numbers.with_bounds(result.total)} nats more of the dependence than "
            f"{result.against}"
        )
    return [*lines, *(f"note: {note}" for note in result.notes)]


def _row(latent: ComparedLatent) -> tuple[str, ...]:
    return (
        latent.name,
        latent.component or numbers.MISSING,
        numbers.fixed(latent.spearman, 3),
        numbers.fixed(latent.pearson, 3),
        _share(latent.variance_explained),
        _share(latent.component_variance_explained),
        numbers.fixed(latent.dependence, 3),
        numbers.fixed(latent.component_dependence, 3),
        numbers.with_bounds(latent.adds) if latent.adds is not None else numbers.MISSING,
    )


def _share(value: float | None) -> str:
    return numbers.MISSING if value is None else f"{numbers.fixed(100 * value, 1)} %"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: names to the left, figures to the right, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < LEFT else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
