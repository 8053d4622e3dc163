"""Which orientation the rows speak for: each branch by models whose likelihoods are given, and one by the real ones."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest

from datasets.mixing import Matrix
from datasets.orientation import draw
from latentflow.base import gaussianization
from latentflow.base.fastica import ICAAxes, ica_axes
from latentflow.base.initialisation import curves_to_normal
from latentflow.orientation import methods as orientation_ways
from latentflow.orientation import selection as orientation_choice
from latentflow.orientation.methods import LARGEST_SHORTFALL, Material, from_layers, layered_fits, linear_fit
from latentflow.orientation.record import Orientation, agreement
from latentflow.orientation.selection import ADVANTAGE_WITH_BEND, ADVANTAGE_WITHOUT_BEND, choose
from latentflow.statistics.ranks import normal_scores

ROWS, LATENTS = 10_000, 4
RESIDUAL = {"kind": "residual", "dimension": LATENTS, "width": 128, "depth": 3}
SEPARABLE = {"kind": "separable", "dimension": LATENTS}
BOTH = {"kind": "sum", "parts": [SEPARABLE, RESIDUAL]}


@dataclass
class Stage:
    """What the models of the mixture are made to say, nats a row, and the axes that they are made to find."""

    flow: float = 0.0
    linear: float = 0.0
    layers: float = 0.0
    spread: float = 0.0
    network: dict = field(default_factory=lambda: RESIDUAL)
    metric: np.ndarray = field(default_factory=lambda: np.eye(LATENTS))
    n: int = ROWS
    k: int = LATENTS


@pytest.fixture
def chosen(monkeypatch):
    """Function of a stage that gives the orientation chosen."""

    def play(stage):
        noise = stage.spread * np.random.default_rng(0).normal(size=200)

        def fit(level, bends=1):
            return SimpleNamespace(log_prob=np.full(200, level), layers=bends, start="a start")

        def way(method, rotation=None):
            return Orientation(np.eye(stage.k) if rotation is None else rotation, method, details={"own": 1})

        for name, value in {
            "ica_axes": lambda x, seed: ICAAxes(np.eye(stage.k), True),
            "linear_fit": lambda material, rotation: fit(stage.linear),
            "flow_log_prob": lambda material: stage.flow + noise,
            "layered_fits": lambda material, layers: (fit(stage.layers, layers),),
            "one_more_layer": lambda material, two, right=-np.inf: fit(stage.layers, 3),
            "from_ica": lambda material, found: way("ica"),
            "from_layers": lambda material, layers: way("gaussianization"),
            "jacobian": lambda material: way("jacobian"),
            "metric": lambda material: way("metric", stage.metric),
        }.items():
            monkeypatch.setattr(orientation_choice, name, value)
        material = SimpleNamespace(flow=None, x=np.zeros((stage.n, stage.k)), seed=0, network=stage.network)
        found = choose(material)
        assert "\n" not in found.reason
        assert found.details["own"] == 1
        return found

    return play


def turned(angle):
    """Axes turned in two planes."""
    c, s = np.cos(angle), np.sin(angle)
    return np.kron(np.eye(2), [[c, -s], [s, c]])


def test_a_flow_no_better_than_linear_ica_means_a_linear_mixture(chosen):
    for stage in (
        Stage(flow=-5.0, linear=-5.0, layers=-5.0),
        Stage(flow=-5.3, linear=-5.0, layers=-4.9),
        Stage(flow=-4.97, linear=-5.0, layers=-4.7),  # less than 0.01 nats a coordinate
        Stage(flow=-4.9, linear=-5.0, layers=-4.7, spread=2.0),  # less than two standard errors
    ):
        found = chosen(stage)
        assert found.method == "ica"
        assert "no better than linear ICA" in found.reason
        assert "linear ICA -5.00" in found.reason
        assert found.details["log_prob_layers"] == pytest.approx(stage.layers)
        assert found.details["log_prob_linear"] == -5.0
        separable = chosen(replace(stage, network=BOTH))
        assert separable.method == "jacobian"
        assert separable.reason == found.reason


def test_a_separable_flow_is_a_linear_model_however_likely(chosen):
    stage = Stage(flow=-4.0, linear=-5.0, layers=-3.9, network=SEPARABLE)
    found = chosen(stage)
    assert found.method == "jacobian"
    assert "separable along axes of its own" in found.reason
    # with more than axes it is not
    more = replace(stage, network=BOTH)
    assert chosen(more).method == "gaussianization"


@pytest.mark.parametrize(
    ("stage", "level"),
    [
        (Stage(flow=-5.1, linear=-5.0), -5.0),
        (Stage(flow=-4.0, linear=-5.0, network=SEPARABLE), -4.0),
    ],
)
def test_a_bend_that_the_flow_has_not_found_is_given_layers(chosen, stage, level):
    found = chosen(replace(stage, layers=level + 1.01 * ADVANTAGE_WITHOUT_BEND * LATENTS))
    assert found.method == "gaussianization"
    assert "has found no bend" in found.reason
    assert found.details["bend_found"] is False
    assert "3 layers of it" in found.reason
    # smooth mixtures, and chance, make them a little likelier
    less = chosen(replace(stage, layers=level + 0.99 * ADVANTAGE_WITHOUT_BEND * LATENTS))
    assert less.method in ("ica", "jacobian")
    assert "2 layers of it" in less.reason
    # nor are any tried in many dimensions
    assert chosen(replace(stage, layers=0.0, k=33)).method == less.method


def test_layers_that_explain_what_the_flow_explains_are_taken(chosen):
    found = chosen(Stage(flow=-4.0, linear=-5.0, layers=-4.07))
    assert found.method == "gaussianization"
    assert "layers of linear ICA explain the rows" in found.reason
    assert "3 layers of it -4.07" in found.reason
    assert found.details["log_prob_flow"] == pytest.approx(-4.0)
    assert found.details["log_prob_layers"] == pytest.approx(-4.07)
    # better than the flow is as good
    assert chosen(Stage(flow=-4.0, linear=-5.0, layers=-3.0)).method == "gaussianization"


def test_most_of_a_great_advantage_is_not_all_of_it(chosen):
    """Layers of which one is missing can explain nearly all that a strong bend makes, along wrong axes."""
    short = LARGEST_SHORTFALL * LATENTS
    assert chosen(Stage(flow=-4.0, linear=-9.0, layers=-4 - 0.99 * short)).method == "gaussianization"
    found = chosen(Stage(flow=-4.0, linear=-9.0, layers=-4 - 1.01 * short))
    assert found.method == "metric"
    assert "no small model tried explains the rows" in found.reason
    # and nearly all is too little where that is little
    assert chosen(Stage(flow=-4.0, linear=-4.4, layers=-4 - 0.99 * short)).method == "metric"


def test_layers_that_explain_a_slight_bend_are_not_believed(chosen):
    bend = ADVANTAGE_WITH_BEND * LATENTS
    assert chosen(Stage(flow=-5 + bend, linear=-5.0, layers=-5 + 1.01 * bend)).method == "gaussianization"
    found = chosen(Stage(flow=-5 + bend, linear=-5.0, layers=-5 + 0.99 * bend))
    assert found.method == "metric"
    assert "bends so little that wrong axes may do so too, so the axes of the decoder metric" in found.reason
    # of a flow that has found next to nothing they can be far ahead
    assert chosen(Stage(flow=-5 + bend / 2, linear=-5.0, layers=-4.0)).method == "gaussianization"


@pytest.mark.parametrize(("angle", "told"), [(0.4, "much the same"), (0.5, "FastICA has other axes")])
def test_where_they_do_not_the_metric_is_taken_and_whether_fastica_agrees_is_told(chosen, angle, told):
    stage = Stage(flow=-4.0, linear=-5.0, layers=-4.11, metric=turned(angle)[:, [2, 0, 3, 1]])
    found = chosen(stage)
    assert found.method == "metric"
    np.testing.assert_array_equal(found.rotation, stage.metric)
    assert told in found.reason
    assert f"{np.cos(angle):.2f}" in found.reason
    assert found.details["agreement_metric_ica"] == pytest.approx(np.cos(angle))


def test_few_rows_are_not_compared(chosen):
    found = chosen(Stage(flow=9.0, linear=-5.0, layers=9.0, n=999))
    assert found.method == "ica"
    assert "999 rows are too few" in found.reason
    assert "log_prob_flow" not in found.details
    assert chosen(Stage(flow=9.0, linear=-5.0, layers=9.0, n=1000)).method == "gaussianization"


def test_in_many_dimensions_no_layers_are_tried(chosen):
    found = chosen(Stage(flow=-4.0, linear=-5.0, layers=-4.0, k=33, metric=np.eye(33)))
    assert found.method == "metric"
    assert "log_prob_layers" not in found.details


def test_agreement_is_of_axes_whatever_their_order_and_sign():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert agreement(axes, axes[:, [3, 1, 4, 0, 2]] * [1, -1, 1, -1, -1]) == pytest.approx(1)
    assert agreement(np.eye(4), turned(0.3)) == pytest.approx(np.cos(0.3))
    # one axis each: two that look alike do not share a match
    assert agreement(np.eye(2), turned(np.pi / 4)[:2, :2]) == pytest.approx(np.sqrt(0.5))


@pytest.fixture
def more(monkeypatch):
    """Function of log p of two and of three layers, and of their axes, that gives how many are taken."""
    rng = np.random.default_rng(0)

    def play(two, three, *, spread=0.0, axes=(0.0, 0.0), right=-np.inf):
        level = {2: np.full(200, two), 3: np.full(200, three) + spread * rng.normal(size=200)}
        rotations = {layers: turned(angle) for layers, angle in zip((2, 3), axes, strict=True)}

        def fitted(material, layers):
            return (
                SimpleNamespace(log_prob=level[layers], layers=layers, latents=lambda x: rotations[layers]),
            )

        for name, value in {
            "layered_fits": fitted,
            "procrustes": lambda z, latents: latents,
            "metric": lambda material: Orientation(np.eye(LATENTS)),
        }.items():
            monkeypatch.setattr(orientation_ways, name, value)
        material = SimpleNamespace(x=np.zeros((9, LATENTS)), z=None)
        return orientation_ways.one_more_layer(material, fitted(material, 2)[0], right).layers

    return play


def test_a_third_layer_must_be_clearly_likelier_than_two_that_explain_the_rows(more):
    assert more(-4.0, -3.95) == 3
    assert more(-4.0, -3.97) == 2  # less than 0.01 nats a coordinate
    assert more(-4.0, -3.9, spread=2.0) == 2  # less than two standard errors
    assert more(-4.0, -4.1) == 2
    # where two do not explain the rows the likelier are taken
    assert more(-4.0, -3.99, right=-3.5) == 3
    assert more(-4.0, -4.01, right=-3.5) == 2


def test_or_as_likely_with_the_axes_of_the_metric_that_two_layers_lack(more):
    assert more(-4.0, -3.99, axes=(0.5, 0.1), right=-4.1) == 3
    assert more(-4.0, -4.01, axes=(0.5, 0.1), right=-4.1) == 2
    assert more(-4.0, -3.99, axes=(0.4, 0.0), right=-4.1) == 2
    assert more(-4.0, -3.99, axes=(0.7, 0.2), right=-4.1) == 2
    assert more(-4.0, -3.99, axes=(0.5, 0.1)) == 2  # of a flow that explains nothing


def test_enough_is_most_of_what_the_flow_has_over_linear_ica_and_not_far_from_it():
    assert orientation_ways.enough(np.full(5, -4.0), np.full(5, -5.0), 9) == pytest.approx(-4.1)
    assert orientation_ways.enough(np.full(5, -4.0), np.full(5, -5.0), 2) == pytest.approx(
        -4 - 2 * LARGEST_SHORTFALL
    )


def test_layers_start_where_derivatives_say_and_find_the_sources(monkeypatch):
    """A leaky mixture with the Jacobians of its true inverse: three layers, of which two do not explain the rows."""
    monkeypatch.setattr(gaussianization, "STAGES", ((64, 150), (2, 300)))
    mixture = draw("lrelu3", 3000, 3, 0)
    values, basis = np.linalg.eigh(np.cov(mixture.X.T))
    x = (mixture.X - mixture.X.mean(0)) @ (basis / np.sqrt(values))
    scores = normal_scores(mixture.S)
    # ∂z/∂x: backwards through the rotations and leaky ReLUs, z being the sources' normal scores
    slopes = curves_to_normal(mixture.S)
    steep = np.stack(
        [np.exp(np.interp(mixture.S[:, i], slopes.at[i], slopes.log_slope[i])) for i in range(3)], axis=1
    )
    jacobians, within = np.tile((basis * np.sqrt(values)), (len(x), 1, 1)), mixture.X
    for step in reversed(mixture.mixing.maps):
        if isinstance(step, Matrix):
            jacobians = np.linalg.inv(step.A) @ jacobians
        else:
            jacobians = jacobians / np.where(within < 0, step.slope, 1.0)[:, :, None]
        within = step.inverse(within)
    whitening = SimpleNamespace(basis=basis, variances=values)
    validation = np.arange(len(x)) % 10 == 0
    material = Material(
        None,
        whitening,
        {},
        mixture.X,
        x,
        scores,
        validation,
        np.arange(len(x)),
        None,
        0,
    )
    material.__dict__["jacobians"] = x, steep[:, :, None] * jacobians  # what the property would hold
    rotation = ica_axes(x, 0).rotation
    linear = linear_fit(material, rotation)
    assert linear.layers == 1
    two, three = (layered_fits(material, layers)[0] for layers in (2, 3))
    assert [fit.layers for fit in (two, three)] == [2, 3]
    assert linear.log_prob.mean() + 0.1 < two.log_prob.mean() < three.log_prob.mean() - 0.1
    found = from_layers(material, three)
    assert agreement(found.rotation, np.eye(3)) > 0.99
    assert agreement(from_layers(material, two).rotation, np.eye(3)) < 0.95
    assert found.details == {"start": three.start, "layers": 3}
