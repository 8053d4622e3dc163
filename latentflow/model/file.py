"""The file of a fitted flow: one ``.safetensors``, never unpickled.

It holds the tensors of the network, the arrays of the preprocessor, of the orientation and of what goes with it, the
role of each row of the training table, and a JSON header under the metadata key ``latentflow``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from latentflow.base.layers import LayeredBase
from latentflow.components.mean_jacobians import MeanJacobians
from latentflow.components.source_scale import SourceScale
from latentflow.data.atomic import replacing
from latentflow.data.preprocess import Preprocessor
from latentflow.errors import ModelFileError
from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.solvers import integrator_of
from latentflow.orientation.record import Orientation
from latentflow.score.denoisers import Denoiser, NetworkDenoiser, StandardNormal
from latentflow.score.networks import build_network

FORMAT, FORMAT_WITHOUT_BASE = 5, 4
#: Formats that this version reads; in 1 the latents had no orientation, and so no source scale; before 3 every grid was
#: uniform in log σ, before 4 no orders were blended, and before 5 there was no base, and no flow without a network. A
#: model without a base is written as before, so that its hash stays what it was.
READABLE_FORMATS = (1, 2, 3, 4, 5)
_HEADER = "latentflow"


def model_bytes(model: Mapping[str, Any]) -> bytes:
    """The content of a model's file, the same for the same model.

    Parameters
    ----------
    model : mapping
        The fields of a fitted flow, by name, as :func:`read_model` gives them.

    Raises
    ------
    ModelFileError
        If the denoiser is not a network.
    """
    denoiser, base = model["denoiser"], model["base"]
    identity = base is not None and isinstance(denoiser, StandardNormal)
    if not (identity or isinstance(denoiser, NetworkDenoiser)):
        raise ModelFileError("only a model with a trained network has a file; this one holds a closed form")
    meta, arrays = model["preprocessor"].state()
    orientation, turned = model["orientation"].state()
    header = {
        "format": FORMAT if base is not None else FORMAT_WITHOUT_BASE,
        "network": None if identity else denoiser.settings,
        "preprocessor": meta,
        "solver": model["solver"],
        "record": model["record"],
        "reach": model["reach"],
        "orientation": orientation,
    }
    named = {f"preprocessor.{k}": v for k, v in arrays.items()}
    named |= {f"orientation.{k}": v for k, v in turned.items()}
    if model["source_scale"] is not None:
        named |= {f"source_scale.{k}": v for k, v in model["source_scale"].state().items()}
    if model["mean_jacobians"] is not None:
        named |= {f"linear_picture.{k}": v for k, v in model["mean_jacobians"].state().items()}
    if base is not None:
        named |= {f"base.{k}": v for k, v in base.state().items()}
    tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in named.items()}
    for name, value in denoiser.state_dict().items():
        # weights are trained in single precision, which holds them exactly
        tensors[f"denoiser.{name}"] = value.detach().to("cpu", torch.float32).contiguous()
    tensors["flow.sigmas"] = torch.tensor(np.asarray(model["sigmas"]), dtype=torch.float64)
    if model["blend_weights"] is not None:
        tensors["flow.shares"] = torch.tensor(np.asarray(model["blend_weights"]), dtype=torch.float64)
    tensors["rows.role"] = torch.from_numpy(np.ascontiguousarray(model["roles"]))
    return serialise(tensors, metadata={_HEADER: json.dumps(header, ensure_ascii=False, sort_keys=True)})


def write_model(model: Mapping[str, Any], target: Path) -> Path:
    """Write a model's file; returns the path.

    Raises
    ------
    ModelFileError
        If the denoiser is not a network, or the file cannot be written.
    """
    content = model_bytes(model)
    try:
        with replacing(target) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise ModelFileError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def read_model(source: Path) -> dict[str, Any]:
    """What a model file holds, by the names of the fields of a fitted flow.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not a model, or of an unknown version.
    """
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
    if header["format"] not in READABLE_FORMATS:
        raise ModelFileError(
            f"{source} has model format {header['format']}, this version reads {READABLE_FORMATS[0]} to {FORMAT}: "
            "upgrade latentflow or fit again"
        )
    try:
        return _fields(header, tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelFileError(f"{source} is damaged: {type(error).__name__} {error}") from error


def _fields(header: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    base = LayeredBase.from_state(_arrays(tensors, "base.")) if "base.matrices.0" in tensors else None
    denoiser: Denoiser = StandardNormal()
    if header["network"] is not None or base is None:
        denoiser = NetworkDenoiser(build_network(header["network"]))
        denoiser.load_state_dict(_named(tensors, "denoiser."))
    turned, scale, mean_jacobians = (
        _arrays(tensors, part) for part in ("orientation.", "source_scale.", "linear_picture.")
    )
    blend_weights = tensors["flow.shares"].numpy() if "flow.shares" in tensors else None
    integrator_of(header["solver"], blend_weights)  # is there one?
    return {
        "preprocessor": Preprocessor.from_state(header["preprocessor"], _arrays(tensors, "preprocessor.")),
        "denoiser": denoiser,
        "sigmas": tensors["flow.sigmas"].numpy()
        if "flow.sigmas" in tensors
        else log_uniform_grid(**header["grid"]),
        "solver": header["solver"],
        "blend_weights": blend_weights,
        "record": header["record"],
        "roles": tensors["rows.role"].numpy(),
        "reach": header["reach"],
        "base": base,
        "orientation": Orientation.from_state(header["orientation"], turned) if turned else None,
        "source_scale": SourceScale.from_state(scale) if scale else None,
        "mean_jacobians": MeanJacobians.from_state(mean_jacobians) if mean_jacobians else None,
    }


def _named(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _arrays(tensors: dict[str, Tensor], start: str) -> dict[str, NDArray[Any]]:
    return {k: v.numpy() for k, v in _named(tensors, start).items()}
