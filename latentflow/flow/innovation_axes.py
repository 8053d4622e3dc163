r"""The rotation of greatest likelihood for independent autoregressive series whose innovations have any law.

Second moments tell series apart by their spectra alone, and series of much the same spectrum hardly or not at all. What
drives a series, its innovations e, often is far from Gaussian though (bursts, spikes, steps), and then their law tells
as well. With a filter a of order p, a scale σ and a density q of its own for each series, the log-likelihood per row is

    Σᵢ E[log qᵢ(eᵢ)] − log σᵢ,    eᵢ(t) = Σₗ aᵢ(l) yᵢ(t − l) / σᵢ,    aᵢ(0) = 1

(Hosseini, Jutten & Pham 2003, IEEE Trans. Signal Process. 51(12)). Turning the axes by a small antisymmetric K changes
it by Σ Gᵢⱼ Kᵢⱼ over the planes i < j, with G = M − Mᵀ and Mᵢⱼ = E[ψᵢ(eᵢ) Σₗ aᵢ(l) yⱼ(t − l)] / σᵢ, ψ = −(log q)′. About
independent series its curvature is κᵢ vᵢⱼ + κⱼ vⱼᵢ − 2, with κ = E[ψ′] and vᵢⱼ the variance of series j under the
filter of series i, in units of σᵢ². Gaussian innovations have ψ(e) = e and κ = 1, which gives the likelihood of
:mod:`latentflow.flow.autoregressive_axes`; all others have κ > 1. The scores ψ are least-squares combinations of e and
tanh e (Pham & Garat 1997, IEEE Trans. Signal Process. 45:1712), for which E[ψ′] = E[ψ²].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from latentflow.flow.autoregressive_axes import LARGEST, STEPS, filters, slopes, weights

Floats = NDArray[np.float64]

#: κ − 1 from which innovations are far from Gaussian: at least, and as a multiple of latents by rows. Of 40 tables of
#: Gaussian series of each of eight shapes (300 to 10 000 rows, 2 to 20 series) 5 go beyond that in all.
LEAST, CHANCE = 0.05, 10.0
#: Steps by which one of them must be.
TRIED = 10
#: Rows in series below which innovations are not looked at.
FEWEST = 50
TOLERANCE = 1e-6
#: Added to the second moments of e and tanh e, which are proportional where innovations have two values.
RIDGE = 1e-6
#: Share of a Newton step that is taken at the least, where whole ones do not settle.
SLOWEST = 0.1


@dataclass(frozen=True)
class InnovationAxes:
    """Axes of greatest likelihood.

    Attributes
    ----------
    rotation : ndarray, shape (k, k)
    information : ndarray, shape (k,)
        κ of each series, 1 where that may be chance.
    slopes : ndarray, shape (parts, k, k)
        G of each part of the rows, antisymmetric; their mean is zero at the solution.
    converged : bool
    """

    rotation: Floats
    information: Floats
    slopes: Floats
    converged: bool


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
    k, m = z.shape[1], len(last)
    chance = CHANCE * k / max(m, 1)
    gaussian = np.ones(k), slopes(start.T @ covariances @ start, start.T @ covariances.mean(0) @ start)
    if m < FEWEST:
        return InnovationAxes(start, *gaussian, True)
    rotation, rate, before = start, 1.0, np.inf
    for step in range(STEPS):
        turned = rotation.T @ covariances.mean(0) @ rotation
        of_parts, curvature, information = _derivatives(z @ rotation, last, turned, len(covariances))
        # mixtures of series are nearer to Gaussian than these, so there are some steps to find one that is far from it
        if step == TRIED and information.max() - 1 <= max(LEAST, chance):
            return InnovationAxes(start, *gaussian, True)
        clear = curvature > 2 / m  # in other planes the angle of greatest likelihood is off by π/4, or more
        angle = np.where(clear, of_parts.mean(0) / np.where(clear, curvature, 1.0), 0.0)
        largest = float(np.abs(angle).max())
        if largest <= TOLERANCE and step >= TRIED:
            break
        rate = rate if largest < before else max(0.5 * rate, SLOWEST)
        rotation, before = rotation @ expm(np.clip(rate * angle, -LARGEST, LARGEST)), largest
    counted = np.where(information - 1 > chance, information, 1.0)
    return InnovationAxes(rotation, counted, of_parts, largest <= TOLERANCE)


def _derivatives(
    y: Floats, last: NDArray[np.intp], covariances: Floats, parts: int
) -> tuple[Floats, Floats, Floats]:
    """G of each part, the curvature of each plane, and κ, of series with these covariances, (p + 1, k, k)."""
    level = np.diagonal(covariances, axis1=1, axis2=2)
    whitener = filters(level)
    lagged = [y[last - lag] for lag in range(len(level))]
    scores, information = _scores(np.sum([a * own for a, own in zip(whitener, lagged, strict=True)], axis=0))
    moments = []
    for rows in np.array_split(np.arange(len(last)), parts):
        filtered = [
            a[:, None] * (scores[rows].T @ own[rows]) for a, own in zip(whitener, lagged, strict=True)
        ]
        moments.append(np.sum(filtered, axis=0) / len(rows))
    of_parts = np.stack(moments)
    curvature = information[:, None] * (weights(level).T @ level)
    return of_parts - of_parts.transpose(0, 2, 1), curvature + curvature.T - 2, information


def _scores(innovations: Floats) -> tuple[Floats, Floats]:
    """ψ of innovations (m, k), and κ of each series, shape (k,)."""
    bent = np.tanh(innovations)
    basis = np.stack([innovations, bent], axis=2)
    gram = np.einsum("tka,tkb->kab", basis, basis) / len(basis) + RIDGE * np.eye(2)
    steepness = np.stack([np.ones(bent.shape[1]), (1 - bent**2).mean(0)], axis=1)
    shares = np.linalg.solve(gram, steepness[:, :, None])[:, :, 0]
    return np.einsum("tka,ka->tk", basis, shares), (shares * steepness).sum(1)
