"""Layers read off derivatives: from a mixture whose maps are known, without any flow that is fitted."""

import numpy as np
import pytest
from scipy.stats import norm

from latentflow.base.initialisation import RemainingMixture, curves_to_normal, remove_layer
from latentflow.base.monotone import Curves
from latentflow.orientation.jacobians import kink_axes, pull_back_axes
from latentflow.statistics.matrices import symmetric_whitening
from tests.orientation.angles import distance, turn

SLOPE = 0.3


def layered(layers, n=1500, d=3, seed=0):
    """Rows x of a mixture of leaky layers and ∂s/∂x there, s normal; x is whitened, and so are layers within."""
    rng = np.random.default_rng(seed)
    h, jacobians = rng.normal(size=(n, d)), np.tile(np.eye(d), (n, 1, 1))
    turns = []
    for _ in range(layers):
        bent = np.where(h < 0, SLOPE * h, h)
        jacobians = jacobians / np.where(h < 0, SLOPE, 1.0)[:, None, :]
        bent = bent - bent.mean(0)
        scale = bent.std(0)  # coordinates of every layer here are nearly uncorrelated
        axes = turn(d, rng)
        h, jacobians = (bent / scale) @ axes.T, (jacobians * scale) @ axes.T
        turns.append(axes)
    return h, jacobians, turns[::-1]


def test_the_outermost_layer_comes_off():
    x, jacobians, (axes,) = layered(1)
    found = pull_back_axes(jacobians).rotation
    assert distance(found, axes) < 1e-6
    rest = remove_layer(RemainingMixture.whole(x, jacobians), found)
    # what is left are the normal sources, and their Jacobian to themselves is a rotation
    np.testing.assert_allclose(np.cov(rest.rows.T), np.eye(3), atol=1e-9)
    products = rest.jacobians.transpose(0, 2, 1) @ rest.jacobians
    assert np.median(np.abs(products - np.eye(3)).max((1, 2))) < 0.1
    # the matrices and curves make these rows of x
    u = x @ rest.matrices[0]
    curves = rest.curves[0]
    h = np.stack([np.interp(u[:, i], curves.at[i], curves.value[i]) for i in range(3)], axis=1)
    inside = ((u > curves.at[:, 0]) & (u < curves.at[:, -1])).all(1)
    np.testing.assert_allclose((h @ rest.whitening)[inside], rest.rows[inside], atol=1e-9)
    # one slope below the bend, another above
    assert np.median(np.ptp(curves.log_slope, axis=1)) == pytest.approx(-np.log(SLOPE), abs=0.1)


def test_and_then_the_next():
    x, jacobians, turns = layered(2, n=3000)
    outer = pull_back_axes(jacobians).rotation
    assert distance(outer, turns[0]) < 0.35
    rest = remove_layer(RemainingMixture.whole(x, jacobians), turns[0])
    inner = pull_back_axes(rest.jacobians).rotation
    # rows after the layer are those within, in another order and with other signs
    assert np.abs(np.corrcoef(rest.rows.T, (x @ turns[0]).T)[:3, 3:]).max(1).min() > 0.8
    assert distance(inner, turns[1]) < 0.15
    second = remove_layer(rest, inner)
    assert len(second.matrices) == len(second.curves) == 2
    np.testing.assert_array_equal(second.matrices[0], rest.matrices[0])
    np.testing.assert_allclose(second.matrices[1], rest.whitening @ inner)


def test_kinks_show_the_outermost_layer_as_well():
    x, jacobians, (axes,) = layered(1, seed=2)
    assert distance(kink_axes(x, jacobians).rotation, axes) < 1e-6
    flat = kink_axes(x, np.tile(np.eye(3), (len(x), 1, 1))).rotation  # none at all
    np.testing.assert_allclose(flat.T @ flat, np.eye(3), atol=1e-12)


def test_curves_to_normal_are_those_of_the_ranks():
    rng = np.random.default_rng(3)
    u = np.exp(rng.normal(size=(20_000, 1)))
    curves = curves_to_normal(u)
    assert isinstance(curves, Curves)
    middle = slice(3, -3)
    np.testing.assert_allclose(curves.value[0, middle], np.log(curves.at[0, middle]), atol=0.05)
    np.testing.assert_allclose(curves.log_slope[0, middle], -np.log(curves.at[0, middle]), atol=0.15)
    assert curves.value[0, 0] == pytest.approx(norm.ppf(0.5 / curves.at.shape[1]))
    tied = curves_to_normal(np.repeat([0.0, 1.0, 2.0], 300)[:, None])
    assert (np.diff(tied.at[0]) > 0).all()
    assert np.isfinite(tied.log_slope).all()


def test_whitening_is_symmetric():
    rows = np.random.default_rng(4).normal(size=(500, 3)) @ np.array([[2.0, 0, 0], [1, 1, 0], [0, 3, 0.5]])
    matrix = symmetric_whitening(rows)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(np.cov((rows @ matrix).T), np.eye(3), atol=1e-9)
