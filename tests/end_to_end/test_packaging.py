"""What is installed: every package of ours with its data files, and no name that is not ours."""

import tomllib
from pathlib import Path

import pytest

import latentflow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_listed_and_nothing_else_at_the_top(settings):
    ours = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "latentflow").rglob("__init__.py")
    }
    listed = set(settings["tool"]["setuptools"]["packages"])
    assert listed == ours | {"latentflow.cli"}


def test_the_constraints_pin_every_dependency(settings):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}
    project = settings["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *extras["parquet"], *extras["test"], *extras["dev"]]:
        name = requirement.partition(">=")[0].lower().replace("-", "_")
        assert name in {pin.replace("-", "_") for pin in pinned} or name.startswith("latentflow"), requirement


def test_the_changelog_has_this_version():
    assert f"## [{latentflow.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
