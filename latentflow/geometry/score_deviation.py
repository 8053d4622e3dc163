r"""The learned denoiser beside that of the training rows themselves: annealed mean shift, and memorisation.

The denoiser of the empirical law of m points is one mean-shift step with a Gaussian kernel of bandwidth σ (Chen et
al. 2023, arXiv 2305.19947, eq. 6; Comaniciu & Meer 2002). Were it learned exactly, sampling would return training
rows. Its distance from the learned denoiser, by σ, is the *score deviation*; the denoising loss on training and on
held-out rows shows how much of the training rows was learned by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
import torch
from scipy.integrate import trapezoid
from torch import Tensor

from latentflow.geometry.trajectories import Floats, sampling_trajectory
from latentflow.score.denoisers import Denoiser
from latentflow.score.oracles import EmpiricalOracle
from latentflow.score.tensors import as_array
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result
from latentflow.statistics.resample import bootstrap_means, intervals
from latentflow.statistics.thinning import thin

#: Floats of the (rows, points, d) differences that are held at a time.
CHUNK_NUMBERS = 4_000_000
#: Noise levels at which the deviation is told.
LEVELS = 13
#: Bootstrap draws of its intervals.
DRAWS = 500


@dataclass(frozen=True)
class DeviationLevel(Result):
    """Both denoisers at one noise level. Squared errors are per coordinate, in whitened units."""

    sigma: Annotated[float, "The noise level σ."]
    deviation_train: Annotated[
        Interval,
        "Mean ‖D(x; σ) − D_empirical(x; σ)‖²/d at training and at held-out rows with noise of level σ.",
    ]
    deviation_held_out: Interval
    loss_train: Annotated[Interval, "Mean ‖D(x; σ) − x₀‖²/d of the learned denoiser: the denoising loss."]
    loss_held_out: Interval
    memorisation: Annotated[
        Interval,
        "Held-out less training loss, as a share of the held-out one, both adjusted for how long rows and noise "
        "happen to be: 0 for a law that was learned, 1 for rows that were learned by heart.",
    ]
    empirical_loss_train: Annotated[
        float, "The same losses of the empirical denoiser, which knows the training rows by heart."
    ]
    empirical_loss_held_out: float


@dataclass(frozen=True)
class ScoreDeviation(Result):
    """A learned denoiser beside the empirical one of its training rows."""

    levels: Annotated[tuple[DeviationLevel, ...], "In the order of the noise levels asked for."]
    memorised: Annotated[
        Interval,
        "∫ d/σ² (held-out loss − training loss) d log σ, adjusted as above, by the trapezoid rule, nats a row: the "
        "losses' bound on −log p (Song et al. 2021, arXiv 2101.09258, theorem 1) on held-out less on training rows.",
    ]


def score_deviation(
    denoiser: Denoiser,
    points: Tensor,
    train: Tensor,
    held_out: Tensor,
    sigmas: Sequence[float] | Floats,
    rng: np.random.Generator,
    *,
    compared: int = 500,
    block: int | None = None,
) -> ScoreDeviation:
    """Compare a denoiser with the empirical one, level by level.

    Parameters
    ----------
    denoiser : Denoiser
        The learned one.
    points : Tensor, shape (m, d)
        Whitened rows that it learned from; the empirical denoiser is made of all of them.
    train, held_out : Tensor, shape (n, d) and (k, d)
        Rows at which to compare: some of the points, and rows never learned from. All levels take the same noise.
    sigmas : sequence of float
    rng : numpy Generator
        Of the noise and of the bootstrap.
    compared : int
        At so many of the rows, evenly spaced, the empirical denoiser is evaluated, which is the dear one; the losses
        of the learned one are taken at all of them.
    block : int, optional
        Rows per bootstrap block, where rows follow each other.
    """
    empirical = EmpiricalOracle(points)
    noise = [torch.as_tensor(rng.standard_normal(rows.shape)).to(rows) for rows in (train, held_out)]
    sets = list(zip((train, held_out), noise, strict=True))
    happenings = [_happenings(rows, draws) for rows, draws in sets]
    levels, losses = [], []
    for sigma in map(float, sigmas):
        raw = [_losses(denoiser, rows, draws, sigma) for rows, draws in sets]
        terms = [_compared(denoiser, empirical, *_some(pair, compared), sigma) for pair in sets]
        (dev, by_heart), (dev_out, by_heart_out) = (intervals(part, rng, DRAWS, block) for part in terms)
        loss, loss_out = (intervals(part[:, None], rng, DRAWS, block)[0] for part in raw)
        losses.append([_adjusted(*pair) for pair in zip(raw, happenings, strict=True)])
        seen, unseen = _bootstrapped(losses[-1], rng, block)
        low, high = np.percentile(1 - seen / unseen, [2.5, 97.5])
        gap = Interval(float(1 - losses[-1][0].mean() / losses[-1][1].mean()), float(low), float(high))
        levels.append(
            DeviationLevel(sigma, dev, dev_out, loss, loss_out, gap, by_heart.estimate, by_heart_out.estimate)
        )
    return ScoreDeviation(tuple(levels), _in_nats(losses, sigmas, train.shape[1], rng, block))


def mean_shift(points: Floats, x: Floats, sigma: float) -> Floats:
    """One mean-shift step of rows x (n, d): the mean of the points (m, d) under a Gaussian kernel of bandwidth σ."""
    exponent = -((x[:, None] - points) ** 2).sum(2) / (2 * sigma * sigma)
    weights = np.exp(exponent - exponent.max(1, keepdims=True))
    return np.asarray(weights @ points / weights.sum(1, keepdims=True))


def annealed_mean_shift(points: Floats, x: Floats, sigmas: Sequence[float] | Floats) -> Floats:
    """Rows after convex steps to their mean shift, x ← (τ/σ) x + (1 − τ/σ) m(x; σ), over decreasing levels; (n, d).

    The bandwidth is annealed from ``sigmas[0]``; each step goes the share 1 − τ/σ of the way.
    """
    for sigma, to in pairwise(map(float, sigmas)):
        x = x * (to / sigma) + (1 - to / sigma) * mean_shift(points, x, sigma)
    return x


def empirical_sampling(points: Tensor, z: Tensor, sigmas: Sequence[float] | Floats) -> Tensor:
    """Where a model that learned the points by heart would send latents z (n, d): its ODE's ends, shape (n, d)."""
    return torch.cat(
        [sampling_trajectory(EmpiricalOracle(points), part, sigmas)[-1] for part in _split(points, z)]
    )


