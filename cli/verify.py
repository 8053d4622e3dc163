"""`latentflow verify`: every row of a table to its latents and back, and draws the other way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from latentflow.analysis.verification.results import Quantiles, Trip, Verification, WitnessAgreement
from latentflow.analysis.verification.verification import verify
from latentflow.report.numbers import small

from . import options
from .opening import open_model_and_table
from .output import count, field, names, tell
from .progress import RowProgress

FAILED = 1  # the exit code when a row does not come back, as of a test that fails
HEADINGS = ("median", "90 %", "99 %", "99.9 %", "maximum", "at")
MOST_COLUMNS = 5
MOST_ROWS = 12
MOST_WORST = 3
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
@options.as_json
@options.quiet
def command(
    data: Path,
    model_path: Path | None,
    key: str | None,
    columns: tuple[str, ...] | None,
    missing: str,
    rows: int | None,
    draws: int | None,
    determinants: int | None,
    witness: int | None,
    tolerance: float | None,
    dtype: str,
    device: str,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Send every row of DATA to its latents and back, and as many draws of N(0, I) to rows and back.

    Told are the latent residual, |encode(decode(z)) - z|; the data error, |decode(encode(x)) - x|, in standard
    deviations along the principal axes; both as the largest of a row; and whether the determinant of the encoder is
    positive, without which rows would share latents. In single precision the data error is divided by the condition
    number of its row. With --json every row that fails is listed. Whether latents are those of the flow, and not only
    come back, --witness tells: how far they are from those of an independent solver, next to the accuracy of the fit.

    The exit code is 0 when all rows and draws pass, 1 when one does not, and 2 for an error.
    """
    model, model_path, table = open_model_and_table(
        data, model_path, key=key, columns=columns, device=device, dtype=dtype
    )
    told = {"command": "verify", "model": str(model_path), "model_hash": model.hash}
    wanted = min(rows or table.n_rows, table.n_rows)
    total = wanted + (wanted if draws is None else draws)
    with RowProgress("verify", total, quiet=quiet or as_json) as progress:
        result = verify(
            model,
            table,
            rows=rows,
            missing=missing,
            draws=draws,
            determinants=determinants,
            witness=witness,
            tolerance=tolerance,
            seed=seed,
            progress=progress.reached,
        )
    tell(_lines(result, data), {**told, "result": result.to_dict()}, as_json=as_json, quiet=quiet)
    if not result.passed:
        click.get_current_context().exit(FAILED)


def _lines(result: Verification, data: Path) -> list[str]:
    rows, draws = result.data, result.draws
    changed = [column for column in result.columns if column.maximum > 0]
    changed.sort(key=lambda column: -column.in_deviations)
    listed = [
        f"{column.name} {small(column.maximum)} ({small(column.in_deviations)} sd)" for column in changed
    ]
    return [
        f"{data}: {count(rows.n, 'row')} there and back, {count(draws.n, 'draw')} back and there, {result.dtype}, "
        f"{count(result.evaluations, 'evaluation')} an encoding",
        *_table(result),
        field("columns", f"largest errors: {names(listed, MOST_COLUMNS) or 'none'}"),
        field("", f"{count(result.exact_rows, 'row')} exact to the last bit"),
        field("det > 0", f"{_determinants(rows, 'row')}; {_determinants(draws, 'draw')}"),
        *_witness(result.witness),
        field("worst rows", _worst(rows)),
        field("worst draws", _worst(draws)),
        *_failures(rows, "row", result.tolerance),
        *_failures(draws, "draw", result.tolerance),
        _sentence(result),
    ]


def _table(result: Verification) -> Iterator[str]:
    yield f"{'':<32}" + "".join(f"{heading:>13}" for heading in HEADINGS)
    figures = (
        ("rows: latent residual", result.data.latent_residual),
        ("rows: data error, sd", result.data.data_error),
        ("rows: error over condition", result.data.scaled_error),
        ("rows: condition number", result.data.condition),
        ("rows: two log|det|, nats apart", result.data.log_det_difference),
        ("rows: distance to witness", None if result.witness is None else result.witness.distance),
        ("draws: latent residual", result.draws.latent_residual),
        ("draws: condition number", result.draws.condition),
    )
    for label, found in figures:
        if found is not None:
            yield f"{label:<32}" + "".join(f"{cell:>13}" for cell in _cells(found))


def _cells(found: Quantiles) -> list[str]:
    values = (found.median, found.q90, found.q99, found.q999, found.maximum)
    return [*map(small, values), str(found.at)]


def _determinants(trip: Trip, noun: str) -> str:
    looked = count(trip.determinants, noun)
    text = f"at {trip.determinants - len(trip.folded)} of {looked}"
    return text if trip.determinants == trip.n else f"{text}, evenly spaced among {trip.n}"


def _witness(witness: WitnessAgreement | None) -> Iterator[str]:
    if witness is not None:
        asked = "" if witness.accuracy is None else f"; the fit asked for {small(witness.accuracy)}"
        words = (
            f"{count(witness.distance.n, 'row')} by {witness.solver}, tolerance {small(witness.tolerance)}: "
        )
        yield field("witness", f"{words}mean distance of a latent {small(witness.mean_distance)}{asked}")


def _worst(trip: Trip) -> str:
    return "; ".join(
        f"{row.index}: latent {small(row.latent_residual)}"
        + ("" if row.data_error is None else f", data {small(row.data_error)}")
        for row in trip.worst[:MOST_WORST]
    )


def _failures(trip: Trip, noun: str, tolerance: float) -> Iterator[str]:
    kinds = (
        (trip.lost, "that get lost on the way (not finite)"),
        (trip.not_inverted, f"with a latent residual above {small(tolerance)}"),
        (trip.not_restored, f"with a data error above {small(tolerance)}"),
        (trip.folded, "where the encoder folds (det <= 0)"),
    )
    for failed, what in kinds:
        if failed:
            listed = names([str(position) for position in failed], MOST_ROWS)
            yield field("FAILED", f"{count(len(failed), noun)} {what}: {listed}")


def _sentence(result: Verification) -> str:
    rows, draws, within = result.data, result.draws, f"within {small(result.tolerance)}"
    looked = rows.determinants + draws.determinants
    if result.passed:
        return (
            f"All {count(rows.n, 'row')} and {count(draws.n, 'draw')} come back {within}, and the encoder folds at "
            f"none of the {looked} points looked at."
        )
    return (
        f"{count(len(rows.failed), 'row')} of {rows.n} and {count(len(draws.failed), 'draw')} of {draws.n} do not come "
        f"back {within}, or lie where the encoder folds: there a latent does not stand for its row to that precision."
    )
