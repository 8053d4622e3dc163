"""The wheel in an environment of its own: no file missing, no dependency unnamed, no sources within reach."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.wheel


def output_of(*words, cwd):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def needed(requirements, found=None):
    """Distributions that the requirements name, and those that these need in turn, by canonical name."""
    found = {} if found is None else found
    for text in requirements:
        requirement = Requirement(text)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found[name] = distribution(name)
            needed(found[name].requires or [], found)
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: a build in place would pick up what an earlier one has left in build/."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("latentflow", "cli"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    output_of(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source, cwd=folder)
    (built,) = folder.glob("latentflow-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A fresh environment with the wheel and what its metadata asks for, nothing else.

    The dependencies are links to those of the environment that runs the tests, which spares a second copy of
    torch; what the metadata does not name, and nothing named needs, is not there.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    required = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]
    for dependency in needed(required).values():
        for top in {Path(file).parts[0] for file in dependency.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(dependency.locate_file(top)))
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check")
    output_of(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    output_of(*pip, "check", cwd=folder)
    return folder


def test_the_wheel_puts_one_name_on_a_users_machine(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"latentflow"}
    assert {
        "latentflow/flow/shipped_grids.npz",
        "latentflow/report/templates/independence.html.j2",
        "latentflow/py.typed",
        "latentflow/cli/main.py",
    } <= set(names)


def test_the_commands_work_from_the_wheel_alone(environment, tmp_path, tiny_rows, tiny):
    command = environment / "bin" / "latentflow"
    np.savetxt(tmp_path / "data.csv", tiny_rows(), delimiter=",", header="a,b,c", comments="")
    assert "independence-report" in output_of(command, "--help", cwd=tmp_path)
    lines = [["fit", *tiny], ["encode"], ["independence-report", "--n-boot=20"]]
    in_one_process = f"""
from latentflow.cli.main import latentflow
for command, *options in {lines}:
    latentflow([command, "data.csv", *options], standalone_mode=False)
"""
    output_of(environment / "bin" / "python", "-c", in_one_process, cwd=tmp_path)
    assert "</html>" in (tmp_path / "data.independence.html").read_text(encoding="utf-8")
    assert output_of(command, "info", tmp_path / "data.latents.h5", cwd=ROOT).startswith(str(tmp_path))


def test_the_installed_package_is_what_runs(environment, tmp_path):
    script = "import latentflow, latentflow.cli as cli; print(latentflow.__file__, cli.__file__)"
    for path in output_of(environment / "bin" / "python", "-c", script, cwd=tmp_path).split():
        assert Path(path).is_relative_to(environment)
