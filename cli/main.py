"""The `latentflow` command: a group that loads lazily, where failures become one line and an exit code."""

from __future__ import annotations

import errno
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

import click

from latentflow.errors import LatentFlowError
from latentflow.version import __version__

from .output import COMMAND_LINE, warn

# Command → (module of this package, its line in --help). A module is imported when its command runs: it
# needs torch or pandas, which take seconds to load, and --help shall be there at once.
COMMANDS = {
    "fit": ("fit", "Learn the score of a table and write the model."),
    "encode": ("encode", "Map each row of a table to its Gaussian latents."),
    "decode": ("decode", "Map latents back to rows of the table."),
    "orient": ("orient", "Turn the latents of a model by another rule, without training."),
    "traverse": ("traverse", "Show what the data look like as one latent runs."),
    "clean": ("clean", "Take latents out of a table, as ICA users take out components."),
    "independence-report": ("independence_report", "Measure how independent the latents are."),
    "compare": ("compare", "Hold latents against FastICA's components, one by one."),
    "stability": ("stability", "Fit again with other seeds and sizes, and say how far the latents agree."),
    "verify": ("verify", "Send every row to its latents and back, and say how exactly they return."),
    "trajectory-report": (
        "trajectory_report",
        "Show the paths between rows and latents, and what the score knows.",
    ),
    "info": ("info", "Say what a model or a data file holds."),
}


class CommandFailed(click.ClickException):
    """A failure that is the user's to mend, shown as one line on standard error."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))

    def show(self, file: Any = None) -> None:
        click.echo(f"latentflow: error: {self.message}", file=file, err=file is None)


class Interrupted(CommandFailed):
    """The user pressed Ctrl-C; the exit code is the shell's for that."""

    exit_code = 130


class LazyGroup(click.Group):
    """A group that knows its commands by name, and imports one only to run it or to show its own help."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        command_line = shlex.join(["latentflow", *args])  # before parsing, which consumes args
        ctx = super().make_context(info_name, args, parent=parent, **extra)
        ctx.meta[COMMAND_LINE] = command_line
        return ctx

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command = import_module(f".{module}", __package__).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # click looks for close matches by loading every command: the whole library for a typing error.
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}. There are: {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _failures_in_one_line(), _warnings_in_one_line():
            return super().invoke(ctx)


@contextmanager
def _failures_in_one_line() -> Iterator[None]:
    try:
        yield
    except LatentFlowError as error:
        raise CommandFailed(str(error)) from error
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; no half-written file is left") from error
    except (MemoryError, RuntimeError) as error:
        # torch has a class of its own for a full GPU, which cannot be named without importing torch
        if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
            raise
        raise CommandFailed(f"not enough memory: {error}; use fewer columns or --device cpu") from error
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of a pipe has left: click ends quietly
            raise
        raise CommandFailed(_describe(error)) from error


def _describe(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.ENOSPC:
        reason = "no space left on the device; no half-written file is left"
    return f"{error.filename}: {reason}" if error.filename is not None else reason


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        warn([str(message)])

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="latentflow")
def latentflow() -> None:
    """Bijective Gaussian latents of a table, and how independent they are.

    \b
    latentflow fit data.h5                    writes data.latentflow.safetensors
    latentflow encode data.h5                 writes data.latents.h5
    latentflow independence-report data.h5    writes data.independence.html and .json
    """


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 `verify` met a row that fails, 2 failed in one line, 130 stopped."""
    latentflow(prog_name="latentflow")
    sys.exit(0)


if __name__ == "__main__":
    main()
