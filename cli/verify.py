"""`latentflow verify`: every row of a table to its latents and back, and draws the other way."""

from __future__ import annotations

import click

from latentflow.analysis.verification.verification import verify
from latentflow.report.terminal.verification import verification_lines

from . import options
from .opening import Job, with_job
from .progress import RowProgress

FAILED = 1  # the exit code when a row does not come back, as of a test that fails


WITNESSED = 100


@click.command("verify")
@options.data
@options.model("DATA")
@options.key
@options.columns("those of the model")
@options.missing
@click.option("--rows", type=click.IntRange(min=1), help="As many rows, evenly spaced.  [default: all]")
@click.option(
    "--draws", type=click.IntRange(min=1), help="Draws of N(0, I) the other way.  [default: as many as rows]"
)
@click.option(
    "--determinants",
    type=click.IntRange(min=1),
    help="Rows, and draws, whose determinant is looked at, evenly spaced.  [default: all, fewer in large tables]",
)
@click.option(
    "--witness",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=WITNESSED,
    metavar="[ROWS]",
    help="Compare the latents of so many rows, evenly spaced, with those of an independent solver near rounding: "
    f"torchdiffeq's dopri8.  [default: none; {WITNESSED} where no number is given]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True),
    help="Largest error that passes.  [default: 1e-9 in double, 1e-5 in single precision]",
)
@options.dtype
@options.device
@options.seed("the draws")
@with_job
def command(
    job: Job,
    rows: int | None,
    draws: int | None,
    determinants: int | None,
    witness: int | None,
    tolerance: float | None,
) -> None:
    """Send every row of DATA to its latents and back, and as many draws of N(0, I) to rows and back.

    Told are the latent residual, |encode(decode(z)) - z|; the data error, |decode(encode(x)) - x|, in standard
    deviations along the principal axes; both as the largest of a row; and whether the determinant of the encoder is
    positive, without which rows would share latents. In single precision the data error is divided by the condition
    number of its row. With --json every row that fails is listed. Whether latents are those of the flow, and not only
    come back, --witness tells: how far they are from those of an independent solver, next to the accuracy of the fit.

    The exit code is 0 when all rows and draws pass, 1 when one does not, and 2 for an error.
    """
    model, table = job.model, job.table
    wanted = min(rows or table.n_rows, table.n_rows)
    total = wanted + (wanted if draws is None else draws)
    with RowProgress("verify", total, quiet=job.telling.silent) as progress:
        result = verify(
            model,
            table,
            rows=rows,
            missing=job.missing,
            draws=draws,
            determinants=determinants,
            witness=witness,
            tolerance=tolerance,
            seed=job.seed,
            progress=progress.reached,
        )
    job.telling(verification_lines(result, str(job.data)), {**job.about(), "result": result.to_dict()})
    if not result.passed:
        click.get_current_context().exit(FAILED)
