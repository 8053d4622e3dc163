"""The distance between samples of a first-order scheme and the law of an oracle, by the number of steps.

Theory bounds it by order d/steps where the score is right (Li et al. 2024, arXiv 2408.02320). On an oracle the scheme's
own density is known, by its Jacobian, and so is the distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy.stats import norm
from torch import Tensor
from torch.func import jvp, vmap

from latentflow.geometry.convergence import euler_sampling
from latentflow.geometry.trajectories import Floats
from latentflow.score.denoisers import Denoiser
from latentflow.score.oracles import IndependentOracle, MixtureOracle
from latentflow.statistics.interval import Interval

#: Quadrature nodes, and how far they reach in standard deviations of the noise at the start.
NODES, REACH = 4_001, 9.0
#: Rows whose Jacobians are taken at a time, times their number of coordinates squared.
CHUNK_NUMBERS = 1 << 18


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


def _with_jacobian(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float] | Floats) -> tuple[Tensor, Tensor]:
    """Euler's end points, (n, d), and their derivatives by the start, (n, d, d)."""

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        found = jvp(lambda q: euler_sampling(denoiser, q, sigmas), (x,), (direction.expand_as(x),))
        return found[0], found[1]

    with torch.no_grad():
        ends, columns = vmap(along)(torch.eye(x.shape[1], dtype=x.dtype))
    return ends[0], columns.permute(1, 2, 0)
