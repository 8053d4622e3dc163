"""Imports point down only, and no two files import each other."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: The floors of the house, lowest first; a file may import from its own package and from lower floors.
FLOORS = (
    "errors", "version", "bijection", "statistics", "data", "score", "flow", "components", "base", "orientation",
    "geometry", "model", "analysis", "estimator", "report", "latentflow", "cli",
)  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(path): path for folder in ("latentflow", "cli") for path in (ROOT / folder).rglob("*.py")
}


def floor_of(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "cli" or len(parts) == 1 else parts[1]


def imported(module: str, path: Path, source: str | None = None) -> set[str]:
    """Modules of the house that a file imports, wherever in it, for types alone as well."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(source or path.read_text())):
        if isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            home = ".".join([*above, *([node.module] if node.module else [])])
            names = [(home, alias.name) for alias in node.names]
        else:
            continue
        for home, name in names:
            home = home.replace("latentflow.cli", "cli")
            target = f"{home}.{name}" if f"{home}.{name}" in FILES else home
            if target in FILES and target != module:
                found.add(target)
    return found


GRAPH = {module: imported(module, path) for module, path in FILES.items()}


def upward(graph: dict[str, set[str]]) -> list[str]:
    return [
        f"{module} -> {target}"
        for module, targets in graph.items()
        for target in targets
        if floor_of(target) != floor_of(module)
        and FLOORS.index(floor_of(target)) > FLOORS.index(floor_of(module))
    ]


def test_every_package_has_a_floor():
    assert {floor_of(module) for module in FILES} <= set(FLOORS)


def test_imports_point_down():
    assert upward(GRAPH) == []


def test_no_circle():
    list(TopologicalSorter(GRAPH).static_order())


def test_the_checks_can_fail():
    path = FILES["latentflow.flow.grids"]
    up = imported("latentflow.flow.grids", path, "def f():\n    from latentflow.report import page")
    assert upward({"latentflow.flow.grids": up}) == ["latentflow.flow.grids -> latentflow.report.page"]
    with pytest.raises(CycleError):
        list(TopologicalSorter({**GRAPH, "latentflow.errors": {"latentflow.data.tables"}}).static_order())
