r"""The rotation of greatest likelihood for independent autoregressive series whose innovations have any law.

Second moments tell series apart by their spectra alone, and series of much the same spectrum hardly or not at all. What
drives a series, its innovations e, often is far from Gaussian though (bursts, spikes, steps), and then their law tells
as well. With a filter a of order p, a scale σ and a density q of its own for each series, the log-likelihood per row is

    Σᵢ E[log qᵢ(eᵢ)] − log σᵢ,    eᵢ(t) = Σₗ aᵢ(l) yᵢ(t − l) / σᵢ,    aᵢ(0) = 1

(Hosseini, Jutten & Pham 2003, IEEE Trans. Signal Process. 51(12)). Turning the axes by a small antisymmetric K changes
it by Σ Gᵢⱼ Kᵢⱼ over the planes i < j, with G = M − Mᵀ and Mᵢⱼ = E[ψᵢ(eᵢ) Σₗ aᵢ(l) yⱼ(t − l)] / σᵢ, ψ = −(log q)′. About
independent series its curvature is κᵢ vᵢⱼ + κⱼ vⱼᵢ − 2, with κ = E[ψ′] and vᵢⱼ the variance of series j under the
filter of series i, in units of σᵢ². Gaussian innovations have ψ(e) = e and κ = 1, which gives the likelihood of
:mod:`latentflow.orientation.autoregressive_axes`; all others have κ > 1, as far as tanh tells. The scores ψ are
least-squares combinations of e and tanh e (Pham & Garat 1997, IEEE Trans. Signal Process. 45:1712), for which
E[ψ′] = E[ψ²].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.optimize import linear_sum_assignment

from latentflow.orientation.autoregressive_axes import (
    LARGEST_TURN,
    MOST_STEPS,
    filters,
    is_autocovariance,
    slopes,
    weights,
)

Floats = NDArray[np.float64]

#: κ − 1 from which innovations are far from Gaussian: at least, and as a multiple of latents by rows.
LEAST_EXCESS, CHANCE_EXCESS = 0.05, 10.0
#: Standard errors by which scores must be better than linear ones on rows that neither they nor the axes saw, those of
#: all series together and that of each, and folds of the rows for that.
CLEAR_TOGETHER, CLEAR_EACH = 3.0, 1.0
FOLDS = 4
#: Steps by which one of the series must be far from Gaussian.
STEPS_BEFORE_GIVING_UP = 10
#: Rows in series below which innovations are not looked at.
FEWEST_ROWS = 50
ANGLE_TOLERANCE = 1e-6
#: Share of a Newton step that is taken at the least, where whole ones swing.
SMALLEST_RATE = 0.02
#: Added to the second moments of e and tanh e, which are proportional where innovations have two values.
RIDGE = 1e-6
#: Share of the curvature of independent series that a plane must have. Where two series share their volatility, they
#: are not, and their plane has some 0.1 to 0.3 of it; of independent ones 0.9 and more.
INDEPENDENT_SHARE = 0.5


@dataclass(frozen=True)
class InnovationAxes:
    """Axes of greatest likelihood.

    Attributes
    ----------
    rotation : ndarray, shape (k, k)
    curvature : ndarray, shape (k, k)
        What the law of the innovations adds to the curvature of each plane; zero where that may be chance, and where
        two series share their volatility, since then they are not independent.
    slopes : ndarray, shape (parts, k, k)
        G of each part of the rows, antisymmetric.
    left : ndarray, shape (k, k)
        Angles by which the axes still turned in the last step, 0 where they have converged.
    converged : bool
    """

    rotation: Floats
    curvature: Floats
    slopes: Floats
    left: Floats
    converged: bool


@dataclass(frozen=True)
class _Look:
    """Series along some axes: what moves the axes, and what tells how precisely they are known."""

    whitener: Floats  # (p + 1, k)
    shares: Floats  # of e and of tanh e less its mean in ψ, (k, 2)
    centre: Floats  # that mean, (k,)
    lagged: list[Floats]  # p + 1 of (m, k)
    scores: Floats  # ψ, (m, k)
    steepness: Floats  # ψ′, (m, k)
    levels: Floats  # v, (k, k)

    @property
    def information(self) -> Floats:
        """κ of each series, shape (k,)."""
        return np.asarray(self.steepness.mean(0))

    def slopes(self, parts: int) -> Floats:
        """G of contiguous parts of the rows, shape (parts, k, k)."""
        moments = []
        for rows in np.array_split(np.arange(len(self.scores)), parts):
            filtered = [
                a[:, None] * (self.scores[rows].T @ own[rows])
                for a, own in zip(self.whitener, self.lagged, strict=True)
            ]
            moments.append(np.sum(filtered, axis=0) / len(rows))
        of_parts = np.stack(moments)
        return np.asarray(of_parts - of_parts.transpose(0, 2, 1))

    def curvature(self) -> Floats:
        """That of each plane if the series are independent, shape (k, k)."""
        own = self.information[:, None] * self.levels
        return np.asarray(own + own.T - 2)

    def measured_curvature(self) -> Floats:
        """That of each plane whether or not they are, shape (k, k)."""
        own = np.empty_like(self.levels)
        for i, (filter_, steepness) in enumerate(zip(self.whitener.T, self.steepness.T, strict=True)):
            filtered = np.sum([a * series for a, series in zip(filter_, self.lagged, strict=True)], axis=0)
            own[i] = steepness @ filtered**2 / len(steepness)
        return np.asarray(own + own.T - 2)


def innovation_axes(z: Floats, last: NDArray[np.intp], covariances: Floats, start: Floats) -> InnovationAxes:
    """Maximise the likelihood from the axes of greatest Gaussian likelihood.

    Parameters
    ----------
    z : ndarray, shape (n, k)
        Series, each with mean 0, in the order of time.
    last : ndarray of int, shape (m,)
        Rows that p others directly precede.
    covariances : ndarray, shape (parts, p + 1, k, k)
        Symmetrised covariances of the series at lags 0 … p in contiguous parts of the rows.
    start : ndarray, shape (k, k)
        Orthogonal. Where no innovations are far from Gaussian, it is the result.
    """
    (parts, _, k, _), m, mean = covariances.shape, len(last), covariances.mean(0)
    none = np.zeros((k, k))
    gaussian = InnovationAxes(
        start, none, slopes(start.T @ covariances @ start, start.T @ mean @ start), none, True
    )
    if m < FEWEST_ROWS:
        return gaussian
    chance = CHANCE_EXCESS * k / m
    climbed = _climb(z, last, mean, start, max(LEAST_EXCESS, chance))
    if climbed is None:
        return gaussian
    look = climbed.look
    far = np.where(look.information - 1 > chance, look.information - 1, 0.0)
    far = np.where(_beyond_chance(z, last, covariances, start, climbed.rotation, chance), far, 0.0)
    beyond = far[:, None] * look.levels
    sound = look.measured_curvature() > INDEPENDENT_SHARE * look.curvature()
    return InnovationAxes(
        climbed.rotation,
        np.where(sound, beyond + beyond.T, 0.0),
        look.slopes(parts),
        none if climbed.converged else np.abs(climbed.angle),
        climbed.converged,
    )


@dataclass(frozen=True)
class _Climb:
    """Where the likelihood is greatest: the axes, the last step (whether or not it was taken), and the series."""

    rotation: Floats
    angle: Floats
    converged: bool
    look: _Look


def _climb(
    z: Floats, last: NDArray[np.intp], covariances: Floats, start: Floats, least: float = 0.0
) -> _Climb | None:
    """Newton steps for all planes at once; None where no κ − 1 exceeds least, or series cannot have the covariances."""
    m, k = len(last), len(start)
    rotation, rate, before, converged = start, 1.0, np.zeros((k, k)), False
    for step in range(MOST_STEPS):
        here = _look(z @ rotation, last, rotation.T @ covariances @ rotation)
        # mixtures of series are nearer to Gaussian than these, so there are some steps to find one that is far from it
        if here is None or (step == STEPS_BEFORE_GIVING_UP and here.information.max() - 1 <= least):
            return None
        look = here
        curvature = look.curvature()
        clear = curvature > 2 / m  # in other planes the angle of greatest likelihood is off by π/4, or more
        angle = np.where(clear, look.slopes(1)[0] / np.where(clear, curvature, 1.0), 0.0)
        converged = step >= STEPS_BEFORE_GIVING_UP and float(np.abs(angle).max()) <= ANGLE_TOLERANCE
        if converged or step == MOST_STEPS - 1:
            break
        rate = min(1.0, 1.5 * rate) if (angle * before).sum() >= 0 else max(0.5 * rate, SMALLEST_RATE)
        rotation, before = rotation @ expm(np.clip(rate * angle, -LARGEST_TURN, LARGEST_TURN)), angle
    return _Climb(rotation, angle, converged, look)


def _beyond_chance(
    z: Floats, last: NDArray[np.intp], covariances: Floats, start: Floats, axes: Floats, least: float
) -> NDArray[np.bool_]:
    """Which series along the axes have innovations far from Gaussian in rows without which the same axes come out.

    Among many series alike some axes always look far from Gaussian. So the climb is repeated without one fold of the
    rows after the other, and the scores of the series that are far are compared in that fold with linear ones, by
    2 E[ψ′] − E[ψ²], which is largest for the true score, where it is κ.
    """
    parts, m = len(covariances), len(last)
    fold = np.arange(m) * parts // m % FOLDS
    gains = np.zeros((m, len(axes)))
    for out in range(FOLDS):
        kept = np.arange(parts) % FOLDS != out
        climbed = _climb(z, last[fold != out], covariances[kept].mean(0), start)
        if climbed is None:
            return np.zeros(len(axes), bool)
        own = linear_sum_assignment(-np.abs(axes.T @ climbed.rotation))[1]
        far = climbed.look.information - 1 > least
        e, score, steepness = _scored(climbed.look, z @ climbed.rotation, last[fold == out])
        gains[fold == out] = np.where(far, 2 * steepness - score**2 - 2 + e**2, 0.0)[:, own]
    if not _clear(gains.sum(1, keepdims=True), CLEAR_TOGETHER)[0]:
        return np.zeros(len(axes), bool)
    return _clear(gains, CLEAR_EACH)


def _clear(gains: Floats, errors: float) -> NDArray[np.bool_]:
    """Whether gains, shape (m, k), are on average above zero by so many standard errors, shape (k,)."""
    return np.asarray(gains.mean(0) > errors * gains.std(0) / np.sqrt(len(gains)))


def _look(y: Floats, last: NDArray[np.intp], covariances: Floats) -> _Look | None:
    """The scores of series with these covariances, (p + 1, k, k); None where these are not those of a series."""
    level = np.diagonal(covariances, axis1=1, axis2=2)
    if not is_autocovariance(level):
        return None
    whitener = filters(level)
    lagged = [y[last - lag] for lag in range(len(level))]
    innovations = _filtered(whitener, lagged)
    deviation = innovations.std(axis=0)
    innovations, whitener = innovations / deviation, whitener / deviation
    bent = np.tanh(innovations)
    flat, centre = 1 - bent**2, bent.mean(0)
    basis = np.stack([innovations, bent - centre], axis=2)
    gram = np.einsum("tka,tkb->kab", basis, basis) / len(basis) + RIDGE * np.eye(2)
    rises = np.stack([np.ones(len(deviation)), flat.mean(0)], axis=1)
    shares = np.linalg.solve(gram, rises[:, :, None])[:, :, 0]
    return _Look(
        whitener,
        shares,
        centre,
        lagged,
        scores=np.einsum("tka,ka->tk", basis, shares),
        steepness=shares[:, 0] + shares[:, 1] * flat,
        levels=(weights(level).T @ level) / deviation[:, None] ** 2,
    )


def _scored(look: _Look, y: Floats, last: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    """e, ψ and ψ′ of other rows by the filters and scores of a look, each (m, k)."""
    e = _filtered(look.whitener, [y[last - lag] for lag in range(len(look.whitener))])
    bent, (linear, bend) = np.tanh(e), look.shares.T
    return e, linear * e + bend * (bent - look.centre), linear + bend * (1 - bent**2)


def _filtered(whitener: Floats, lagged: list[Floats]) -> Floats:
    return np.asarray(np.sum([a * own for a, own in zip(whitener, lagged, strict=True)], axis=0))
