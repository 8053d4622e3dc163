"""What a reader sees of an analysis: figures, one self-contained page, the headline for a terminal."""

from latentflow.report.page import render_page, write_report
from latentflow.report.summary import summary_lines

__all__ = ["render_page", "summary_lines", "write_report"]
