"""`latentflow fit`: learn the score of a table and write the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from latentflow.model.settings import FitSettings
from latentflow.report.terminal.words import field

from . import options
from .naming import MODEL_SUFFIX, beside, check_output, next_command
from .output import Telling, warn
from .progress import FitProgress

if TYPE_CHECKING:
    from latentflow.model.fitted_flow import FittedFlow


@click.command("fit")
@options.data
@options.output(f"DATA with the ending {MODEL_SUFFIX}")
@options.key
@options.columns("all")
@click.option("--drop-columns", type=options.NameList(), help="Columns to leave out, by name.")
@options.from_settings(after={"orientation": (options.groups, options.time)})
@options.telling
def command(
    data: Path,
    output: Path | None,
    key: str | None,
    columns: tuple[str, ...] | None,
    drop_columns: tuple[str, ...] | None,
    groups: str | None,
    time: str | None,
    telling: Telling,
    **settings: Any,
) -> None:
    """Learn the score of the table in DATA and write the model beside it.

    DATA is an HDF5, CSV, TSV, whitespace, Parquet or NPY file. The model remembers which rows it held out;
    `latentflow independence-report` on the same file uses exactly those.
    """
    # only here: they load torch and pandas, which take seconds, and --help shall be there at once
    from latentflow.data.tables import open_table
    from latentflow.model.fit import fit_table

    asked = FitSettings.of(**settings)
    output = output or beside(data, MODEL_SUFFIX)
    table = open_table(data, key=key, columns=columns, drop_columns=drop_columns, aside=(groups, time))
    check_output(output, data)
    with FitProgress(quiet=telling.silent) as progress:
        model = fit_table(table, asked, groups=groups, time=time, progress=progress)
    model.save(output)
    warn(model.record["warnings"])
    telling(_lines(model, data, output), _result(model, output))


def _result(model: FittedFlow, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "model_hash": model.hash,
        "columns": list(model.columns),
        "latents": list(model.latent_names),
        "record": {name: value for name, value in model.record.items() if name != "history"},
    }


def _lines(model: FittedFlow, data: Path, output: Path) -> list[str]:
    from latentflow.report.terminal.model import model_lines

    return [
        str(output),
        *model_lines(model),
        field("next", next_command("encode", data, output)),
        field("", next_command("independence-report", data, output)),
    ]
