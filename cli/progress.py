"""Progress on standard error, for eyes only: nothing is drawn where standard error is not a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:  # without torch
    from latentflow.score.training import Progress as TrainingProgress


class _Bar:
    """A progress bar as a context manager, silent with `quiet` and where nobody looks."""

    def __init__(self, *fields: str, quiet: bool, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        columns = [TextColumn("{task.description}"), BarColumn(bar_width=24), *map(TextColumn, fields)]
        hidden = quiet or not console.is_terminal
        self._progress = Progress(*columns, console=console, transient=True, disable=hidden)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class FitProgress(_Bar):
    """The `progress` callable of a fit: steps, losses, rows per second and the time left."""

    def __init__(self, *, quiet: bool, console: Console | None = None) -> None:
        super().__init__("{task.fields[numbers]}", quiet=quiet, console=console)
        self._task: TaskID | None = None

    def __call__(self, event: TrainingProgress) -> None:
        numbers = (
            f"step {event.step}/{event.steps} · loss {_loss(event.train_loss)} · "
            f"validation {_loss(event.validation_loss)} · {event.rows_per_s:,.0f} rows/s · "
            f"{_clock(event.seconds_left)} left"
        )
        if self._task is None:
            self._task = self._progress.add_task("fit", total=event.steps, numbers=numbers)
        self._progress.update(self._task, completed=event.step, total=event.steps, numbers=numbers)


class RowProgress(_Bar):
    """Rows done out of `total`, told block by block."""

    def __init__(self, description: str, total: int, *, quiet: bool, console: Console | None = None) -> None:
        super().__init__("{task.completed:,.0f}/{task.total:,.0f} rows", quiet=quiet, console=console)
        self._progress.columns = (*self._progress.columns, TimeRemainingColumn())
        self._task = self._progress.add_task(description, total=total)

    def reached(self, row: int) -> None:
        self._progress.update(self._task, completed=row)


def _loss(value: float) -> str:
    return "…" if isnan(value) else f"{value:.4f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def busy(description: str, *, quiet: bool, console: Console | None = None) -> Iterator[None]:
    """A spinner while something of unknown length runs."""
    console = console or Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return
    with console.status(description):
        yield
