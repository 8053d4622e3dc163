"""A fitted flow and its file: all that encoding, decoding and density need once training is over.

The file is one ``.safetensors``: tensors of the network, arrays of the preprocessor, the role of each row of the
training table, and a JSON header under the metadata key ``latentflow``. Loading never unpickles.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from scipy.stats import chi2
from torch import Tensor

from latentflow.data.preprocess import Preprocessor
from latentflow.errors import DataError, LatentFlowError, ModelFileError
from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.score.denoisers import Denoiser, NetworkDenoiser
from latentflow.score.networks import build_network

FORMAT = 1
_HEADER = "latentflow"
_LOG_2PI = math.log(2 * math.pi)

#: A row is far outside the training data where its whitened norm exceeds the largest of the training rows by this
#: factor, or its latent has a norm that N(0, I) exceeds with the probability below.
FAR_FACTOR = 1.25
FAR_PROBABILITY = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Encoding:
    """Rows in the latent space.

    Parameters
    ----------
    latents : ndarray, shape (n, k)
        Gaussian latents.
    carried : ndarray, shape (n, d − k)
        Whitened directions that the flow leaves alone; empty unless fewer components than columns were asked for.
    far : ndarray of bool, shape (n,)
        Rows far outside the training data.
    log_prob : ndarray, shape (n,), or None
        log p in nats, in the user's units (density of the dequantised kept columns).
    log_det : ndarray, shape (n,), or None
        log|det| of continuous rows ↦ (latents, carried), in nats.
    """

    latents: Floats
    carried: Floats
    far: NDArray[np.bool_]
    log_prob: Floats | None = None
    log_det: Floats | None = None


@dataclass
class FittedFlow:
    """Preprocessor, denoiser and frozen grid: a bijection between a user's rows and Gaussian latents.

    Parameters
    ----------
    preprocessor : Preprocessor
    denoiser : Denoiser
        On the whitened coordinates that the flow lives on; any denoiser, closed forms included.
    sigmas : ndarray, shape (steps + 1,)
        The frozen grid of noise levels, in whitened units.
    solver : str
        A name in :data:`latentflow.flow.solvers.SOLVERS`.
    record : dict
        What was done to fit this: rows, split, seed, sizes, history, seconds, warnings.
    roles : ndarray of uint8, shape (n,)
        The role of each row of the training table (:mod:`latentflow.data.splits`).
    reach : float
        Largest norm of a whitened training row.
    device : torch.device
    dtype : torch.dtype
        In which the flow is integrated; double by default, because decoding back to the exact value of a lattice
        column, or across an ill-conditioned whitening, needs it.
    """

    preprocessor: Preprocessor
    denoiser: Denoiser
    sigmas: Floats
    solver: str = "ab4"
    record: dict[str, Any] = field(default_factory=dict)
    roles: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    reach: float = math.inf
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        self.denoiser = self.denoiser.to(device=self.device, dtype=self.dtype).eval().requires_grad_(False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns."""
        return self.preprocessor.columns

    @property
    def latent_names(self) -> tuple[str, ...]:
        """``latent00``, ``latent01``, …"""
        return tuple(f"latent{i:02d}" for i in range(self.preprocessor.n_flow))

    @property
    def flow(self) -> ProbabilityFlow:
        """The probability flow on whitened tensors of this model's device and dtype."""
        return ProbabilityFlow(self.denoiser, self.sigmas, self.solver)

    @property
    def hash(self) -> str:
        """SHA-256 of the model file's content, hexadecimal."""
        return hashlib.sha256(self._to_bytes()).hexdigest()

    def encode(self, X: ArrayLike, *, log_prob: bool = False, first_row: int = 0) -> Encoding:
        """Gaussian latents of rows in the user's units.

        Parameters
        ----------
        X : array_like, shape (n, D)
        log_prob : bool
            Also the density and the log-determinant, which cost a trace per evaluation.
        first_row : int
            Position of X[0] in the user's table, for error messages.

        Returns
        -------
        Encoding

        Raises
        ------
        PreprocessingError
            If a row holds a value that could not be restored, naming row and column.
        """
        x, log_det = self.preprocessor.forward(X, first_row=first_row)
        inside, carried = x[:, : self.preprocessor.n_flow], x[:, self.preprocessor.n_flow :]
        start = self._tensor(inside)
        if not log_prob:
            z = _array(self.flow.encode(start))
            return Encoding(z, carried, self._far(inside, z))
        latents, flow_log_det = self.flow.encode_with_log_det(start)
        z, total = _array(latents), log_det + _array(flow_log_det)
        both = np.concatenate([z, carried], axis=1)
        log_p = total - 0.5 * (both**2).sum(1) - 0.5 * both.shape[1] * _LOG_2PI
        return Encoding(z, carried, self._far(inside, z), log_p, total)

    def decode(self, Z: ArrayLike, carried: ArrayLike | None = None) -> Floats:
        """Rows in the user's units whose latents are Z: the inverse of :meth:`encode`.

        Parameters
        ----------
        Z : array_like, shape (n, k)
        carried : array_like, shape (n, d − k), optional
            The carried directions; without them their mean, zero, is taken.

        Returns
        -------
        ndarray, shape (n, D)

        Raises
        ------
        DataError
            If the shapes are not those of this model, or a latent is not finite.
        """
        z = np.asarray(Z, dtype=np.float64)
        k, rest = self.preprocessor.n_flow, self.preprocessor.n_kept - self.preprocessor.n_flow
        if z.ndim != 2 or z.shape[1] != k:
            raise DataError(f"latents must have {k} columns for this model, not shape {z.shape}")
        if not np.isfinite(z).all():
            raise DataError(f"latents of row {int(np.argmin(np.isfinite(z).all(1)))} are not finite")
        beside = np.zeros((len(z), rest)) if carried is None else np.asarray(carried, dtype=np.float64)
        if beside.shape != (len(z), rest):
            raise DataError(f"carried directions must have shape {(len(z), rest)}, not {beside.shape}")
        x, _ = self.flow.decode(self._tensor(z))
        return self.preprocessor.inverse(np.concatenate([_array(x), beside], axis=1))

    def log_prob(self, X: ArrayLike) -> Floats:
        """log p of each row in nats, in the user's units, shape (n,)."""
        log_p = self.encode(X, log_prob=True).log_prob
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
        target = Path(path)
        content = self._to_bytes()
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            beside.write_bytes(content)
            os.replace(beside, target)
        except OSError as error:
            raise ModelFileError(f"cannot write {target}: {error.strerror or error}") from error
        finally:
            beside.unlink(missing_ok=True)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto") -> FittedFlow:
        """Read a model file.

        Parameters
        ----------
        path : path
        device : str
            ``auto`` takes CUDA when there is one.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, not a model, or of an unknown version.
        """
        source = Path(path)
        if not source.is_file():
            raise ModelFileError(f"{source}: no such model file; `latentflow fit` makes one")
        try:
            with safe_open(source, framework="pt") as file:
                header = json.loads((file.metadata() or {}).get(_HEADER, "null"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelFileError(f"{source} is damaged or not a model file: {error}") from error
        if not isinstance(header, dict) or "format" not in header:
            raise ModelFileError(f"{source} is a safetensors file, but not a latentflow model")
        if header["format"] != FORMAT:
            raise ModelFileError(
                f"{source} has model format {header['format']}, this version reads {FORMAT}: "
                "upgrade latentflow or fit again"
            )
        try:
            return cls._from_parts(header, tensors, choose_device(device))
        except (KeyError, TypeError, RuntimeError) as error:
            raise ModelFileError(f"{source} is damaged: {type(error).__name__} {error}") from error

    @classmethod
    def _from_parts(
        cls, header: dict[str, Any], tensors: dict[str, Tensor], device: torch.device
    ) -> FittedFlow:
        arrays = {
            k.removeprefix("preprocessor."): v.numpy()
            for k, v in tensors.items()
            if k.startswith("preprocessor.")
        }
        denoiser = NetworkDenoiser(build_network(header["network"]))
        weights = {k.removeprefix("denoiser."): v for k, v in tensors.items() if k.startswith("denoiser.")}
        denoiser.load_state_dict(weights)
        return cls(
            preprocessor=Preprocessor.from_state(header["preprocessor"], arrays),
            denoiser=denoiser,
            sigmas=log_uniform_grid(**header["grid"]),
            solver=header["solver"],
            record=header["record"],
            roles=tensors["rows.role"].numpy(),
            reach=header["reach"],
            device=device,
        )

    def _to_bytes(self) -> bytes:
        if not isinstance(self.denoiser, NetworkDenoiser):
            raise ModelFileError(
                "only a model with a trained network has a file; this one holds a closed form"
            )
        meta, arrays = self.preprocessor.state()
        header = {
            "format": FORMAT,
            "network": self.denoiser.network.settings,
            "preprocessor": meta,
            "grid": {
                "sigma_min": float(self.sigmas[0]),
                "sigma_max": float(self.sigmas[-1]),
                "steps": len(self.sigmas) - 1,
            },
            "solver": self.solver,
            "record": self.record,
            "reach": self.reach,
        }
        tensors = {f"preprocessor.{k}": torch.from_numpy(np.ascontiguousarray(v)) for k, v in arrays.items()}
        for name, value in self.denoiser.state_dict().items():
            # weights are trained in single precision, which holds them exactly
            tensors[f"denoiser.{name}"] = value.detach().to("cpu", torch.float32).contiguous()
        tensors["rows.role"] = torch.from_numpy(np.ascontiguousarray(self.roles))
        return serialise(tensors, metadata={_HEADER: json.dumps(header, ensure_ascii=False, sort_keys=True)})

    def _tensor(self, values: Floats) -> Tensor:
        return torch.as_tensor(values, dtype=self.dtype, device=self.device)

    def _far(self, inside: Floats, z: Floats) -> NDArray[np.bool_]:
        limit = float(chi2.isf(FAR_PROBABILITY, z.shape[1]))
        return (np.linalg.norm(inside, axis=1) > FAR_FACTOR * self.reach) | ((z**2).sum(1) > limit)


def choose_device(name: str) -> torch.device:
    """The torch device of a name; ``auto`` is CUDA when there is one, else the CPU.

    Raises
    ------
    LatentFlowError
        If torch does not know the device, or it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise LatentFlowError(f"device {name!r} is not available here: try --device auto or cpu") from error
    return device


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().to("cpu", torch.float64).numpy()
