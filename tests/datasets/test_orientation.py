import h5py
import numpy as np
import pytest
from scipy import stats

from datasets import mixing, orientation
from latentflow.data.tables import open_table

ROWS = 20_000


def correlation(a, b):
    return abs(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("name", orientation.NAMES)
@pytest.mark.parametrize("width", [2, 5])
def test_every_set_is_an_invertible_map_of_its_sources(name, width):
    mixture = orientation.draw(name, 3000, width, seed=1)
    assert mixture.X.shape == mixture.S.shape == (3000, width)
    assert np.allclose(mixture.mixing.inverse(mixture.X), mixture.S, atol=1e-9)
    assert np.array_equal(mixture.mixing.forward(mixture.S), mixture.X)
    assert mixture.ordered == name.startswith("ar_")
    assert (mixture.groups is not None) == name.startswith("groups_")


@pytest.mark.parametrize("name", orientation.NAMES)
def test_sources_are_uncorrelated_of_mean_0_and_variance_1(name):
    S = orientation.draw(name, ROWS, 5, seed=2).S
    # the slowest series counts as n (1 - φ)/(1 + φ) rows: 5 standard errors of a mean are then 0.22
    slack = 0.22 if name.startswith("ar_") else 0.06
    assert np.abs(S.mean(axis=0)).max() < slack
    assert np.abs(np.cov(S.T) - np.eye(5)).max() < slack + 0.03


@pytest.mark.parametrize("name", ["linear", "lrelu3", "moebius", "ar_laplace_2", "groups_gauss_2"])
def test_the_seed_decides_everything(name):
    first, again, other = (orientation.draw(name, 100, 3, seed) for seed in (4, 4, 5))
    assert np.array_equal(first.X, again.X)
    assert np.array_equal(first.S, again.S)
    assert not np.allclose(first.X, other.X)


def test_sets_do_not_share_random_numbers():
    one, two = (orientation.draw(name, 100, 3, seed=0).S for name in ("linear", "one_gaussian"))
    assert not np.allclose(one[:, 0], two[:, 0])


@pytest.mark.parametrize(("name", "normal"), [("linear", 0), ("one_gaussian", 1), ("two_gaussians", 2)])
def test_normal_sources_are_as_many_as_the_name_says(name, normal):
    S = orientation.draw(name, ROWS, 5, seed=3).S
    assert [stats.kstest(s, "norm").pvalue > 1e-3 for s in S.T] == [False] * (5 - normal) + [True] * normal


class TestSeries:
    @pytest.mark.parametrize(("law", "innovation"), [("gauss", "norm"), ("laplace", "laplace")])
    def test_innovations_are_independent_and_follow_the_law(self, law, innovation):
        S = orientation.draw(f"ar_{law}_1", ROWS, 5, seed=0).S
        coefficients = np.linspace(0.3, 0.95, 5)
        E = (S[1:] - coefficients * S[:-1]) / np.sqrt(1 - coefficients**2)
        scale = 1 if law == "gauss" else np.sqrt(0.5)
        other = stats.laplace(scale=np.sqrt(0.5)) if law == "gauss" else stats.norm()
        for e, s, coefficient in zip(E.T, S.T, coefficients, strict=True):
            assert correlation(s[1:], s[:-1]) == pytest.approx(coefficient, abs=0.03)
            assert correlation(e[1:], e[:-1]) < 0.04
            assert stats.kstest(e / scale, innovation).pvalue > 1e-3
            assert stats.kstest(e, other.cdf).pvalue < 1e-6

    def test_series_start_as_they_go_on(self):
        starts = np.array([orientation.draw("ar_laplace_1", 1, 5, seed).S[0] for seed in range(300)])
        assert np.abs(starts.var(axis=0) - 1).max() < 0.5


class TestGroups:
    @pytest.mark.parametrize(("law", "within"), [("gauss", "norm"), ("laplace", "laplace")])
    def test_segments_differ_in_deviation_and_follow_the_law_within(self, law, within):
        mixture = orientation.draw(f"groups_{law}_1", 40_000, 3, seed=0)
        assert np.array_equal(mixture.groups, np.repeat(np.arange(40), 1000))
        deviations = np.array([mixture.S[mixture.groups == g].std(axis=0) for g in range(40)])
        assert (deviations.max(axis=0) / deviations.min(axis=0)).min() > 4
        assert np.abs(np.corrcoef(deviations.T) - np.eye(3)).max() < 0.6
        scale = 1 if law == "gauss" else np.sqrt(0.5)
        standard = mixture.S / deviations[mixture.groups]
        assert stats.kstest(standard[:, 0] / scale, within).pvalue > 1e-3

    def test_rows_that_do_not_fill_the_segments_are_spread_evenly(self):
        sizes = np.bincount(orientation.draw("groups_gauss_2", 1010, 2, seed=0).groups)
        assert len(sizes) == 40
        assert set(sizes) <= {25, 26}


class TestMaps:
    def test_moebius_is_conformal(self):
        mixture = orientation.draw("moebius", 5, 3, seed=0)
        step = 1e-6
        moves = [
            (mixture.mixing.forward(mixture.S + h) - mixture.mixing.forward(mixture.S - h)) / (2 * step)
            for h in step * np.eye(3)
        ]
        J = np.stack(moves, axis=2)
        gram = J.transpose(0, 2, 1) @ J
        scale = np.trace(gram, axis1=1, axis2=2)[:, None, None] / 3
        assert np.allclose(gram / scale, np.eye(3), atol=1e-6)
        assert np.ptp(scale) > 0.1  # and no mere rotation

    def test_the_centre_of_the_inversion_is_out_of_reach(self):
        mixture = orientation.draw("moebius", ROWS, 2, seed=0)
        centre = mixture.mixing.maps[0].centre
        assert np.linalg.norm(mixture.S - centre, axis=1).min() > 4 - np.sqrt(3)

    def test_radial_turns_no_row_and_keeps_one_norm(self):
        S = np.random.default_rng(0).normal(size=(50, 4))
        S[0] = 0
        radial = mixing.Radial(2.0)
        X = radial.forward(S)
        assert np.allclose(X[0], 0)
        cosines = (
            np.sum(X[1:] * S[1:], axis=1) / np.linalg.norm(X[1:], axis=1) / np.linalg.norm(S[1:], axis=1)
        )
        assert np.allclose(cosines, 1)
        assert np.linalg.norm(radial.forward(np.array([[2.0, 0, 0, 0]]))) == pytest.approx(2)
        assert np.allclose(radial.inverse(X), S)

    @pytest.mark.parametrize("curve", [mixing.Sinh(1.2), mixing.Cube(0.3)])
    def test_curves_rise_and_come_back_near_zero_and_far_out(self, curve):
        u = np.concatenate([-np.geomspace(12, 1e-9, 200), np.geomspace(1e-9, 12, 200)])
        v = curve.forward(u)
        assert (np.diff(v) > 0).all()
        assert np.allclose(curve.inverse(v), u, rtol=1e-11, atol=0)

    @pytest.mark.parametrize("k", [1, 2, 4])
    def test_number_of_layers_is_number_of_rotations(self, k):
        kinds = [type(step).__name__ for step in orientation.draw(f"lrelu{k}", 1, 3, seed=0).mixing.maps]
        assert (kinds.count("Matrix"), kinds.count("LeakyRelu")) == (k, k - 1)


@pytest.mark.parametrize("name", ["lrelu", "lrelu0", "ar_gauss", "ar_cauchy_2", "none"])
def test_unknown_sets_are_refused(name):
    with pytest.raises(ValueError, match="no set is called"):
        orientation.draw(name, 10, 3, seed=0)


def test_one_source_is_no_mixture():
    with pytest.raises(ValueError, match="two sources"):
        orientation.draw("linear", 10, 1, seed=0)


def test_file(tmp_path):
    path = tmp_path / "groups.h5"
    orientation.main(["groups_gauss_2", str(path), "--rows", "80", "--sources", "3", "--seed", "7"])
    table = open_table(path, key="X")
    expected = orientation.draw("groups_gauss_2", 80, 3, seed=7)
    assert np.array_equal(table.read(), expected.X)
    with h5py.File(path) as file:
        assert np.array_equal(file["S"], expected.S)
        assert np.array_equal(file["group"], expected.groups)
        assert not file.attrs["ordered"]


def test_file_of_an_unknown_set_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        orientation.main(["nonsense", str(tmp_path / "x.h5")])
    assert "no set is called 'nonsense'" in capsys.readouterr().err
    assert not (tmp_path / "x.h5").exists()
