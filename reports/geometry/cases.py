"""What the claims are measured on: an oracle with an exact score, and flows fitted to a synthetic and to real sets."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parents[1] / "first-light"))

from flows import fitted_flow
from sets import CASES

from latentflow.score.denoisers import Denoiser
from latentflow.score.oracles import MixtureOracle

#: Name in this report → name of the table among those of reports/first-light.
FITTED = {"nl5": "nl5", "gas turbine": "gas turbine", "EEG": "EEG, spikes cut"}
NAMES = ("oracle", *FITTED)
#: The oracle's coordinates, components, rows, and noise levels.
DIMENSION, COMPONENTS, ROWS, SIGMAS = 5, 6, 5000, (0.01, 15.0)


@dataclass(frozen=True)
class Subject:
    """A denoiser with rows that it learned from and rows that it did not, whitened.

    Attributes
    ----------
    denoiser : Denoiser
    train, held_out : Tensor, shape (n, d) and (k, d)
    sigma_min, sigma_max : float
    exact : bool
        Whether the score is that of the law itself.
    """

    denoiser: Denoiser
    train: Tensor
    held_out: Tensor
    sigma_min: float
    sigma_max: float
    exact: bool


def subject(name: str, data: Path, models: Path | None) -> Subject:
    """One of :data:`NAMES`; a fitted flow is read from a folder of models where it is there, else fitted now."""
    if name == "oracle":
        return oracle_subject()
    saved = None if models is None else models / f"{name}.safetensors"
    model, train, held_out = fitted_flow(CASES[FITTED[name]](data), saved)
    low, high = float(model.sigmas[0]), float(model.sigmas[-1])
    return Subject(model.denoiser, train, held_out, low, high, False)


def oracle_subject() -> Subject:
    """A mixture of Gaussians of unlike shape, of mean zero and covariance I, with draws of it."""
    rng = np.random.default_rng(0)
    oracle = whitened_mixture(rng, DIMENSION, COMPONENTS)
    train, held_out = (draws(oracle, ROWS, rng) for _ in range(2))
    return Subject(oracle, train, held_out, *SIGMAS, True)


def whitened_mixture(rng: np.random.Generator, d: int, components: int) -> MixtureOracle:
    """A mixture with random means, and covariances of random shape, moved to mean zero and covariance I."""
    weights = rng.dirichlet(np.full(components, 5.0))
    means = rng.standard_normal((components, d))
    roots = rng.standard_normal((components, d, d)) * 0.45 / np.sqrt(d)
    covariances = roots @ roots.transpose(0, 2, 1) + 0.01 * np.eye(d)
    means = means - weights @ means
    total = np.einsum("k,kij->ij", weights, covariances + means[:, :, None] * means[:, None, :])
    whiten = np.linalg.inv(np.linalg.cholesky(total))
    moved = (weights, means @ whiten.T, whiten @ covariances @ whiten.T)
    return MixtureOracle(*(torch.as_tensor(part) for part in moved))


def draws(oracle: MixtureOracle, n: int, rng: np.random.Generator) -> Tensor:
    """Independent draws of the law without noise, shape (n, d)."""
    which = rng.choice(len(oracle.weights), n, p=oracle.weights.numpy())
    local = rng.standard_normal((n, oracle.means.shape[1])) * oracle.eigenvalues.sqrt().numpy()[which]
    turned = np.einsum("nde,ne->nd", oracle.eigenvectors.numpy()[which], local)
    return oracle.means[which] + torch.as_tensor(turned)
