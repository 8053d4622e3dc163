"""Axes of latents that are series of their own, or whose variances change from group to group."""

import warnings

import numpy as np
import pytest
from scipy.signal import lfilter

from latentflow.errors import DataError
from latentflow.orientation import innovation_axes
from latentflow.orientation import second_moments as structured_axes
from latentflow.orientation.autoregressive_axes import autoregressive_axes
from latentflow.orientation.second_moments import group_axes, temporal_axes
from tests.orientation.angles import angles, distance, in_order, turn

UNDETERMINED = np.pi / 4


def series(n, coefficients, rng, steps=None):
    """Autoregressive series of variance 1, Gaussian where no innovations of variance 1 are given, (n, d)."""
    steps = rng.normal(size=(n + 300, len(coefficients))) if steps is None else steps
    return np.column_stack(
        [lfilter([np.sqrt(1 - c * c)], [1, -c], steps[:, i])[300:] for i, c in enumerate(coefficients)]
    )


def modulated(n, groups, d, rng):
    """Normal sources whose standard deviations change from group to group, (n, d), and the labels, (n,)."""
    labels, deviations = np.arange(n) * groups // n, rng.uniform(0.3, 2, size=(groups, d))
    return rng.normal(size=(n, d)) * deviations[labels], labels


def scatter_and_claim(draw, runs):
    """Root mean square of the angles of each plane over data sets, their median claimed errors, and all of these."""
    off, claimed = [], []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        sources, find = draw(rng)
        axes = turn(sources.shape[1], rng)
        found = find(sources @ axes.T)
        rotation = found.diagonalisation.rotation
        off.append(angles(rotation, axes))
        claimed.append(in_order(found.angle_error, rotation, axes))
    planes = np.triu_indices(len(axes), 1)
    rms = np.sqrt(np.mean(np.square(off), axis=0))[planes]
    return rms, np.median(claimed, axis=0)[planes], np.array(claimed)[:, *planes]


def of_series(z):
    return temporal_axes(z, np.arange(len(z)))


def draw_series(rng):
    return series(2000, [0.3, 0.6, 0.9], rng), of_series


def draw_spiky_series(rng):
    """Two of the same spectrum, and of another law than the third."""
    steps = rng.laplace(scale=np.sqrt(0.5), size=(2300, 3))
    steps[:, 2] = rng.normal(size=2300)
    return series(2000, [0.6, 0.6, 0.95], rng, steps), of_series


def draw_flat_series(rng):
    """White, and of a law with thinner tails than the normal one."""
    return rng.uniform(-np.sqrt(3), np.sqrt(3), size=(2000, 3)), of_series


def draw_groups(rng):
    z, labels = modulated(2000, 20, 3, rng)
    return z, lambda rows: group_axes(rows, labels)


@pytest.mark.parametrize("runs", [16, pytest.param(40, marks=pytest.mark.full)])
@pytest.mark.parametrize("draw", [draw_series, draw_spiky_series, draw_flat_series, draw_groups])
def test_the_claimed_errors_are_those_of_data_sets_drawn_anew(draw, runs):
    scatter, claimed, _ = scatter_and_claim(draw, runs)
    assert (scatter < 0.1).all()
    assert (scatter < 1.5 * claimed).all()
    assert (claimed < 1.5 * scatter).all()


def draw_equal_series(rng):
    return series(2000, [0.6, 0.6, 0.95], rng), of_series


def draw_equal_groups(rng):
    z, labels = modulated(2000, 20, 2, rng)
    other, _ = modulated(2000, 20, 1, rng)
    deviations = np.array([z[labels == g, 0].std() for g in range(20)])
    same = rng.normal(size=2000) * deviations[labels]
    return np.column_stack([z[:, 0], same, other]), lambda rows: group_axes(rows, labels)


