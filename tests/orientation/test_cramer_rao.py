"""Errors of the angles between components of an i.i.d. sample: what FastICA's own scatter says of them."""

import numpy as np
import pytest

from latentflow.base.fastica import ica_axes
from latentflow.orientation.cramer_rao import angle_error
from tests.orientation.angles import angles, turn

LAWS = {
    "laplace": lambda rng, n: rng.laplace(size=n),
    "uniform": lambda rng, n: rng.uniform(-1, 1, n),
    "two modes": lambda rng, n: rng.choice([-1, 1], n) + 0.5 * rng.normal(size=n),
    "heavy tails": lambda rng, n: rng.standard_t(5, n),
    "skewed": lambda rng, n: rng.gumbel(size=n),
}


@pytest.mark.parametrize("law", LAWS)
def test_it_bounds_the_scatter_of_fastica_from_below_and_is_near_it(law):
    off, claimed = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sources = np.column_stack([LAWS[law](rng, 2000) for _ in range(2)])
        sources, axes = (sources - sources.mean(0)) / sources.std(0), turn(2, rng)
        rows = sources @ axes.T
        found = ica_axes(rows, 0).rotation
        off.append(angles(found, axes)[0, 1])
        claimed.append(angle_error(rows @ found)[0, 1])
    # the median, as FastICA now and then stops at a saddle
    scatter = np.median(np.abs(off)) / 0.6745
    assert np.median(claimed) < 1.3 * scatter
    assert scatter < 3 * np.median(claimed)


def test_more_rows_tell_more():
    rng = np.random.default_rng(0)
    few, many = (angle_error(rng.laplace(size=(n, 3))) for n in (1_000, 100_000))
    np.testing.assert_allclose((few / np.where(many > 0, many, 1))[~np.eye(3, dtype=bool)], 10, rtol=0.3)


def test_units_and_signs_and_places_do_not_matter():
    u = np.random.default_rng(1).exponential(size=(3000, 3))
    error = angle_error(u)
    np.testing.assert_allclose(angle_error(u * [1e-3, 1, -50] + [4, 0, -1e3]), error, rtol=1e-6)
    np.testing.assert_array_equal(error, error.T)
    np.testing.assert_array_equal(np.diag(error), 0)


@pytest.mark.parametrize("n", [500, 5000])
def test_two_normal_components_leave_their_plane_undetermined(n):
    open_planes, largest_other = 0, 0.0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        components = np.column_stack([rng.normal(size=(n, 2)), rng.laplace(size=n)])
        error = angle_error(components)
        open_planes += error[0, 1] == np.pi / 4
        largest_other = max(largest_other, error[0, 2], error[1, 2])
    assert open_planes >= 56
    assert largest_other < 0.2


def test_a_normal_plane_stays_undetermined_after_fastica_has_chosen_its_axes():
    open_planes = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(2000, 2))
        open_planes += angle_error(rows @ ica_axes(rows, 0).rotation)[0, 1] == np.pi / 4
    assert open_planes >= 26


def test_a_few_far_rows_determine_little():
    """Their fourth cumulant alone would make an angle look known to 0.01 radians."""
    components = np.random.default_rng(2).normal(size=(3000, 2))
    components[[7, 70, 700], 0] = 8.0, -8.0, 8.0
    assert angle_error(components)[0, 1] > 0.12


def test_a_component_of_two_values_is_known_best():
    rng = np.random.default_rng(3)
    error = angle_error(np.column_stack([rng.choice([-1.0, 1.0], 500), rng.normal(size=500)]))
    assert 0 < error[0, 1] < 0.01
