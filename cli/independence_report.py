"""`latentflow independence-report`: measure how independent the latents are, next to FastICA."""

from __future__ import annotations

from pathlib import Path

import click

from latentflow.analysis.independence import independence_report
from latentflow.errors import DataError
from latentflow.report.independence_page import write_report
from latentflow.report.summary import summary_lines

from . import options
from .naming import beside, check_output
from .opening import open_model_and_table
from .output import tell
from .progress import busy

PAGE_SUFFIX = ".independence.html"


@click.command("independence-report")
@options.data
@options.model("DATA")
@options.output(f"DATA with the ending {PAGE_SUFFIX}")
@click.option(
    "--json-output",
    type=options.FILE,
    help="The JSON file to write.  [default: as the page, ending in .json]",
)
@options.key
@options.columns("those of the model")
@options.missing
@options.rows
@options.n_boot
@click.option(
    "--sources",
    metavar="KEY",
    help="Key in DATA of the true sources, where they are known: one row for each row of the table. Every "
    "representation is then matched with them.",
)
@click.option(
    "--peer",
    "peers",
    type=click.Choice(["picard", "spline-flow"]),
    multiple=True,
    help="A further baseline, may be repeated; needs pip install '.[peers]'.",
)
@options.device
@options.seed("the bootstrap and of FastICA")
@options.as_json
@options.quiet
def command(
    data: Path,
    model_path: Path | None,
    output: Path | None,
    json_output: Path | None,
    key: str | None,
    columns: tuple[str, ...] | None,
    missing: str,
    rows: str,
    n_boot: int,
    sources: str | None,
    peers: tuple[str, ...],
    device: str,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how independent the latents of DATA are, next to raw columns, PCA whitening and FastICA.

    On the file that the model was fitted on, exactly the rows that the fit held out are judged, on another
    one all rows. One self-contained HTML page is written, and the same figures as JSON.
    """
    model, model_path, table = open_model_and_table(data, model_path, key=key, columns=columns, device=device)
    output = output or beside(data, PAGE_SUFFIX)
    json_output = json_output or output.with_suffix(".json")
    if json_output == output:
        raise DataError(f"{output}: the page and its JSON need names of their own; see --json-output")
    for path in (output, json_output):
        check_output(path, data, model_path)
    with busy("measuring independence", quiet=quiet or as_json):
        result = independence_report(
            model,
            table,
            rows=rows.replace("-", "_"),
            missing=missing,
            sources=sources,
            peers=[peer.replace("-", "_") for peer in peers],
            n_boot=n_boot,
            seed=seed,
        )
        page, figures = write_report(result, output, json_output)
    told = {"command": "independence-report", "output": str(page), "json_output": str(figures)}
    lines = [*summary_lines(result), f"{'report':<20} {page}", f"{'figures':<20} {figures}"]
    tell(lines, {**told, "result": result.to_dict()}, as_json=as_json, quiet=quiet)