@pytest.mark.parametrize("runs", [10, pytest.param(30, marks=pytest.mark.full)])
@pytest.mark.parametrize("draw", [draw_equal_series, draw_equal_groups])
def test_sources_alike_leave_their_plane_undetermined_and_no_other(draw, runs):
    _, _, claimed = scatter_and_claim(draw, runs)
    assert (claimed[:, 0] == UNDETERMINED).mean() >= 0.85
    assert claimed[:, 0].min() > 0.1
    assert (claimed[:, 1:] < 0.1).all()


def test_white_rows_have_no_temporal_axes_and_one_law_has_no_groups():
    z = np.random.default_rng(0).normal(size=(3000, 3))
    for found in (of_series(z), group_axes(z, np.arange(3000) // 300)):
        assert (found.angle_error[~np.eye(3, dtype=bool)] == UNDETERMINED).all()


def test_the_law_of_innovations_is_used_where_it_tells_most():
    """Series of much the same spectrum, and of Laplace innovations: second moments alone miss by more than 0.1."""
    rng = np.random.default_rng(0)
    z = series(5000, [0.5, 0.55, 0.6], rng, rng.laplace(scale=np.sqrt(0.5), size=(5300, 3)))
    axes = turn(3, rng)
    rows = z @ axes.T
    assert distance(of_series(rows).diagonalisation.rotation, axes) < 0.05
    covariances = np.stack([rows[: 5000 - lag].T @ rows[lag:] / (5000 - lag) for lag in range(5)])
    covariances = 0.5 * (covariances + covariances.transpose(0, 2, 1))
    assert distance(autoregressive_axes(covariances, axes).rotation, axes) > 0.1


def test_gaussian_innovations_leave_the_gaussian_likelihood_as_it_is(monkeypatch):
    z = series(3000, [0.3, 0.6, 0.9], np.random.default_rng(0)) @ turn(3, np.random.default_rng(1)).T
    found = of_series(z)
    monkeypatch.setattr(innovation_axes, "FEWEST_ROWS", len(z))  # too few rows for another law
    np.testing.assert_array_equal(of_series(z).diagonalisation.rotation, found.diagonalisation.rotation)


def draw_recordings_of_different_loudness(rng):
    return rng.normal(size=(2000, 2)) * np.repeat([0.3, 0.6, 1, 2], 500)[:, None]


def draw_series_with_one_volatility(rng):
    log_volatility = lfilter([0.2], [1, -0.98], rng.normal(size=2300))
    return series(2000, [0.6, 0.6], rng, rng.normal(size=(2300, 2)) * np.exp(0.7 * log_volatility)[:, None])


@pytest.mark.parametrize("draw", [draw_recordings_of_different_loudness, draw_series_with_one_volatility])
def test_heavy_tails_that_come_from_a_shared_volatility_tell_nothing(draw):
    for seed in range(5):
        found = of_series(draw(np.random.default_rng(seed)))
        assert found.angle_error[0, 1] == UNDETERMINED


@pytest.mark.parametrize("rows", [400, 2000])
def test_ten_series_alike_are_told_as_such(rows):
    """By themselves axes of greatest likelihood make series differ that do not, and their innovations spiky."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        found = of_series(series(rows, [0.5] * 10, rng) @ turn(10, rng).T)
        assert (found.angle_error[np.triu_indices(10, 1)] == UNDETERMINED).all()


def test_two_groups_tell_nothing_of_ten_latents_that_have_one_law_in_both():
    """The covariance of one group is diagonal along some axes in any case, with different variances by chance."""
    for seed in range(4):
        z = np.random.default_rng(seed).normal(size=(2000, 10))
        found = group_axes(z, np.arange(2000) // 1000)
        assert (found.angle_error[np.triu_indices(10, 1)] == UNDETERMINED).all()


def test_spikes_tell_the_axes_of_few_rows_as_well():
    rng = np.random.default_rng(0)
    axes, spikes = turn(5, rng), rng.laplace(scale=np.sqrt(0.5), size=(600, 5))
    found = of_series(series(300, [0.5] * 5, rng, spikes) @ axes.T)
    assert distance(found.diagonalisation.rotation, axes) < 0.3
    assert (found.angle_error[np.triu_indices(5, 1)] < 0.3).all()


def test_smooth_series_are_no_reason_to_stumble():
    """Their covariances, taken from variograms, need not be those of any series."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2000, 3)).cumsum(0).cumsum(0)
    z = (z - z.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T)).T)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = of_series(z)
    assert np.isfinite(found.diagonalisation.rotation).all()
    assert np.isfinite(found.angle_error).all()


