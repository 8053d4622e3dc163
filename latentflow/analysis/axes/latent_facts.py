"""What each latent has to do with the columns of the data, linearly: variance explained, strongest columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from latentflow.statistics.records import Result

STRONGEST = 3  # columns that are named per latent


@dataclass(frozen=True)
class LatentFacts(Result):
    """What one latent tells of the columns."""

    name: Annotated[str, "The latent; the tuple of facts is in the model's own order of the latents."]
    variance_explained: Annotated[
        float,
        "Share, 0 … 1, of the variance of the standardised columns that this latent explains linearly and alone: the "
        "mean over the columns of its squared Pearson correlation with them. Over uncorrelated latents the shares add "
        "up to the mean R² of a linear regression of the columns on all of them, which is below one as far as the "
        "model is not linear.",
    ]
    strongest: Annotated[
        tuple[tuple[str, float], ...],
        "The columns of largest |correlation| with it, strongest first, each with the signed correlation, from which "
        "the sign of the latent can be read.",
    ]


def latent_facts(
    latents: np.ndarray,
    names: Sequence[str],
    continuous: np.ndarray,
    columns: Sequence[str],
    *,
    most: int = STRONGEST,
) -> tuple[LatentFacts, ...]:
    """Squared correlations of every latent with every column.

    Parameters
    ----------
    latents : ndarray (n, k)
    names : sequence of str, length k
    continuous : ndarray (n, d)
        The kept columns of the same rows, in any units.
    columns : sequence of str, length d
    most : int
        How many columns to name per latent.

    Returns
    -------
    tuple of LatentFacts, length k
        In the order of ``names``. A column or a latent that does not vary on these rows correlates with
        nothing: it is left out of the mean, and explains nothing.

    Raises
    ------
    ValueError
        The two arrays have different numbers of rows, or the names do not fit the arrays.

    Examples
    --------
    >>> z = np.array([[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    >>> first, second = latent_facts(z, ["z0", "z1"], z @ [[-3.0, 1.0], [0.0, 1.0]], ["a", "b"])
    >>> round(first.variance_explained, 2), first.strongest[0][0], round(first.strongest[0][1], 2)
    (0.75, 'a', -1.0)
    >>> round(second.variance_explained, 2)
    0.25
    """
    if len(latents) != len(continuous):
        raise ValueError(f"{len(latents)} rows of latents do not go with {len(continuous)} rows of columns")
    if latents.shape[1] != len(names) or continuous.shape[1] != len(columns):
        raise ValueError("there must be one name per latent and one per column")
    z, z_varies = _standardised(latents)
    x, x_varies = _standardised(continuous)
    correlation = np.clip(z.T @ x / max(len(z), 1), -1.0, 1.0)
    varying = max(1, int(x_varies.sum()))
    explained = (correlation**2).sum(axis=1) / varying
    order = np.argsort(-np.abs(correlation), axis=1, kind="stable")[:, :most]
    return tuple(
        LatentFacts(
            name=str(name),
            variance_explained=float(explained[index]),
            strongest=tuple(
                (str(columns[column]), float(correlation[index, column]))
                for column in order[index]
                if z_varies[index] and x_varies[column]
            ),
        )
        for index, name in enumerate(names)
    )


def _standardised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of mean zero and variance one, all zero where they do not vary; and which of them do."""
    values = np.asarray(values, dtype=np.float64)
    centred = values - values.mean(axis=0)
    scale = centred.std(axis=0)
    # Below the rounding of the mean a column is constant, whatever its computed spread.
    varies = scale > 1e-12 * np.maximum(np.abs(values).max(axis=0, initial=0.0), np.finfo(float).tiny)
    return np.where(varies, centred / np.where(varies, scale, 1.0), 0.0), varies
