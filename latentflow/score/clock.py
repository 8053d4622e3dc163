"""Where a training stands: by steps and, with a time budget, by seconds, whichever is further."""

from __future__ import annotations

import math
import time

from latentflow.score.sizing import TrainingPlan

#: Validations over a whole training.
VALIDATIONS = 50


class Clock:
    """Share done, validations and reports due, rates.

    Parameters
    ----------
    plan : TrainingPlan
    """

    def __init__(self, plan: TrainingPlan):
        self.plan = plan
        self.start = time.monotonic()
        self.last_report = -math.inf
        self.next_validation = 1 / VALIDATIONS

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def out_of_time(self, step: int) -> bool:
        """Whether the time budget, and not the number of steps, has ended the training."""
        budget = self.plan.time_budget
        return step < self.plan.steps and budget is not None and self.elapsed() >= budget

    def share(self, step: int) -> float:
        """Share of the training that is done, 0 … 1."""
        by_time = 0.0 if self.plan.time_budget is None else self.elapsed() / self.plan.time_budget
        # one step is always made, however short the budget
        return min(1.0, max(step / self.plan.steps, by_time if step else 0.0))

    def validation_due(self, step: int) -> bool:
        """Whether the next of the evenly spaced validations is due; always true at the end."""
        share = self.share(step)
        due = share >= self.next_validation
        if due:
            self.next_validation = (math.floor(share * VALIDATIONS + 1e-9) + 1) / VALIDATIONS
        return due or share >= 1

    def report_due(self) -> bool:
        """True at most ten times a second."""
        now = time.monotonic()
        due = now - self.last_report >= 0.1
        if due:
            self.last_report = now
        return due

    def rates(self, step: int) -> tuple[float, float]:
        """Rows per second so far, and seconds left."""
        elapsed, share = self.elapsed(), self.share(step)
        return step * self.plan.batch_size / max(elapsed, 1e-9), elapsed * (1 - share) / max(share, 1e-9)
