r"""A few layers of linear ICA: a map so simple that, where it explains the rows, its coordinates are the sources.

A layer multiplies by a matrix W and then sends every coordinate through an increasing function of its own
(:mod:`latentflow.base.monotone`). One layer, with likelihood log N(t(W x)) + log|det|, is linear ICA with free
densities; L layers are the Gaussianization flow of Meng et al. (2020, arXiv 2003.01941). With so few parameters its
likelihood on new rows says whether it is right: what a network of thousands of parameters can mimic for any choice of
axes, this one can only where there are such layers. It must have no more of them than needed: with one too many, wrong
axes can explain the rows as well.

Its coordinates before the last bend serve to turn the latents of the diffusion flow, by Procrustes' rotation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from latentflow.base.monotone import Curves, MonotoneTransforms

Floats = NDArray[np.float64]

BATCH_ROWS = 512
#: How many starts go into each stage of the training at the most, and its steps.
STAGES = ((64, 300), (3, 500), (2, 500))
LEARNING_RATE = 0.05
#: Norm to which each start's gradient is clipped.
LARGEST_GRADIENT_NORM = 10.0


@dataclass(frozen=True)
class Start:
    """Where layers start.

    Attributes
    ----------
    name : str
    matrices : tuple of ndarray, shape (k, k)
        Of each layer; rows are multiplied by them from the right.
    curves : tuple of Curves
        What the first bends begin near; those of the layers that are left begin as the identity.
    """

    name: str
    matrices: tuple[Floats, ...]
    curves: tuple[Curves, ...] = ()


class GaussianizationFlow(nn.Module):
    """Layers of a matrix and a bend, from several starts side by side.

    Parameters
    ----------
    starts : sequence of Start
        As many layers in each.
    """

    def __init__(self, starts: Sequence[Start]):
        super().__init__()
        k = len(starts[0].matrices[0])
        layers = range(len(starts[0].matrices))
        self.matrices = nn.ParameterList(
            [
                nn.Parameter(torch.as_tensor(np.stack([s.matrices[i] for s in starts]), dtype=torch.float32))
                for i in layers
            ]
        )
        self.transforms = nn.ModuleList(
            [
                MonotoneTransforms([s.curves[i] if i < len(s.curves) else None for s in starts], k)
                for i in layers
            ]
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents and coordinates before the last bend, (starts, k, n) both, and log|det|, nats (starts, n).

        Parameters
        ----------
        x : Tensor, shape (n, k)
        """
        h = before = x.T.expand(len(self.matrices[0]), -1, -1)
        log_det = x.new_zeros(())
        for matrix, transform in zip(self.matrices, self.transforms, strict=True):
            before = torch.bmm(matrix.transpose(1, 2), h)
            h, log_slopes = transform(before)
            log_det = log_det + torch.linalg.slogdet(matrix)[1][:, None] + log_slopes.sum(1)
        return h, before, log_det

    def log_prob(self, x: Tensor) -> Tensor:
        """log p of rows x, nats, shape (starts, n)."""
        z, _, log_det = self(x)
        return log_det - 0.5 * (z * z).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)

    def keep(self, starts: list[int]) -> GaussianizationFlow:
        """The layers of some of the starts, a copy."""
        kept = GaussianizationFlow.__new__(GaussianizationFlow)
        nn.Module.__init__(kept)
        kept.matrices = nn.ParameterList([nn.Parameter(m.detach()[starts]) for m in self.matrices])
        kept.transforms = nn.ModuleList([transform.keep(starts) for transform in self.transforms])  # type: ignore[operator]
        return kept


@dataclass(frozen=True)
class GaussianizationFit:
    """One fit.

    Attributes
    ----------
    flow : GaussianizationFlow
        Of one start.
    start : str
        The name of that start.
    log_prob : ndarray, shape (m,)
        Of the validation rows, nats.
    """

    flow: GaussianizationFlow
    start: str
    log_prob: Floats

    @property
    def layers(self) -> int:
        """How many there are."""
        return len(self.flow.transforms)

    def latents(self, x: Floats) -> Floats:
        """Gaussianised coordinates of rows (n, k)."""
        return self._coordinates(x, 0)

    def components(self, x: Floats) -> Floats:
        """Coordinates before the last bend, in which the sources keep their own distributions, of rows (n, k)."""
        return self._coordinates(x, 1)

    def _coordinates(self, x: Floats, which: int) -> Floats:
        with torch.no_grad():
            coordinates = self.flow(torch.as_tensor(x, dtype=torch.float32))[which]
        return np.asarray(coordinates[0].T.double().numpy())


def fit_gaussianization(
    x: Floats, validation: Floats, starts: Sequence[Start], seed: int
) -> tuple[GaussianizationFit, ...]:
    """Train from every start a little, all at once, from the best ones on, and from the best of these to the end.

    The likelihood has many local maxima, and a wrong one is far below the right one, so the starts matter more than
    the steps.

    Parameters
    ----------
    x : ndarray, shape (n, k)
        Whitened training rows.
    validation : ndarray, shape (m, k)
    starts : sequence of Start
        As many layers in each. A single one needs no trial, so the first stage is left out.
    seed : int

    Returns
    -------
    tuple of GaussianizationFit
        Those of the last stage, the likelier on validation rows first.
    """
    rows, new = (torch.as_tensor(part, dtype=torch.float32) for part in (x, validation))
    generator = Generator().manual_seed(seed)
    flow, names = GaussianizationFlow(starts), [start.name for start in starts]
    order = list(range(len(starts)))
    for most, steps in STAGES if len(starts) > 1 else STAGES[1:]:
        flow, names = flow.keep(order[:most]), [names[i] for i in order[:most]]
        _train(flow, rows, steps, generator)
        log_prob = _likelihood(flow, new)
        order = np.argsort(-np.nan_to_num(log_prob.mean(1), nan=-np.inf), kind="stable").tolist()
    return tuple(GaussianizationFit(flow.keep([i]), names[i], log_prob[i]) for i in order)


def _likelihood(flow: GaussianizationFlow, rows: Tensor) -> Floats:
    with torch.no_grad():
        return np.asarray(flow.log_prob(rows).double().numpy())


def _train(flow: GaussianizationFlow, rows: Tensor, steps: int, generator: Generator) -> None:
    """Maximum likelihood by Adam, warm-up and cosine decay; every start by itself, on the same rows."""
    parameters = list(flow.parameters())
    optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE, betas=(0.9, 0.99), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, steps, pct_start=0.1)
    for _ in range(steps):
        batch = rows[torch.randint(len(rows), (min(BATCH_ROWS, len(rows)),), generator=generator)]
        loss = -flow.log_prob(batch).mean(1).sum()
        optimiser.zero_grad()
        loss.backward()
        gradients = [p.grad for p in parameters if p.grad is not None]
        norms = torch.stack([(g * g).flatten(1).sum(1) for g in gradients]).sum(0).sqrt()
        shrink = (LARGEST_GRADIENT_NORM / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient *= shrink.view(-1, *[1] * (gradient.dim() - 1))
        optimiser.step()
        schedule.step()
