"""Progress: drawn for eyes on standard error, and for nothing else."""

from dataclasses import replace
from io import StringIO
from math import nan

import pytest
from rich.console import Console

from latentflow.cli.progress import FitProgress, RowProgress, busy
from latentflow.score.training import Progress

EVENT = Progress(
    step=40, steps=400, train_loss=0.91234, validation_loss=0.95678, rows_per_s=12345.0, seconds_left=83
)


@pytest.fixture
def screen():
    return Console(file=StringIO(), force_terminal=True, width=160)


def drawn(console):
    return console.file.getvalue()


def test_a_fit_shows_losses_speed_and_the_time_left(screen):
    with FitProgress(quiet=False, console=screen) as progress:
        progress(EVENT)
    text = drawn(screen)
    for part in ("40/400", "0.9123", "validation 0.9568", "12,345 rows/s", "1:23 left"):
        assert part in text


def test_before_the_first_validation_there_is_no_loss_to_show(screen):
    with FitProgress(quiet=False, console=screen) as progress:
        progress(replace(EVENT, validation_loss=nan))
    assert "validation … " in drawn(screen)
    assert "nan" not in drawn(screen)


def test_rows_are_counted(screen):
    with RowProgress("encode", 5000, quiet=False, console=screen) as progress:
        progress.reached(1234)
    assert "1,234/5,000 rows" in drawn(screen)


def test_something_of_unknown_length_shows_what_it_is(screen):
    with busy("measuring", quiet=False, console=screen):
        pass
    assert "measuring" in drawn(screen)


@pytest.mark.parametrize(("terminal", "quiet"), [(True, True), (False, False)])
def test_nothing_is_drawn_when_quiet_or_where_nobody_looks(terminal, quiet):
    console = Console(file=StringIO(), force_terminal=terminal)
    with FitProgress(quiet=quiet, console=console) as progress:
        progress(EVENT)
    with RowProgress("encode", 10, quiet=quiet, console=console) as rows:
        rows.reached(10)
    with busy("measuring", quiet=quiet, console=console):
        pass
    assert drawn(console).strip() == ""
