"""A fitted flow: all that encoding, decoding and density need once training is over."""

from __future__ import annotations

import copy
import hashlib
import math
import os
import warnings
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2
from torch import Tensor

from latentflow.base.based_flow import BasedFlow
from latentflow.base.layers import LayeredBase
from latentflow.bijection import Bijection, Chain, Leading
from latentflow.components.mean_jacobians import MeanJacobians
from latentflow.components.source_scale import SourceScale
from latentflow.data.preprocess import Preprocessor
from latentflow.errors import DataError, LatentFlowError, LatentFlowWarning
from latentflow.flow.flow_map import FlowMap
from latentflow.flow.latent_map import LatentMap
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.solvers import integrator_of
from latentflow.model.cleaning import Latents, extrapolation, latents_to_remove, without
from latentflow.model.devices import PRECISIONS, choose_device
from latentflow.model.encoding import Encoding, unsolved
from latentflow.model.file import model_bytes, read_model, write_model
from latentflow.orientation.record import Orientation
from latentflow.score.denoisers import Denoiser, NetworkDenoiser, StandardNormal

_LOG_2PI = math.log(2 * math.pi)

#: A row is far outside the training data where its whitened norm exceeds the largest of the training rows by this
#: factor, or its latent has a norm that N(0, I) exceeds with the probability below.
FAR_FACTOR = 1.25
FAR_PROBABILITY = 1e-9

#: In what a latent can be told: as the standard normal it is, or at the scale of the source behind it.
SCALES = ("latent", "source")

Floats = NDArray[np.float64]


