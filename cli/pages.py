"""Commands that write a page, and beside it a file of the same figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from latentflow.errors import DataError

from . import options
from .naming import beside, check_output
from .opening import Job


@dataclass(frozen=True)
class Page:
    """A page and its figures: as a decorator their two options, and where the two files go.

    Attributes
    ----------
    suffix : str
        The ending of the page, in place of that of the data.
    option : str
        The option that names the file of the figures.
    file : str
        What kind of file that is.
    ending : str
        Its ending.
    """

    suffix: str
    option: str = "--json-output"
    file: str = "JSON file"
    ending: str = ".json"

    def __call__(self, command: Callable[..., Any]) -> Callable[..., Any]:
        figures = click.option(
            self.option,
            "figures_output",
            type=options.FILE,
            help=f"The {self.file} to write.  [default: as the page, ending in {self.ending}]",
        )
        return options.output(f"DATA with the ending {self.suffix}")(figures(command))

    def places(self, job: Job) -> tuple[Path, Path]:
        """Where the page and its figures go.

        Raises
        ------
        DataError
            If the two are one file, or one of them cannot be written.
        """
        page = job.output or beside(job.data, self.suffix)
        figures = job.figures_output or page.with_suffix(self.ending)
        if figures == page:
            raise DataError(
                f"{page}: the page and its {self.file} need names of their own; see {self.option}"
            )
        for path in (page, figures):
            check_output(path, job.data, job.model_path)
        return page, figures
