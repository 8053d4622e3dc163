"""What made a report: versions, model, table, seeds and settings."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from latentflow.analysis.preparation import Material
from latentflow.errors import ModelFileError

PACKAGES = ("latentflow", "numpy", "scipy", "scikit-learn", "torch")
FIT_FACTS = (
    "seed",
    "preset",
    "steps",
    "device",
    "seconds",
    "n_train",
    "n_validation",
    "n_held_out",
    "sigma_min",
    "sigma_max",
)


def provenance(model: Any, material: Material, *, rows: str, n_boot: int, seed: int) -> dict[str, Any]:
    """Versions, model, table and settings, as in :class:`latentflow.analysis.results.IndependenceResult`."""
    record, table = model.record, material.table
    try:
        model_hash = model.hash
    except ModelFileError:  # a closed form has no file
        model_hash = None
    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    return {
        "version": versions["latentflow"],
        "versions": versions,
        "model_hash": model_hash,
        "model_version": record.get("version"),
        "file": None if table.path is None else str(table.path),
        "key": table.key,
        "fingerprint": table.fingerprint(),
        "seed": seed,
        "n_boot": n_boot,
        "rows": rows,
        "fit": {name: record[name] for name in FIT_FACTS if name in record},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
