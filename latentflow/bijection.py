"""The contract of every map that a row goes through on its way to the latents, and their composition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Bijection(Protocol):
    """An invertible map of rows, each of them by itself."""

    def forward(self, x: Floats, /) -> tuple[Floats, Floats]:
        """Images of n rows, and the log|det| of the Jacobian at each in nats, shape (n,)."""

    def inverse(self, y: Floats, /) -> Floats:
        """The rows whose images are `y`."""


@dataclass(frozen=True)
class Chain:
    """Bijections one after the other: log|det| adds up, and the way back is that of each in reverse.

    Parameters
    ----------
    parts : tuple of Bijection
        The first one takes the rows.
    """

    parts: tuple[Bijection, ...]

    def stages(self, x: Floats, log_det: Floats | float = 0.0) -> Iterator[tuple[Floats, Floats]]:
        """Rows after each part, and the log|det| up to there in nats, (n,); `log_det` is what came before."""
        total = np.zeros(len(x)) + log_det
        for part in self.parts:
            x, own = part.forward(x)
            total = total + own
            yield x, total

    def forward(self, x: Floats, /) -> tuple[Floats, Floats]:
        """Rows after the last part, and the log|det| of all in nats, shape (n,)."""
        *_, last = (x, np.zeros(len(x))), *self.stages(x)
        return last

    def inverse(self, y: Floats, /) -> Floats:
        """The rows whose images are `y`."""
        for part in reversed(self.parts):
            y = part.inverse(y)
        return y


@dataclass(frozen=True)
class Leading:
    """A bijection of the first columns of rows; the others pass beside it.

    Parameters
    ----------
    part : Bijection
    columns : int
        How many `part` takes.
    """

    part: Bijection
    columns: int

    def forward(self, x: Floats, /) -> tuple[Floats, Floats]:
        """Rows with their first columns mapped, shape (n, d), and log|det| in nats, shape (n,)."""
        y, log_det = self.part.forward(x[:, : self.columns])
        return np.concatenate([y, x[:, self.columns :]], axis=1), log_det

    def inverse(self, y: Floats, /) -> Floats:
        """Undo `forward`; (n, d) to (n, d)."""
        return np.concatenate([self.part.inverse(y[:, : self.columns]), y[:, self.columns :]], axis=1)
