r"""The probability-flow ODE as a bijection between whitened rows and Gaussian latents.

In the variance-preserving state y = x/√(1+σ²) and on the axis u = log σ,

    dy/du = −σ/(1+σ²) F(y, σ),      d log|det ∂y/∂y₀| /du = −σ/(1+σ²) tr ∂F/∂y

with F the v-prediction of :mod:`latentflow.score.denoisers` (probability flow: Song et al. 2021,
arXiv 2011.13456, eq. 13; log-determinant: the instantaneous change of variables of Chen et al. 2018,
arXiv 1806.07366, theorem 1). A row x enters as x(σ_min) = x, so y₀ = x/√(1+σ_min²), and its latent is
z = y(σ_max).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import jvp

from latentflow.errors import LatentFlowError
from latentflow.flow.adaptive import Adaptive
from latentflow.flow.latent_map import LatentMap
from latentflow.flow.multistep import Multistep
from latentflow.flow.preimage import Encoder, solve
from latentflow.flow.shooting import Pass, Trajectory
from latentflow.flow.solvers import integrator_of
from latentflow.flow.stepping import Kept, Solver
from latentflow.score.denoisers import Denoiser
from latentflow.score.fields import Field
from latentflow.score.tensors import as_tensor

#: Up to this many coordinates the trace is exact; beyond, it is Hutchinson's estimate.
EXACT_TRACE_DIMENSION = 256
#: Rademacher probes of Hutchinson's estimate.
TRACE_PROBES = 32
#: Numbers (rows × columns) integrated at once; within an evaluation rows are taken as many as the caches hold.
CHUNK_ELEMENTS, GPU_CHUNK_ELEMENTS = 1 << 16, 1 << 22
#: Fields kept, over the nodes of the grid: Runge–Kutta methods evaluate between nodes too.
_FIELDS_KEPT = 8

#: (u, y) ↦ F, shape (n, d), and its divergence, shape (n,).
Trace = Callable[[float, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class ProbabilityFlow(LatentMap):
    """The flow of a denoiser on a frozen grid.

    Parameters
    ----------
    denoiser : Denoiser
        Trained or in closed form.
    sigmas : sequence of float
        Increasing noise levels σ_min … σ_max.
    solver : str or Solver or Adaptive
        A name that :func:`latentflow.flow.solvers.integrator_of` knows, or a solver itself, such as one whose orders
        were blended for this grid.

    Notes
    -----
    The grid does not depend on the rows, so a row's latent does not depend on which rows share its batch, up to
    float rounding.
    """

    denoiser: Denoiser
    sigmas: Sequence[float] | np.ndarray
    solver: str | Solver | Adaptive = "ab4"

    def tensor(self, values: NDArray[np.float64]) -> Tensor:
        """Values as a tensor of the denoiser's device and dtype; of double precision where it holds no numbers."""
        return as_tensor(values, self.denoiser)

    @property
    def evaluations(self) -> int:
        """Denoiser evaluations of one encoding.

        Raises
        ------
        LatentFlowError
            If the solver is adaptive: its evaluations depend on the rows.
        """
        if isinstance(self._method, Adaptive):
            raise LatentFlowError(f"the evaluations of the adaptive solver {self.solver} depend on the rows")
        return self._method.evaluations(len(self.sigmas) - 1)

    def encode(self, x: Tensor) -> Tensor:
        """Latents z, shape (n, d), of whitened rows x, shape (n, d)."""
        with torch.no_grad():
            # rows enough for the tables of frozen fields
            return torch.cat([self._forward(part) for part in _chunks(x, x.shape[1], 4096)])

    def encode_with_log_det(
        self, x: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Latents, shape (n, d), and log|det ∂z/∂x| in nats, shape (n,).

        Parameters
        ----------
        x : Tensor, shape (n, d)
        generator : torch.Generator, optional
            Takes the trace along one random direction of each row instead (Hutchinson 1990; Grathwohl et al. 2019,
            arXiv 1810.01367): unbiased, with errors that are independent from row to row, at the cost of two
            evaluations for one instead of d + 1. For means over many rows, whose standard error then holds it too.
        """
        d = x.shape[1]
        matching = -d * math.log(self._matching)
        with torch.no_grad():
            if generator is None:
                probes = _trace_probes(d, x)
                rows = self._rows_of_tangents(len(probes))
                parts = [self._integrate_augmented(part, self._exact_trace(probes)) for part in x.split(rows)]
            else:
                signs = torch.randint(0, 2, x.shape, generator=generator, device=generator.device)
                signs = (2 * signs - 1).to(x)
                drawn = zip(_chunks(x, d), _chunks(signs, d), strict=True)
                parts = [self._integrate_augmented(part, self._random_trace(along)) for part, along in drawn]
        state = torch.cat(parts)
        return state[:, :d], state[:, d] + matching

    def encode_with_jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents, shape (n, d), and ∂z/∂x of the encoder on its own grid, shape (n, d, d).

        The tangents ride through the same steps as the state, d(∂y/∂x)/du = −σ/(1+σ²) (∂F/∂y)(∂y/∂x), so this is
        the derivative of the discrete map to rounding.
        """
        d = x.shape[1]
        with torch.no_grad():
            parts = [self._integrate_tangents(part) for part in x.split(self._rows_of_tangents(d))]
        state = torch.cat(parts)
        return state[:, :, 0], state[:, :, 1:]

    def encode_along(self, x: Tensor, directions: Tensor) -> Tensor:
        """(∂z/∂x) v for one direction v of each row: the tangent of the encoder, shape (n, d)."""
        return self._along(self._forward, x, directions)

    def decode_along(self, z: Tensor, directions: Tensor) -> Tensor:
        """Tangent of the plain backward integration, (n, d): (∂x/∂z) v up to the error of the solver."""
        return self._along(self._backward, z, directions)

    def decode(self, z: Tensor, *, tolerance: float | None = None, rounds: int = 30) -> tuple[Tensor, Tensor]:
        """Rows whose encoding is z: the pre-image of the encoder map on its own grid (:mod:`latentflow.flow.preimage`).

        Parameters
        ----------
        z : Tensor, shape (n, d)
        tolerance : float, optional
            Largest |E(x) − z| to stop at; by default 1e-11 in double and 2e-6 in single precision.
        rounds : int
            Most corrections, and most Newton steps; 0 gives the plain backward integration.

        Returns
        -------
        x : Tensor, shape (n, d)
        residual : Tensor, shape (n,)
            max |E(x) − z| of each row that is left, in units of the latents.
        """
        if tolerance is None:
            tolerance = 1e-11 if z.dtype == torch.float64 else 2e-6
        jacobian = lambda rows: self.encode_with_jacobian(rows)[1]  # noqa: E731
        encoder = Encoder(self._traced, self._backward, jacobian, self._shoot)
        with torch.no_grad():
            # all states of a trajectory are kept at once
            kept = z.shape[1] * max(1, len(self.sigmas) // 32)
            pairs = [solve(encoder, part, tolerance, rounds) for part in _chunks(z, kept)]
        return torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])

    @staticmethod
    def _along(integration: Callable[[Tensor], Tensor], rows: Tensor, directions: Tensor) -> Tensor:
        with torch.no_grad():
            pairs = zip(_chunks(rows, rows.shape[1]), _chunks(directions, rows.shape[1]), strict=True)
            return torch.cat([jvp(integration, (part,), (along,))[1] for part, along in pairs])

    @property
    def _method(self) -> Solver | Adaptive:
        return integrator_of(self.solver) if isinstance(self.solver, str) else self.solver

    @property
    def _matching(self) -> float:
        """√(1 + σ_min²): a row over its state at the start."""
        return math.sqrt(1 + float(self.sigmas[0]) ** 2)

    @cached_property
    def _nodes(self) -> list[float]:
        nodes: list[float] = np.log(self.sigmas).tolist()
        return nodes

    @cached_property
    def _fields(self) -> dict[float, Field]:
        return {}

    def _rows_of_tangents(self, directions: int) -> int:
        """Rows that are fastest at once where each brings tangents."""
        return max(16, self._field(self._nodes[0]).rows_at_once // directions)

    def _field(self, u: float) -> Field:
        """The field at u = log σ, made once: the nodes are the same for all rows."""
        field = self._fields.get(u)
        if field is None:
            field = self.denoiser.at(math.exp(u))
            # an adaptive solver never meets a node again
            if len(self._fields) < _FIELDS_KEPT * len(self.sigmas):
                self._fields[u] = field
        return field

    def __getstate__(self) -> dict[str, object]:
        """Without the fields, which are made again where they are wanted."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def _v_prediction(self, u: float, y: Tensor) -> Tensor:
        return self._field(u).v_predictions(y)

    def _forward(self, x: Tensor) -> Tensor:
        y = x / self._matching
        return self._method.integrate(self._v_prediction, y, self._nodes)

    def _traced(self, x: Tensor) -> tuple[Tensor, Trajectory | None]:
        """The encoder, and how it got there where its solver is a multistep one."""
        if not isinstance(self._method, Multistep):
            return self._forward(x), None
        kept: list[Kept] = []
        z = self._method.integrate(self._v_prediction, x / self._matching, self._nodes, kept)
        return z, Trajectory.of(kept)

    def _shoot(self, trajectory: Trajectory, miss: Tensor, by: Pass) -> Tensor:
        return self._matching * trajectory.moved_start(self._v_prediction, self._nodes, miss, by)

    def _backward(self, z: Tensor) -> Tensor:
        method = self._method.returning if isinstance(self._method, Solver) else self._method
        return method.integrate(self._v_prediction, z, self._nodes[::-1]) * self._matching

    def _integrate_augmented(self, x: Tensor, trace: Trace) -> Tensor:
        """The state with its log-determinant as last column, shape (n, d + 1)."""
        d = x.shape[1]

        def v_prediction(u: float, state: Tensor) -> Tensor:
            prediction, divergence = trace(u, state[:, :d])
            return torch.cat([prediction, divergence[:, None]], dim=1)

        y = x / self._matching
        start = torch.cat([y, y.new_zeros(len(y), 1)], dim=1)
        return self._method.integrate(v_prediction, start, self._nodes)

    def _exact_trace(self, probes: Tensor) -> Trace:
        """F and Σ vₖᵀ (∂F/∂y) vₖ for the same directions at every row."""

        def trace(u: float, y: Tensor) -> tuple[Tensor, Tensor]:
            prediction, derivatives = self._field(u).push_forward(y, probes)
            return prediction, torch.einsum("knd,kd->n", derivatives, probes)

        return trace

    def _random_trace(self, directions: Tensor) -> Trace:
        """F and vᵀ (∂F/∂y) v for a direction of each row's own."""

        def trace(u: float, y: Tensor) -> tuple[Tensor, Tensor]:
            pushed = jvp(self._field(u).v_prediction, (y,), (directions,))
            return pushed[0], (pushed[1] * directions).sum(1)

        return trace

    def _integrate_tangents(self, x: Tensor) -> Tensor:
        """The state as first column and its Jacobian as the others, shape (n, d, 1 + d)."""
        d = x.shape[1]
        basis = torch.eye(d, dtype=x.dtype, device=x.device)

        def v_prediction(u: float, state: Tensor) -> Tensor:
            prediction, derivatives = self._field(u).push_forward(state[:, :, 0], basis)
            return torch.cat([prediction[:, :, None], derivatives.permute(1, 2, 0) @ state[:, :, 1:]], dim=2)

        start = torch.cat([x[:, :, None], basis.expand(len(x), d, d)], dim=2)
        start = start / self._matching
        return self._method.integrate(v_prediction, start, self._nodes)


def _trace_probes(d: int, like: Tensor) -> Tensor:
    """Directions vₖ with Σ vₖᵀ J vₖ = tr J: the unit vectors, or scaled Rademacher probes (Hutchinson 1990).

    The probes are the same for every row and every call, so that log p is a deterministic function of the row.
    """
    if d <= EXACT_TRACE_DIMENSION:
        return torch.eye(d, dtype=like.dtype, device=like.device)
    signs = np.random.default_rng(0).integers(0, 2, (TRACE_PROBES, d)) * 2 - 1
    return torch.as_tensor(signs / math.sqrt(TRACE_PROBES), dtype=like.dtype, device=like.device)


def _chunks(x: Tensor, elements_per_row: int, least: int = 16) -> tuple[Tensor, ...]:
    most = CHUNK_ELEMENTS if x.device.type == "cpu" else GPU_CHUNK_ELEMENTS
    return x.split(max(least, most // max(1, elements_per_row)))
