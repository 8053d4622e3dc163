r"""Axes from the derivatives of the flow's own map.

Where x = R s with independent s, the flow is separable along R at every noise level, and every derivative of it has
the form R diag(·) Rᵀ: of the denoiser, ∂D/∂x; of the encoder, J = ∂z/∂x; of the decoder, the metric DᵀD with D = J⁻¹.
Their joint diagonaliser is R. That the metric is diagonal means that the columns of D are orthogonal: independent
mechanisms in the sense of Gresele et al. (2021, arXiv 2106.05200, eq. 6), which conformal mixtures satisfy as well.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from latentflow.flow.latent_map import LatentMap
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.orientation.joint_diagonalisation import JointDiagonalisation, joint_diagonaliser
from latentflow.score.tensors import as_array
from latentflow.statistics.matrices import symmetric_log

Floats = NDArray[np.float64]

#: Noise levels at which the denoiser is differentiated: below, it is steep and over-fitted, above it is linear.
NOISE_LEVELS = (0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0)
#: Rows × coordinates² that are differentiated at most at a noise level, and rows.
MOST_ENTRIES = 400_000
MOST_ROWS = 4_000
#: Neighbours with which a row's Jacobian is compared, and the share of all pairs that counts.
NEIGHBOURS, RANK_ONE_SHARE = 4, 0.4


def rows_to_differentiate(k: int) -> int:
    """How many rows' Jacobians are taken in k dimensions."""
    return max(200, min(MOST_ROWS, MOST_ENTRIES // (k * k)))


def denoiser_axes(flow: ProbabilityFlow, x: Floats, rng: np.random.Generator) -> JointDiagonalisation:
    """Joint diagonaliser of the symmetrised denoiser Jacobians, centred over rows at each noise level.

    Each Jacobian is taken at a row with noise of the level it is taken at, where the score was learned. Centring
    removes what all rows share and a Gaussian would have too; a level counts by what is left of it, its information.

    Parameters
    ----------
    flow : ProbabilityFlow
    x : ndarray, shape (n, k)
        Whitened training rows.
    rng : numpy Generator
    """
    k = x.shape[1]
    matrices = []
    for sigma in NOISE_LEVELS:
        picked = x[rng.integers(len(x), size=rows_to_differentiate(k))]
        y = (picked + sigma * rng.standard_normal(picked.shape)) / math.hypot(1.0, sigma)
        state = flow.tensor(y)
        with torch.no_grad():
            _, slopes = flow.denoiser.push_forward(state, sigma, torch.eye(k).to(state))
        # D = x/(1+σ²) + σ/√(1+σ²) F(x/√(1+σ²)): the first term is the same for all rows
        jacobians = as_array(slopes.permute(1, 2, 0)) * (sigma / (1 + sigma**2))
        symmetric = 0.5 * (jacobians + jacobians.transpose(0, 2, 1))
        matrices.append(symmetric - symmetric.mean(0))
    return joint_diagonaliser(np.concatenate(matrices))


def encoder_jacobians(flow: LatentMap, x: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Some of the rows x, shape (m, k), and ∂z/∂x there, shape (m, k, k)."""
    m = rows_to_differentiate(x.shape[1])
    picked = x if len(x) <= m else x[rng.choice(len(x), size=m, replace=False)]
    return picked, as_array(flow.encode_with_jacobian(flow.tensor(picked))[1])


def metric_axes(jacobians: Floats) -> JointDiagonalisation:
    """Joint diagonaliser of the decoder metrics DᵀD, each scaled to trace one, from ∂z/∂x, shape (m, k, k)."""
    metrics = np.linalg.inv(jacobians @ jacobians.transpose(0, 2, 1))
    return joint_diagonaliser(metrics / np.trace(metrics, axis1=1, axis2=2)[:, None, None])


def push_forward_axes(jacobians: Floats) -> JointDiagonalisation:
    """Joint diagonaliser of log JJᵀ, from J = ∂z/∂x, shape (m, k, k): what the encoder itself says of a linear mixture.

    Where x = R s, J is V diag(·) Rᵀ at every row, with V the axes of the sources in the latents.
    """
    return joint_diagonaliser(symmetric_log(jacobians @ jacobians.transpose(0, 2, 1)))


def pull_back_axes(jacobians: Floats) -> JointDiagonalisation:
    """Joint diagonaliser of log JᵀJ, from J = ∂z/∂x, shape (m, k, k): axes in the space of the rows, not the latents.

    Where the rows are x = V t(…) with a rotation V after an increasing function of each coordinate, JᵀJ is nearly
    V diag(·) Vᵀ: the last layer of the mixture.
    """
    return joint_diagonaliser(symmetric_log(jacobians.transpose(0, 2, 1) @ jacobians))


def kink_axes(x: Floats, jacobians: Floats) -> JointDiagonalisation:
    """Joint diagonaliser of the directions across which ∂z/∂x changes most, from rows (m, k) and J, shape (m, k, k).

    Where a function of one coordinate vᵀx bends, J changes by a matrix of rank one whose rows are along v; so does it
    from a row to its neighbours where one such function bends between them. Of all pairs that differ the share
    whose change is nearest to rank one counts.
    """
    neighbours = cKDTree(x).query(x, NEIGHBOURS + 1)[1][:, 1:]
    first = np.repeat(np.arange(len(x)), NEIGHBOURS)
    size = np.linalg.norm(jacobians, axis=(1, 2))[first, None, None]
    values, rows = np.linalg.svd((jacobians[first] - jacobians[neighbours.ravel()]) / size)[1:]
    changes = values[:, 0] > np.finfo(float).eps  # where J is the same, no direction shows
    if not changes.any():
        return joint_diagonaliser(np.zeros((1, *jacobians.shape[1:])))
    lone = values[changes, 0] ** 2 / (values[changes] ** 2).sum(1)
    along = rows[changes, 0][lone >= np.quantile(lone, 1 - RANK_ONE_SHARE)]
    return joint_diagonaliser(along[:, :, None] * along[:, None, :])
