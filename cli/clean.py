"""`latentflow clean`: a table as it would be with some latents at their median."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from latentflow.data.tables import Table
from latentflow.data.writing import TableWriter
from latentflow.errors import DataError
from latentflow.model.cleaning import VarianceAccount, extrapolation, latents_to_remove, storable, without
from latentflow.report.terminal.model import doubts
from latentflow.report.terminal.words import count, names

from . import options
from .naming import check_carried
from .opening import Job, with_job
from .output import warn
from .progress import RowProgress

OUTPUT_SUFFIX = ".clean.h5"
# Name of the dataset where the input had none: text files, or 1-D datasets side by side at the root.
KEY = "X"
ROW = "row"


@dataclass
class Cleaned:
    """What was met on the way through the rows."""

    account: VarianceAccount
    far: list[int] = field(default_factory=list)
    clipped: int = 0


@click.command("clean")
@options.data
@click.option("--remove", type=options.NameList(), help="The latents to set to their median, by name.")
@click.option("--keep", type=options.NameList(), help="The latents to keep; all others go to their median.")
@options.model("DATA")
@options.output(f"DATA with the ending {OUTPUT_SUFFIX}")
@options.key
@options.columns("those of the model")
@options.missing
@options.carry
@options.device
@with_job
def command(
    job: Job, remove: tuple[str, ...] | None, keep: tuple[str, ...] | None, carry: tuple[str, ...] | None
) -> None:
    """Write DATA as it would be with some latents at their median: without blinks, heartbeat or mains, say.

    The table comes back in its own units, shape, type, key and column names; values on a lattice (integers, few
    decimals) stay on it. `latentflow traverse` and `latentflow compare` show which latent is which.
    With --missing drop, `row` holds the position of each row in DATA, from 0.
    """
    if (remove is None) == (keep is None):
        raise DataError("say which latents go with --remove, or which stay with --keep (one of the two)")
    model, table = job.model, job.table
    removed = latents_to_remove(model.latent_names, remove=remove, keep=keep)
    output = job.output_beside(OUTPUT_SUFFIX)
    main = table.key.strip("/") or KEY
    check_carried(carry or (), {main, ROW, *table.columns}, job.data, "the cleaned file")

    gone = [model.latent_names[i] for i in removed]
    writer = TableWriter(
        output,
        table.columns,
        key=main,
        dtype=table.dtype,
        sample_shape=table.sample_shape,
        attrs=job.provenance(removed_latents=",".join(gone)),
    )
    with RowProgress("clean", table.n_rows, quiet=job.telling.silent) as progress, writer:
        done = _clean_into(writer, job, removed, carry or (), progress)

    account = done.account
    result = {
        **job.about(output=output),
        "rows": account.rows,
        "dropped_rows": table.n_rows - account.rows,
        "far_rows": len(done.far),
        "clipped_values": done.clipped,
        "removed": gone,
        "kept": [name for name in model.latent_names if name not in gone],
        "variance_removed": dict(zip(table.columns, account.removed.tolist(), strict=True)),
        "mean_squared_change": dict(zip(table.columns, account.changed.tolist(), strict=True)),
    }
    warn(doubts(model, gone, together=True))
    _warn(done, table, bool(gone))
    job.telling(_lines(result), result)


def _warn(done: Cleaned, table: Table, anything_gone: bool) -> None:
    if done.far and anything_gone:
        warn([extrapolation(np.array(done.far))])
    if done.clipped:
        warn([f"{count(done.clipped, 'value')} cut to the range of {table.dtype.name}"])


def _lines(result: Mapping[str, Any]) -> list[str]:
    gone, kept, shares = result["removed"], result["kept"], result["variance_removed"]
    lines = [f"{result['output']}: {count(result['rows'], 'row')}, {count(len(shares), 'column')}"]
    if result["dropped_rows"]:
        left_out = count(result["dropped_rows"], "row")
        lines.append(f"left out: {left_out} with missing values; `{ROW}` says which are there")
    lines.append(f"removed: {names(gone) or 'none'}; {count(len(kept), 'latent')} kept")
    largest = sorted(shares, key=lambda name: -abs(shares[name]))
    listed = names([f"{name} {shares[name]:.1%}" for name in largest])
    lines.append(f"variance removed: {listed}")
    return lines


def _clean_into(
    writer: TableWriter,
    job: Job,
    removed: NDArray[np.intp],
    carry: tuple[str, ...],
    progress: RowProgress,
) -> Cleaned:
    """Clean the table block by block into the open writer."""
    model, table = job.model, job.table
    done = Cleaned(VarianceAccount(len(table.columns)))
    along = table.carried(carry)
    for index, block in table.iter_complete(missing=job.missing):
        encoding = model.encode(block, first_row=int(index[0]))
        cleaned = model.decode(without(encoding.latents, removed), encoding.carried)
        written = storable(cleaned, table.dtype)
        writer.write(written)
        if job.missing == "drop" and writer.takes_extras:
            writer.write_extra(ROW, index)
        for name, values in along.items():
            writer.write_extra(name, values[index])
        done.account.add(block, written)
        done.far += index[encoding.far].tolist()
        done.clipped += int((np.abs(written - cleaned) > 0.5).sum())
        progress.reached(int(index[-1]) + 1)
    return done
