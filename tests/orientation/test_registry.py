"""One record a method: whatever names methods is made from the records, so that one more is accepted everywhere."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from latentflow import LatentFlow
from latentflow.analysis.axes.account import conclusion, is_anchored
from latentflow.data.tables import open_table
from latentflow.errors import LatentFlowError
from latentflow.model.orient import orient
from latentflow.orientation import registry
from latentflow.orientation.record import Orientation, undetermined
from latentflow.orientation.registry import GROUPS, METHODS, ORDER, OrientationMethod, method_for, method_of
from latentflow.orientation.request import OrientationRequest

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_table_of_the_readme_is_that_of_the_records():
    head = (
        "| `--orientation` | the rotation comes from | the latents are then the sources if |\n|---|---|---|\n"
    )
    rows = "".join(f"| `{each.name}` | {each.origin} | {each.assumption} |\n" for each in METHODS.values())
    assert head + rows + "\n" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_found_and_told_of(name):
    module, function = METHODS[name].find.split(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert f"* ``{name}``: {METHODS[name].label}\n" in orient.__doc__
    for place in (registry.in_words(), " ".join(LatentFlow.__doc__.split())):
        assert f"{name}: {METHODS[name].origin}" in place


def test_auto_takes_the_first_method_whose_need_is_met():
    assert method_for("auto", []) == "auto"
    assert method_for("auto", [GROUPS]) == "groups"
    assert method_for("auto", [GROUPS, ORDER]) == "temporal"
    assert method_for("ica", [GROUPS, ORDER]) == "ica"
    with pytest.raises(LatentFlowError, match="orientation temporal needs rows in the order of time"):
        method_for("temporal", [GROUPS])


def test_what_is_not_known_says_nothing():
    assert (method_of("auto").needs, method_of("auto").most_latents) == (None, None)
    other = Orientation(np.eye(2), "of-later", angle_error=undetermined(2))
    assert conclusion(other, ()).startswith("If the assumptions of its method hold, ")


ADDED = """
from click import command, testing
from latentflow.orientation import registry
registry.METHODS["dummy"] = registry.OrientationMethod("dummy", "a:b", "the identity", "no rotation", "they are")
from latentflow.cli import options

@command()
@options.orientation
def show(orientation):
    print(orientation)

for words in (["--orientation", "dummy"], ["--help"]):
    print(testing.CliRunner().invoke(show, words, terminal_width=1000).output)
"""


def test_the_command_line_offers_one_more_method():
    offered = subprocess.run([sys.executable, "-c", ADDED], capture_output=True, text=True, check=True).stdout
    assert offered.startswith("dummy\n")
    assert "none|dummy]" in offered
    assert "dummy: the identity" in offered


def test_one_more_method_is_accepted_by_orient_and_the_account(model, fitted_folder, monkeypatch):
    added = OrientationMethod(
        "dummy",
        "latentflow.orientation.methods:dummy",
        origin="the identity",
        label="no rotation",
        assumption="they were the sources before",
        needs=GROUPS,
        most_latents=3,
        anchored=True,
    )
    monkeypatch.setitem(METHODS, "dummy", added)
    identity = Orientation(np.eye(3), "dummy", angle_error=np.zeros((3, 3)))
    monkeypatch.setattr("latentflow.orientation.methods.dummy", lambda material: identity, raising=False)
    rows = open_table(fitted_folder / "data.h5").read()
    turned = orient(model, rows, orientation="dummy", groups=np.arange(len(rows)) % 2).orientation
    assert turned.method == "dummy"
    assert is_anchored(turned)
    assert conclusion(turned, ()).startswith("If they were the sources before, the latents are")
    with pytest.raises(LatentFlowError, match="dummy needs a label for each row"):
        orient(model, rows, orientation="dummy")
    with pytest.raises(LatentFlowError, match="fewer than two of"):  # as of any method that goes by groups
        orient(model, rows, orientation="dummy", groups=np.zeros(len(rows)))
    with pytest.raises(LatentFlowError, match="dummy is for at most 3 latents, not 4"):
        OrientationRequest.of("dummy", 100, groups=np.arange(100) % 2).rows(4, None)
