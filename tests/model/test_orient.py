"""Oriented latents: the sources where theory says so, the same ones however the work began, a bijection as before."""

import copy
import math
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.signal import lfilter
from scipy.stats import spearmanr

from latentflow.components.source_scale import SourceScale
from latentflow.data.preprocess import Preprocessor
from latentflow.data.splits import GAP, HELD_OUT, VALIDATION
from latentflow.errors import DataError, LatentFlowError, LatentFlowWarning
from latentflow.flow.grids import log_uniform_grid
from latentflow.model.fit import fit_flow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.orient import arranged, orient
from latentflow.orientation.record import Orientation
from latentflow.orientation.registry import METHODS
from latentflow.score.oracles import IndependentOracle, MixtureOracle

UNDETERMINED = math.pi / 4
MIXING = np.array([[2.0, 0.3, -0.5], [0.1, 1.0, 0.8], [-0.4, 0.2, 1.5]])


def law(means, deviation):
    """An equal mixture of normals with one standard deviation, of mean 0 and variance 1."""
    m = torch.tensor(means, dtype=torch.float64)
    m = m - m.mean()
    unit = math.sqrt(float((m**2).mean()) + deviation**2)
    variances = torch.full((len(m), 1, 1), (deviation / unit) ** 2, dtype=torch.float64)
    return MixtureOracle(torch.ones(len(m), dtype=torch.float64), (m / unit)[:, None], variances)


LAWS = [law([-1.0, 1.0], 0.5), law([-0.5, -0.5, 1.5], 0.6), law([0.0, 0.0, 0.0, -1.6, 1.8], 0.6)]
NORMAL = law([0.0], 1.0)


def drawn(laws, rows, seed=0):
    """Sources of these laws, (rows, d), their sample whitened by a matrix near the identity."""
    rng = np.random.default_rng(seed)
    sources = []
    for each in laws:
        which = rng.integers(len(each.weights), size=rows)
        deviations = each.eigenvalues[which, 0].sqrt().numpy()
        sources.append(each.means[which, 0].numpy() + deviations * rng.normal(size=rows))
    values = np.stack(sources, axis=1)
    values = values - values.mean(0)
    variances, basis = np.linalg.eigh(np.cov(values.T, bias=True))
    return values @ (basis / np.sqrt(variances)) @ basis.T


def exact(laws, sources, mixing):
    """A model with the exact score of a linear mixture of these sources, and the rows."""
    X = sources @ mixing.T + 10
    preprocessor = Preprocessor.fit(X, [f"c{i}" for i in range(len(laws))], tails="none")
    whitened = preprocessor.forward(X)[0]
    rotation = np.linalg.lstsq(sources, whitened, rcond=None)[0].T
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(len(laws)), atol=1e-9)
    oracle = IndependentOracle(torch.tensor(rotation), laws)
    return FittedFlow(preprocessor, oracle, log_uniform_grid(0.02, 12.0, 16)), X


def mcc(latents, sources):
    d = sources.shape[1]
    correlation = np.abs(spearmanr(latents, sources).statistic[:d, d:])
    return correlation[linear_sum_assignment(-correlation)].mean()


def same_but_order_and_sign(one, other, atol):
    correlation = (one - one.mean(0)).T @ (other - other.mean(0)) / len(one)
    place = np.abs(correlation).argmax(1)
    assert sorted(place) == list(range(one.shape[1]))
    signs = np.sign(correlation[np.arange(len(place)), place])
    np.testing.assert_allclose(other[:, place] * signs, one, atol=atol, rtol=0)


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """The identity for the scale of the sources, which takes seconds, where a test does not ask for the true one."""
    if "true_scale" not in request.fixturenames:
        knots = np.linspace(-4, 4, 9)

        def identity(flow, rotation, latents, **_):
            own = np.tile(knots, (len(rotation), 1))
            return SourceScale(own, own, np.ones_like(own))

        monkeypatch.setattr("latentflow.model.orient.SourceScale.fit", identity)
    monkeypatch.setattr("latentflow.components.mean_jacobians.MOST_ROWS", 30)
    monkeypatch.setattr("latentflow.orientation.jacobians.MOST_ROWS", 200)


