"""The recipes: what they write can be read, follows the law they state, and is the same for the same seed."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import integrate, special, stats
from scipy.spatial import cKDTree
from sklearn.decomposition import FastICA

from datasets import bundled, demo, mixtures
from latentflow.data.tables import open_table

ROOT = Path(__file__).parents[2]
FIVE_LAWS_ENTROPY = 5.8249  # nats, of one source of each law together


def numerical_log_det(mapping, points, step=1e-5):
    """log|det| of the Jacobian of a map at each point, by central differences."""
    width = points.shape[1]
    columns = [
        (mapping(points + step * axis) - mapping(points - step * axis)) / (2 * step) for axis in np.eye(width)
    ]
    return np.linalg.slogdet(np.stack(columns, axis=2))[1]


def correlation_of_energies(values):
    """Largest correlation between the absolute values of two columns: zero where they are independent."""
    return np.abs(np.corrcoef(np.abs(values - values.mean(axis=0)).T) - np.eye(values.shape[1])).max()


class TestSources:
    def test_have_mean_zero_variance_one_and_are_independent(self):
        S = mixtures.draw_sources(100_000, 10, np.random.default_rng(0))
        assert np.abs(S.mean(axis=0)).max() < 0.015
        assert np.abs(S.std(axis=0) - 1).max() < 0.02
        assert correlation_of_energies(S) < 0.015

    def test_the_laws_are_the_five_that_are_named(self):
        S = mixtures.draw_sources(20_000, 5, np.random.default_rng(1))
        modes = 1 / np.hypot(1, 0.3)

        def two_modes(s):
            return 0.5 * (stats.norm.cdf(s, modes, 0.3 * modes) + stats.norm.cdf(s, -modes, 0.3 * modes))

        laws = (
            stats.laplace(scale=np.sqrt(0.5)).cdf,
            stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)).cdf,
            two_modes,
            stats.expon(loc=-1).cdf,
            stats.t(5, scale=np.sqrt(3 / 5)).cdf,
        )
        for column, law in zip(S.T, laws, strict=True):
            assert stats.kstest(column, law).pvalue > 1e-3

    @pytest.mark.parametrize("place", range(5))
    def test_each_density_integrates_to_one(self, place):
        grid = np.linspace(-80, 80, 800_001)
        S = np.zeros((len(grid), place + 1))
        others = mixtures.source_log_p(S[:1, :place])[0] if place else 0.0
        S[:, place] = grid
        density = np.exp(mixtures.source_log_p(S) - others)
        assert integrate.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)

    def test_mean_log_density_is_minus_the_entropy_of_the_five_laws(self):
        grid = np.linspace(-4, 4, 100_001)
        modes = 1 / np.hypot(1, 0.3)
        p = 0.5 * (stats.norm.pdf(grid, modes, 0.3 * modes) + stats.norm.pdf(grid, -modes, 0.3 * modes))
        entropy = (
            stats.laplace(scale=np.sqrt(0.5)).entropy()
            + np.log(2 * np.sqrt(3))
            - integrate.trapezoid(p * np.log(p), grid)
            + 1
            + stats.t(5, scale=np.sqrt(3 / 5)).entropy()
        )
        assert entropy == pytest.approx(FIVE_LAWS_ENTROPY, abs=0.001)
        S = mixtures.draw_sources(100_000, 5, np.random.default_rng(2))
        assert -mixtures.source_log_p(S).mean() == pytest.approx(entropy, abs=0.02)


class TestMixtures:
    @pytest.mark.parametrize(("name", "layers"), [("nl5", 2), ("nl10", 3)])
    def test_leaky_density_is_that_of_the_sources_less_the_log_det_of_the_map(self, name, layers):
        rng = np.random.default_rng([3, ("lin5", "nl5", "nl10").index(name)])
        sample = mixtures.draw(name, 200, seed=3)
        width = sample.X.shape[1]
        mixtures.draw_sources(200, width, rng)
        rotations = [mixtures.rotation(width, rng) for _ in range(layers)]

        def mix(S):
            X = S @ rotations[0].T
            for R in rotations[1:]:
                X = np.maximum(X, 0.2 * X) @ R.T
            return X

        assert np.allclose(mix(sample.S), sample.X)
        # Central differences are wrong only where a coordinate lies within a step of the kink.
        log_det = numerical_log_det(mix, sample.S)
        near = np.isclose(mixtures.source_log_p(sample.S) - log_det, sample.log_p, atol=1e-4)
        assert near.mean() > 0.98

    def test_linear_density_and_conditioning(self):
        sample = mixtures.draw("lin5", 500, seed=0)
        A, residual, _, _ = np.linalg.lstsq(sample.S, sample.X, rcond=None)
        assert residual.max() < 1e-20
        assert np.linalg.svd(A, compute_uv=False) == pytest.approx(np.geomspace(4, 1, 5))
        expected = mixtures.source_log_p(sample.S) - np.log(abs(np.linalg.det(A)))
        assert np.allclose(sample.log_p, expected)

    def test_whitened_floor_of_a_linear_mixture_is_the_entropy_of_its_sources(self):
        sample = mixtures.draw("lin5", 50_000, seed=0)
        floor = -sample.log_p.mean() - np.linalg.slogdet(np.cov(sample.X.T))[1] / 2
        assert floor == pytest.approx(FIVE_LAWS_ENTROPY, abs=0.03)

    def test_linear_ica_undoes_the_linear_set_and_not_the_others(self):
        left = {}
        for name in ("lin5", "nl5", "nl10"):
            X = mixtures.draw(name, 10_000, seed=0).X
            found = FastICA(whiten="unit-variance", random_state=0, max_iter=1000).fit_transform(X)
            left[name] = correlation_of_energies(found)
        assert left["lin5"] < 0.06
        assert left["nl5"] > 0.15
        assert left["nl10"] > 0.15


class TestRings:
    def test_density_integrates_to_one(self):
        x, y = np.meshgrid(*[np.linspace(-3.2, 3.2, 1000)] * 2)  # no node at the origin
        radius, angle = np.hypot(x, y).ravel(), np.arctan2(y, x).ravel()
        at_the_peaks = np.column_stack([x.ravel(), y.ravel(), np.sin(3 * angle), radius**2])
        # The last two columns are normal given the first two: what is left at their peaks is the marginal.
        peaks = stats.norm.logpdf(0, scale=0.2) + stats.norm.logpdf(0, scale=0.3)
        marginal = np.exp(mixtures.rings_log_p(at_the_peaks) - peaks)
        assert marginal.sum() * (6.4 / 999) ** 2 == pytest.approx(1, abs=1e-6)

    def test_rows_follow_the_density(self):
        sample = mixtures.draw("rings", 20_000, seed=0)
        radius, angle = np.hypot(*sample.X[:, :2].T), np.arctan2(sample.X[:, 1], sample.X[:, 0])
        assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
        assert stats.kstest((sample.X[:, 2] - np.sin(3 * angle)) / 0.2, "norm").pvalue > 1e-3
        assert stats.kstest((sample.X[:, 3] - radius**2) / 0.3, "norm").pvalue > 1e-3
        rings = stats.norm(1, 0.12), stats.norm(2.2, 0.12)
        assert stats.kstest(radius, lambda r: (rings[0].cdf(r) + rings[1].cdf(r)) / 2).pvalue > 1e-3

    def test_density_in_closed_form_at_a_point(self):
        on_the_outer_ring = np.array([[0.0, 2.2, -1.0, 2.2**2]])
        peaks = -np.log([0.12, 0.2, 0.3]).sum() - 1.5 * np.log(2 * np.pi)
        expected = peaks - np.log(2) - np.log(2 * np.pi * 2.2)
        assert mixtures.rings_log_p(on_the_outer_ring)[0] == pytest.approx(expected)


class TestDemo:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "demo.h5"
        demo.main([str(path)])
        return path

    def test_layout(self, path):
        table = open_table(path)
        assert table.columns == ("temperature_C", "pressure_hPa", "flow_l_min", "vibration_mm_s")
        assert table.n_rows == 4000
        assert table.missing_counts() == {}
        assert open_table(path, key="sources").columns == ("load", "weather", "leaks", "turbulence")

    def test_sources_are_independent_and_standardised(self, path):
        S = open_table(path, key="sources").read()
        assert np.abs(S.mean(axis=0)).max() < 0.06
        assert np.abs(S.std(axis=0) - 1).max() < 0.06
        assert correlation_of_energies(S) < 0.06

    def test_linear_ica_leaves_clear_dependence(self, path):
        X = open_table(path).read()
        found = FastICA(whiten="unit-variance", random_state=0, max_iter=1000).fit_transform(X)
        assert correlation_of_energies(found) > 0.15

    def test_the_map_is_one_to_one_and_its_density_exact(self):
        rng = np.random.default_rng(5)
        S = demo.draw_sources(300, rng)
        state = rng.bit_generator.state

        def mix(points):
            again = np.random.default_rng(0)
            again.bit_generator.state = state
            return demo.mix(points, again)[0]

        assert np.allclose(numerical_log_det(mix, S), demo.mix(S, rng)[1], atol=1e-6)
        u = np.linspace(-30, 30, 2001)
        bent, log_slope = demo.bend(u)
        assert (np.diff(bent) > 0).all()
        assert np.exp(log_slope).min() >= 0.25
        assert np.exp(log_slope).max() <= 1

    def test_log_p_is_written_in_the_units_of_the_sensors(self, path):
        table = open_table(path)
        log_p = table.carried(["log_p"])["log_p"]
        # A nearest-neighbour estimate of the entropy of X, which knows nothing of the recipe.
        X = table.read() / demo.UNIT
        near = cKDTree(X).query(X, k=6)[0][:, 5]
        unit_ball = np.pi**2 / 2
        counts = special.digamma(len(X)) - special.digamma(5)
        entropy = counts + np.log(unit_ball) + 4 * np.log(near).mean() + np.log(demo.UNIT).sum()
        assert -log_p.mean() == pytest.approx(entropy, abs=0.15)


class TestBundled:
    def test_breast_cancer(self, tmp_path):
        bundled.write(tmp_path / "plain.h5")
        bundled.write(tmp_path / "log.h5", log=True)
        plain, logs = open_table(tmp_path / "plain.h5"), open_table(tmp_path / "log.h5")
        assert (plain.n_rows, len(plain.columns)) == (569, 30)
        assert plain.columns[0] == "mean radius"
        assert logs.columns[0] == "log mean radius"
        assert "mean concavity" in logs.columns  # zero in some rows
        X, L = plain.read(), logs.read()
        for i, name in enumerate(logs.columns):
            assert np.allclose(L[:, i], np.log(X[:, i]) if name.startswith("log ") else X[:, i])
        assert set(plain.carried(["target"])["target"]) == {0, 1}

    def test_digits(self, tmp_path):
        bundled.main([str(tmp_path / "digits.h5"), "--set", "digits"])
        table = open_table(tmp_path / "digits.h5")
        assert (table.n_rows, len(table.columns)) == (1797, 64)
        assert table.columns[9] == "pixel_1_1"
        assert table.read().max() == 16


@pytest.mark.parametrize("recipe", [mixtures, demo])
def test_the_seed_decides_everything_and_rows_are_as_many_as_asked_for(tmp_path, recipe):
    contents = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        recipe.main([str(tmp_path / f"{name}.h5"), "--rows", "50", "--seed", str(seed)])
        with h5py.File(tmp_path / f"{name}.h5") as file:
            keys: list[str] = []
            file.visit(keys.append)
            found = {key: file[key][()] for key in keys if isinstance(file[key], h5py.Dataset)}
        assert all(len(values) == 50 for values in found.values())
        contents.append(found)
    same, again, other = contents
    assert same.keys() == again.keys() == other.keys()
    assert all(np.array_equal(same[key], again[key]) for key in same)
    assert not any(np.array_equal(same[key], other[key]) for key in same)


def test_mixtures_file_has_the_groups_of_the_suite(tmp_path):
    mixtures.write(tmp_path / "m.h5", rows=10)
    with h5py.File(tmp_path / "m.h5") as file:
        assert {name: sorted(group) for name, group in file.items()} == {
            "lin5": ["S", "X", "log_p"],
            "nl5": ["S", "X", "log_p"],
            "nl10": ["S", "X", "log_p"],
            "rings": ["X", "log_p"],
        }
    assert open_table(tmp_path / "m.h5", key="nl10").key == "nl10/X"


@pytest.mark.parametrize("how", [["-m", "datasets.demo"], ["datasets/demo.py"]])
def test_recipes_run_from_the_repository_root(tmp_path, how):
    out = tmp_path / "demo.h5"
    subprocess.run([sys.executable, *how, str(out), "--rows", "20"], cwd=ROOT, check=True)
    assert open_table(out).n_rows == 20


def test_recipes_do_not_import_torch():
    code = "import sys, datasets.demo, datasets.mixtures, datasets.bundled; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
