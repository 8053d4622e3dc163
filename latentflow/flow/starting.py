"""The noise level at which the flow starts."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.score.denoisers import Denoiser

#: Noise levels at which the flow may start; rows, numbers (rows × columns) and grid steps that choose among them.
STARTS = (0.002, 0.005, 0.01, 0.03, 0.1, 0.2)
START_ROWS = 400
START_NUMBERS = 4_000
START_STEPS = 24


def choose_start(denoiser: Denoiser, validation: Tensor, ends: tuple[float, float]) -> float:
    """The noise level σ_min at which the flow starts, by the likelihood of validation rows.

    A row enters the flow as if it carried noise σ_min, so the density is that of the data blurred by σ_min. With
    few rows the score at the smallest levels is over-fitted, and a larger start describes new rows better. The
    smallest level is taken that is not clearly worse than the best: by no more than the standard error of the paired
    difference.

    Parameters
    ----------
    denoiser : Denoiser
    validation : Tensor, shape (m, k)
        Whitened rows; without any, the smallest is taken.
    ends : (float, float)
        Smallest and largest noise level of training.

    Returns
    -------
    float
    """
    # each row costs a trace of as many products as there are columns
    most = min(START_ROWS, max(64, START_NUMBERS // validation.shape[1]))
    # spread over all of them: where rows follow each other in time, the first few would be one moment
    rows = validation[torch.linspace(0, len(validation) - 1, min(most, len(validation))).long()]
    levels = [level for level in STARTS if level >= ends[0]]
    if len(rows) == 0:
        return ends[0]
    likelihoods = np.stack(
        [
            ProbabilityFlow(denoiser, log_uniform_grid(level, ends[1], START_STEPS))
            .log_prob(rows)
            .double()
            .cpu()
            .numpy()
            for level in levels
        ]
    )
    means = np.nan_to_num(likelihoods.mean(1), nan=-np.inf)
    if np.isinf(means).all():
        return levels[-1]
    best = likelihoods[int(means.argmax())]
    errors = (best - likelihoods).std(1) / np.sqrt(len(rows))
    return levels[int(np.argmax(means >= best.mean() - errors))]