@pytest.fixture
def true_scale():
    """Asks for the scale of the sources as it is."""


@pytest.fixture(scope="module")
def sources():
    return drawn(LAWS, 2000)


@pytest.fixture(scope="module")
def linear(sources):
    return exact(LAWS, sources, MIXING)


@pytest.fixture(scope="module")
def oriented(linear):
    model, X = linear
    return orient(model, X, orientation="jacobian")


def test_the_latents_of_the_plain_flow_are_not_the_sources(linear, sources):
    model, X = linear
    assert mcc(model.encode(X).latents, sources) < 0.95
    assert mcc(orient(model, X, orientation="none").encode(X).latents, sources) < 0.95


@pytest.mark.parametrize("method", ["jacobian", "metric"])
def test_those_of_the_oriented_flow_are(linear, sources, method):
    model, X = linear
    turned = orient(model, X, orientation=method)
    assert (turned.orientation.method, turned.orientation.asked) == (method, method)
    assert turned.orientation.converged
    assert mcc(turned.encode(X).latents, sources) > 1 - 1e-6
    # the rotation itself, in the directions of the true one
    gain = model.denoiser.rotation.numpy().T @ turned.orientation.rotation
    np.testing.assert_allclose(np.sort(np.abs(gain), axis=1), [[0, 0, 1]] * 3, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "told", "atol"),
    [
        ("jacobian", {}, 1e-6),
        ("metric", {}, 1e-6),
        ("ica", {}, 0.03),
        ("groups", {"groups": np.arange(2000) // 250}, 1e-6),
        ("temporal", {"time_order": True}, 1e-6),
        ("auto", {}, 0.03),
        pytest.param("auto", {}, 0.03, marks=pytest.mark.full),
    ],
)
def test_rotating_the_data_rotates_nothing_but_order_and_sign(
    sources, method, told, atol, request, monkeypatch
):
    """Any mixing of the sources, with any rotation of the whitened rows, has the same oriented latents."""
    changing = np.exp(np.sin(np.arange(2000)[:, None] / [90, 170, 400]))
    values = sources * changing if method == "groups" else sources
    if method == "temporal":
        values = np.column_stack(
            [lfilter([1], [1, -c], s) for c, s in zip([0.2, 0.6, 0.9], sources.T, strict=True)]
        )
    values = values - values.mean(0)
    variances, basis = np.linalg.eigh(np.cov(values.T, bias=True))
    values = values @ (basis / np.sqrt(variances)) @ basis.T
    rotation = np.linalg.qr(np.random.default_rng(8).normal(size=(3, 3)))[0]
    mixings = [MIXING, rotation @ MIXING, MIXING[::-1] @ rotation]
    if method == "auto" and not request.node.get_closest_marker("full"):
        # layers, which auto tries, take their time to train
        monkeypatch.setattr("latentflow.base.gaussianization.STAGES", ((16, 60), (2, 100)))
        del mixings[1]
    found = []
    for mixing in mixings:
        model, X = exact(LAWS, values, mixing)
        found.append(orient(model, X, orientation=method, **told).encode(X).latents)
    assert mcc(found[0], values) > 0.97
    for other in found[1:]:
        same_but_order_and_sign(found[0], other, atol)


def test_order_and_sign_do_not_depend_on_those_in_which_the_axes_were_found(linear, oriented, true_scale):
    model, X = linear
    z = model.encode(X).latents
    found = oriented.orientation
    error = np.array([[0, 0.1, 0.2], [0.1, 0, 0.3], [0.2, 0.3, 0]])
    expected = oriented.encode(X, scale="source").latents
    order, flips = np.array([1, 2, 0]), np.array([-1.0, 1.0, -1.0])
    other = replace(found, rotation=found.rotation[:, order] * flips, angle_error=error[np.ix_(order, order)])
    again = arranged(model, other, X, z)
    np.testing.assert_allclose(again.orientation.rotation, found.rotation, atol=1e-6)
    np.testing.assert_array_equal(again.orientation.angle_error, error)
    np.testing.assert_allclose(again.encode(X, scale="source").latents, expected, atol=1e-6)
    np.testing.assert_allclose(again.mean_jacobians.mixing, oriented.mean_jacobians.mixing, atol=0.01)


def test_the_longer_tail_points_up_and_the_largest_latent_comes_first(linear, oriented, sources):
    X = linear[1]
    scaled = oriented.encode(X, scale="source").latents
    same_but_order_and_sign(scaled, sources, 1e-3)
    skewness = (scaled**3).mean(0)
    skewed = np.abs(skewness) > 0.3
    assert skewed.sum() == 1
    assert (skewness[skewed] > 0).all()
    # the picture is the mixing matrix, and the share of the columns that each explains falls
    correlation = sources.T @ scaled / len(scaled)
    place = np.abs(correlation).argmax(0)
    signs = np.sign(correlation[place, np.arange(3)])
    np.testing.assert_allclose(oriented.mean_jacobians.mixing, MIXING[:, place] * signs, atol=0.02)
    share = (MIXING**2 / (MIXING**2).sum(1, keepdims=True)).mean(0)[place]
    assert (np.diff(share) < 0).all()


@pytest.mark.parametrize("method", ["jacobian", "metric", "ica"])
def test_two_normal_sources_leave_their_plane_undetermined(method):
    laws = [NORMAL, LAWS[0], NORMAL, LAWS[1]]
    sources = drawn(laws, 2500, seed=1)
    mixing = np.random.default_rng(1).normal(size=(4, 4))
    model, X = exact(laws, sources, mixing)
    turned = orient(model, X, orientation=method)
    latents, error = turned.encode(X).latents, turned.orientation.angle_error
    correlation = np.abs(spearmanr(latents, sources).statistic[:4, 4:])
    of_others = correlation[:, [1, 3]].argmax(0)
    assert (correlation[of_others, [1, 3]] > 0.98).all()
    plane = np.setdiff1d(np.arange(4), of_others)
    assert error[plane[0], plane[1]] == UNDETERMINED
    error[plane[0], plane[1]] = error[plane[1], plane[0]] = 0
    assert error.max() < 0.1
    # all of the plane is there, only its axes mean nothing
    both = latents[:, plane]
    assert np.linalg.lstsq(both, sources[:, [0, 2]], rcond=None)[1].max() < 0.02 * len(X)


def test_without_an_orientation_every_plane_is_undetermined(linear):
    model, X = linear
    none = orient(model, X, orientation="none").orientation
    assert (none.method, none.asked) == ("none", "none")
    assert (none.angle_error == UNDETERMINED * (1 - np.eye(3))).all()


def test_without_an_orientation_latents_have_no_source_scale_and_say_why(linear, monkeypatch):
    model, X = linear
    monkeypatch.setattr(
        "latentflow.model.orient.SourceScale.fit", lambda *_, **__: pytest.fail("it is computed")
    )
    none = orient(model, X, orientation="none")
    assert none.source_scale is None
    with pytest.raises(LatentFlowError, match="no orientation chose its axes: `latentflow orient` adds one"):
        none.encode(X[:3], scale="source")
    # order and sign are definite all the same
    correlation = np.corrcoef(X.T, none.encode(X).latents.T)[:3, 3:]
    assert (correlation[np.abs(correlation).argmax(0), range(3)] > 0).all()


# --- a small network in the place of the closed form: density, files, rows -------------------------------------


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    values = np.column_stack([rng.laplace(size=700), rng.uniform(-1, 1, 700), rng.exponential(size=700)])
    return values @ MIXING + [230, 5, 0]


@pytest.fixture(scope="module")
def network(rows):
    return fit_flow(rows, ["a", "b", "c"], steps=40, width=12, depth=1, seed=4, orientation="none")


WAYS = [method for method in METHODS if method not in ("none", "gaussianization")]


def told(method, n=700):
    return {"groups": {"groups": np.arange(n) // 100}, "temporal": {"time_order": True}}.get(method, {})


@pytest.mark.parametrize("method", WAYS)
def test_density_and_bijection_are_as_before(network, rows, method):
    turned = orient(network, rows, orientation=method, **told(method))
    assert turned.orientation.method == method
    rows = rows[:150]
    before, after = (m.encode(rows, log_prob=True) for m in (network, turned))
    np.testing.assert_allclose(after.log_prob, before.log_prob, atol=1e-10)
    np.testing.assert_allclose(after.log_det, before.log_det, atol=1e-10)
    np.testing.assert_allclose(turned.decode(after.latents), rows, atol=1e-8)
    np.testing.assert_allclose(
        turned.decode(turned.encode(rows, scale="source").latents, scale="source"), rows, atol=1e-8
    )
    rotation = turned.orientation.rotation
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(
        after.latents, before.latents @ np.linalg.solve(network.orientation.rotation, rotation)
    )
    # the model that was given is left as it was
    assert network.orientation.method == "none"


def test_the_record_says_how_the_model_is_oriented_now_and_leaves_that_of_the_other_alone(network, rows):
    named = replace(network, record={**network.record, "groups": "label", "time": "t"})
    before = copy.deepcopy(named.record)
    turned = orient(named, rows, orientation="temporal", time_order=True)
    settings = turned.record["settings"]
    assert (settings["orientation"], settings["time_order"]) == ("temporal", True)
    assert (turned.record["groups"], turned.record["time"]) == (None, None)  # by no column that has a name
    assert {**settings, "orientation": "none", "time_order": False} == before["settings"]
    turned.record["split"]["mode"] = "another"
    assert named.record == before
    # a way that goes by no column keeps the names for another time
    kept = orient(named, rows, orientation="ica").record
    assert (kept["settings"]["orientation"], kept["groups"], kept["time"]) == ("ica", "label", "t")
    assert "groups" not in orient(network, rows, orientation="ica").record


def test_turning_twice_is_turning_once(network, rows):
    first = orient(network, rows, orientation="metric")
    again = orient(orient(network, rows, orientation="ica"), rows, orientation="metric")
    np.testing.assert_array_equal(again.orientation.rotation, first.orientation.rotation)
    np.testing.assert_array_equal(again.source_scale.positions, first.source_scale.positions)


def test_the_file_keeps_orientation_scale_and_picture_bit_for_bit(network, rows, tmp_path, true_scale):
    turned = orient(network, rows, orientation="groups", groups=np.arange(700) // 100)
    loaded = FittedFlow.load(turned.save(tmp_path / "m.safetensors"), device="cpu")
    for name in ("method", "asked", "reason", "converged"):
        assert getattr(loaded.orientation, name) == getattr(turned.orientation, name)
    assert dict(loaded.orientation.details) == dict(turned.orientation.details)
    for part, names in {
        "orientation": ("rotation", "angle_error"),
        "source_scale": ("knots", "positions", "slopes"),
        "mean_jacobians": ("components", "mixing", "mean"),
    }.items():
        for name in names:
            one, other = (getattr(getattr(m, part), name) for m in (loaded, turned))
            np.testing.assert_array_equal(one, other)
    for scale in ("latent", "source"):
        np.testing.assert_array_equal(
            loaded.encode(rows, scale=scale).latents, turned.encode(rows, scale=scale).latents
        )
    assert loaded.hash == turned.hash != network.hash


def test_held_out_rows_and_gaps_are_not_looked_at(network, rows):
    changed = rows.copy()
    away = (network.roles == HELD_OUT) | (network.roles == GAP)
    assert away.sum() > 100
    changed[away] = np.nan
    for method in ("metric", "ica"):
        first, second = (orient(network, X, orientation=method) for X in (rows, changed))
        np.testing.assert_array_equal(first.orientation.rotation, second.orientation.rotation)
    # roles of the user's own go before those of the model
    with pytest.raises(LatentFlowError):
        orient(network, changed, orientation="metric", roles=np.zeros(700, np.uint8))


def test_rows_of_another_table_are_all_looked_at(network, rows):
    other = np.concatenate([rows, rows[:50]])
    turned = orient(network, other, orientation="groups", groups=np.arange(750) // 150)
    assert turned.orientation.details["groups_used"] == [0, 1, 2, 3, 4]


def test_one_latent_has_nothing_to_turn(rows):
    model = fit_flow(rows, ["a", "b", "c"], steps=5, width=8, depth=1, components=1)
    turned = orient(model, rows, orientation="jacobian")
    assert turned.orientation.rotation.shape == (1, 1)
    assert turned.orientation.asked == "jacobian"
    assert turned.source_scale is not None


def test_many_rows_are_thinned_and_stay_neighbours_where_they_follow_each_other(linear, monkeypatch):
    model, X = linear
    monkeypatch.setattr("latentflow.orientation.rows.MOST_ROWS", 800)
    seen = {}

    def watch(material):
        seen["positions"], seen["validation"] = material.positions, material.validation
        return Orientation.identity(3)

    for method in ("temporal", "metric"):
        monkeypatch.setattr(f"latentflow.orientation.methods.{method}", watch)
    roles = np.zeros(len(X), np.uint8)
    roles[::7] = VALIDATION
    orient(model, X, orientation="temporal", time_order=True, roles=roles)
    assert len(seen["positions"]) == 800
    assert (np.diff(seen["positions"]) == 1).mean() > 0.98
    assert seen["positions"][-1] == len(X) - 1
    np.testing.assert_array_equal(seen["validation"], seen["positions"] % 7 == 0)
    orient(model, X, orientation="metric", roles=roles)
    assert len(seen["positions"]) == 800
    assert (np.diff(seen["positions"]) > 1).all()


# --- what is told with the rows ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordered():
    """Gaussian series, of which only their order in time tells anything: (model, X, sources)."""
    rng = np.random.default_rng(5)
    steps = rng.normal(size=(3000, 3))
    sources = np.column_stack([lfilter([1], [1, -c], steps[:, i]) for i, c in enumerate([0.2, 0.6, 0.9])])
    sources = sources - sources.mean(0)
    variances, basis = np.linalg.eigh(np.cov(sources.T, bias=True))
    sources = sources @ (basis / np.sqrt(variances)) @ basis.T
    model, X = exact([NORMAL] * 3, sources, MIXING)
    return model, X, sources


def test_the_order_of_the_rows_is_what_auto_goes_by_where_it_is_told(ordered):
    model, X, sources = ordered
    turned = orient(model, X, time_order=True)
    assert (turned.orientation.method, turned.orientation.asked) == ("temporal", "auto")
    assert "order" in turned.orientation.reason
    assert mcc(turned.encode(X).latents, sources) > 0.99
    assert turned.orientation.angle_error.max() < 0.1
    named = orient(model, X, orientation="temporal", time_order=True)
    assert named.orientation.reason == ""
    np.testing.assert_array_equal(named.orientation.rotation, turned.orientation.rotation)
    # nothing else tells these sources apart
    assert mcc(orient(model, X, orientation="ica").encode(X).latents, sources) < 0.95


@pytest.mark.parametrize("unit", [(1.0, 0.0), (0.004, 1.7e9), (1e-9, 0.0)])
def test_a_time_for_each_row_is_as_good_in_any_unit_and_with_gaps(ordered, unit):
    model, X, sources = ordered
    kept = np.sort(np.random.default_rng(0).choice(3000, 2700, replace=False))
    step, start = unit
    turned = orient(model, X[kept], time=start + step * (kept + 500 * (kept > 1000)))
    assert turned.orientation.method == "temporal"
    assert mcc(turned.encode(X).latents, sources) > 0.98


def test_rows_in_no_order_get_theirs_by_their_times(ordered):
    model, X, sources = ordered
    turned, mixed = orient(model, X, time_order=True), np.random.default_rng(1).permutation(3000)
    again = orient(model, X[mixed], time=0.5 * mixed)
    np.testing.assert_allclose(again.orientation.rotation, turned.orientation.rotation, atol=1e-6)
    assert orient(model, X[mixed], time_order=True).orientation.angle_error.max() == UNDETERMINED
    assert mcc(again.encode(X).latents, sources) > 0.99


def unlabelled(labels):
    """A warning of the rows without a label, where there are any."""
    count = pd.isna(labels).sum()
    words = f"{count} of {len(labels)} rows have no label, and count as one group"
    return pytest.warns(LatentFlowWarning, match=words) if count else nullcontext()


@pytest.mark.parametrize("label", [lambda i: i, lambda i: f"subject {i}", lambda i: ("x", None)[i]])
def test_rows_of_several_recordings_side_by_side(ordered, label):
    """Two halves with clocks of their own, after one another or taken in turn."""
    model, X, sources = ordered
    clock, half = np.arange(3000) % 1500, np.arange(3000) // 1500
    labels = np.array([label(i) for i in half], dtype=object if label(1) is None else None)
    in_turn = np.lexsort((half, clock))
    whole = orient(model, X, orientation="temporal", time=clock)  # the clock falls once
    with unlabelled(labels):
        named = orient(model, X, orientation="temporal", time=clock, groups=labels)
        turns = orient(model, X[in_turn], orientation="temporal", time=clock[in_turn], groups=labels[in_turn])
        order = orient(model, X[in_turn], orientation="temporal", time_order=True, groups=labels[in_turn])
    for turned in (whole, named, turns, order):
        assert mcc(turned.encode(X).latents, sources) > 0.99
    np.testing.assert_allclose(named.orientation.rotation, whole.orientation.rotation, atol=1e-6)
    np.testing.assert_allclose(turns.orientation.rotation, whole.orientation.rotation, atol=0.01)
    np.testing.assert_allclose(order.orientation.rotation, turns.orientation.rotation, atol=1e-9)


@pytest.fixture(scope="module")
def grouped():
    """Gaussian sources whose variances change from group to group: (model, X, sources, labels)."""
    rng = np.random.default_rng(6)
    labels = np.arange(3000) // 150
    sources = rng.normal(size=(3000, 3)) * rng.uniform(0.3, 2, size=(20, 3))[labels]
    sources = sources - sources.mean(0)
    variances, basis = np.linalg.eigh(np.cov(sources.T, bias=True))
    sources = sources @ (basis / np.sqrt(variances)) @ basis.T
    model, X = exact([NORMAL] * 3, sources, MIXING)
    return model, X, sources, labels


@pytest.mark.parametrize(
    "given",
    [
        lambda i: 7 * i - 3,
        lambda i: 0.5 * i,
        lambda i: f"day {i}",
        lambda i: f"day {i}" if i % 2 else i,
        lambda i: None if i == 4 else f"day {i}",
    ],
)
def test_groups_may_have_labels_of_any_kind(grouped, given):
    model, X, sources, labels = grouped
    given = pd.Series([given(i) for i in labels])
    with unlabelled(given):
        turned = orient(model, X, groups=given)
    assert (turned.orientation.method, turned.orientation.asked) == ("groups", "auto")
    assert "group" in turned.orientation.reason
    assert mcc(turned.encode(X).latents, sources) > 0.99
    assert turned.orientation.angle_error.max() < 0.1
    assert len(turned.orientation.details["groups_used"]) == 20


def test_time_does_not_split_groups_that_were_asked_for(grouped):
    model, X, _, labels = grouped
    alone = orient(model, X, orientation="groups", groups=labels)
    beside = orient(model, X, orientation="groups", groups=labels, time=np.arange(3000) % 70)
    np.testing.assert_array_equal(beside.orientation.rotation, alone.orientation.rotation)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"orientation": "sideways"}, "'sideways' is not known: choose one of auto, temporal, .*none"),
        ({"orientation": "groups"}, "--groups COLUMN"),
        ({"orientation": "temporal"}, "--time-order"),
        ({"orientation": "temporal", "groups": np.zeros(700)}, "--time-order"),
        ({"groups": np.zeros(700)}, "fewer than two of 1 groups"),
        ({"groups": np.arange(700)}, "fewer than two of 560 groups"),
        ({"groups": np.zeros(699)}, "one label for each of 700 rows"),
        ({"groups": np.zeros((700, 2))}, "one label for each of 700 rows"),
        ({"time": np.arange(10)}, "one number or date for each of 700 rows"),
        ({"time": np.full(700, np.nan)}, "missing or infinite at 700 of 700 rows"),
        ({"time": np.zeros(700)}, "the same at every row"),
        ({"time": np.array(["noon"] * 700)}, "numbers"),
        ({"time": np.arange(700) // 2}, "stands still at 350 of 699 steps"),
        ({"time": np.arange(700) % 2}, "cannot order the rows"),
        ({"time": np.arange(700) % 3}, None),
        ({"time_order": True, "roles": np.tile(np.uint8([0, HELD_OUT, 0, HELD_OUT, GAP]), 140)}, None),
        (
            {
                "orientation": "temporal",
                "time_order": True,
                "groups": np.arange(700) // 2,
                "roles": np.tile(np.uint8([0, HELD_OUT]), 350),
            },
            "too few follow",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_with_a_way_out(network, rows, settings, words):
    if words is None:  # few lags are enough
        assert 0 < len(orient(network, rows, **settings).orientation.details["lags"]) < 11
        return
    with pytest.raises(LatentFlowError, match=words) as caught:
        orient(network, rows, **settings)
    assert "\n" not in str(caught.value)


def test_what_speaks_against_the_axes_is_warned_of(network, rows, monkeypatch):
    found = Orientation(np.eye(3), "metric", angle_error=np.eye(3), details={"cautions": ["of this or that"]})
    monkeypatch.setattr("latentflow.orientation.methods.metric", lambda material: found)
    with pytest.warns(LatentFlowWarning, match="^orientation metric: of this or that$"):
        turned = orient(network, rows, orientation="metric")
    assert turned.orientation.cautions == ("of this or that",)


def test_wrong_labels_and_times_are_refused_before_the_training(rows, monkeypatch):
    monkeypatch.setattr("latentflow.model.fit.train_chain", lambda *_, **__: pytest.fail("it trains"))
    for settings in (
        {"groups": np.zeros(3)},
        {"time": np.zeros(700)},
        {"time": np.arange(700) // 2},
        {"groups": np.zeros(700)},
        {"groups": np.arange(700)},
        {"orientation": "groups"},
        {"orientation": "up"},
    ):
        with pytest.raises(LatentFlowError):
            fit_flow(rows, ["a", "b", "c"], **settings)
    many = np.random.default_rng(0).normal(size=(400, 33))
    with pytest.raises(LatentFlowError, match="at most 32 latents"):
        fit_flow(many, [str(i) for i in range(33)], orientation="gaussianization")
    with pytest.raises(DataError, match="too few to orient 3 latents"):
        fit_flow(rows[:8], ["a", "b", "c"], orientation="ica")
    with pytest.raises(DataError, match="one label"):
        fit_flow(rows, ["a", "b", "c"], groups=np.zeros(3))
