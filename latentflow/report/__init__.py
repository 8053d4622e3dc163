"""What a reader sees of an analysis: figures, one self-contained page, a notebook's view, a terminal's headline.

The figures are in :mod:`latentflow.report.figures`, one function each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentflow.report.independence_page import render_page, write_report
    from latentflow.report.notebook import notebook_html
    from latentflow.report.summary import summary_lines

# Imported when first asked for: what a terminal shows needs nothing that draws.
_HOMES = {
    "notebook_html": "notebook",
    "render_page": "independence_page",
    "summary_lines": "summary",
    "write_report": "independence_page",
}

__all__ = ["notebook_html", "render_page", "summary_lines", "write_report"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
