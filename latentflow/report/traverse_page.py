"""A traverse as one self-contained page, and as a table beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from latentflow.analysis.comparison.traverse import Traverse
from latentflow.data.atomic import write_whole
from latentflow.report.numbers import many
from latentflow.report.page import Drawing, Section, drawing, render
from latentflow.report.traverse_figure import is_picture, traverse_figure

LATENTS_DRAWN = 64  # the table has all
COLUMNS_NAMED = 4  # with numbers under each drawing


def _about(traverse: Traverse) -> dict[str, Any]:
    return {
        "share": float(ndtr(traverse.t[-1]) - ndtr(traverse.t[0])),
        "n_latents": len(traverse.latent_names),
        "n_drawn": min(LATENTS_DRAWN, len(traverse.latent_names)),
    }


def _panels(traverse: Traverse) -> dict[str, Any]:
    """Each latent with its strongest columns at the first, middle and last value."""
    return {
        "panels": [
            {
                "name": name,
                "numbers": [
                    (
                        traverse.columns[column],
                        *(_short(traverse.values[index, at, column]) for at in _ends(traverse)),
                    )
                    for column in traverse.strongest(index, COLUMNS_NAMED)
                ],
            }
            for index, name in enumerate(traverse.latent_names[:LATENTS_DRAWN])
        ]
    }


def _drawings(traverse: Traverse) -> list[Drawing]:
    drawn = []
    for index, name in enumerate(traverse.latent_names[:LATENTS_DRAWN]):
        moved = (
            ", ".join(traverse.columns[column] for column in traverse.strongest(index, COLUMNS_NAMED))
            or "no column"
        )
        alt = f"How the data change as {name} runs from {traverse.t[0]:g} to {traverse.t[-1]:g}: most of all {moved}"
        figure = traverse_figure(traverse, index)
        drawn.append(drawing(f"traverse-{index}", figure, alt, themed=not is_picture(traverse)))
    return drawn


#: What the page has, in its order.
SECTIONS: tuple[Section[Traverse], ...] = (
    Section("about", data=_about),
    Section("panels", data=_panels, figures={"panels": _drawings}, box="traverse"),
)


def render_traverse(traverse: Traverse, *, subject: str, table_name: str) -> str:
    """The page as HTML, as by :func:`~latentflow.report.page.render`.

    Parameters
    ----------
    traverse : Traverse
    subject : str
        What was fitted: the name of the data.
    table_name : str
        Name of the file with the table.
    """
    return render(
        "traverse",
        SECTIONS,
        traverse,
        title="Traverse",
        subject=subject,
        counts=(many(len(traverse.latent_names), "latent"), many(len(traverse.columns), "column")),
        pictures=is_picture(traverse),
        ends=[_short(traverse.t[at]) for at in _ends(traverse)],
        beside=table_name,
    )


def write_traverse(traverse: Traverse, page: Path, table: Path, *, subject: str) -> None:
    """Write page and table (CSV), both or neither.

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


def _ends(traverse: Traverse) -> tuple[int, int, int]:
    """Positions of the first value, the one nearest the median, and the last."""
    return 0, int(np.argmin(np.abs(traverse.t))), -1


def _short(value: float) -> str:
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
