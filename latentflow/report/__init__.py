"""What a reader sees of an analysis: figures, one self-contained page, a notebook's view, a terminal's headline.

The figures are in :mod:`latentflow.report.figures`, one function each.
"""

from latentflow.report.independence_page import render_page, write_report
from latentflow.report.notebook import notebook_html
from latentflow.report.summary import summary_lines

__all__ = ["notebook_html", "render_page", "summary_lines", "write_report"]
