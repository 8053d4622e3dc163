"""The settings of a fit are said once: the command, the estimator, the record and the refusals come from one class."""

import inspect
import json
import re
from dataclasses import dataclass

import click
import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.utils.estimator_checks import check_param_validation

from latentflow import LatentFlow, LatentFlowError
from latentflow.cli import options
from latentflow.cli.fit import command
from latentflow.data.preprocess import Preprocessor
from latentflow.data.splits import make_split
from latentflow.estimator import PARAMETERS, ParameterError, constraints
from latentflow.flow.solver_names import solver_names
from latentflow.model.fit import fit_flow
from latentflow.model.settings import FitSettings, facts, parameters_section, setting
from latentflow.orientation.registry import choices

FACTS = facts(FitSettings)
ROWS = np.random.default_rng(0).laplace(size=(40, 2))


@dataclass(frozen=True)
class Warmer(FitSettings):
    """The settings with one more, which nothing else knows of."""

    warmth: float | None = setting(None, "How warm.", float, low=0, high=9, open_high=True, shown="tepid")


def refused(name):
    """Values just outside what a setting allows, and one of another type."""
    about = FACTS[name]
    if about.choices:
        return ["sideways", 3]
    if about.kind in (str, bool):
        return [3.5]
    step = 1 if about.kind is int else 1e-9
    below = [about.low if about.open_low else about.low - step]
    above = [] if about.high is None else [about.high if about.open_high else about.high + step]
    return [*below, *above, "many", *([2.5] if about.kind is int else [float("nan")])]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in FACTS for value in refused(name)])
def test_what_is_not_allowed_is_refused_in_one_line_by_command_estimator_and_library(
    run, tmp_path, name, value
):
    with pytest.raises(LatentFlowError, match=re.escape(f"{name} must be {FACTS[name].allowed()}")) as caught:
        fit_flow(ROWS, ["a", "b"], **{name: value})
    assert "\n" not in str(caught.value)
    parameter = PARAMETERS.get(name, name)
    with pytest.raises(ParameterError, match=f"'{parameter}' parameter of LatentFlow must be ") as caught:
        LatentFlow(**{parameter: value}).fit(ROWS)
    assert "\n" not in str(caught.value)
    if FACTS[name].kind is bool or (FACTS[name].kind is str and not FACTS[name].choices):
        return  # a flag takes no value, and any word is a text
    option = f"--{name.replace('_', '-')}"
    lines = run("fit", tmp_path / "none.h5", f"{option}={value}", code=2).stderr.splitlines()
    # click takes nan for a number in any range
    words = f"error: {name} must be " if value != value else f"Invalid value for '{option}'"
    assert sum(words in line for line in lines) == 1


def test_the_ends_of_a_range_are_taken():
    for name, about in FACTS.items():
        ends = [*about.choices, about.default]
        ends += [about.low] if about.low is not None and not about.open_low else []
        ends += [about.high] if about.high is not None and not about.open_high else []
        for value in ends:
            assert getattr(FitSettings.of(**{name: value}), name) == value


def test_scikit_learn_finds_every_constraint_enforced():
    check_param_validation("LatentFlow", LatentFlow())


def test_the_estimator_has_the_settings_as_parameters_with_their_defaults():
    parameters = inspect.signature(LatentFlow).parameters
    given = {name: parameters[PARAMETERS.get(name, name)].default for name in FACTS}
    assert {**given, "seed": 0} == {name: about.default for name, about in FACTS.items()}
    assert set(parameters) == {PARAMETERS.get(name, name) for name in FACTS} | {"verbose"}
    for name, about in FACTS.items():
        assert f"\n    {PARAMETERS.get(name, name)} : " in LatentFlow.__doc__
        assert "".join(about.help.split()) in "".join(LatentFlow.__doc__.split())


def test_the_command_has_the_settings_as_options_in_their_order(run):
    words = [each.opts[0] for each in command.params]
    assert [word for word in words if word[2:].replace("-", "_") in FACTS] == [
        f"--{name.replace('_', '-')}" for name in FACTS
    ]
    text = "".join(run("fit", "--help").output.split())
    for about in FACTS.values():
        assert "".join(about.help.split()) in text


def test_a_setting_is_added_in_one_place():
    @click.command()
    @options.from_settings(after={}, settings=Warmer)
    def warm(**settings):
        click.echo(Warmer.of(Warmer(), **settings).recorded()["warmth"])

    assert "How warm. [default: tepid] [0<=x<9]" in " ".join(
        CliRunner().invoke(warm, ["--help"]).output.split()
    )
    assert CliRunner().invoke(warm, ["--warmth", "3"]).output == "3.0\n"
    assert CliRunner().invoke(warm, ["--warmth", "9"]).exit_code == 2
    within, nothing = constraints(Warmer)["warmth"]
    assert (within.is_satisfied_by(3.0), within.is_satisfied_by(9.0), nothing) == (True, False, None)
    assert "    warmth : float, optional\n        How warm. Default: tepid." in parameters_section({}, Warmer)
    with pytest.raises(LatentFlowError, match="warmth must be a number at least 0 and below 9, not 9"):
        FitSettings.of(Warmer(), warmth=9)
    model = fit_flow(
        ROWS, ["a", "b"], Warmer(warmth=2.0, steps=2, width=8, depth=1), orientation="none", seed=3
    )
    assert (model.record["settings"]["warmth"], model.record["plan"]["steps"]) == (2.0, 2)
    assert set(model.record["settings"]) == {name for name, about in facts(Warmer).items() if about.recorded}
    assert (model.record["settings"]["orientation"], model.record["seed"]) == ("none", 3)


def test_a_setting_that_there_is_not_is_named():
    with pytest.raises(LatentFlowError, match=r"'stps' is no setting of a fit: there are .* steps,"):
        fit_flow(ROWS, ["a", "b"], stps=3)


def test_numbers_of_numpy_become_plain_ones():
    settings = FitSettings.of(steps=np.int64(7), held_out=np.float32(0.5), time_order=np.True_)
    assert json.loads(json.dumps(settings.recorded()))["steps"] == 7
    assert (settings.held_out, settings.time_order) == (0.5, True)


def test_a_record_of_an_older_version_has_defaults_for_what_came_later():
    told = {"preset": "fast", "components": 2, "steps": 5, "of_a_later_version": 1}
    settings = FitSettings.from_record({"settings": told, "seed": 4, "missing": "drop"})
    assert settings == FitSettings(preset="fast", components=2, steps=5, seed=4, missing="drop")
    assert settings.solver == "pec5"


def test_what_the_settings_allow_is_what_the_parts_of_a_fit_take():
    assert FACTS["orientation"].choices == choices()
    assert FACTS["solver"].choices == solver_names()
    for tails in FACTS["tails"].choices:
        Preprocessor.fit(ROWS, ["a", "b"], tails=tails)
    for mode in FACTS["split"].choices:
        make_split(ROWS, mode=mode, held_out=0.89, rng=np.random.default_rng(0))
