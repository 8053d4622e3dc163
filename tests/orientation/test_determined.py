"""The counting behind reports/orientation/determined.md, by few tables; the many are in the script."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import special_ortho_group

from reports.orientation.determined import (
    GROUPS,
    HERE,
    SECTIONS,
    Groups,
    Judged,
    Series,
    count,
    judge,
    one_table,
    read,
    report,
)

UNDETERMINED = np.pi / 4


def turned_by(scatter, k, rng):
    """Cosines between axes and the same, each plane turned by a normal angle, and these in another order and sign."""
    angles = np.triu(scatter * rng.standard_normal((k, k)), 1)
    return expm(angles - angles.T)[:, rng.permutation(k)] * rng.choice([-1, 1], size=k)


def errors(value, k):
    return value * (1 - np.eye(k))


def counted(setting, tables):
    return count("", setting, [one_table(setting, table) for table in range(tables)])


@pytest.mark.parametrize(("told", "ratio"), [(0.02, 1.0), (0.01, 2.0), (0.04, 0.5)])
def test_the_ratio_shows_whether_the_errors_told_are_those_of_the_angles(told, ratio):
    rng, laws = np.random.default_rng(0), tuple(range(6))
    judged = [judge(turned_by(0.02, 6, rng), errors(told, 6), laws) for _ in range(40)]
    assert count("", GROUPS[0], judged).ratio == pytest.approx(ratio, rel=0.1)


def test_sources_alike_may_be_turned_among_themselves():
    rng, laws = np.random.default_rng(1), (0, 0, 0, 1, 2)
    judged = []
    for _ in range(200):
        gain = turned_by(0.02, 5, rng)
        gain[:3] = special_ortho_group.rvs(3, random_state=rng) @ gain[:3]
        judged.append(judge(gain, errors(0.02, 5), laws))
    found = count("", GROUPS[0], judged)
    assert (found.alike, found.claimed, found.tables_with_claims) == (600, 600, 200)
    assert (found.differing, found.determined) == (1400, 1400)
    assert found.ratio == pytest.approx(1.0, rel=0.1)


def test_planes_are_counted_by_the_laws_of_their_sources():
    # found axes in the order third, first, second source
    gain = np.eye(3)[:, [2, 0, 1]]
    told = errors(UNDETERMINED, 3)
    told[0, 1] = told[1, 0] = 0.1
    found = judge(gain, told, (0, 1, 0))
    assert (found.alike, found.claimed, found.differing, found.determined) == (1, 1, 2, 0)
    found = judge(gain, told, (0, 0, 1))
    assert (found.alike, found.claimed, found.differing, found.determined) == (1, 0, 2, 1)


def test_tables_are_added_up():
    none, some = np.empty(0), np.array([1.0, -7.0])
    found = count(
        "", GROUPS[0], [Judged(3, 2, 7, 0, none), Judged(3, 0, 7, 2, some), Judged(3, 1, 7, 0, none)]
    )
    assert (found.tables, found.alike, found.claimed, found.tables_with_claims) == (3, 9, 3, 2)
    assert (found.differing, found.determined, found.ratio) == (21, 2, pytest.approx(5.0))
    assert count("", GROUPS[0], [Judged(3, 0, 0, 0, none)]).ratio is None


@pytest.mark.parametrize(
    "setting", [Groups("", (0,) * 5, 2, 400, 0.0, 0), Series("", (0.5,) * 3, 800, 0)], ids=["groups", "time"]
)
def test_of_sources_of_one_law_hardly_a_plane_is_told_as_determined(setting):
    found = counted(setting, 4)
    k = len(setting.laws)
    assert (found.alike, found.differing, found.ratio) == (4 * k * (k - 1) // 2, 0, None)
    assert found.tables_with_claims <= found.claimed <= 1


@pytest.mark.parametrize(
    "setting",
    [Groups("", (0, 1, 2, 3), 20, 200, 0.5, 0), Series("", (0.1, 0.5, 0.9), 1500, 0)],
    ids=["groups", "time"],
)
def test_of_sources_that_differ_widely_all_is_told_as_determined_with_the_right_errors(setting):
    found = counted(setting, 6)
    assert (found.alike, found.determined) == (0, found.differing)
    assert 0.6 < found.ratio < 1.6


def test_series_are_alike_if_gaussian_and_of_one_coefficient():
    assert Series("", (0.5, 0.5, 0.5, 0.7, 0.5), 100, 0).laws == (0, 0, 0, 1, 0)
    laws = Series("", (0.5, 0.5, 0.5, 0.5), 100, 0, laplace=2).laws
    assert len(set(laws)) == 3
    assert laws[2] == laws[3]


def test_sources_have_the_variances_that_their_laws_say():
    setting = Groups("", (0, 1, 1, 2), 3, 20_000, 0.5, 0)
    drawn = setting.draw(np.random.default_rng(2)).reshape(3, 20_000, 4)
    deviations = drawn.std(axis=1)
    np.testing.assert_allclose(deviations[:, 0], 1.0, rtol=0.03)
    np.testing.assert_allclose(deviations[:, 1], deviations[:, 2], rtol=0.03)
    assert np.ptp(deviations[:, 3]) > 0.1
    np.testing.assert_allclose((deviations**2).mean(0), 1.0, rtol=0.03)
    series = Series("", (0.5, 0.9), 50_000, 0, laplace=1).draw(np.random.default_rng(3))
    np.testing.assert_allclose(series.var(0), 1.0, rtol=0.1)
    lagged = (series[1:] * series[:-1]).mean(0) / series.var(0)
    np.testing.assert_allclose(lagged, [0.5, 0.9], atol=0.02)


def test_the_committed_figures_are_of_all_settings_and_in_the_table():
    kept = read(HERE)
    assert [(c.section, c.sources, c.latents, c.size, c.tables) for c in kept] == [
        (section, s.sources, len(s.laws), s.size, s.tables)
        for section, settings in SECTIONS.items()
        for s in settings
    ]
    assert (HERE / "determined.md").read_text() == report(kept)