@dataclass
class FittedFlow:
    """Preprocessor, denoiser, frozen grid and orientation: a bijection between a user's rows and Gaussian latents.

    Parameters
    ----------
    preprocessor : Preprocessor
    denoiser : Denoiser
        On the coordinates that the flow lives on, whitened or of the base; any denoiser, closed forms included.
        Behind a base :class:`~latentflow.score.denoisers.StandardNormal` stands for a flow that is the identity.
    sigmas : ndarray, shape (steps + 1,)
        The frozen grid of noise levels, in whitened units.
    solver : str
        A name in :data:`latentflow.flow.solvers.SOLVERS`; an adaptive one's makes a row depend on its batch.
    blend_weights : ndarray, shape (2, steps, 2, 3), optional
        The blend of its orders on this grid, there and back (:mod:`latentflow.flow.blending`).
    record : dict
        What was done to fit this: rows, split, seed, sizes, history, seconds, warnings.
    roles : ndarray of uint8, shape (n,)
        The role of each row of the training table (:mod:`latentflow.data.splits`).
    reach : float
        Largest norm of a whitened training row.
    orientation : Orientation, optional
        The rotation of the latents; by default they stay as the flow gives them.
    source_scale : SourceScale, optional
        From oriented latents to sources; made for this orientation.
    mean_jacobians : MeanJacobians, optional
        Mean Jacobians over training rows; made for this orientation, and in source scale where there is one.
    base : LayeredBase, optional
        Between whitening and flow.
    device : torch.device
    dtype : torch.dtype
        In which the flow is integrated; double by default, because decoding back to the exact value of a lattice
        column, or across an ill-conditioned whitening, needs it.
    """

    preprocessor: Preprocessor
    denoiser: Denoiser
    sigmas: Floats
    solver: str = "ab4"
    blend_weights: Floats | None = None
    record: dict[str, Any] = field(default_factory=dict)
    roles: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    reach: float = math.inf
    orientation: Orientation = None  # type: ignore[assignment]  # set below where it is not given
    source_scale: SourceScale | None = None
    mean_jacobians: MeanJacobians | None = None
    base: LayeredBase | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        if cast(Orientation | None, self.orientation) is None:
            self.orientation = Orientation.identity(self.preprocessor.n_flow)
        # a copy, since `to` works in place, and another model may hold the same denoiser in another precision
        own = copy.deepcopy(self.denoiser).to(device=self.device, dtype=self.dtype)
        self.denoiser = own.eval().requires_grad_(False)
        if self.base is not None:
            self.base = copy.deepcopy(self.base).to(device=self.device, dtype=self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: the flow is made again where it is wanted."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns."""
        return self.preprocessor.columns

    @property
    def latent_names(self) -> tuple[str, ...]:
        """``latent00``, ``latent01``, …"""
        return tuple(f"latent{i:02d}" for i in range(self.preprocessor.n_flow))

    @cached_property
    def ode(self) -> ProbabilityFlow | None:
        """The probability flow itself, behind the base where there is one; None where it is the identity."""
        if self.base is not None and isinstance(self.denoiser, StandardNormal):
            return None
        return ProbabilityFlow(self.denoiser, self.sigmas, integrator_of(self.solver, self.blend_weights))

    @cached_property
    def flow(self) -> LatentMap:
        """Base and probability flow on whitened tensors of this model's device and dtype, before any orientation."""
        if self.base is not None:
            return BasedFlow(self.base, self.ode)
        assert self.ode is not None
        return self.ode

    def before_flow(self, x: Tensor) -> Tensor:
        """Whitened rows on the coordinates that the probability flow itself takes, of the base, shape (n, k) both."""
        return x if self.base is None else BasedFlow(self.base, None).encode(x)

    @property
    def network(self) -> dict[str, Any]:
        """Settings of the network behind the flow (:mod:`latentflow.score.networks`); empty for a closed form."""
        return dict(self.denoiser.settings) if isinstance(self.denoiser, NetworkDenoiser) else {}

    @property
    def hash(self) -> str:
        """SHA-256 of the model file's content, hexadecimal."""
        return hashlib.sha256(model_bytes(self.__getstate__())).hexdigest()

    def encode(
        self,
        X: ArrayLike,
        *,
        log_prob: bool = False,
        scale: str = "latent",
        first_row: int = 0,
        trace_seed: int | None = None,
        log_det: str = "continuous",
    ) -> Encoding:
        """Gaussian latents of rows in the user's units, or the sources behind them.

        Parameters
        ----------
        X : array_like, shape (n, D)
        log_prob : bool
            Also the density and the log-determinant, which cost a trace per evaluation.
        scale : {"latent", "source"}
            What ``latents`` of the result holds; the density is that of the row in either case.
        first_row : int
            Position of X[0] in the user's table, for error messages.
        trace_seed : int, optional
            Estimate the log-determinant along two random directions of each row, without bias: for means over many
            rows in many dimensions, where the exact one costs a product for each.
        log_det : {"continuous", "discrete"}
            Of which map the density and the log-determinant are, where ``log_prob`` asks for them: of the flow, the
            integral of its trace, or of the discrete map that ``latents`` come from, to rounding. They differ by
            about ten times the accuracy of the latents. At a row where the discrete map folds, log p is NaN. The
            discrete one costs about as much as the exact trace, and beyond 256 latents, where the trace is
            estimated, more.

        Returns
        -------
        Encoding

        Raises
        ------
        PreprocessingError
            If a row holds a value that could not be restored, naming row and column.
        LatentFlowError
            If the model has no source scale, and it is asked for; or if there is no such log-determinant, or the
            discrete one is to be estimated.
        """
        flow = FlowMap(self.flow, log_det, trace_seed, measured=log_prob)
        to_latents = self.latent_chain(flow, scale)
        x, stretch = self.preprocessor.forward(X, first_row=first_row)
        (z, total), *sources = to_latents.stages(x, stretch)
        k = self.preprocessor.n_flow
        far = self._far(x[:, :k], z[:, :k])
        mapped, volume = sources[0] if sources else (z, total)
        latents, carried = mapped[:, :k], mapped[:, k:]
        if not log_prob:
            return Encoding(latents, carried, far)
        log_p = total - 0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * _LOG_2PI
        if flow.folded is not None:
            log_p[flow.folded] = np.nan
        return Encoding(latents, carried, far, log_p, volume, flow.trace_error, flow.folded)

    def decode(
        self, Z: ArrayLike, carried: ArrayLike | None = None, *, scale: str = "latent", first_row: int = 0
    ) -> Floats:
        """Rows in the user's units whose latents are Z: the inverse of :meth:`encode`.

        Parameters
        ----------
        Z : array_like, shape (n, k)
        carried : array_like, shape (n, d − k), optional
            The carried directions; without them their mean, zero, is taken.
        scale : {"latent", "source"}
            What Z holds.
        first_row : int
            Position of Z[0] in the user's table, for warnings.

        Returns
        -------
        ndarray, shape (n, D)

        Raises
        ------
        DataError
            If the shapes are not those of this model, or a latent is not finite.
        LatentFlowError
            If the model has no source scale, and it is asked for.

        Warns
        -----
        LatentFlowWarning
            If no row was found for some latents, naming their positions.
        """
        X, residual = self.decode_with_residual(Z, carried, scale=scale)
        missed = np.flatnonzero(~(residual <= self.residual_limit))
        if len(missed):
            warnings.warn(
                unsolved(missed + first_row, float(np.nanmax(residual))), LatentFlowWarning, stacklevel=2
            )
        return X

    @property
    def residual_limit(self) -> float:
        """max |E(x) − z| above which a latent counts as not decoded: 1e-9 in double, 1e-5 in single precision."""
        return 1e-9 if self.dtype == torch.float64 else 1e-5

    def decode_with_residual(
        self, Z: ArrayLike, carried: ArrayLike | None = None, *, scale: str = "latent"
    ) -> tuple[Floats, Floats]:
        """As :meth:`decode`, with what is left of each latent instead of a warning.

        Returns
        -------
        X : ndarray, shape (n, D)
        residual : ndarray, shape (n,)
            max |E(x) − z| in units of the latents.
        """
        flow = FlowMap(self.flow)
        to_latents = self.latent_chain(flow, scale)
        z = np.asarray(Z, dtype=np.float64)
        k, rest = self.preprocessor.n_flow, self.preprocessor.n_kept - self.preprocessor.n_flow
        if z.ndim != 2 or z.shape[1] != k:
            raise DataError(f"latents must have {k} columns for this model, not shape {z.shape}")
        if not np.isfinite(z).all():
            raise DataError(f"latents of row {int(np.argmin(np.isfinite(z).all(1)))} are not finite")
        beside = np.zeros((len(z), rest)) if carried is None else np.asarray(carried, dtype=np.float64)
        if beside.shape != (len(z), rest):
            raise DataError(f"carried directions must have shape {(len(z), rest)}, not {beside.shape}")
        x = to_latents.inverse(np.concatenate([z, beside], axis=1))
        return self.preprocessor.inverse(x), cast(Floats, flow.residual)

    def clean(
        self,
        X: ArrayLike,
        *,
        remove: Latents | None = None,
        keep: Latents | None = None,
        first_row: int = 0,
    ) -> Floats:
        """Rows as they would be with some latents at their median: what ICA users do with blinks, heartbeat and mains.

        Carried directions stay as they are, columns set aside are restored, and values of a lattice column come back
        on its lattice. With nothing removed the rows come back as :meth:`decode` gives them.

        Parameters
        ----------
        X : array_like, shape (n, D) or (n, ...) with D values a row
            In the user's units.
        remove, keep : name, position or sequence of them, optional
            The latents to set to their median, 0, or those to leave as they are; one of the two.
        first_row : int
            Position of X[0] in the user's table, for error messages.

        Returns
        -------
        ndarray, shape of X

        Raises
        ------
        DataError
            If both or neither of ``remove`` and ``keep`` are given, or a latent does not exist.
        PreprocessingError
            If a row holds a value that could not be restored, naming row and column.

        Warns
        -----
        LatentFlowWarning
            If rows lie far outside the training data: what is left of them is an extrapolation.
        """
        removed = latents_to_remove(self.latent_names, remove=remove, keep=keep)
        samples = np.asarray(X, dtype=np.float64)
        rows = samples.reshape(len(samples), -1) if samples.ndim > 2 else samples
        encoding = self.encode(rows, first_row=first_row)
        far = np.flatnonzero(encoding.far)
        if len(far) and len(removed):
            warnings.warn(extrapolation(far + first_row), LatentFlowWarning, stacklevel=2)
        kept = without(encoding.latents, removed)
        return self.decode(kept, encoding.carried, first_row=first_row).reshape(samples.shape)

    def mean_jacobians_over(self, X: ArrayLike) -> MeanJacobians:
        """Mean Jacobians over rows in the user's units: which columns each latent reads, and which it moves.

        They are of the sources where the model has their scale, as ``components_`` and ``mixing_`` of an ICA with
        sources of unit variance, and of the Gaussian latents where it has not.

        Parameters
        ----------
        X : array_like, shape (n, D)

        Returns
        -------
        MeanJacobians
        """
        rows = np.asarray(X, dtype=np.float64)
        turn = self.orientation.rotation
        return MeanJacobians.over(self.preprocessor, self.flow, turn, rows, scale=self.source_scale)

    def log_prob(self, X: ArrayLike, *, log_det: str = "continuous") -> Floats:
        """log p of each row in nats, in the user's units, shape (n,); ``log_det`` as in :meth:`encode`."""
        log_p = self.encode(X, log_prob=True, log_det=log_det).log_prob
        assert log_p is not None
        return log_p

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Rows decoded from N(0, I), shape (n, D), in the user's units."""
        normal = rng.standard_normal((n, self.preprocessor.n_kept))
        return self.decode(normal[:, : self.preprocessor.n_flow], normal[:, self.preprocessor.n_flow :])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model file beside ``path`` and move it there; returns the path.

        Raises
        ------
        ModelFileError
            If the denoiser is not a network, or the file cannot be written.
        """
        return write_model(self.__getstate__(), Path(path))

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, device: str = "auto", dtype: str = "float64"
    ) -> FittedFlow:
        """Read a model file.

        Parameters
        ----------
        path : path
        device : str
            ``auto`` takes CUDA when there is one.
        dtype : {"float64", "float32"}
            Precision of the flow. Single is about twice as fast, and decodes latents of ordinary size to 1e-5.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, not a model, or of an unknown version.
        """
        if dtype not in PRECISIONS:
            raise LatentFlowError(f"dtype must be {' or '.join(PRECISIONS)}, not {dtype!r}")
        return cls(**read_model(Path(path)), device=choose_device(device), dtype=getattr(torch, dtype))

    def latent_chain(self, flow: FlowMap, scale: str = "latent") -> Chain:
        """From whitened rows, shape (n, d), to latents or sources with the carried directions beside them.

        The first part leads to the latents, a second one, where there is one, from there to the sources.

        Raises
        ------
        LatentFlowError
            If the model has no source scale, and it is asked for.
        """
        if scale not in SCALES:
            raise LatentFlowError(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
        if scale == "source" and self.source_scale is None:
            why = (
                "no orientation chose its axes" if self.orientation.arbitrary else "it is of an older version"
            )
            raise LatentFlowError(f"this model has no source scale, as {why}: `latentflow orient` adds one")
        parts: list[Bijection] = [Chain((flow, self.orientation))]
        if scale == "source" and self.source_scale is not None:
            parts.append(self.source_scale)
        return Chain(tuple(Leading(part, self.preprocessor.n_flow) for part in parts))

    def tensor(self, values: Floats) -> Tensor:
        """Values as a tensor of this model's device and dtype."""
        return self.flow.tensor(values)

    def _far(self, inside: Floats, z: Floats) -> NDArray[np.bool_]:
        limit = float(chi2.isf(FAR_PROBABILITY, z.shape[1]))
        return (np.linalg.norm(inside, axis=1) > FAR_FACTOR * self.reach) | ((z**2).sum(1) > limit)
