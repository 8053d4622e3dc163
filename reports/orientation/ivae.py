"""Identifiable variational autoencoder (Khemakhem, Kingma, Monti & Hyvärinen 2020), as in its paper's experiments.

Prior of a row's latents: normal, mean zero, variances by a network of the group. Posterior: normal with diagonal
covariance, mean and variances by a network of row and group. Likelihood: normal about a network of the latents, of
fixed small variance. Perceptrons of leaky ReLU (slope 0.1), three layers, 50 units. The evidence lower bound is
maximised by Adam with a step that falls where the bound stalls.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from rows import Floats, Rows
from torch import Tensor, nn

from latentflow.analysis.baselines.fitted import pca_whitening

HIDDEN, SLOPE, NOISE_VARIANCE = 50, 0.1, 0.01
EPOCH_STEPS, STEPS, BATCH, LEARNING_RATE, PATIENCE = 200, 14_000, 256, 3e-3, 8


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    """Three affine layers with leaky ReLU between."""
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        nn.LeakyReLU(SLOPE),
        nn.Linear(HIDDEN, HIDDEN),
        nn.LeakyReLU(SLOPE),
        nn.Linear(HIDDEN, outputs),
    )


class IdentifiableVAE(nn.Module):
    """Networks of prior, posterior and likelihood, for rows (n, width) and groups in one-hot code (n, kinds)."""

    def __init__(self, width: int, kinds: int) -> None:
        super().__init__()
        self.prior = perceptron(kinds, width)
        self.encoder_mean = perceptron(width + kinds, width)
        self.encoder_log_variance = perceptron(width + kinds, width)
        self.decoder = perceptron(width, width)

    def means(self, x: Tensor, u: Tensor) -> Tensor:
        """Posterior means (n, width)."""
        return self.encoder_mean(torch.cat([x, u], 1))

    def bound(self, x: Tensor, u: Tensor) -> Tensor:
        """Evidence lower bound, mean over the rows, nats, with one draw from the posterior of each."""
        mean, log_variance = self.means(x, u), self.encoder_log_variance(torch.cat([x, u], 1))
        noise = torch.randn_like(mean)
        z = mean + (0.5 * log_variance).exp() * noise
        likelihood = _log_normal(x - self.decoder(z), torch.full((), math.log(NOISE_VARIANCE)))
        prior = _log_normal(z, self.prior(u))
        posterior = -0.5 * (noise.square() + log_variance + math.log(2 * math.pi)).sum(1)
        return (likelihood + prior - posterior).mean()


def _log_normal(deviation: Tensor, log_variance: Tensor) -> Tensor:
    terms = deviation.square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi)
    return -0.5 * terms.sum(1)


def posterior_means(train: Rows, new: Rows, seed: int) -> Floats:
    """Learn from training rows; posterior means of new rows (n, d) given their groups."""
    assert train.groups is not None
    assert new.groups is not None
    whitening = pca_whitening(train.X)
    kinds = np.unique(train.groups)
    x, u = _tensors(whitening.transform(train.X)[0], train.groups, kinds)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = IdentifiableVAE(x.shape[1], len(kinds))
        optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.3, patience=PATIENCE)
        for _ in range(STEPS // EPOCH_STEPS):
            total = 0.0
            for _ in range(EPOCH_STEPS):
                at = torch.randint(len(x), (BATCH,))
                loss = -model.bound(x[at], u[at])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item()
            schedule.step(total)
    with torch.no_grad():
        return model.means(*_tensors(whitening.transform(new.X)[0], new.groups, kinds)).double().numpy()


def _tensors(white: Floats, groups: np.ndarray, kinds: np.ndarray) -> tuple[Tensor, Tensor]:
    one_hot = groups[:, None] == kinds
    return torch.as_tensor(white, dtype=torch.float32), torch.as_tensor(one_hot, dtype=torch.float32)
