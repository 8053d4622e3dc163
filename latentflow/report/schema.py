"""What stands in the JSON of reports, in words, drawn from the records themselves.

``python -m latentflow.report.schema`` prints the document that is kept beside this module as ``SCHEMA.md``.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from latentflow.analysis.comparison.comparison import Comparison
from latentflow.analysis.comparison.stability import Stability
from latentflow.analysis.results import SCHEMA_VERSION, IndependenceResult
from latentflow.analysis.trajectory_report import TrajectoryReport
from latentflow.analysis.verification.results import Verification
from latentflow.report.trajectory_page import SCHEMA as TRAJECTORY_SCHEMA
from latentflow.statistics.records import Result, described

INDEPENDENCE = f"""# The JSON of an independence report

Schema version {SCHEMA_VERSION}, which stands under the key `schema`. A higher number there means that keys were
renamed, removed or given another meaning; keys may be added without that.

The document is one object, `IndependenceResult` below; the others are the objects inside it. Every key is always
there. A part that was not measured is `null`, an empty array or an empty object, and a number that does not exist
is `null`. Entries of arrays of numbers are rounded to six significant digits, single numbers are not. Entropies,
total correlation, dependence and −log p are in nats, −log p per row and in the units of the table. "array (d, d)"
is an array of d arrays of d numbers. Objects "by representation" have the keys `raw`, `pca`, `fastica` and
`latents`, and further ones for further baselines.
"""

TRAJECTORIES = f"""# The JSON of a trajectory report

Schema version {TRAJECTORY_SCHEMA}, under the key `schema`. The document is one object, `TrajectoryReport` below, whose
keys stand beside those that say what made it (versions, model, table, seed); `Interval` is that of the independence
report.
"""

VERIFICATION = """# The JSON of `latentflow verify --json`

Under the key `result` stands one object, `Verification` below. Figures that no row has, and infinite ones, are `null`.
"""

STABILITY = """# The JSON of `latentflow stability`

What it writes to `.stability.json`, and prints with `--json`: under the key `result` one object, `Stability` below.
"""

COMPARISON = """# The JSON of `latentflow compare --json`

Under the key `result` stands one object, `Comparison` below.
"""

#: Each document's introduction, and its outermost record.
DOCUMENTS: tuple[tuple[str, type[Result]], ...] = (
    (INDEPENDENCE, IndependenceResult),
    (TRAJECTORIES, TrajectoryReport),
    (VERIFICATION, Verification),
    (STABILITY, Stability),
    (COMPARISON, Comparison),
)

_NAMES: dict[Any, str] = {
    float: "number",
    int: "integer",
    str: "string",
    bool: "boolean",
    type(None): "null",
    np.ndarray: "array",
    Any: "any",
}


def schema_text() -> str:
    """All documents, in Markdown; a record that several hold is told of in the first."""
    parts: list[str] = []
    documented: set[type[Result]] = set()
    for introduction, outermost in DOCUMENTS:
        new = [record for record in dict.fromkeys(records_in(outermost)) if record not in documented]
        documented.update(new)
        parts += [introduction, *map(_section, new)]
    return "\n".join(parts)


def records_in(hint: Any) -> Iterator[type[Result]]:
    """The records that a type annotation holds, each before those inside it."""
    if isinstance(hint, type) and issubclass(hint, Result):
        yield hint
        inner = [kind for fields in described(hint) for kind in fields.types]
    else:
        inner = list(typing.get_args(hint))
    for kind in inner:
        yield from records_in(kind)


def _section(record: type[Result]) -> str:
    summary = _plain((inspect.getdoc(record) or "").split("\n\n")[0].replace("\n", " "))
    lines = [f"## {record.__name__}", "", summary, "", "| key | type | meaning |", "| --- | --- | --- |"]
    for fields in described(record):
        kinds = [fields.json] if fields.json else dict.fromkeys(map(_kind, fields.types))
        cells = (", ".join(f"`{name}`" for name in fields.names), ", ".join(kinds), _plain(fields.words))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


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
