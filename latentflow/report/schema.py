"""What stands in the JSON of reports, in words, drawn from the records themselves.

``python -m latentflow.report.schema`` prints the document that is kept beside this module as ``SCHEMA.md``.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from latentflow.analysis.axes.account import LatentDetermination, OrientationAccount
from latentflow.analysis.axes.latent_facts import LatentFacts
from latentflow.analysis.axes.recovery import Recovery, RecoveryEntry
from latentflow.analysis.comparison.agreement import Agreement, CoordinateAgreement
from latentflow.analysis.comparison.comparison import ComparedLatent, Comparison
from latentflow.analysis.comparison.stability import Run, Stability
from latentflow.analysis.dependence.classifier import JointDependence
from latentflow.analysis.dependence.confirmation import PairConfirmation
from latentflow.analysis.dependence.discoveries import Discoveries
from latentflow.analysis.dependence.magnitudes import Magnitudes
from latentflow.analysis.gaussianity.joint import JointGaussianity
from latentflow.analysis.ledger.densities import BaselineDensity
from latentflow.analysis.measures import (
    Gaussianity,
    Histogram,
    LatentGaussianity,
    Ledger,
    LedgerEntry,
    PairwiseDependence,
    RadiusTest,
    RoundTrip,
)
from latentflow.analysis.results import SCHEMA_VERSION, FastICASummary, IndependenceResult, Rows, Verdict
from latentflow.analysis.trajectory_report import TrajectoryReport
from latentflow.analysis.verification.results import (
    ColumnError,
    Quantiles,
    Row,
    Trip,
    Verification,
    WitnessAgreement,
)
from latentflow.geometry.claims import Claim
from latentflow.geometry.convergence import StepConvergence
from latentflow.geometry.score_deviation import DeviationLevel, ScoreDeviation
from latentflow.geometry.shape import Band, TrajectoryShape
from latentflow.report.trajectory_page import SCHEMA as TRAJECTORY_SCHEMA
from latentflow.statistics.interval import Interval, Result

RECORDS: tuple[type[Result], ...] = (
    IndependenceResult,
    Interval,
    Rows,
    Verdict,
    Ledger,
    LedgerEntry,
    BaselineDensity,
    PairwiseDependence,
    Discoveries,
    PairConfirmation,
    Magnitudes,
    JointDependence,
    Gaussianity,
    LatentGaussianity,
    RadiusTest,
    JointGaussianity,
    LatentFacts,
    OrientationAccount,
    LatentDetermination,
    FastICASummary,
    Recovery,
    RecoveryEntry,
    RoundTrip,
    Histogram,
)

TRAJECTORY_RECORDS: tuple[type[Result], ...] = (
    TrajectoryReport,
    TrajectoryShape,
    Band,
    Claim,
    ScoreDeviation,
    DeviationLevel,
    StepConvergence,
)

VERIFICATION_RECORDS: tuple[type[Result], ...] = (
    Verification,
    Trip,
    Quantiles,
    Row,
    ColumnError,
    WitnessAgreement,
)
STABILITY_RECORDS: tuple[type[Result], ...] = (Stability, Run, Agreement, CoordinateAgreement)
COMPARISON_RECORDS: tuple[type[Result], ...] = (Comparison, ComparedLatent)

INTRODUCTION = f"""# The JSON of an independence report

Schema version {SCHEMA_VERSION}, which stands under the key `schema`. A higher number there means that keys were
renamed, removed or given another meaning; keys may be added without that.

The document is one object, `IndependenceResult` below; the others are the objects inside it. Every key is always
there. A part that was not measured is `null`, an empty array or an empty object, and a number that does not exist
is `null`. Entries of arrays of numbers are rounded to six significant digits, single numbers are not. Entropies,
total correlation, dependence and −log p are in nats, −log p per row and in the units of the table. "array (d, d)"
is an array of d arrays of d numbers. Objects "by representation" have the keys `raw`, `pca`, `fastica` and
`latents`, and further ones for further baselines.
"""

TRAJECTORY_INTRODUCTION = f"""# The JSON of a trajectory report

Schema version {TRAJECTORY_SCHEMA}, under the key `schema`. The document is one object, `TrajectoryReport` below, whose
keys stand beside those that say what made it (versions, model, table, seed); `Interval` is that of the independence
report.
"""

VERIFICATION_INTRODUCTION = """# The JSON of `latentflow verify --json`

Under the key `result` stands one object, `Verification` below. Figures that no row has, and infinite ones, are `null`.
"""

STABILITY_INTRODUCTION = """# The JSON of `latentflow stability`

What it writes to `.stability.json`, and prints with `--json`: under the key `result` one object, `Stability` below.
"""

COMPARISON_INTRODUCTION = """# The JSON of `latentflow compare --json`

