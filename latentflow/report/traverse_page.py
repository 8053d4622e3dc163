"""A traverse as one self-contained page, and as a table beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtr

from latentflow.analysis.comparison.traverse import Traverse
from latentflow.data.atomic import write_whole
from latentflow.report.page import environment
from latentflow.report.svg import inline_svg
from latentflow.report.traverse_figure import is_picture, traverse_figure

PANELS = 64  # latents drawn; the table has all
ROWS = 4  # columns told in numbers under each drawing


def render_traverse(traverse: Traverse, *, subject: str, table_name: str) -> str:
    """The page as HTML, with every style and drawing inside it.

    Parameters
    ----------
    traverse : Traverse
    subject : str
        What was fitted: the name of the data.
    table_name : str
        Name of the file with the table.
    """
    middle = int(np.argmin(np.abs(traverse.t)))
    panels = []
    for index, name in enumerate(traverse.latent_names[:PANELS]):
        numbers = [
            (
                traverse.columns[column],
                *(_short(traverse.values[index, at, column]) for at in (0, middle, -1)),
            )
            for column in traverse.strongest(index, ROWS)
        ]
        panels.append({"name": name, "svg": _svg(traverse, index, name), "numbers": numbers})
    return (
        environment()
        .get_template("traverse.html.j2")
        .render(
            subject=subject,
            table_name=table_name,
            panels=panels,
            pictures=is_picture(traverse),
            ends=[_short(traverse.t[at]) for at in (0, middle, -1)],
            share=float(ndtr(traverse.t[-1]) - ndtr(traverse.t[0])),
            n_latents=len(traverse.latent_names),
            n_columns=len(traverse.columns),
        )
    )


def write_traverse(traverse: Traverse, page: Path, table: Path, *, subject: str) -> None:
    """Write page and table (CSV), each beside its place and then into it.

    Raises
    ------
    DataError
        Where a file cannot be written; the message names it.
    """
    text = {
        page: render_traverse(traverse, subject=subject, table_name=table.name),
        table: traverse.table().to_csv(index=False),
    }
    write_whole(text)


def _short(value: float) -> str:
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def _svg(traverse: Traverse, index: int, name: str) -> str:
    figure: Figure = traverse_figure(traverse, index)
    moved = ", ".join(traverse.columns[column] for column in traverse.strongest(index, ROWS)) or "no column"
    alt = f"How the data change as {name} runs from {traverse.t[0]:g} to {traverse.t[-1]:g}: most of all {moved}"
    return inline_svg(figure, f"traverse-{index}", alt, themed=not is_picture(traverse))
