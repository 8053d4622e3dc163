"""`latentflow decode`: map latents back to rows of the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from latentflow.data.tables import Table, open_table
from latentflow.data.writing import TableWriter, read_attribute
from latentflow.errors import DataError
from latentflow.model.devices import PRECISIONS
from latentflow.model.encoding import unsolved
from latentflow.model.fitted_flow import SCALES, FittedFlow
from latentflow.report.terminal.words import count

from . import options
from .opening import Job, with_job
from .output import warn
from .progress import RowProgress

OUTPUT_SUFFIX = ".decoded.h5"
CARRIED = "carried"


@click.command("decode")
@click.argument("data", metavar="LATENTS", type=options.FILE)
@options.model("LATENTS")
@options.output(f"LATENTS with the ending {OUTPUT_SUFFIX}")
@options.key
@options.scale("what LATENTS holds", default="what the file says, else latent")
@options.device
@with_job
def command(job: Job, scale: str | None) -> None:
    """Map LATENTS, as `latentflow encode` writes them, back to rows of the table.

    A latent is decoded as the row that is encoded to it, in the precision that it was encoded in (HDF5 and Parquet
    note it; other formats are decoded in double); where none is found to 1e-9 of a latent (1e-5 in float32), a
    warning names its position. What comes back has the columns, the
    shape of a sample and the type of number that the table had when the model was fitted on it; values on a lattice
    (integers, few decimals) are restored exactly.
    """
    latents = job.data
    job = replace(job, dtype=str(read_attribute(latents, "dtype") or PRECISIONS[0]))
    model = job.model
    _check_origin(latents, model, job.model_path)
    unsaid = scale is None and read_attribute(latents, "scale") is None
    scale = _scale_of(latents, scale)
    table = _open_latents(latents, job.key, model)
    carried = _open_carried(latents, table, model)
    output = job.output_beside(OUTPUT_SUFFIX)

    dtype, shape = np.dtype(model.record.get("dtype") or "float64"), model.record.get("sample_shape")
    writer = TableWriter(
        output,
        model.columns,
        dtype=dtype,
        sample_shape=tuple(shape) if shape else None,
        attrs=job.provenance(),
    )
    missed, worst = list[int](), 0.0
    with RowProgress("decode", table.n_rows, quiet=job.telling.silent) as progress, writer:
        for z, beside_z in _blocks(table, carried, model):
            rows, residual = model.decode_with_residual(z, beside_z, scale=scale)
            missed.extend(writer.n_rows + np.flatnonzero(~(residual <= model.residual_limit)))
            worst = max(worst, float(np.nan_to_num(residual, nan=np.inf).max(initial=0.0)))
            # an integer column that is on no lattice comes back a rounding error away from the integer it was
            writer.write(np.rint(rows) if dtype.kind in "iu" else rows)
            progress.reached(writer.n_rows)

    result = {
        **job.about(output=output),
        "rows": table.n_rows,
        "scale": scale,
        "unsolved_rows": [int(row) for row in missed],
        "largest_residual": worst,
        "columns": list(model.columns),
    }
    if unsaid and not job.telling.quiet:
        click.echo(
            f"note: {latents} does not say its scale: its values were taken as latents (standard normal); give "
            "--scale source for a file that was written with it",
            err=True,
        )
    if missed:
        warn([unsolved(np.array(missed), worst)])
    lines = [f"{output}: {count(table.n_rows, 'row')}, {count(len(model.columns), 'column')}"]
    job.telling(lines, result)


def _check_origin(latents: Path, model: FittedFlow, model_path: Path) -> None:
    """Raise a DataError when the file says that another model made it: the rows would be nonsense."""
    origin, name = (read_attribute(latents, what) for what in ("model_hash", "model"))
    if origin is not None and origin != model.hash:
        raise DataError(
            f"{latents}: was encoded with another model than {model_path}, called {name} at the time; "
            f"name that one with --model, or encode again if the model was fitted or oriented anew since"
        )


def _scale_of(latents: Path, given: str | None) -> str:
    """The scale that the file notes (HDF5, Parquet), else the one given, else that of the latents.

    Raises
    ------
    DataError
        If the two contradict each other.
    """
    noted = read_attribute(latents, "scale")
    if given is not None and noted is not None and given != noted:
        raise DataError(f"{latents}: was encoded with --scale {noted}; leave --scale {given} out")
    return noted or given or SCALES[0]


def _open_latents(latents: Path, key: str | None, model: FittedFlow) -> Table:
    """The latents by their names, or without such names a table of as many columns."""
    try:
        return open_table(latents, key=key, columns=model.latent_names)
    except DataError as unnamed:
        try:
            table = open_table(latents, key=key)
        except DataError:
            raise unnamed from None
        if len(table.columns) != len(model.latent_names):
            raise DataError(
                f"{latents}: has {count(len(table.columns), 'column')}, the model has "
                f"{count(len(model.latent_names), 'latent')}"
            ) from None
        return table


def _open_carried(latents: Path, table: Table, model: FittedFlow) -> Table | None:
    """The directions that the flow left alone; None where the model has none or the file lacks them."""
    width = model.preprocessor.n_kept - model.preprocessor.n_flow
    if width == 0:
        return None
    try:
        if table.key:
            return open_table(latents, key=f"{table.key.rpartition('/')[0]}/{CARRIED}")
        digits = max(2, len(str(width - 1)))
        return open_table(latents, columns=[f"{CARRIED}{i:0{digits}d}" for i in range(width)])
    except DataError:
        warn([f"{latents}: holds no '{CARRIED}' directions; with their mean instead, rows come back changed"])
        return None


def _blocks(
    table: Table, carried: Table | None, model: FittedFlow
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """Blocks of latents, each with the carried directions of the same rows."""
    if carried is None:
        for block in table.chunks():
            yield block, None
        return
    # A table shortens its blocks where it is wide; this many rows fit whichever of the two is wider.
    rows = min(65536, max(1, 2**24 // model.preprocessor.n_kept))
    yield from zip(table.chunks(rows), carried.chunks(rows), strict=True)