Under the key `result` stands one object, `Comparison` below.
"""

#: Each document's introduction, and the records in it, the outermost first.
DOCUMENTS = (
    (INTRODUCTION, RECORDS),
    (TRAJECTORY_INTRODUCTION, TRAJECTORY_RECORDS),
    (VERIFICATION_INTRODUCTION, VERIFICATION_RECORDS),
    (STABILITY_INTRODUCTION, STABILITY_RECORDS),
    (COMPARISON_INTRODUCTION, COMPARISON_RECORDS),
)


def schema_text() -> str:
    """All documents, in Markdown."""
    return "\n".join(text for head, records in DOCUMENTS for text in (head, *map(_section, records)))


def described(record: type[Result]) -> dict[str, str]:
    """What the docstring of a record says of each of its fields, on one line each."""
    text = inspect.getdoc(record) or ""
    _, _, attributes = text.partition("Attributes\n----------\n")
    words: dict[str, list[str]] = {}
    names: list[str] = []
    for line in attributes.splitlines():
        if line and not line.startswith(" "):
            if " : " not in line:  # the next section
                break
            names = []
            shape = ""
            for part in line.split(";"):
                left, _, kind = part.partition(" : ")
                names += [name.strip() for name in left.split(",")]
                shape = shape or ", ".join(re.findall(r"(?<=ndarray )\([^)]*\)|length \w+", kind))
            words.update({name: [f"{shape}:"] if shape else [] for name in names})
        else:
            for name in names:
                words[name].append(line.strip())
    return {name: " ".join(" ".join(lines).split()) for name, lines in words.items()}


def meanings(record: type[Result]) -> dict[str, str]:
    """The keys of a record in its own order, each with what it means."""
    words, hints = described(record), typing.get_type_hints(record)
    found = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        text = words.get(field.name, "")
        if not text and _is_further(record, field.name):
            text = _FURTHER[field.name][1]
        if not text or text.endswith(":"):  # nothing, or a shape alone
            text = f"{text} {_COMMON.get(field.name, '')}".strip().removesuffix(":")
        if not text and hints[field.name] in RECORDS:
            text = _summary(hints[field.name])
        found[field.name] = _plain(text)
    return found


def _is_further(record: type[Result], name: str) -> bool:
    return record is IndependenceResult and name in _FURTHER


def _summary(record: type[Result]) -> str:
    """The first paragraph of the docstring, on one line."""
    return _plain((inspect.getdoc(record) or "").split("\n\n")[0].replace("\n", " "))


def _section(record: type[Result]) -> str:
    hints = typing.get_type_hints(record)
    summary = _summary(record)
    lines = [f"## {record.__name__}", "", summary, "", "| key | type | meaning |", "| --- | --- | --- |"]
    # keys that are told of in one breath, as "median and maximum", stand in one line, in that order
    for words, told in groupby(meanings(record).items(), key=itemgetter(1)):
        names = [name for name, _ in told]
        kinds = dict.fromkeys(
            _FURTHER[name][0] if _is_further(record, name) else _kind(hints[name]) for name in names
        )
        cells = (", ".join(f"`{name}`" for name in names), ", ".join(kinds), words)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


# Parts that a result may lack: how they read in JSON, and what they are where their owner does not say.
_FURTHER = {
    "discoveries": ("object of Discoveries", "By representation."),
    "confirmed": (
        "object of array of PairConfirmation",
        "By representation, the most dependent pairs first.",
    ),
    "joint": ("object of JointDependence", "By representation."),
    "magnitudes": ("object of Magnitudes", "By representation."),
    "joint_gaussianity": ("JointGaussianity or null", "Of all latents together."),
    "terminal_mismatch": (
        "number or null",
        "KL divergence of the data at the largest noise level of the flow from its terminal normal "
        "distribution, nats, to leading order; null where it cannot be estimated (heavy tails).",
    ),
    "densities": ("array of BaselineDensity", "What the baselines are worth as densities."),
    "recovery": ("Recovery or null", "Null where the true sources are not known."),
    "latent_facts": ("array of LatentFacts", "In the order of the latents."),
    "orientation": (
        "OrientationAccount or null",
        "How the axes were chosen, and what that allows to conclude.",
    ),
    "samples": (
        "object of array of {columns, x, y}",
        "By representation, its most dependent pairs as the page draws them, strongest first: two names and "
        "the values of evenly spaced evaluated rows.",
    ),
}
# Keys whose name says it all where their record says nothing.
_COMMON = {
    "estimate": "The estimate.",
    "low": "Lower bound of the 95 % interval.",
    "high": "Upper bound of the 95 % interval.",
    "name": "Its name.",
    "n_rows": "Rows used.",
    "converged": "Whether it converged.",
    "counts": "Rows in each bin.",
    "latent_names": "Names of the latents.",
    "latents": "Each latent on its own, in their order.",
}
_NAMES: dict[Any, str] = {
    float: "number",
    int: "integer",
    str: "string",
    bool: "boolean",
    type(None): "null",
    np.ndarray: "array",
    Any: "any",
}


def _kind(hint: Any) -> str:
    """A type annotation in the words of JSON."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _NAMES:
        return _NAMES[hint]
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(part) for part in inner)
    if origin is np.ndarray:
        return "array"
    if origin is tuple:
        if inner[-1] is Ellipsis:
            return f"array of {_kind(inner[0])}"
        return f"[{', '.join(_kind(part) for part in inner)}]"
    if origin is Mapping:
        return "object" if inner[1] is Any else f"object of {_kind(inner[1])}"
    return str(getattr(hint, "__name__", hint))


def _plain(text: str) -> str:
    """Docstring markup as Markdown."""
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text).replace("``", "`").replace("None", "null")


if __name__ == "__main__":
    print(schema_text(), end="")
