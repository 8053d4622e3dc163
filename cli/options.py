"""The options that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from latentflow.model.settings import Facts, FitSettings, facts

from .naming import MODEL_SUFFIX
from .output import Telling

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class NameList(click.ParamType):
    """Column names in one word, set apart by commas."""

    name = "a,b,c"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...] | None:
        if not isinstance(value, str):
            return value
        parts = tuple(part.strip() for part in value.split(","))
        if not all(parts):
            self.fail(f"{value!r} has an empty name in it; write names as a,b,c", param, ctx)
        return parts


def setting(name: str, *, settings: type = FitSettings, **changes: Any) -> Decorator:
    """The option of a setting of a fit, from the facts of its field, with some of them changed."""
    about = replace(facts(settings)[name], **changes)
    words = f"--{name.replace('_', '-')}"
    if about.kind is bool:
        return click.option(words, is_flag=True, help=about.help)
    return click.option(
        words,
        type=_type(about),
        metavar=about.metavar or None,
        default=None if about.default is None else about.shown or about.default,
        show_default=about.default is not None,
        help=f"{about.help}  [default: {about.shown}]" if about.default is None else about.help,
    )


def _type(about: Facts) -> click.ParamType:
    if about.choices:
        return click.Choice(about.choices)
    if about.kind is str:
        return click.STRING
    number: Any = click.IntRange if about.kind is int else click.FloatRange
    kind: click.ParamType = number(about.low, about.high, min_open=about.open_low, max_open=about.open_high)
    return kind


def from_settings(*, after: Mapping[str, Sequence[Decorator]], settings: type = FitSettings) -> Decorator:
    """Every setting of a fit as an option, in order; ``after`` has options that follow that of a setting."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(facts(settings)):
            for each in (*reversed(after.get(name, ())), setting(name, settings=settings)):
                command = each(command)
        return command

    return decorate


FILE = click.Path(path_type=Path, dir_okay=False)

data = click.argument("data", type=FILE)
key = click.option(
    "--key", metavar="NAME", help="The data set or group inside an HDF5 file.  [default: the only one]"
)
missing = setting("missing")
orientation = setting("orientation")
time_order = setting("time_order")
device = setting("device")
rows = click.option(
    "--rows",
    type=click.Choice(["auto", "held-out", "all"]),
    default="auto",
    show_default=True,
    help="Which rows to judge: auto takes those that the fit held out, and on another table all.",
)
n_boot = click.option(
    "--n-boot",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Bootstrap draws of the intervals.",
)
dtype = click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
    help="Precision of the flow; float32 is about twice as fast, and decodes to about 1e-5.",
)
groups = click.option(
    "--groups",
    metavar="COLUMN",
    help="The column with a label for each row (segment, subject, condition); it is not fitted. With --time or "
    "--time-order the labels are recordings, of which each has its own course of time.",
)
time = click.option(
    "--time",
    metavar="COLUMN",
    help="The column that says when each row was taken: a number in any unit, or a date such as 2024-03-31T23:59; "
    "gaps allowed; it is not fitted.",
)
carry = click.option(
    "--carry", type=NameList(), help="Columns to pass through untouched: ids, times, labels."
)


def telling(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` and `--quiet`, handed on as one :class:`Telling`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a summary.")
    @click.option(
        "--quiet",
        "-q",
        is_flag=True,
        help="No summary and no progress; warnings and errors still go to stderr.",
    )
    @wraps(command)
    def handed(*, as_json: bool, quiet: bool, **given: Any) -> Any:
        return command(telling=Telling(as_json, quiet), **given)

    return handed


def model(data: str) -> Decorator:
    """`--model`, where `data` is the argument beside whose file it lies without it."""
    return click.option(
        "--model",
        "-m",
        "given_model",
        type=FILE,
        help=f"The model file.  [default: {data} with the ending {MODEL_SUFFIX}]",
    )


def scale(use: str, *, default: str = "latent") -> Decorator:
    """`--scale`, where `use` says of what it is the scale, and `default` what is taken without it."""
    return click.option(
        "--scale",
        type=click.Choice(["latent", "source"]),
        help=f"{use[0].upper()}{use[1:]}: Gaussian latents, or each at the scale of its source.  [default: {default}]",
    )


def columns(default: str) -> Decorator:
    """`--columns`, where `default` says what is taken without it."""
    return click.option(
        "--columns", type=NameList(), help=f"The columns to use, by name.  [default: {default}]"
    )


def output(default: str) -> Decorator:
    """`--output`, where `default` says where it goes without it."""
    return click.option("--output", "-o", type=FILE, help=f"The file to write.  [default: {default}]")


def seed(use: str) -> Decorator:
    """`--seed`, where `use` says what is drawn with it."""
    return setting("seed", help=f"The seed of {use}.")
