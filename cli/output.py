"""What a command tells, in lines for people or as one JSON object, and what it notes in what it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from latentflow.version import __version__

# Where the group leaves the words of the command for the files that the command writes.
COMMAND_LINE = "latentflow.command_line"


@dataclass(frozen=True)
class Telling:
    """How a command tells what it did: in lines, with `--json` as one JSON object, or with `--quiet` not at all."""

    as_json: bool
    quiet: bool

    @property
    def silent(self) -> bool:
        """Whether progress is not shown either."""
        return self.as_json or self.quiet

    def __call__(self, lines: Sequence[str], result: Mapping[str, Any]) -> None:
        """Print `lines`, or `result` under the name of the command."""
        if self.as_json:
            result = {"command": click.get_current_context().info_name, **result}
            click.echo(json.dumps(_jsonable(result), allow_nan=False))
        elif not self.quiet:
            for line in lines:
                click.echo(line)


def warn(messages: Sequence[str]) -> None:
    """Print warnings on standard error, one line each."""
    for message in messages:
        click.echo(f"latentflow: warning: {' '.join(message.split())}", err=True)


def provenance(**of_this_file: str | int | float) -> dict[str, str | int | float]:
    """The attributes of a written file: which version and which words made it, and what the command adds."""
    ctx = click.get_current_context()
    return {"latentflow_version": __version__, "command": ctx.meta.get(COMMAND_LINE, ""), **of_this_file}


def _jsonable(value: Any) -> Any:
    # JSON has no word for NaN or infinity, and most readers refuse the words that Python would write.
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _jsonable(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(member) for member in value]
    return value
