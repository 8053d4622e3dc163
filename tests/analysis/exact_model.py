"""Models whose latents are known in closed form, with the face that the analysis asks of a fitted flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from latentflow.data.tables import as_table
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.orientation.record import Orientation

MODE, SPREAD = 0.9, np.sqrt(0.19)  # a two-mode source of unit variance
TRAIN, VALIDATION, HELD_OUT = 0, 1, 2


def two_mode(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Independent draws of the two-mode source."""
    return rng.choice([-MODE, MODE], shape) + SPREAD * rng.standard_normal(shape)


def mixture_entropy(means: np.ndarray, sd: float) -> float:
    """Entropy in nats of an equal mixture of normals with these means and one standard deviation."""

    def integrand(x: float) -> float:
        p = norm.pdf(x, means, sd).mean()
        return -p * np.log(p) if p > 0 else 0.0

    points = sorted({round(float(m), 6) for m in means})
    edge = 10 * sd
    return quad(integrand, points[0] - edge, points[-1] + edge, points=points, limit=500)[0]


def true_total_correlation(mixing: np.ndarray) -> float:
    """TC in nats of ``mixing @ s`` for independent two-mode sources: every marginal is a known mixture."""
    d = len(mixing)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * d)).reshape(d, -1).T
    marginal = sum(mixture_entropy(signs @ row * MODE, SPREAD * np.linalg.norm(row)) for row in mixing)
    source = mixture_entropy(np.array([-MODE, MODE]), SPREAD)
    return marginal - d * source - np.linalg.slogdet(mixing)[1]


def gaussianise(sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exact map of two-mode sources to N(0, I), coordinate by coordinate, and its log|det| per row."""
    upper = 0.5 * (ndtr((sources + MODE) / SPREAD) + ndtr((sources - MODE) / SPREAD))
    z = ndtri(upper)
    density = 0.5 * (norm.pdf(sources, -MODE, SPREAD) + norm.pdf(sources, MODE, SPREAD))
    return z, (np.log(density) - norm.logpdf(z)).sum(axis=1)


def degaussianise(z: np.ndarray) -> np.ndarray:
    """Its inverse, by bisection."""
    target = ndtr(z)
    low, high = np.full_like(z, -8.0), np.full_like(z, 8.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = 0.5 * (ndtr((middle + MODE) / SPREAD) + ndtr((middle - MODE) / SPREAD)) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


@dataclass(frozen=True)
class Treatment:
    name: str
    role: str = "flow"
    lattice: str = "none"
    tied_fraction: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return vars(self).copy()


@dataclass
class PlainPreprocessor:
    """All columns continuous and kept; the user's units are those of the model."""

    columns: tuple[str, ...]
    treatments: tuple[Treatment, ...]
    n_latents: int = 0

    @property
    def kept(self) -> np.ndarray:
        return np.array([i for i, t in enumerate(self.treatments) if t.role == "flow"])

    @property
    def n_flow(self) -> int:
        return self.n_latents or len(self.kept)

    def continuous(self, X: np.ndarray) -> np.ndarray:
        return X[:, self.kept]

    def forward(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = self.continuous(X)
        return (x - x.mean(0)) / np.maximum(x.std(0), 1e-9), np.zeros(len(x))


@dataclass
class Encoding:
    latents: np.ndarray
    carried: np.ndarray
    far: np.ndarray
    log_prob: np.ndarray
    log_det: np.ndarray


class IdentityFlow:
    """Whitened rows are the latents."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return z, torch.zeros(len(z))

    jacobian_parts = ProbabilityFlow.jacobian_parts

    def encode_with_jacobian(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        d = x.shape[1]
        return x, torch.eye(d, dtype=x.dtype).expand(len(x), d, d)


@dataclass
class ExactModel:
    """Rows are ``mixing @ s``; the latents are the Gaussianised sources, optionally spoilt by a rotation.

    With ``turn`` the *sources* are turned before they are Gaussianised: still a bijection with a known
    log|det|, but its latents are dependent.
    """

    mixing: np.ndarray
    columns: tuple[str, ...]
    roles: np.ndarray
    record: dict[str, Any] = field(default_factory=dict)
    turn: np.ndarray | None = None
    n_carried: int = 0
    treatments: tuple[Treatment, ...] = ()
    hash: str = "0" * 64
    sigmas: tuple[float, ...] = (0.01, 15.0)
    dtype: torch.dtype = torch.float64
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    flow: IdentityFlow = field(default_factory=IdentityFlow)
    network: dict[str, Any] = field(default_factory=dict)

    @property
    def orientation(self) -> Orientation:
        return Orientation.identity(len(self.latent_names))

    @property
    def preprocessor(self) -> PlainPreprocessor:
        treatments = self.treatments or tuple(Treatment(c) for c in self.columns)
        return PlainPreprocessor(self.columns, treatments, len(self.latent_names))

    @property
    def latent_names(self) -> tuple[str, ...]:
        return tuple(f"latent{i:02d}" for i in range(len(self.mixing) - self.n_carried))

    def encode(self, X: np.ndarray, *, log_prob: bool = False) -> Encoding:
        assert np.isfinite(X).all()
        sources = self.preprocessor.continuous(X) @ np.linalg.inv(self.mixing).T
        if self.turn is not None:
            sources = sources @ self.turn.T
        z, log_det = gaussianise(sources)
        log_det = log_det - np.linalg.slogdet(self.mixing)[1]
        density = log_det + norm.logpdf(z).sum(axis=1)
        k = z.shape[1] - self.n_carried
        return Encoding(z[:, :k], z[:, k:], np.zeros(len(z), bool), density, log_det)

    def decode(self, Z: np.ndarray, carried: np.ndarray | None = None) -> np.ndarray:
        sources = degaussianise(Z if carried is None else np.concatenate([Z, carried], axis=1))
        if self.turn is not None:
            sources = sources @ self.turn
        return sources @ self.mixing.T


def exact_setup(
    mixing: np.ndarray, n: int = 4000, seed: int = 0, **settings: Any
) -> tuple[ExactModel, np.ndarray]:
    """A table of ``n`` rows of the mixture and the exact model, half of the rows held out."""
    rng = np.random.default_rng(seed)
    X = two_mode((n, len(mixing)), rng) @ mixing.T
    columns = tuple("abcdefghij"[: len(mixing)])
    roles = np.where(np.arange(n) % 2 == 0, TRAIN, HELD_OUT).astype(np.uint8)
    record = {
        "fingerprint": as_table(X, columns).fingerprint(),
        "n_train": int((roles == TRAIN).sum()),
        "split": {"mode": "random"},
        "history": {"step": [1, 2], "train_loss": [1.0, 0.9], "validation_loss": [1.0, 0.95]},
        "warnings": [],
        "version": "0.1.0",
        "seed": 3,
    }
    return ExactModel(mixing, columns, roles, record, **settings), X
