"""The commands as a user types them, in processes of their own, from the repository and from elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from latentflow.data.tables import open_table

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("latentflow")


def typed(*words, cwd, program=(str(COMMAND),)):
    # Nothing of this process may help: no path to the sources, no terminal.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [*program, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(params=["the repository", "elsewhere"])
def place(request, tmp_path):
    return ROOT if request.param == "the repository" else tmp_path


def test_fit_encode_decode_and_report(tmp_path, write_table, tiny_rows, tiny):
    write_table(tmp_path / "data.h5", tiny_rows())
    for words in (
        ("fit", "data.h5", *tiny),
        ("encode", "data.h5"),
        ("decode", "data.latents.h5"),
        ("independence-report", "data.h5", "--n-boot", "50"),
    ):
        done = typed(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert done.stdout.splitlines()
    assert {path.name for path in tmp_path.iterdir()} == {
        "data.h5",
        "data.latentflow.safetensors",
        "data.latents.h5",
        "data.decoded.h5",
        "data.independence.html",
        "data.independence.json",
    }
    np.testing.assert_allclose(
        open_table(tmp_path / "data.decoded.h5").read(), open_table(tmp_path / "data.h5").read(), atol=1e-6
    )
    page = (tmp_path / "data.independence.html").read_text(encoding="utf-8")
    assert not any(f'{word}="http' in page for word in ("src", "href"))


def test_the_command_runs_wherever_it_is_typed(place, fitted_folder):
    done = typed("info", fitted_folder / "data.latentflow.safetensors", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "a model of latentflow" in done.stdout


def test_the_module_runs_wherever_it_is_typed(place):
    done = typed("info", "--help", cwd=place, program=(sys.executable, "-m", "latentflow.cli.main"))
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout


def test_a_failure_is_one_line_and_code_2(tmp_path):
    done = typed("fit", "none.h5", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("latentflow: error: ")
    assert done.stderr.count("\n") == 1


def test_the_demonstration_set_is_a_table_with_names(tmp_path):
    program = (sys.executable, "-m", "datasets.demo")
    done = typed(tmp_path / "demo.h5", "--rows", "50", cwd=ROOT, program=program)
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "demo.h5") as file:
        assert file["sources"].shape == file["X"].shape
    assert open_table(tmp_path / "demo.h5").columns[0] != "column00"
