"""Features learned by contrast: time-contrastive and permutation-contrastive learning, and the CEBRA package.

The first two learn with networks as in their papers: perceptrons of maxout units (Goodfellow et al. 2013), two affine
pieces a unit, last layer linear.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from rows import Floats, Rows
from torch import Tensor, nn

from latentflow.analysis.baselines.fitted import pca_whitening

HIDDEN_LAYERS, UNITS, PIECES = 2, 4, 2  # UNITS times as many maxout units as columns
STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 10_000, 512, 3e-3, 1e-4
CEBRA_STEPS = 5_000


class Maxout(nn.Module):
    """Largest of two affine functions, for each unit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.affine = nn.Linear(inputs, outputs * PIECES)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return self.affine(x).unflatten(1, (PIECES, -1)).amax(1)


def features(width: int) -> nn.Sequential:
    """The network h from whitened columns (n, width) to as many features."""
    hidden = UNITS * width
    layers = [Maxout(width if i == 0 else hidden, hidden) for i in range(HIDDEN_LAYERS)]
    return nn.Sequential(*layers, nn.Linear(hidden, width))


class Similarity(nn.Module):
    """Log-odds that one row follows another, from the features h of both.

    The sum over the features of
    w |a h(now) + b h(before) + c| + α h(now)² + β |h(now)| + α' h(before)² + β' |h(before)|, and a constant.

    It holds the log-density ratio of Laplace innovations, as eq. 12 of the paper does, with squares besides. It starts
    near a ratio of positively correlated series: from random coefficients much worse optima are found.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pair = nn.Parameter(torch.tensor([1.0, -0.7]).repeat(width, 1))
        self.shift = nn.Parameter(torch.zeros(width))
        self.weight = nn.Parameter(-torch.ones(width))
        self.now = nn.Parameter(torch.tensor([0.5, 0.0]).repeat(width, 1))
        self.before = nn.Parameter(torch.tensor([-0.05, 0.0]).repeat(width, 1))
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, now: Tensor, before: Tensor) -> Tensor:
        """Features (n, d) of two rows each to (n,)."""
        jointly = self.weight * (self.pair[:, 0] * now + self.pair[:, 1] * before + self.shift).abs()
        alone = self.now[:, 0] * now.square() + self.now[:, 1] * now.abs()
        alone = alone + self.before[:, 0] * before.square() + self.before[:, 1] * before.abs()
        return (jointly + alone).sum(1) + self.offset


def segment_features(train: Rows, new: Rows, seed: int) -> tuple[Floats, Floats]:
    """TCL: features, before their absolute value, by which the group of a row can be told; of training and new rows.

    Multinomial logistic regression of the group on |h(x)|, features and regression learned together.
    """
    assert train.groups is not None
    kinds, label = np.unique(train.groups, return_inverse=True)
    rows, new_rows = _white(train, new)
    target = torch.as_tensor(label)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        h, regression = features(rows.shape[1]), nn.Linear(rows.shape[1], len(kinds))

        def loss() -> Tensor:
            at = torch.randint(len(rows), (BATCH,))
            return nn.functional.cross_entropy(regression(h(rows[at]).abs()), target[at])

        _descend(loss, [*h.parameters(), *regression.parameters()])
    return _values(h, rows), _values(h, new_rows)


def permutation_features(train: Rows, new: Rows, seed: int) -> Floats:
    """PCL: features by which neighbours in time can be told from rows that are not; of new rows (n, d)."""
    rows, new_rows = _white(train, new)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        h, similarity = features(rows.shape[1]), Similarity(rows.shape[1])

        def loss() -> Tensor:
            at = torch.randint(1, len(rows), (BATCH,))
            other = torch.randint(len(rows), (BATCH,))
            now = h(rows[at])
            true, false = similarity(now, h(rows[at - 1])), similarity(now, h(rows[other]))
            return nn.functional.softplus(-true).mean() + nn.functional.softplus(false).mean()

        _descend(loss, [*h.parameters(), *similarity.parameters()])
    return _values(h, new_rows)


def cebra_embedding(train: Rows, new: Rows, seed: int) -> tuple[Floats, Floats]:
    """CEBRA's embedding in as many dimensions as columns, of training and new rows.

    Euclidean distances, whose embedding is not bound to a sphere; positive pairs by time, or by group.
    """
    from cebra import CEBRA

    rows, new_rows = (part.numpy() for part in _white(train, new))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the package draws its batches from the global generator
        model = CEBRA(
            model_architecture="offset1-model-mse",
            distance="euclidean",
            output_dimension=rows.shape[1],
            batch_size=BATCH,
            max_iterations=CEBRA_STEPS,
            conditional="time" if train.ordered else None,
            time_offsets=1,
            device="cpu",
        )
        model.fit(rows) if train.ordered else model.fit(rows, train.groups)
    learned, unmixed = (np.asarray(model.transform(part), dtype=np.float64) for part in (rows, new_rows))
    return learned, unmixed


def _white(train: Rows, new: Rows) -> tuple[Tensor, Tensor]:
    whitening = pca_whitening(train.X)
    learned, unmixed = (whitening.transform(part.X)[0] for part in (train, new))
    return torch.as_tensor(learned, dtype=torch.float32), torch.as_tensor(unmixed, dtype=torch.float32)


def _descend(loss: Callable[[], Tensor], parameters: list[nn.Parameter]) -> None:
    """Adam with a cosine decay to zero."""
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()


def _values(h: nn.Module, rows: Tensor) -> Floats:
    with torch.no_grad():
        return h(rows).double().numpy()