def test_innovations_of_two_values_have_scores_as_well():
    rng = np.random.default_rng(0)
    axes = turn(2, rng)
    z = rng.choice([-1.0, 1.0], size=(2000, 2))
    assert distance(of_series(z @ axes.T).diagonalisation.rotation, axes) < 0.01


def test_innovations_are_of_rows_that_follow_each_other(monkeypatch):
    """Every tenth row is missing: the filter of order 4 never reaches across the gap."""
    looked = []

    def spy(z, last, covariances, start):
        looked.append(last)
        return innovation_axes.innovation_axes(z, last, covariances, start)

    monkeypatch.setattr(structured_axes, "innovation_axes", spy)
    rng = np.random.default_rng(0)
    at = np.arange(4000)
    there = at % 10 != 0
    z = series(4000, [0.5, 0.55], rng, rng.laplace(scale=np.sqrt(0.5), size=(4300, 2)))
    axes = turn(2, rng)
    found = temporal_axes(z[there] @ axes.T, at[there])
    assert distance(found.diagonalisation.rotation, axes) < 0.1
    assert len(looked[0]) == 400 * 5
    assert (np.diff(at[there][looked[0][:, None] - np.arange(5)], axis=1) == -1).all()


def test_temporal_axes_hold_behind_a_bend_of_each_source():
    """What the latents of a flow are: the sources, each bent by itself, turned."""
    rng = np.random.default_rng(1)
    sources, axes = series(20_000, [0.2, 0.5, 0.8, 0.95], rng), turn(4, rng)
    assert distance(of_series(sources @ axes.T).diagonalisation.rotation, axes) < 0.05
    bent = np.sign(sources) * np.abs(sources) ** 1.3
    assert distance(of_series(bent @ axes.T).diagonalisation.rotation, axes) < 0.05


def test_temporal_axes_have_no_order_of_rows_but_that_of_the_positions():
    rng = np.random.default_rng(2)
    z = series(3000, [0.2, 0.6, 0.9], rng) @ turn(3, rng).T
    found, mixed = of_series(z), rng.permutation(3000)
    shuffled = temporal_axes(z[mixed], mixed)
    np.testing.assert_allclose(shuffled.diagonalisation.rotation, found.diagonalisation.rotation, atol=1e-9)
    np.testing.assert_allclose(shuffled.angle_error, found.angle_error, atol=1e-9)
    # in the order in which they came the rows tell nothing
    assert (of_series(z[mixed]).angle_error[~np.eye(3, dtype=bool)] > 0.1).all()


