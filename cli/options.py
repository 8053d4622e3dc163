"""The options that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

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
orientation = click.option(
    "--orientation",
    type=click.Choice(["auto", "jacobian", "metric", "ica", "gaussianization", "temporal", "groups", "none"]),
    default="auto",
    show_default=True,
    help="How the latents are turned: by the flow's own derivatives (jacobian, metric), towards FastICA's components "
    "(ica) or a few layers of linear ICA (gaussianization), by lagged or per-group covariances (temporal, groups), not "
    "at all, or as the rows speak for.",
)
groups = click.option(
    "--groups",
    metavar="COLUMN",
    help="A column with a label for each row: segment, subject, condition. It is no data.",
)
time = click.option(
    "--time",
    metavar="COLUMN",
    help="A column that says when each row was taken; gaps may be in it. It is no data.",
)
time_order = click.option(
    "--time-order", is_flag=True, help="Rows follow each other in time, at equal steps."
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
