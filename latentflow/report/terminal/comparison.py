"""Latents beside components, in an aligned table."""

from __future__ import annotations

from collections.abc import Sequence

from latentflow.analysis.comparison.comparison import ComparedLatent, Comparison
from latentflow.report import numbers
from latentflow.report.terminal.words import count

HEADINGS = (
    ("latent", ""),
    ("component", ""),
    ("Spearman", ""),
    ("Pearson", ""),
    ("variance", "latent"),
    ("explained", "component"),
    ("dependence", "latent"),
    ("on others", "component"),
    ("latent adds", "nats [95 %]"),
)
NAME_COLUMNS = 2  # set to the left


def comparison_lines(result: Comparison) -> list[str]:
    """A table of matched latents and components, and what both say of the whole."""
    which = "held-out row" if result.which == "held out" else "row"
    lines = [f"latents against {result.against}, {count(result.n_rows, which)}", ""]
    lines += _aligned([*zip(*HEADINGS, strict=True), *map(_row, result.latents)])
    lines.append("")
    if result.unmatched:
        lines.append(f"without a latent: {', '.join(result.unmatched)}")
    lines.append(
        f"mean |Spearman| {numbers.fixed(result.agreement, 3)}; Pearson takes latents in {result.scale} scale"
    )
    if result.total is not None:
        lines.append(
            f"in all, the latents remove {numbers.with_bounds(result.total)} nats more of the dependence than "
            f"{result.against}"
        )
    return [*lines, *(f"note: {note}" for note in result.notes)]


def _row(latent: ComparedLatent) -> tuple[str, ...]:
    return (
        latent.name,
        latent.component or numbers.MISSING,
        numbers.fixed(latent.spearman, 3),
        numbers.fixed(latent.pearson, 3),
        _share(latent.variance_explained),
        _share(latent.component_variance_explained),
        numbers.fixed(latent.dependence, 3),
        numbers.fixed(latent.component_dependence, 3),
        numbers.with_bounds(latent.adds) if latent.adds is not None else numbers.MISSING,
    )


def _share(value: float | None) -> str:
    return numbers.MISSING if value is None else f"{numbers.fixed(100 * value, 1)} %"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: names to the left, figures to the right, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < NAME_COLUMNS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
