"""`latentflow encode`: map each row of a table to its Gaussian latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from latentflow.data.writing import TableWriter
from latentflow.errors import LatentFlowError
from latentflow.flow.flow_map import LOG_DETS
from latentflow.model.fitted_flow import SCALES
from latentflow.report.terminal.words import count

from . import options
from .naming import check_carried
from .opening import Job, with_job
from .progress import RowProgress

OUTPUT_SUFFIX = ".latents.h5"
# What a file of latents holds under names of its own; a column carried along needs another.
OURS = ("latents", "carried", "log_prob", "far", "row")


@dataclass
class Encoded:
    """What was met on the way through the rows."""

    rows: int = 0
    far: int = 0
    folded: int = 0
    log_prob: float = 0.0  # summed over the rows that have one, nats


@click.command("encode")
@options.data
@options.model("DATA")
@options.output(f"DATA with the ending {OUTPUT_SUFFIX}")
@options.key
@options.columns("those of the model")
@options.missing
@click.option(
    "--log-prob", is_flag=True, help="Also write each row's log-density, in nats, in the units of DATA."
)
@click.option(
    "--log-det",
    type=click.Choice(LOG_DETS),
    help="Which change of variables --log-prob takes: that of the flow, or of the discrete map that the latents come "
    "from, NaN where it folds. They differ by about ten times --accuracy.  [default: continuous]",
)
@options.carry
@options.scale("what to write")
@options.dtype
@options.device
@with_job
def command(
    job: Job, log_prob: bool, log_det: str | None, carry: tuple[str, ...] | None, scale: str | None
) -> None:
    """Map each row of DATA to its Gaussian latents, in the order of DATA.

    The file holds `latents`, one column for each coordinate, and `far`, 1 where a row lies far outside the
    training data. Where there is call for them, also `carried` (directions beyond --components), `log_prob`,
    the columns of --carry, and `row` (the position in DATA, from 0, with --missing drop). A file that ends in
    .csv, .tsv or .parquet has them side by side as columns; one that ends in .npy holds the latents alone. With
    --scale source each latent has the distribution of the source behind it instead of a normal one, with mean 0 and,
    where the mixture is linear, variance 1.
    """
    scale = scale or SCALES[0]
    if log_det and not log_prob:
        raise LatentFlowError(f"--log-det {log_det} says how log p is taken: add --log-prob, or leave it out")
    kind = (log_det or LOG_DETS[0]) if log_prob else None
    model, table = job.model, job.table
    output = job.output_beside(OUTPUT_SUFFIX)
    check_carried(carry or (), {*OURS, *model.latent_names}, job.data, "a latents file")

    attributes = job.provenance(
        source_key=table.key,
        source_rows=table.n_rows,
        scale=scale,
        dtype=job.dtype,
        **({"log_det": kind} if kind else {}),
    )
    writer = TableWriter(output, model.latent_names, key="latents", attrs=attributes)
    with RowProgress("encode", table.n_rows, quiet=job.telling.silent) as progress, writer:
        done = _encode_into(writer, job, carry or (), kind, scale, progress)

    valued = done.rows - done.folded
    mean_log_prob = done.log_prob / valued if kind and valued else None
    result = {
        **job.about(output=output),
        "rows": done.rows,
        "dropped_rows": table.n_rows - done.rows,
        "latents": len(model.latent_names),
        "scale": scale,
        "carried_directions": model.preprocessor.n_kept - model.preprocessor.n_flow,
        "far_rows": done.far,
        "log_det": kind,
        "folded_rows": done.folded if kind == "discrete" else None,
        "mean_log_prob": mean_log_prob,
    }
    job.telling(_lines(result, job.data), result)


def _lines(result: Mapping[str, Any], data: Path) -> list[str]:
    rows, dropped, far = result["rows"], result["dropped_rows"], result["far_rows"]
    lines = [f"{result['output']}: {count(rows, 'row')}, {count(result['latents'], 'latent')}"]
    if dropped:
        lines.append(f"left out: {count(dropped, 'row')} with missing values; `row` says which are there")
    flagged = ", flagged in `far`" if far else ""
    lines.append(f"far outside the training data: {count(far, 'row')}{flagged}")
    if result["mean_log_prob"] is not None:
        lines.append(f"mean log p: {result['mean_log_prob']:.4f} nats, in the units of {data.name}")
    if result["folded_rows"]:
        lines.append(f"the encoder folds at {count(result['folded_rows'], 'row')}: no log p there (NaN)")
    return lines


def _encode_into(
    writer: TableWriter,
    job: Job,
    carry: tuple[str, ...],
    log_det: str | None,
    scale: str,
    progress: RowProgress,
) -> Encoded:
    """Encode the table block by block into the open writer; with a log-determinant also log p."""
    done = Encoded()
    along = job.table.carried(carry)
    for index, block in job.table.iter_complete(missing=job.missing):
        encoding = job.model.encode(
            block,
            log_prob=log_det is not None,
            log_det=log_det or LOG_DETS[0],
            scale=scale,
            first_row=int(index[0]),
        )
        writer.write(encoding.latents)
        if encoding.carried.shape[1]:
            writer.write_extra("carried", encoding.carried)
        if encoding.log_prob is not None:
            writer.write_extra("log_prob", encoding.log_prob)
            folded = np.zeros(len(block), bool) if encoding.folded is None else encoding.folded
            done.log_prob += float(encoding.log_prob[~folded].sum())
            done.folded += int(folded.sum())
        if writer.takes_extras:
            writer.write_extra("far", encoding.far.astype(np.uint8))
        if job.missing == "drop":
            writer.write_extra("row", index)
        for name, values in along.items():
            writer.write_extra(name, values[index])
        done.rows += len(block)
        done.far += int(encoding.far.sum())
        progress.reached(int(index[-1]) + 1)
    return done
