"""The options that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from latentflow.orientation import registry

from .naming import MODEL_SUFFIX

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


FILE = click.Path(path_type=Path, dir_okay=False)

data = click.argument("data", type=FILE)
key = click.option(
    "--key", metavar="NAME", help="The data set or group inside an HDF5 file.  [default: the only one]"
)
missing = click.option(
    "--missing",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="What to do with rows that have a missing or infinite value: refuse the table, or leave them out.",
)
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
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Where to compute: cpu, cuda, or auto: a GPU if there is one.",
)
dtype = click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
    help="Precision of the flow; float32 is about twice as fast, and decodes to about 1e-5.",
)
orientation = click.option(
    "--orientation",
    type=click.Choice(registry.choices()),
    default="auto",
    show_default=True,
    help=registry.in_words(),
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
time_order = click.option(
    "--time-order", is_flag=True, help="Say that rows follow each other in time, at equal steps."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a summary.")
quiet = click.option(
    "--quiet", "-q", is_flag=True, help="No summary and no progress; warnings and errors still go to stderr."
)


def model(data: str) -> Decorator:
    """`--model`, where `data` is the argument beside whose file it lies without it."""
    return click.option(
        "--model",
        "-m",
        "model_path",
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
    return click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help=f"The seed of {use}."
    )
