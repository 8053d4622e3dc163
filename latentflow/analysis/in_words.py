"""Numbers of nats, intervals and counts of rows as they are read aloud."""

from __future__ import annotations

from latentflow.analysis.results import Rows
from latentflow.statistics.interval import Interval


def figure(value: float) -> str:
    """A number of nats as it is read aloud: two decimals from 0.1 on, three from 0.01, four below."""
    size = abs(value)
    decimals = 2 if size >= 0.1 else 3 if size >= 0.01 else 4
    text = f"{value:.{decimals}f}"
    return (text.lstrip("-") if float(text) == 0.0 else text).replace("-", "−")


def told(interval: Interval) -> str:
    """An interval in words: "1.38 nats (95 % interval 1.30 to 1.46)"."""
    return (
        f"{figure(interval.estimate)} nats (95 % interval {figure(interval.low)} to {figure(interval.high)})"
    )


def rows_behind(rows: Rows) -> str:
    """The rows behind a figure, and of rows that follow each other how many independent ones they are worth."""
    if not rows.dependent:
        return f"{rows.n_eval} rows"
    return f"{rows.n_eval} rows, worth about {max(rows.effective_n, 1.0):.0f} independent ones"
