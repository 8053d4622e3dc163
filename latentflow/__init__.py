"""latentflow: from a table of observations to bijective Gaussian latents, and how independent they are."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentflow.analysis.independence import independence_report
    from latentflow.errors import (
        DataError,
        LatentFlowError,
        LatentFlowWarning,
        ModelFileError,
        PreprocessingError,
    )
    from latentflow.estimator import LatentFlow
    from latentflow.model import FittedFlow

__version__ = "0.1.0"

# Names are imported when first asked for: the commands must answer --help without loading torch.
_HOMES = {
    "LatentFlow": "latentflow.estimator",
    "FittedFlow": "latentflow.model",
    "independence_report": "latentflow.analysis.independence",
    "LatentFlowError": "latentflow.errors",
    "DataError": "latentflow.errors",
    "ModelFileError": "latentflow.errors",
    "PreprocessingError": "latentflow.errors",
    "LatentFlowWarning": "latentflow.errors",
}

__all__ = [
    "DataError",
    "FittedFlow",
    "LatentFlow",
    "LatentFlowError",
    "LatentFlowWarning",
    "ModelFileError",
    "PreprocessingError",
    "__version__",
    "independence_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'latentflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
