"""The peer on the synthetic suite: zuko's neural spline flow with its default sizes, on the same rows.

Batches of 512, 6 000 steps of AdamW from 1e-3 with cosine decay, in whitened coordinates, as the figures that
latentflow is held against were made.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch
import zuko

BATCH, STEPS, LEARNING_RATE = 512, 6000, 1e-3


def spline_flow(train: np.ndarray, held_out: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Held-out mean −log p in nats, in the units of the rows, and the seconds that training took."""
    mean, covariance = train.mean(0), np.cov(train.T)
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors / np.sqrt(values)
    rows, new = (
        torch.as_tensor((part - mean) @ whitening, dtype=torch.float32) for part in (train, held_out)
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        started = time.perf_counter()
        flow = zuko.flows.NSF(rows.shape[1], 0)
        optimiser = torch.optim.AdamW(flow.parameters(), lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
        for _ in range(STEPS):
            loss = -flow().log_prob(rows[torch.randint(len(rows), (BATCH,))]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        seconds = time.perf_counter() - started
        with torch.no_grad():
            score = -float(torch.cat([flow().log_prob(part) for part in new.split(2000)]).double().mean())
    assert math.isfinite(score)
    return score + 0.5 * float(np.log(values).sum()), seconds