def empirical_denoiser(empirical: EmpiricalOracle, x: Tensor, sigma: float) -> Tensor:
    """D of the empirical law at rows (n, d), in parts that fit in memory."""
    return torch.cat([empirical(part, sigma) for part in _split(empirical.points, x)])


def _split(points: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
    return rows.split(max(1, CHUNK_NUMBERS // points.numel()))


def _losses(denoiser: Denoiser, rows: Tensor, noise: Tensor, sigma: float) -> Floats:
    """Denoising loss of each row, per coordinate, shape (n,)."""
    with torch.no_grad():
        return _squared(denoiser(rows + sigma * noise, sigma), rows)


def _compared(
    denoiser: Denoiser, empirical: EmpiricalOracle, rows: Tensor, noise: Tensor, sigma: float
) -> Floats:
    """Deviation, and loss of the empirical denoiser, of each row, shape (n, 2)."""
    noisy = rows + sigma * noise
    with torch.no_grad():
        learned, known = denoiser(noisy, sigma), empirical_denoiser(empirical, noisy, sigma)
    return np.stack([_squared(learned, known), _squared(known, rows)], axis=1)


def _some(pair: tuple[Tensor, Tensor], most: int) -> tuple[Tensor, Tensor]:
    """Evenly spaced rows with their noise, at most so many."""
    index = torch.as_tensor(thin(np.arange(len(pair[0])), most), device=pair[0].device)
    return pair[0][index], pair[1][index]


def _squared(a: Tensor, b: Tensor) -> Floats:
    return as_array((a - b).square().mean(1))


def _happenings(rows: Tensor, noise: Tensor) -> Floats:
    """How far rows and noise happen to be from the origin, and from each other, less what is expected; (n, 3)."""
    parts = (rows.square().mean(1) - 1, noise.square().mean(1) - 1, (rows * noise).mean(1))
    return as_array(torch.stack(parts, 1))


def _adjusted(losses: Floats, happenings: Floats) -> Floats:
    """Losses (n,) without what the length of their rows and noise explains: control variates.

    Whitened rows and noise have a mean square of one. Two samples of rows differ in theirs by chance, and the losses
    at large σ with them, by more than anything that was learned by heart; regression within each takes that out.
    """
    centred = happenings - happenings.mean(0)
    weights = np.linalg.lstsq(centred, losses - losses.mean(), rcond=None)[0]
    return np.asarray(losses - happenings @ weights)


def _in_nats(
    losses: Sequence[Sequence[Floats]],
    sigmas: Sequence[float] | Floats,
    d: int,
    rng: np.random.Generator,
    block: int | None,
) -> Interval:
    """What the losses of (training, held-out) rows by level differ by in the bound on −log p, nats a row."""
    levels = np.asarray(sigmas, dtype=np.float64)
    rows = [
        trapezoid(np.stack([level[of] for level in losses]) / levels[:, None] ** 2, np.log(levels), axis=0)
        for of in (0, 1)
    ]
    seen, unseen = _bootstrapped(rows, rng, block)
    low, high = np.percentile(unseen - seen, [2.5, 97.5]) * d
    return Interval(float(rows[1].mean() - rows[0].mean()) * d, float(low), float(high))


def _bootstrapped(sets: Sequence[Floats], rng: np.random.Generator, block: int | None) -> list[Floats]:
    """Draws of the means of independent sets of terms, (draws,) each."""
    return [bootstrap_means(part[:, None], rng, DRAWS, block)[:, 0] for part in sets]
