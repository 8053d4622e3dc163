"""What the data look like as one latent runs and the others stay at their median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from latentflow.data.source import unique_names
from latentflow.errors import DataError
from latentflow.model.fitted_flow import FittedFlow
from latentflow.statistics.records import Result

Floats = NDArray[np.float64]

#: From the 2 % to the 98 % point of a normal latent, with its median in the middle.
DEFAULT_EXTENT, DEFAULT_STEPS = 2.0, 9


@dataclass(frozen=True)
class Traverse(Result):
    """Rows decoded along the axes of the latents."""

    latent_names: Annotated[tuple[str, ...], "The latents that run, in the order of the model."]
    t: Annotated[Floats, "(m,): Their values."]
    columns: Annotated[tuple[str, ...], ""]
    values: Annotated[
        Floats,
        "(k, m, D): What each column is, in the user's units, as latent i takes value t and the others are 0.",
    ]
    swing: Annotated[
        Floats,
        "(k, D): Largest less smallest of these values, in standard deviations of the column; 0 for a constant column.",
    ]
    spread: Annotated[
        Floats, "(D,): That standard deviation, in the user's units, robust where the column has heavy tails."
    ]
    sample_shape: Annotated[
        tuple[int, ...] | None, "The shape of one row's sample, where the table was an array of samples."
    ]

    def strongest(self, latent: int, most: int) -> list[int]:
        """Positions of the columns that this latent moves most, at most so many, those it moves at all."""
        order = np.argsort(-self.swing[latent], kind="stable")[:most]
        return [int(column) for column in order if self.swing[latent, column] > 0]

    def table(self) -> pd.DataFrame:
        """One row for each latent and value: ``latent``, ``t``, then every column of the data."""
        names = unique_names(["latent", "t", *self.columns])
        k, m, d = self.values.shape
        frame = pd.DataFrame(self.values.reshape(k * m, d), columns=names[2:])
        frame.insert(0, names[0], np.repeat(self.latent_names, m))
        frame.insert(1, names[1], np.tile(self.t, k))
        return frame


def traverse(
    model: FittedFlow, *, latents: Sequence[str] | None = None, t: ArrayLike | None = None
) -> Traverse:
    """Decode the axes of the latents.

    Parameters
    ----------
    model : FittedFlow
        Carried directions, where it has any, are at their mean.
    latents : sequence of str, optional
        Which latents run; all by default.
    t : array_like, shape (m,), optional
        Values that each takes; by default 9 from −2 to 2.

    Returns
    -------
    Traverse

    Raises
    ------
    DataError
        If a latent does not exist, or fewer than two values are given.
    """
    chosen = tuple(latents) if latents is not None else model.latent_names
    unknown = [name for name in chosen if name not in model.latent_names]
    if unknown:
        known = model.latent_names
        raise DataError(f"the model has no latent {unknown[0]!r}; it has {known[0]} to {known[-1]}")
    times = np.asarray(
        np.linspace(-DEFAULT_EXTENT, DEFAULT_EXTENT, DEFAULT_STEPS) if t is None else t, dtype=np.float64
    )
    if times.ndim != 1 or len(times) < 2 or not np.isfinite(times).all():
        raise DataError("a latent runs through two values at the least, all of them finite")
    which = [model.latent_names.index(name) for name in chosen]
    z = np.zeros((len(which), len(times), len(model.latent_names)))
    z[np.arange(len(which)), :, which] = times
    rows = model.decode(z.reshape(-1, z.shape[2]))
    values = rows.reshape(len(which), len(times), rows.shape[1])
    spread = np.array([column.scale for column in model.preprocessor.treatments])
    moving = spread > 0
    swing = np.zeros((len(which), len(model.columns)))
    swing[:, moving] = np.ptp(values[:, :, moving], axis=1) / spread[moving]
    shape = model.record.get("sample_shape")
    return Traverse(
        latent_names=chosen,
        t=times,
        columns=model.columns,
        values=values,
        swing=swing,
        spread=spread,
        sample_shape=tuple(shape) if shape else None,
    )
