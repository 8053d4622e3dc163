"""What a command that works with a model is asked, the model and the table opened, and where its files go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, wraps
from pathlib import Path
from typing import Any

from latentflow.data.tables import Table
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.tables import open_for

from . import options
from .naming import beside, check_output, find_model
from .output import Telling, provenance


@dataclass(frozen=True)
class Job:
    """What a command is asked by the options that all commands with a model share.

    Model and table are opened when they are first asked for, the model before the table.
    """

    data: Path
    telling: Telling
    given_model: Path | None
    device: str
    output: Path | None = None
    figures_output: Path | None = None
    key: str | None = None
    columns: tuple[str, ...] | None = None
    missing: str = "error"
    dtype: str = "float64"
    seed: int = 0

    @cached_property
    def model_path(self) -> Path:
        """The file of the model: the one named, or the one beside the data."""
        return find_model(self.given_model, self.data)

    @cached_property
    def model(self) -> FittedFlow:
        return FittedFlow.load(self.model_path, device=self.device, dtype=self.dtype)

    @cached_property
    def table(self) -> Table:
        """The data as a table: the columns of the model where none are named."""
        return open_for(self.model, self.data, key=self.key, columns=self.columns)

    def output_beside(self, suffix: str) -> Path:
        """The file to write, by default the data with another ending; refused where it cannot be written."""
        output = self.output or beside(self.data, suffix)
        check_output(output, self.data, self.model_path)
        return output

    def about(self, **files: Path) -> dict[str, Any]:
        """The head of what the command tells: the files that it writes, and the model."""
        written = {name: str(path) for name, path in files.items()}
        return {**written, "model": str(self.model_path), "model_hash": self.model.hash}

    def provenance(self, **more: str | int | float) -> dict[str, str | int | float]:
        """The attributes of a file of rows: what made it, of which model and data."""
        return provenance(
            model=self.model_path.name, model_hash=self.model.hash, source=self.data.name, **more
        )


SHARED = tuple(field.name for field in fields(Job))


def with_job(command: Callable[..., None]) -> Callable[..., None]:
    """A command that is handed its shared options as one :class:`Job`, and beside it those of its own."""

    @options.telling
    @wraps(command)
    def handed(**given: Any) -> None:
        job = Job(**{name: given.pop(name) for name in SHARED if name in given})
        command(job, **given)

    return handed
