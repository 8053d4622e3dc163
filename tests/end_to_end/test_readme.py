"""The README keeps its word: its Python runs, its commands and targets exist."""

import re
from pathlib import Path

import numpy as np
import pytest
from click import Context

from latentflow.cli.main import COMMANDS, latentflow

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("numpy_seeded")
def test_the_python_in_it_runs_and_does_what_it_says():
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    blocks.sort(key=lambda block: not block.startswith("import numpy"))  # the others go on from this one
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["Z"].shape == (400, 3)
    assert names["log_p"].shape == (400,)
    assert names["new"].shape == (10, 3)
    np.testing.assert_allclose(names["back"], names["X"], atol=1e-6)
    assert names["sources"].shape == names["cleaned"].shape == (400, 3)
    assert names["axes"].method != "none"
    assert names["turned"].orientation.method == "jacobian"
    for column, rebuilt in zip(names["X"].T, names["linear"].T, strict=True):
        assert np.corrcoef(column, rebuilt)[0, 1] > 0.95


def test_the_commands_in_it_exist():
    # words typed on a line of their own, or in backquotes; prose says "latentflow turns a table ..."
    typed = set(re.findall(r"(?:^|`)latentflow ([a-z-]+)", README, flags=re.MULTILINE)) - {"turns"}
    assert typed == set(COMMANDS)


def test_the_options_in_it_exist():
    named = set(re.findall(r"`?(--[a-z][a-z-]+)", README)) - {"--help"}
    known = {
        option
        for name in COMMANDS
        for parameter in latentflow.get_command(Context(latentflow), name).params
        for option in parameter.opts
    }
    assert named <= known


def test_the_make_targets_in_it_exist():
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE))
    assert {"demo", "test"} < named
    assert named <= targets


def test_the_first_screen_shows_the_two_targets_and_the_three_commands():
    screen = "\n".join(README.splitlines()[:30])
    for word in ("make demo", "make test", "fit data.h5", "encode data.h5", "independence-report data.h5"):
        assert word in screen
