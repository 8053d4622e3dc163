r"""The probability-flow ODE as a bijection between whitened rows and Gaussian latents.

In the variance-preserving state y = x/√(1+σ²) and on the axis u = log σ,

    dy/du = −σ/(1+σ²) F(y, σ),      d log|det ∂y/∂y₀| /du = −σ/(1+σ²) tr ∂F/∂y

with F the angular velocity of :mod:`latentflow.score.denoisers` (probability flow: Song et al. 2021,
arXiv 2011.13456, eq. 13; log-determinant: the instantaneous change of variables of Chen et al. 2018,
arXiv 1806.07366, theorem 1). A row x enters as x(σ_min) = x, so y₀ = x/√(1+σ_min²), and its latent is
z = y(σ_max).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp

from latentflow.flow.solvers import SOLVERS, integrate
from latentflow.score.denoisers import Denoiser

#: Up to this many coordinates the trace is exact; beyond, it is Hutchinson's estimate.
EXACT_TRACE_DIMENSION = 256
#: Rademacher probes of Hutchinson's estimate.
TRACE_PROBES = 32
#: Rows integrated at once; small enough for the caches, and bounded in memory for the trace.
CHUNK_ELEMENTS = 1 << 16


@dataclass(frozen=True)
class ProbabilityFlow:
    """The flow of a denoiser on a frozen grid.

    Parameters
    ----------
    denoiser : Denoiser
        Trained or in closed form.
    sigmas : sequence of float
        Increasing noise levels σ_min … σ_max, uniform in log σ for a multistep solver.
    solver : str
        A name in :data:`latentflow.flow.solvers.SOLVERS`.

    Notes
    -----
    The grid does not depend on the rows, so a row's latent does not depend on which rows share its batch, up to
    float rounding.
    """

    denoiser: Denoiser
    sigmas: Sequence[float] | np.ndarray
    solver: str = "ab4"

    @property
    def evaluations(self) -> int:
        """Denoiser evaluations of one encoding."""
        return SOLVERS[self.solver].evaluations(len(self.sigmas) - 1)

    def encode(self, x: Tensor) -> Tensor:
        """Latents z, shape (n, d), of whitened rows x, shape (n, d)."""
        with torch.no_grad():
            return torch.cat([self._forward(part) for part in _chunks(x, x.shape[1])])

    def encode_with_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents, shape (n, d), and log|det ∂z/∂x| in nats, shape (n,)."""
        d = x.shape[1]
        tangents = min(d, TRACE_PROBES) if d > EXACT_TRACE_DIMENSION else d
        probes = _trace_probes(d, x)
        matching = -0.5 * d * math.log1p(float(self.sigmas[0]) ** 2)
        with torch.no_grad():
            parts = [self._integrate_augmented(part, probes) for part in _chunks(x, x.shape[1] * tangents)]
        state = torch.cat(parts)
        return state[:, :d], state[:, d] + matching

    def encode_with_jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents, shape (n, d), and ∂z/∂x of the encoder on its own grid, shape (n, d, d).

        The tangents ride through the same steps as the state, d(∂y/∂x)/du = −σ/(1+σ²) (∂F/∂y)(∂y/∂x), so this is
        the derivative of the discrete map to rounding.
        """
        d = x.shape[1]
        with torch.no_grad():
            parts = [self._integrate_tangents(part) for part in _chunks(x, d * (d + 1))]
        state = torch.cat(parts)
        return state[:, :, 0], state[:, :, 1:]

    def encode_along(self, x: Tensor, directions: Tensor) -> Tensor:
        """(∂z/∂x) v for one direction v of each row: the tangent of the encoder, shape (n, d)."""
        return self._along(self._forward, x, directions)

    def decode_along(self, z: Tensor, directions: Tensor) -> Tensor:
        """Tangent of the plain backward integration, (n, d): (∂x/∂z) v up to the error of the solver."""
        return self._along(self._backward, z, directions)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) = log N(z; 0, I) + log|det ∂z/∂x| in nats per whitened row, shape (n,)."""
        z, log_det = self.encode_with_log_det(x)
        return log_det - 0.5 * (z * z).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)

    def decode(self, z: Tensor, *, tolerance: float | None = None, rounds: int = 30) -> tuple[Tensor, Tensor]:
        """Rows whose encoding is z: the pre-image of the encoder map on its own grid.

        The flow is integrated backwards, G, and the result corrected by its own defect until the encoder E
        agrees, x ← x + G(z) − G(E(x)) (defect correction: Stetter 1978), each row until it has converged. Rows on
        which that stalls, where the map is steep, are finished by damped Newton steps on E(x) = z.

        Parameters
        ----------
        z : Tensor, shape (n, d)
        tolerance : float, optional
            Largest |E(x) − z| to stop at; by default 1e-10 in double and 2e-6 in single precision.
        rounds : int
            Most corrections, and most Newton steps; 0 gives the plain backward integration.

        Returns
        -------
        x : Tensor, shape (n, d)
        residual : Tensor, shape (n,)
            max |E(x) − z| of each row that is left, in units of the latents.
        """
        if tolerance is None:
            tolerance = 1e-10 if z.dtype == torch.float64 else 2e-6
        with torch.no_grad():
            pairs = [self._decode_chunk(part, tolerance, rounds) for part in _chunks(z, z.shape[1])]
        return torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])

    def _decode_chunk(self, z: Tensor, tolerance: float, rounds: int) -> tuple[Tensor, Tensor]:
        plain = self._backward(z)
        x, encoded = plain.clone(), self._forward(plain)
        residual = (encoded - z).abs().amax(1)
        rows = torch.nonzero(residual > tolerance)[:, 0]
        for _ in range(rounds):
            if len(rows) == 0:
                break
            candidate = x[rows] + plain[rows] - self._backward(encoded[rows])
            rows = self._improve(z, x, encoded, residual, rows, candidate)
            rows = rows[residual[rows] > tolerance]
        stalled = torch.nonzero(~(residual <= tolerance))[:, 0] if rounds else rows[:0]
        for part in stalled.split(max(1, CHUNK_ELEMENTS // (8 * z.shape[1] ** 2))):
            self._newton(z, x, encoded, residual, part, tolerance, rounds)
        return x, residual

    def _improve(
        self, z: Tensor, x: Tensor, encoded: Tensor, residual: Tensor, rows: Tensor, candidate: Tensor
    ) -> Tensor:
        """Take the candidates that come nearer to z, in place; returns the rows that did."""
        image = self._forward(candidate)
        error = (image - z[rows]).abs().amax(1)
        better = error < residual[rows]
        taken = rows[better]
        x[taken], encoded[taken], residual[taken] = candidate[better], image[better], error[better]
        return taken

    def _newton(
        self,
        z: Tensor,
        x: Tensor,
        encoded: Tensor,
        residual: Tensor,
        rows: Tensor,
        tolerance: float,
        steps: int,
    ) -> None:
        """Damped Newton on E(x) = z for a few rows, in place; each step is halved until it helps."""
        for _ in range(steps):
            rows = rows[~(residual[rows] <= tolerance)]
            if len(rows) == 0:
                return
            jacobian = self.encode_with_jacobian(x[rows])[1]
            direction = torch.linalg.lstsq(jacobian, (z[rows] - encoded[rows])[:, :, None]).solution
            left, step, moved = torch.arange(len(rows), device=z.device), direction[:, :, 0], []
            for halving in range(8):
                candidate = x[rows[left]] + step[left] * 0.5**halving
                taken = self._improve(z, x, encoded, residual, rows[left], candidate)
                moved.append(taken)
                left = left[~torch.isin(rows[left], taken)]
                if len(left) == 0:
                    break
            rows = torch.cat(moved)

    @staticmethod
    def _along(integration: Callable[[Tensor], Tensor], rows: Tensor, directions: Tensor) -> Tensor:
        with torch.no_grad():
            pairs = zip(_chunks(rows, rows.shape[1]), _chunks(directions, rows.shape[1]), strict=True)
            return torch.cat([jvp(integration, (part,), (along,))[1] for part, along in pairs])

    def _drift(self, u: float, y: Tensor) -> Tensor:
        sigma = math.exp(u)
        return self.denoiser.velocity(y, sigma) * (-sigma / (1 + sigma * sigma))

    def _forward(self, x: Tensor) -> Tensor:
        y = x / math.sqrt(1 + float(self.sigmas[0]) ** 2)
        return integrate(SOLVERS[self.solver], self._drift, y, np.log(self.sigmas).tolist())

    def _backward(self, z: Tensor) -> Tensor:
        grid = np.log(self.sigmas)[::-1].tolist()
        y = integrate(SOLVERS[self.solver], self._drift, z, grid)
        return y * math.sqrt(1 + float(self.sigmas[0]) ** 2)

    def _integrate_augmented(self, x: Tensor, probes: Tensor) -> Tensor:
        """The state with its log-determinant as last column, shape (n, d + 1)."""
        d = x.shape[1]

        def drift(u: float, state: Tensor) -> Tensor:
            sigma = math.exp(u)
            velocity, derivatives = self.denoiser.push_forward(state[:, :d], sigma, probes)
            trace = torch.einsum("knd,kd->n", derivatives, probes)
            return torch.cat([velocity, trace[:, None]], dim=1) * (-sigma / (1 + sigma * sigma))

        y = x / math.sqrt(1 + float(self.sigmas[0]) ** 2)
        start = torch.cat([y, y.new_zeros(len(y), 1)], dim=1)
        return integrate(SOLVERS[self.solver], drift, start, np.log(self.sigmas).tolist())

    def _integrate_tangents(self, x: Tensor) -> Tensor:
        """The state as first column and its Jacobian as the others, shape (n, d, 1 + d)."""
        d = x.shape[1]
        basis = torch.eye(d, dtype=x.dtype, device=x.device)

        def drift(u: float, state: Tensor) -> Tensor:
            sigma = math.exp(u)
            velocity, derivatives = self.denoiser.push_forward(state[:, :, 0], sigma, basis)
            tangents = derivatives.permute(1, 2, 0) @ state[:, :, 1:]
            return torch.cat([velocity[:, :, None], tangents], dim=2) * (-sigma / (1 + sigma * sigma))

        start = torch.cat([x[:, :, None], basis.expand(len(x), d, d)], dim=2)
        start = start / math.sqrt(1 + float(self.sigmas[0]) ** 2)
        return integrate(SOLVERS[self.solver], drift, start, np.log(self.sigmas).tolist())


def _trace_probes(d: int, like: Tensor) -> Tensor:
    """Directions vₖ with Σ vₖᵀ J vₖ = tr J: the unit vectors, or scaled Rademacher probes (Hutchinson 1990).

    The probes are the same for every row and every call, so that log p is a deterministic function of the row.
    """
    if d <= EXACT_TRACE_DIMENSION:
        return torch.eye(d, dtype=like.dtype, device=like.device)
    signs = np.random.default_rng(0).integers(0, 2, (TRACE_PROBES, d)) * 2 - 1
    return torch.as_tensor(signs / math.sqrt(TRACE_PROBES), dtype=like.dtype, device=like.device)


def _chunks(x: Tensor, elements_per_row: int) -> tuple[Tensor, ...]:
    return x.split(max(16, CHUNK_ELEMENTS // max(1, elements_per_row)))