@pytest.mark.parametrize("far", [1, 10**7])
def test_gaps_are_no_neighbours(far):
    """A tenth of the rows is missing; and wide gaps cost neither memory nor a pair."""
    rng = np.random.default_rng(3)
    axes, sources = turn(3, rng), series(6000, [0.2, 0.6, 0.9], rng)
    kept = np.sort(rng.choice(6000, 5400, replace=False))
    positions = kept + far * (kept // 1000)
    found = temporal_axes((sources @ axes.T)[kept], positions)
    assert distance(found.diagonalisation.rotation, axes) < 0.12
    assert found.used[:3] == (1, 2, 3)


def test_lags_without_pairs_are_left_out():
    rng = np.random.default_rng(4)
    z = series(3000, [0.2, 0.9], rng)
    every_third = np.arange(0, 3000, 3)
    assert temporal_axes(z[every_third], every_third).used == (3, 21)
    assert temporal_axes(z, np.arange(3000)).used == (1, 2, 3, 4, 5, 8, 13, 21, 34, 55, 89)
    # stretches of four rows hold pairs up to lag 3
    assert temporal_axes(z, np.arange(3000) + 200 * (np.arange(3000) // 4)).used == (1, 2, 3)


def test_no_pair_of_rows_spans_two_recordings():
    """Recordings of two rows, whose clocks all start at 0: within one, the slow source does not move."""
    rng = np.random.default_rng(5)
    recordings, axes = np.repeat(np.arange(1500), 2), turn(2, rng)
    slow = np.repeat(rng.normal(size=1500), 2) + 0.2 * rng.normal(size=3000)
    sources = np.column_stack([slow, rng.normal(size=3000)])
    positions = np.tile([0, 1], 1500)
    found = temporal_axes(sources @ axes.T, positions, recordings)
    assert found.used == (1,)
    assert distance(found.diagonalisation.rotation, axes) < 0.05
    # the same rows without a break have pairs at all lags
    assert len(of_series(sources @ axes.T).used) > 5


def test_the_name_of_a_recording_and_where_its_clock_starts_do_not_matter():
    rng = np.random.default_rng(6)
    z, recordings = series(3000, [0.3, 0.9], rng) @ turn(2, rng).T, np.arange(3000) // 1000
    positions = np.arange(3000) % 1000
    found = temporal_axes(z, positions, recordings)
    other = temporal_axes(z, positions - 400, 2 - recordings)
    np.testing.assert_allclose(
        np.abs(found.diagonalisation.rotation.T @ other.diagonalisation.rotation).max(0), 1, atol=1e-3
    )
    assert found.used == other.used


@pytest.mark.parametrize("size", [0.5, 2, 5])
@pytest.mark.parametrize("shape", [lambda t: t, lambda t: np.sin(3 * t)], ids=["line", "wave"])
@pytest.mark.parametrize("common", [True, False])
def test_slow_trends_do_not_turn_the_axes(size, shape, common):
    """As long as they come on top of sources that are uncorrelated."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        sources, axes = series(8000, [0.2, 0.5, 0.8], rng), turn(3, rng)
        slopes = np.ones(3) if common else rng.normal(size=3)
        z = sources @ axes.T
        trends = size * shape(np.linspace(-1, 1, 8000))[:, None] * slopes @ axes.T
        without, found = of_series(z), of_series(z + trends)
        off = distance(found.diagonalisation.rotation, axes)
        assert off < max(0.05, 3 * found.angle_error.max())
        assert abs(off - distance(without.diagonalisation.rotation, axes)) < 0.005
        np.testing.assert_allclose(found.angle_error, without.angle_error, atol=0.002)


def whitened(x):
    values, vectors = np.linalg.eigh(np.cov(x.T))
    return (x - x.mean(0)) @ (vectors / np.sqrt(values)) @ vectors.T


@pytest.mark.parametrize("size", [0, 0.2, 1])
def test_shared_trends_are_told(size):
    """White latents of sources that rise together: no rotation leaves what else they do uncorrelated."""
    rng = np.random.default_rng(11)
    sources = series(8000, [0.3, 0.6, 0.9, 0.97], rng)
    trends = size * np.linspace(-1, 1, 8000)[:, None] * np.sqrt(3) * [1, 1, -1, 0]
    found = of_series(whitened((sources + trends) @ turn(4, rng).T))
    assert bool(found.cautions) == (size == 1)
    if size == 1:
        # half of the variance of three of them is one trend
        assert "correlated by" in found.cautions[0]
        assert "before the fit" in found.cautions[0]


def test_one_source_with_a_trend_is_no_shared_trend():
    rng = np.random.default_rng(12)
    sources, axes = series(8000, [0.3, 0.6, 0.9], rng), turn(3, rng)
    sources[:, 1] = (sources[:, 1] + 3 * np.linspace(-1, 1, 8000)) / 2
    found = of_series(sources @ axes.T)
    assert distance(found.diagonalisation.rotation, axes) < 0.06
    assert not found.cautions


def test_pairs_in_one_corner_of_the_table_are_enough():
    """Only the first rows follow each other; the rest are far apart."""
    rng = np.random.default_rng(8)
    sources, axes = series(4000, [0.1, 0.9], rng), turn(2, rng)
    positions = np.concatenate([np.arange(600), 1000 + 500 * np.arange(3400)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = temporal_axes(sources @ axes.T, positions)
    error = abs(angles(found.diagonalisation.rotation, axes)[0, 1])
    assert error < 4 * found.angle_error[0, 1] < 0.6


def test_too_few_pairs_are_one_line_with_a_way_out():
    z = np.random.default_rng(9).normal(size=(500, 3))
    with pytest.raises(DataError, match="of 500 rows too few follow each other") as caught:
        temporal_axes(z, np.arange(500) * 4001)
    assert "\n" not in str(caught.value)
    assert "--orientation" in str(caught.value)


def test_group_axes_of_groups_of_unequal_sizes():
    rng = np.random.default_rng(10)
    labels = np.repeat(np.arange(10), [3000, 50, 100, 1500, 200, 400, 60, 800, 2000, 90])
    deviations = rng.uniform(0.3, 2, size=(10, 4))
    sources, axes = rng.laplace(size=(len(labels), 4)) * deviations[labels], turn(4, rng)
    found = group_axes(sources @ axes.T, labels)
    assert distance(found.diagonalisation.rotation, axes) < 0.08
    assert found.used == tuple(range(10))
    assert not found.cautions
    mixed = rng.permutation(len(labels))
    again = group_axes((sources @ axes.T)[mixed], 7 * labels[mixed] - 30)
    assert distance(again.diagonalisation.rotation, found.diagonalisation.rotation) < 1e-9


def test_groups_that_are_too_small_are_told_where_they_are_many_rows():
    rng = np.random.default_rng(13)
    labels = np.repeat(np.arange(50), [300, 300] + 48 * [12])
    z = rng.normal(size=(len(labels), 3)) * np.r_[np.full(300, 0.5), np.full(len(labels) - 300, 1.2)][:, None]
    found = group_axes(z, labels)
    assert found.used == (0, 1)
    assert found.cautions == (
        "48 of 50 groups have fewer than 16 rows and had no part in the axes, 576 of 1176 rows; join small groups",
    )


def test_groups_that_differ_in_their_means_alone_tell_nothing():
    rng = np.random.default_rng(11)
    labels = np.arange(4000) // 400
    z = rng.normal(size=(4000, 3)) + 5 * rng.normal(size=(10, 3))[labels]
    assert (group_axes(z, labels).angle_error[~np.eye(3, dtype=bool)] == UNDETERMINED).all()


def test_small_groups_are_left_out_and_change_nothing():
    rng = np.random.default_rng(12)
    z, labels = modulated(2000, 4, 5, rng)
    found = group_axes(z, labels)
    small = 100 * rng.normal(size=(24, 5)) @ turn(5, rng)
    again = group_axes(np.concatenate([z, small]), np.concatenate([labels, np.full(24, 9)]))
    assert again.used == found.used == (0, 1, 2, 3)
    np.testing.assert_array_equal(again.diagonalisation.rotation, found.diagonalisation.rotation)
    larger = np.concatenate([z, small, small])
    assert group_axes(larger, np.concatenate([labels, np.full(48, 9)])).used == (0, 1, 2, 3, 9)


@pytest.mark.parametrize("labels", [np.zeros(400, int), np.arange(400) // 12, np.arange(400)])
def test_fewer_than_two_groups_of_use_are_one_line_with_a_way_out(labels):
    with pytest.raises(DataError, match="fewer than two of") as caught:
        group_axes(np.random.default_rng(13).normal(size=(400, 3)), labels)
    assert "\n" not in str(caught.value)
    assert "--orientation" in str(caught.value)
