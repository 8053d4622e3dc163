"""One HTML page that opens anywhere, offline, from a finished result and the sections of its kind of page.

A page computes nothing, holds no script and asks for nothing outside itself, and says so to the browser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from latentflow.report import numbers
from latentflow.report.drawing import printable
from latentflow.report.svg import default_style, inline_svg

R = TypeVar("R")


@dataclass(frozen=True)
class Drawing:
    """One figure as markup, with what stands under it."""

    svg: Markup
    caption: str = ""


@dataclass(frozen=True)
class Section(Generic[R]):
    """One part of a kind of page.

    Attributes
    ----------
    key : str
        Its name, that of its place in the page, and of its template, ``PAGE/KEY.html.j2``, which sees ``result``, what
        the whole page knows, its data and its drawings.
    title : str
        Its words in the list of contents; empty where it is not listed.
    show : callable
        Whether a result has anything for it.
    data : callable
        What its template needs to know of a result besides.
    figures : mapping of str to callable
        What its template finds under ``drawings``: drawings of a result, one or many.
    box : str
        Class of the box that it shares with its neighbours; empty where it stands alone.
    """

    key: str
    title: str = ""
    show: Callable[[R], Any] = lambda _: True
    data: Callable[[R], Mapping[str, Any]] = lambda _: {}
    figures: Mapping[str, Callable[[R], Any]] = field(default_factory=dict)
    box: str = ""


def render(page: str, sections: Sequence[Section[R]], result: R, **facts: Any) -> str:
    """A page as HTML.

    Parameters
    ----------
    page : str
        Its kind: name of the template of the frame, and of the folder of the templates of sections.
    sections : sequence of Section
        In the order of the page; those that have nothing to show are left out.
    result
        What is shown.
    **facts
        What all templates know: of the frame ``title``, ``subject`` (what was analysed), ``counts`` (of what, one
        phrase each) and ``beside`` (name of the file that goes with the page).

    Returns
    -------
    str
        A complete document: style and figures (SVG) inside, light and dark, for screen, phone and paper.
        Names of columns and files are escaped.
    """
    shown = [section for section in sections if section.show(result)]
    contents = [(section.key, section.title) for section in shown if section.title]
    known = {**facts, "result": result, "contents": contents}
    parts = []
    for section in shown:
        words = {**known, **section.data(result), "drawings": drawings(section, result)}
        html = environment().get_template(f"{page}/{section.key}.html.j2").render(words)
        parts.append({"html": Markup(html), "box": section.box})
    return environment().get_template(f"{page}.html.j2").render(known, sections=parts)


def drawings(section: Section[R], result: R) -> dict[str, Any]:
    """The figures of a section by name, whatever the user's matplotlib settings are."""
    with default_style():
        return {name: draw(result) for name, draw in section.figures.items()}


def drawing(name: str, figure: Figure, alt: str, caption: str = "", *, themed: bool = True) -> Drawing:
    """A figure for a page: as :func:`~latentflow.report.svg.inline_svg`, with what stands under it."""
    return Drawing(Markup(inline_svg(figure, name, printable(alt), themed=themed)), caption)


@cache
def environment() -> Environment:
    """Templates with what formats their numbers; every variable is escaped, an unknown one is an error."""
    environment = Environment(
        loader=PackageLoader("latentflow.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (
        numbers.at_least,
        numbers.bounds,
        numbers.count,
        numbers.estimate,
        numbers.fixed,
        numbers.many,
        numbers.nats,
        numbers.p_value,
        numbers.percent,
        numbers.small,
        numbers.with_bounds,
    ):
        environment.filters[function.__name__] = function
    macros = environment.get_template("macros.html.j2").module
    environment.globals.update(
        {name: getattr(macros, name) for name in ("figure", "scroll", "versus", "p_is")}
    )
    return environment
