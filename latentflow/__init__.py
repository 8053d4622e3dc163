"""latentflow: from a table of observations to bijective Gaussian latents, and how independent they are."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latentflow.version import __version__

if TYPE_CHECKING:
    from latentflow.analysis.comparison.comparison import compare
    from latentflow.analysis.comparison.stability import stability
    from latentflow.analysis.comparison.traverse import traverse
    from latentflow.analysis.independence import independence_report
    from latentflow.analysis.trajectory_report import trajectory_report
    from latentflow.analysis.verification.verification import verify
    from latentflow.errors import (
        DataError,
        LatentFlowError,
        LatentFlowWarning,
        ModelFileError,
        PreprocessingError,
    )
    from latentflow.estimator import LatentFlow
    from latentflow.model.fitted_flow import FittedFlow
    from latentflow.model.orient import orient

# Names are imported when first asked for: the commands must answer --help without loading torch.
_HOMES = {
    "LatentFlow": "latentflow.estimator",
    "FittedFlow": "latentflow.model.fitted_flow",
    "compare": "latentflow.analysis.comparison.comparison",
    "independence_report": "latentflow.analysis.independence",
    "orient": "latentflow.model.orient",
    "stability": "latentflow.analysis.comparison.stability",
    "trajectory_report": "latentflow.analysis.trajectory_report",
    "traverse": "latentflow.analysis.comparison.traverse",
    "verify": "latentflow.analysis.verification.verification",
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
    "compare",
    "independence_report",
    "orient",
    "stability",
    "trajectory_report",
    "traverse",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "independence_report":
        importlib.import_module(
            "latentflow.report.notebook"
        )  # which registers what a notebook shows of its result
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'latentflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
