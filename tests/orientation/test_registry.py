"""One record a method: whatever names methods is made from the records, so that one more is accepted everywhere."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from latentflow import LatentFlow
from latentflow.analysis.axes.account import conclusion
from latentflow.cli import options
from latentflow.cli import orient as orient_command
from latentflow.data.tables import open_table
from latentflow.errors import LatentFlowError
from latentflow.model.fitted_flow import FittedFlow
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
    for place in (orient.__doc__, LatentFlow.__doc__):
        assert f"* ``{name}``: {METHODS[name].label}\n" in place
    assert f"{name}: {METHODS[name].origin}" in registry.in_words()


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


@pytest.fixture
def dummy(monkeypatch):
    """A method of two latents at most more, that leaves them as they are."""
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
    monkeypatch.setitem(registry.METHODS, "dummy", added)
    found = Orientation(np.eye(3), "dummy", angle_error=np.zeros((3, 3)))
    monkeypatch.setattr("latentflow.orientation.methods.dummy", lambda material: found, raising=False)
    for module in (options, orient_command):
        importlib.reload(module)
    yield added
    monkeypatch.undo()
    for module in (options, orient_command):
        importlib.reload(module)


def test_one_more_method_is_accepted_by_the_library_the_command_and_the_account(dummy, run, folder):
    data, file = folder / "data.h5", folder / "data.latentflow.safetensors"
    model, rows = FittedFlow.load(file, device="cpu"), open_table(data).read()
    turned = orient(model, rows, orientation="dummy", groups=np.arange(len(rows)) % 2)
    assert turned.orientation.method == "dummy"
    with pytest.raises(LatentFlowError, match="dummy needs a label for each row"):
        orient(model, rows, orientation="dummy")
    with pytest.raises(LatentFlowError, match="dummy is for at most 3 latents, not 4"):
        OrientationRequest.of("dummy", 100, groups=np.arange(100) % 2).rows(4, None)
    assert "dummy needs a label for each row" in run("orient", data, "--orientation", "dummy", code=2).stderr
    assert "dummy: the identity" in re.sub(r"\s+", " ", run("orient", "--help").stdout)
    column = run("orient", data, "--orientation", "dummy", "--groups", "voltage", code=2).stderr
    assert "fewer than two" in column  # groups are looked at as those of any method that goes by them
    assert conclusion(turned.orientation, ()).startswith("If they were the sources before, the latents are")
