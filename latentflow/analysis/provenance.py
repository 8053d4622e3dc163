"""What made a report: versions, model, table, seeds, settings, and every option that acted."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from latentflow.analysis.preparation import Material
from latentflow.errors import ModelFileError
from latentflow.model.devices import choose_device
from latentflow.model.settings import FitSettings, facts

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


def provenance(model: Any, material: Material, **options: Any) -> dict[str, Any]:
    """Versions, model, table and settings, as in :class:`latentflow.analysis.results.IndependenceResult`.

    ``options`` are those of the report.
    """
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
        **{name: options[name] for name in ("seed", "n_boot", "rows")},
        "options": {**options, "device": _other_device(str(model.device))},
        "fit": {name: record[name] for name in FIT_FACTS if name in record},
        "fit_options": fit_options(model, material),
    }


def fit_options(model: Any, material: Material) -> dict[str, Any]:
    """What the fit was told that acted on it, as far as the record of the model has it.

    Returns
    -------
    dict
        ``file`` and ``key`` of its table, None for one in memory; ``same_table``, whether that is the table of the
        report; ``settings`` that are not the defaults; ``groups`` and ``time``, names of columns; ``arrays``, which of
        the two were given as values; ``columns`` or ``drop_columns`` where not all columns of the file were taken, or
        in another order.
    """
    record = model.record
    settings = _settings(record)
    device = _other_device(str(record.get("device", "cpu")))
    given = {name: record.get(name) for name in ("groups", "time")}
    beside = record.get("beside_rows") or [name for name, column in given.items() if column]
    return {
        "file": record.get("file"),
        "key": record.get("key"),
        "same_table": material.choice.same_table,
        "settings": settings | ({} if device is None else {"device": device}),
        **given,
        "arrays": [name for name in beside if not given[name]],
        **_chosen(model, material, set(given.values())),
    }


def _settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the fit that are not the defaults; the seed in any case."""
    if not isinstance(record.get("settings"), Mapping):  # a closed form, or a model of an old version
        return {name: record[name] for name in ("preset", "seed") if name in record}
    settings = vars(FitSettings.from_record(record))
    return {
        name: settings[name]
        for name, about in facts(FitSettings).items()
        if name == "seed" or settings[name] != about.default
    }


def _chosen(model: Any, material: Material, beside: set[Any]) -> dict[str, Any]:
    """Which columns of the file the fit took, by what it took or by what it left out, whichever is shorter."""
    names = [str(name) for name in model.columns]
    if not material.choice.same_table:
        return {"columns": names if model.record.get("file") else None, "drop_columns": None}
    there = [name for name in material.table.columns_of_file if name not in beside]
    left_out = [name for name in there if name not in names]
    by_name = [name for name in there if name in names] != names or len(left_out) > len(names)
    return {"columns": names if by_name else None, "drop_columns": None if by_name else left_out or None}


def _other_device(name: str) -> str | None:
    """A device that is not the one that is taken here without being named."""
    kind = name.split(":")[0]
    return None if kind == choose_device("auto").type else kind


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
