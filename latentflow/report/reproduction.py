"""What to type to get a report again: the fit and the report, each with every option that acted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from latentflow.analysis.results import IndependenceResult
from latentflow.estimator import PARAMETERS

#: Options of the report that need not be told where they have these values.
REPORT_DEFAULTS: Mapping[str, Any] = {
    "rows": "auto",
    "missing": "error",
    "sources": None,
    "peers": [],
    "n_boot": 1000,
    "device": None,
}


def commands(result: IndependenceResult) -> list[str]:
    """What to type to get this result again; Python where values of the fit or of the report came from memory."""
    provenance = result.provenance
    fit = dict(provenance.get("fit_options") or {})
    fit.setdefault("settings", _settings_of_old(provenance))
    report = {"seed": provenance.get("seed", 0), "n_boot": provenance.get("n_boot", 1000)}
    report |= provenance.get("options") or {}
    told = {name: value for name, value in report.items() if value != REPORT_DEFAULTS.get(name)}
    file, of_fit = provenance.get("file"), fit.get("file")
    if fit.get("same_table", True):
        of_fit = file
    if not file or not of_fit or fit.get("arrays") or told.get("sources") == "array":
        return _in_python(file, of_fit, fit, told)
    lines = _remarks(fit["settings"])
    lines.append(_fit_command(str(of_fit), provenance, fit, told.get("model")))
    table = [str(file), *_option("key", provenance.get("key") or None)]
    words = [word for name, value in told.items() for word in _option(name, value)]
    lines.append(shlex.join(["latentflow", "independence-report", *table, *words]))
    return lines


def _settings_of_old(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the fit from a record that has no others."""
    fit = provenance.get("fit") or {}
    return {name: fit[name] for name in ("preset", "seed") if fit.get(name) is not None}


def _fit_command(file: str, provenance: Mapping[str, Any], fit: Mapping[str, Any], model: str | None) -> str:
    key = provenance.get("key") if fit.get("same_table", True) else fit.get("key")
    options = {
        "key": key or None,
        **{name: fit.get(name) for name in ("columns", "drop_columns", "groups", "time")},
    }
    words = [word for name, value in {**options, **fit["settings"]}.items() for word in _option(name, value)]
    return shlex.join(["latentflow", "fit", file, *words, *_option("output", model)])


def _option(name: str, value: Any) -> list[str]:
    """The words of an option: none without a value, a flag for what is true, and one for each peer."""
    if value is None or value is False:
        return []
    if name == "peers":
        return [word for peer in value for word in ("--peer", peer.replace("_", "-"))]
    word = f"--{name.replace('_', '-')}"
    if value is True:
        return [word]
    if name == "rows":
        value = value.replace("_", "-")
    return [word, ",".join(value) if isinstance(value, list | tuple) else str(value)]


def _remarks(settings: Mapping[str, Any]) -> list[str]:
    """What no option can bring back."""
    if settings.get("time_budget") is None:
        return []
    return ["# the fit was given a time, not a number of steps: another run of it ends at another step"]


def _in_python(
    file: str | None, of_fit: str | None, fit: Mapping[str, Any], told: Mapping[str, Any]
) -> list[str]:
    """The same as lines of Python, in which X, groups, time and sources are the user's own arrays."""
    settings = {PARAMETERS.get(name, name): value for name, value in fit["settings"].items()}
    beside = {name: fit.get(name) for name in ("groups", "time")}
    given = [
        f"{name}={name if name in fit.get('arrays', ()) else repr(column)}"
        for name, column in beside.items()
        if column or name in fit.get("arrays", ())
    ]
    of_report = {name: value for name, value in told.items() if name not in ("device", "model", "sources")}
    sources = told.get("sources")
    also = [] if sources is None else [f"sources={'sources' if sources == 'array' else repr(sources)}"]
    chosen = [
        f"{name}={fit[name]!r}" for name in ("key", "columns", "drop_columns") if of_fit and fit.get(name)
    ]
    fitted = repr(str(of_fit)) if of_fit and not chosen else "X"
    judged = repr(str(file)) if file else "X" if fit.get("same_table", True) else "X_judged"
    return [
        *([f"# X: the table in {str(of_fit)!r} with {', '.join(chosen)}"] if chosen else []),
        *_remarks(fit["settings"]),
        f"model = LatentFlow({_keywords(settings)}).fit({', '.join([fitted, *given])}).model_",
        f"result = independence_report({', '.join(['model', judged, *also, _keywords(of_report)])})",
    ]


def _keywords(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
