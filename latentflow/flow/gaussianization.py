r"""A few layers of linear ICA: a map so simple that, where it explains the rows, its coordinates are the sources.

A layer multiplies by a matrix W and then bends every coordinate by an increasing function of its own,
t(u) = a u + Σₖ (bₖ/cₖ) tanh(cₖ(u − mₖ)) + m with a, bₖ, cₖ > 0. One layer, with likelihood log N(t(W x)) + log|det|, is
linear ICA with free densities; L layers are the Gaussianization flow of Meng et al. (2020, arXiv 2003.01941). With so
few parameters its likelihood on new rows says whether it is right: what a network of thousands of parameters can
mimic for any choice of axes, this one can only where there are such layers.

Its coordinates before the last bend serve to turn the latents of the diffusion flow, by Procrustes' rotation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional

Floats = NDArray[np.float64]

#: Bends of each coordinate of a layer.
UNITS = 8
BATCH = 512
#: Steps of the first trial of every start, of the second of the best ones, and how many these are.
TRIAL_STEPS, STEPS, KEPT = 500, 2000, 2
LEARNING_RATE = 0.01


class Bend(nn.Module):
    """An increasing function of each coordinate, the identity to start with."""

    def __init__(self, dimension: int):
        super().__init__()
        one = math.log(math.e - 1)  # softplus of it is 1
        self.middles = nn.Parameter(torch.linspace(-2, 2, UNITS).repeat(dimension, 1))
        self.slope = nn.Parameter(torch.full((dimension,), one))
        self.heights = nn.Parameter(torch.full((dimension, UNITS), -4.0))
        self.scales = nn.Parameter(torch.full((dimension, UNITS), one))
        self.offset = nn.Parameter(torch.zeros(dimension))

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """t(u), shape (n, d), and Σ log t′ in nats, shape (n,)."""
        slope, heights, scales = (functional.softplus(p) for p in (self.slope, self.heights, self.scales))
        bent = torch.tanh((u[:, :, None] - self.middles) * scales)
        value = slope * u + (heights / scales * bent).sum(2) + self.offset
        return value, (slope + (heights * (1 - bent * bent)).sum(2)).log().sum(1)


class GaussianizationFlow(nn.Module):
    """Layers of a matrix and a bend.

    Parameters
    ----------
    matrices : sequence of ndarray, shape (d, d)
        Where the layers start: rows are multiplied by them from the right.
    """

    def __init__(self, matrices: Sequence[Floats]):
        super().__init__()
        self.matrices = nn.ParameterList(
            [nn.Parameter(torch.as_tensor(matrix, dtype=torch.float32)) for matrix in matrices]
        )
        self.bends = nn.ModuleList([Bend(len(matrix)) for matrix in matrices])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (n, d), the coordinates before the last bend (n, d), and log|det| in nats (n,)."""
        log_det, before = x.new_zeros(len(x)), x
        for matrix, bend in zip(self.matrices, self.bends, strict=True):
            before = x @ matrix
            x, change = bend(before)
            log_det = log_det + torch.linalg.slogdet(matrix)[1] + change
        return x, before, log_det

    def log_prob(self, x: Tensor) -> Tensor:
        """log p of rows x, nats, shape (n,)."""
        z, _, log_det = self(x)
        return log_det - 0.5 * (z * z).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)


@dataclass(frozen=True)
class GaussianizationFit:
    """One fit.

    Attributes
    ----------
    flow : GaussianizationFlow
    start : str
        The name of the start that it came from.
    log_prob : ndarray, shape (m,)
        Of the validation rows, nats.
    """

    flow: GaussianizationFlow
    start: str
    log_prob: Floats

    def latents(self, x: Floats) -> Floats:
        """Gaussianised coordinates of rows (n, d)."""
        return self._coordinates(x, 0)

    def components(self, x: Floats) -> Floats:
        """Coordinates before the last bend, in which the sources keep their own distributions, of rows (n, d)."""
        return self._coordinates(x, 1)

    def _coordinates(self, x: Floats, which: int) -> Floats:
        with torch.no_grad():
            found = self.flow(torch.as_tensor(x, dtype=torch.float32))[which]
        return np.asarray(found.double().numpy())


def fit_gaussianization(
    x: Floats, validation: Floats, starts: Mapping[str, Sequence[Floats]], seed: int
) -> tuple[GaussianizationFit, ...]:
    """Train from every start a little, and from the best ones on.

    The likelihood has many local maxima, and a wrong one is far below the right one, so the starts matter more than
    the steps.

    Parameters
    ----------
    x : ndarray, shape (n, d)
        Whitened training rows.
    validation : ndarray, shape (m, d)
    starts : mapping of str to sequence of ndarray, shape (d, d)
        The matrices of the layers to start from, by name.
    seed : int

    Returns
    -------
    tuple of GaussianizationFit
        The two that did best after the first trial, the likelier on validation rows first.
    """
    rows, new = (torch.as_tensor(part, dtype=torch.float32) for part in (x, validation))
    generator = Generator().manual_seed(seed)
    trials: list[tuple[float, str, GaussianizationFlow]] = []
    for name, matrices in starts.items():
        flow = GaussianizationFlow(matrices)
        _train(flow, rows, TRIAL_STEPS, 2 * LEARNING_RATE, generator)
        trials.append((_likelihood(flow, new).mean().item(), name, flow))
    trials.sort(key=lambda trial: -np.nan_to_num(trial[0], nan=-np.inf))
    fits = []
    for _, name, flow in trials[:KEPT]:
        _train(flow, rows, STEPS, LEARNING_RATE, generator)
        fits.append(GaussianizationFit(flow, name, _likelihood(flow, new).double().numpy()))
    return tuple(sorted(fits, key=lambda fit: -np.nan_to_num(fit.log_prob.mean(), nan=-np.inf)))


def _likelihood(flow: GaussianizationFlow, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return flow.log_prob(rows)


def _train(
    flow: GaussianizationFlow, rows: Tensor, steps: int, learning_rate: float, generator: Generator
) -> None:
    """Maximum likelihood by Adam, warm-up and cosine decay."""
    optimiser = torch.optim.Adam(flow.parameters(), lr=learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, steps, pct_start=0.1)
    for _ in range(steps):
        batch = rows[torch.randint(len(rows), (min(BATCH, len(rows)),), generator=generator)]
        loss = -flow.log_prob(batch).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 10.0)
        optimiser.step()
        schedule.step()
