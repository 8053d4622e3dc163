"""A neural spline flow as a baseline, where the optional package ``zuko`` is installed."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from latentflow.analysis.baselines.fitted import LinearMap, pca_whitening

TRANSFORMS = 3
HIDDEN = (64, 64)
BATCH = 512
RATE = 1e-3
VALIDATION_SHARE = 0.1
CHECKS = 20
CHUNK_ROWS = 8192


@dataclass(frozen=True)
class SplineFlow:
    """A whitening followed by a neural spline flow; its coordinates are meant to be N(0, I).

    Attributes
    ----------
    whitening : LinearMap
    flow : zuko.flows.NSF
    validation : float
        Best −log p on the rows kept back from training, nats, user's units.
    steps : int
        Step at which it was reached; the flow is the one of that step.
    """

    whitening: LinearMap
    flow: Any
    validation: float
    steps: int

    def transform(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map rows (n, d); returns the coordinates (n, d) and log|det| per row (n,), nats."""
        white, linear = self.whitening.transform(X)
        values, log_dets = [], []
        with torch.no_grad():
            transform = self.flow().transform
            for part in torch.as_tensor(white, dtype=torch.float32).split(CHUNK_ROWS):
                z, log_det = transform.call_and_ladj(part)
                values.append(z.double().numpy())
                log_dets.append(log_det.double().numpy())
        return np.concatenate(values), np.concatenate(log_dets) + linear


def fit_spline_flow(train: np.ndarray, seed: int = 0, *, steps: int = 2_000) -> SplineFlow | None:
    """Fit a neural spline flow (Durkan et al. 2019, autoregressive, by zuko) to training rows (n, d).

    Rows are whitened; AdamW with a cosine decay on batches of 512; every twentieth part of the steps a tenth
    of the rows, kept back, is judged, and the best state is kept.

    Parameters
    ----------
    train : ndarray (n, d)
        Continuous rows, user's units.
    seed : int
        Of weights, batches and the rows kept back. torch's global state is left as it was.
    steps : int

    Returns
    -------
    SplineFlow or None
        None where ``zuko`` is not installed (``pip install '.[peers]'``).

    Raises
    ------
    DataError
        As :func:`latentflow.analysis.baselines.fitted.pca_whitening`.
    """
    if importlib.util.find_spec("zuko") is None:
        return None
    import zuko  # type: ignore[import-not-found, import-untyped, unused-ignore]

    whitening = pca_whitening(train)
    white = torch.as_tensor(whitening.transform(train)[0], dtype=torch.float32)
    order = torch.as_tensor(np.random.default_rng(seed).permutation(len(white)))
    kept_back = max(1, int(VALIDATION_SHARE * len(white)))
    judged, learnt = white[order[:kept_back]], white[order[kept_back:]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = zuko.flows.NSF(white.shape[1], 0, transforms=TRANSFORMS, hidden_features=HIDDEN)
        best, reached, state = _train(flow, learnt, judged, steps)
    flow.load_state_dict(state)
    flow.eval().requires_grad_(False)
    return SplineFlow(whitening, flow, best - whitening.log_det, reached)


def _train(
    flow: Any, learnt: torch.Tensor, judged: torch.Tensor, steps: int
) -> tuple[float, int, dict[str, torch.Tensor]]:
    """The smallest −log p on the judged rows (nats, whitened units), its step, and the weights there."""
    optimizer = torch.optim.AdamW(flow.parameters(), lr=RATE)
    every = max(1, steps // CHECKS)
    best, reached, state = math.inf, 0, _copied(flow)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = 0.5 * RATE * (1.0 + math.cos(math.pi * step / (steps + 1)))
        batch = learnt[torch.randint(len(learnt), (min(BATCH, len(learnt)),))]
        optimizer.zero_grad()
        (-flow().log_prob(batch).mean()).backward()
        optimizer.step()
        if step % every == 0 or step == steps:
            with torch.no_grad():
                validation_loss = float(-flow().log_prob(judged).mean())
            if validation_loss < best:
                best, reached, state = validation_loss, step, _copied(flow)
    return best, reached, state


def _copied(flow: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in flow.state_dict().items()}
