"""A matplotlib figure as SVG inside an HTML page: small, free of links, and in the colours of the page.

Text stays text, set in the font of the page. The named colours of :mod:`latentflow.report.drawing` become
custom properties of the style sheet, so that one drawing serves light, dark and paper.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import matplotlib
from matplotlib.figure import Figure

from latentflow.report.drawing import PALETTE

RASTER_DPI = 200  # of images inside a drawing (heat maps)


@contextmanager
def default_style() -> Iterator[None]:
    """Draw with matplotlib's own settings, whatever the user's are (LaTeX text, fonts), and restore those."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The browser has its own fonts: a column name that DejaVu cannot set is no trouble in the page.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        yield


def inline_svg(figure: Figure, name: str, alt: str, *, themed: bool = True) -> str:
    """``figure`` as one ``<svg>`` element to stand in an HTML page.

    Parameters
    ----------
    figure : Figure
    name : str
        Prefix of every id in the drawing; unique in the page, made of letters, digits and hyphens.
    alt : str
        What the figure shows, in words; becomes the label that a screen reader reads out.
    themed : bool
        Let the style sheet choose the colours. Drawings with a colour scale are not themed: the page inverts
        them as a whole on a dark screen, scale and all.

    Returns
    -------
    str
        Markup; safe to insert, since every text in it was escaped on the way.
    """
    buffer = io.StringIO()
    with default_style(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, dpi=RASTER_DPI, metadata={"Date": None})
    text = buffer.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    body = _own_ids(body, name)
    if themed:
        body = re.sub(r'style="[^"]*"', _page_colours, body)
    body = re.sub(r' (?:d|x|y)="[^"]*"', _short_numbers, body)
    body = re.sub(r">\s*\n\s*<", "><", body).strip()
    width, height = (72 * size for size in figure.get_size_inches())
    kind = "themed" if themed else "scaled"
    return (
        f'<svg class="{kind}" role="img" aria-label="{escape(alt)}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width * 4 / 3:.0f}" height="{height * 4 / 3:.0f}">{body}'
    )


def _page_colours(style: re.Match[str]) -> str:
    """The named colours in one style attribute as custom properties of the page."""
    text = style[0]
    for colour, value in PALETTE.items():
        text = text.replace(value, f"var(--fig-{colour})")
    return text


def _short_numbers(attribute: re.Match[str]) -> str:
    """Coordinates to a hundredth of a point, which no eye resolves; most of a drawing is coordinates."""
    text = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", attribute[0])
    return re.sub(r"\s+", " ", text)


def _own_ids(body: str, name: str) -> str:
    """Drop ids that nothing refers to and prefix the others, since a page holds many drawings."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))

    def rename(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    body = re.sub(r' id="([^"]*)"', rename, body)
    return re.sub(r'(href="#|url\(#)([^")]+)', rf"\g<1>{name}-\g<2>", body)
