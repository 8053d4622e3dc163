"""What a verification found, in lines."""

from __future__ import annotations

from collections.abc import Iterator

from latentflow.analysis.verification.results import Quantiles, Trip, Verification, WitnessAgreement
from latentflow.report.numbers import small
from latentflow.report.terminal.words import count, field, names

HEADINGS = ("median", "90 %", "99 %", "99.9 %", "maximum", "at")
MOST_COLUMNS = 5
MOST_ROWS = 12
MOST_WORST = 3


def verification_lines(result: Verification, source: str) -> list[str]:
    """Errors of all trips in a table, which rows fail and why, and in the last line whether all pass."""
    rows, draws = result.data, result.draws
    changed = [column for column in result.columns if column.maximum > 0]
    changed.sort(key=lambda column: -column.in_deviations)
    listed = [
        f"{column.name} {small(column.maximum)} ({small(column.in_deviations)} sd)" for column in changed
    ]
    return [
        f"{source}: {count(rows.n, 'row')} there and back, {count(draws.n, 'draw')} back and there, {result.dtype}, "
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
