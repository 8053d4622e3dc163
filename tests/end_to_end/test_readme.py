"""The README keeps its word: its Python runs, its commands and targets exist."""

import re
from pathlib import Path

import numpy as np

from latentflow.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_in_it_runs_and_does_what_it_says():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["Z"].shape == (400, 3)
    assert names["log_p"].shape == (400,)
    assert names["new"].shape == (10, 3)
    np.testing.assert_allclose(names["back"], names["X"], atol=1e-6)


def test_the_commands_in_it_exist():
    typed = set(re.findall(r"latentflow ((?:fit|encode|decode|independence-report|info)\b)", README))
    assert typed == set(COMMANDS)


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
