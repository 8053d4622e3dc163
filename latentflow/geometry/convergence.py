r"""How samples of a first-order scheme converge with the number of steps.

Theory bounds the total variation between samples and law by order d/steps where the score is right (Li et al. 2024,
arXiv 2408.02320). On an oracle the scheme's own density is known, by its Jacobian, and so is the distance; on data
there is the energy distance to rows (Székely & Rizzo 2005).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.stats import norm
from torch import Tensor
from torch.func import jvp, vmap

from latentflow.flow.runge_kutta import EULER, integrate
from latentflow.geometry.trajectories import Floats
from latentflow.score.denoisers import Denoiser
from latentflow.score.oracles import IndependentOracle, MixtureOracle
from latentflow.statistics.interval import Interval, Result

#: Quadrature nodes, and how far they reach in standard deviations of the noise at the start.
NODES, REACH = 4_001, 9.0
#: Rows whose Jacobians are taken at a time, times their number of coordinates squared.
CHUNK_NUMBERS = 1 << 18


def euler_sampling(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float] | Floats) -> Tensor:
    """Rows after Euler steps of dx/dσ = (x − D)/σ over decreasing noise levels (DDIM; Song et al. 2021), (n, d).

    Parameters
    ----------
    denoiser : Denoiser
    x : Tensor, shape (n, d)
        States at ``sigmas[0]``, whitened variance-exploding coordinates.
    sigmas : sequence of float, length steps + 1
    """

    def drift(sigma: float, state: Tensor) -> Tensor:
        return (state - denoiser(state, sigma)) / sigma

    return integrate(EULER, drift, x, [float(sigma) for sigma in sigmas])


def total_variation_in_1d(oracle: MixtureOracle, sigmas: Sequence[float] | Floats) -> float:
    """½ ∫ |q − p| between Euler's samples, started from p_σmax itself, and p_σmin, by quadrature over the start.

    With φ the scheme, q(φ(x)) φ′(x) = p_σmax(x), so it is ½ ∫ |p_σmax(x) − p_σmin(φ(x)) φ′(x)| dx. A step is
    one-to-one: its derivative τ/σ + (1 − τ/σ) ∂D/∂x is positive, as ∂D/∂x is the posterior covariance ÷ σ².

    Parameters
    ----------
    oracle : MixtureOracle with d = 1
    sigmas : sequence of float
        Decreasing.
    """
    first, last = float(sigmas[0]), float(sigmas[-1])
    spread = float(oracle.means.abs().max() + (oracle.eigenvalues.max() + first**2).sqrt())
    x = torch.linspace(-REACH * spread, REACH * spread, NODES, dtype=torch.float64)[:, None]
    with torch.no_grad():
        end, jacobian = _with_jacobian(oracle, x, sigmas)
        slope = jacobian[:, :, 0]
        start = oracle.log_prob(x, first).exp()
        gap = (start - oracle.log_prob(end, last).exp() * slope[:, 0].abs()).abs()
    return 0.5 * float(torch.trapezoid(gap, x[:, 0]))


def total_variation(
    oracle: MixtureOracle | IndependentOracle, x: Tensor, sigmas: Sequence[float] | Floats
) -> Interval:
    """The same in any dimension, as a mean over draws: ½ E|1 − p_σmin(φ(x)) |det φ′(x)|/p_σmax(x)|, x ~ p_σmax.

    Parameters
    ----------
    oracle : MixtureOracle or IndependentOracle
    x : Tensor, shape (n, d)
        Independent draws of the oracle's law at ``sigmas[0]``.
    sigmas : sequence of float
        Decreasing.
    """
    terms = []
    for part in x.split(max(1, CHUNK_NUMBERS // x.shape[1] ** 2)):
        end, jacobian = _with_jacobian(oracle, part, sigmas)
        log_det = torch.linalg.slogdet(jacobian)[1]
        with torch.no_grad():
            log_ratio = oracle.log_prob(end, float(sigmas[-1])) + log_det
            log_ratio = log_ratio - oracle.log_prob(part, float(sigmas[0]))
        terms.append(0.5 * (1 - log_ratio.exp()).abs())
    values = torch.cat(terms).numpy()
    mean, error = float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
    reach = float(norm.ppf(0.975)) * error
    return Interval(mean, mean - reach, mean + reach)


@dataclass(frozen=True)
class StepConvergence(Result):
    """Samples of so many Euler steps beside rows of the data and beside the converged samples of the same latents.

    Attributes
    ----------
    steps : int
        Euler steps from noise to data.
    energy : Interval
        Squared energy distance to the rows, whitened units; that of a perfect sample is 0 on average.
    excess : Interval
        By how much it is above that of the converged samples of the same latents.
    error : float
        Mean distance of a sample from its converged self, ÷ √d.
    """

    steps: int
    energy: Interval
    excess: Interval
    error: float


def step_convergence(
    denoiser: Denoiser,
    start: Tensor,
    converged: Tensor,
    rows: Tensor,
    sigma_min: float,
    sigma_max: float,
    steps: Sequence[int],
) -> tuple[StepConvergence, ...]:
    """Energy distance to rows by number of Euler steps on a grid uniform in log σ.

    Parameters
    ----------
    denoiser : Denoiser
    start, converged : Tensor, shape (n, d)
        States at σ_max, and where the flow takes them at σ_min.
    rows : Tensor, shape (m, d)
        Whitened rows, best held out.
    sigma_min, sigma_max : float
    steps : sequence of int
    """
    end, data = _array(converged), _array(rows)
    found = []
    for count in steps:
        with torch.no_grad():
            samples = _array(euler_sampling(denoiser, start, np.geomspace(sigma_max, sigma_min, count + 1)))
        error = float(np.linalg.norm(samples - end, axis=1).mean() / math.sqrt(end.shape[1]))
        energy, excess = energy_distance(samples, data), energy_difference(samples, end, data)
        found.append(StepConvergence(count, energy, excess, error))
    return tuple(found)


def energy_distance(x: Floats, y: Floats) -> Interval:
    """2E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖ without bias, from rows (n, d) and (m, d), with a normal 95 % interval."""
    between = cdist(x, y)
    own, other = _means_to_others(cdist(x, x)), _means_to_others(cdist(y, y))
    by_x, by_y = 2 * between.mean(1) - 2 * own, 2 * between.mean(0) - 2 * other
    return _interval(float(2 * between.mean() - own.mean() - other.mean()), by_x, by_y)


def energy_difference(x: Floats, base: Floats, y: Floats) -> Interval:
    """Energy distance of rows x to y less that of ``base`` to y; x and base are paired row by row, (n, d) each."""
    between = cdist(x, y) - cdist(base, y)
    own = _means_to_others(cdist(x, x) - cdist(base, base))
    return _interval(
        float(2 * between.mean() - own.mean()), 2 * between.mean(1) - 2 * own, 2 * between.mean(0)
    )


def _interval(estimate: float, by_x: Floats, by_y: Floats) -> Interval:
    """Normal interval from the projections of a two-sample U-statistic on its rows (Hoeffding 1948)."""
    error = math.sqrt(by_x.var(ddof=1) / len(by_x) + by_y.var(ddof=1) / len(by_y))
    reach = float(norm.ppf(0.975)) * error
    return Interval(estimate, estimate - reach, estimate + reach)


def _means_to_others(distances: Floats) -> Floats:
    return np.asarray(distances.sum(1) / (len(distances) - 1))


def _with_jacobian(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float] | Floats) -> tuple[Tensor, Tensor]:
    """Euler's end points, (n, d), and their derivatives by the start, (n, d, d)."""

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        found = jvp(lambda q: euler_sampling(denoiser, q, sigmas), (x,), (direction.expand_as(x),))
        return found[0], found[1]

    with torch.no_grad():
        ends, columns = vmap(along)(torch.eye(x.shape[1], dtype=x.dtype))
    return ends[0], columns.permute(1, 2, 0)


def _array(values: Tensor) -> Floats:
    return values.detach().to("cpu", torch.float64).numpy()
