"""Cleaning: a source taken out of a linear mixture to the digit, and what has to stay untouched."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from latentflow import LatentFlow
from latentflow.data.preprocess import Preprocessor
from latentflow.errors import DataError, LatentFlowWarning, PreprocessingError
from latentflow.flow.grids import log_uniform_grid
from latentflow.model.cleaning import VarianceAccount, latents_to_remove
from latentflow.model.fit import fit_flow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.orientation.record import Orientation
from latentflow.score.oracles import IndependentOracle, MixtureOracle

MIXING = np.array([[2.0, 0.3, -0.5], [0.1, 1.0, 0.8], [-0.4, 0.2, 1.5]])
MEAN = np.array([230.0, 5.0, 0.0])
NAMES = ("latent00", "latent01", "latent02")


def one_dimensional(weights, deviations):
    """A mixture of normals about 0: symmetric, so that its median is 0 at every noise level."""
    means = torch.zeros(len(weights), 1, dtype=torch.float64)
    variances = torch.tensor(deviations, dtype=torch.float64)[:, None, None] ** 2
    return MixtureOracle(torch.tensor(weights, dtype=torch.float64), means, variances)


@pytest.fixture(scope="module")
def sources():
    """Three sources whose sample covariance is the identity, shape (200, 3)."""
    drawn = np.random.default_rng(2).laplace(size=(200, 3))
    centred = drawn - drawn.mean(0)
    return centred @ np.linalg.inv(np.linalg.cholesky(np.cov(centred.T, bias=True))).T


@pytest.fixture(scope="module")
def linear(sources):
    """The flow of a linear-ICA model of the rows, oriented along its sources."""
    X = sources @ MIXING.T + MEAN
    preprocessor = Preprocessor.fit(X, ["a", "b", "c"])
    # whitening leaves an orthogonal mixture of sources of unit covariance
    rotation = np.linalg.lstsq(sources, preprocessor.forward(X)[0], rcond=None)[0].T
    laws = [one_dimensional([0.8, 0.2], [0.6, 1.9]), one_dimensional([0.5, 0.5], [0.3, 1.3])]
    oracle = IndependentOracle(torch.tensor(rotation), [*laws, one_dimensional([1.0], [1.0])])
    return FittedFlow(
        preprocessor, oracle, log_uniform_grid(0.05, 12.0, 80), orientation=Orientation(rotation)
    )


@pytest.mark.parametrize(
    "choice",
    [
        {"remove": ["latent01"]},
        {"remove": 1},
        {"remove": "latent01"},
        {"keep": [0, "latent02"]},
        {"keep": np.array([2, 0])},
    ],
)
def test_a_source_of_a_linear_mixture_is_taken_out_exactly(linear, sources, choice):
    X = sources @ MIXING.T + MEAN
    expected = X - np.outer(sources[:, 1], MIXING[:, 1])
    np.testing.assert_allclose(linear.clean(X, **choice), expected, atol=1e-8)


def test_latents_without_orientation_take_out_something_else(linear, sources):
    X = sources @ MIXING.T + MEAN
    plain = FittedFlow(linear.preprocessor, linear.denoiser, linear.sigmas)
    expected = X - np.outer(sources[:, 1], MIXING[:, 1])
    errors = [np.abs(plain.clean(X, remove=i) - expected).max() for i in range(3)]
    assert min(errors) > 0.1


def test_cleaned_rows_have_their_latents_at_the_median_and_the_others_as_before(linear, sources):
    X = sources @ MIXING.T + MEAN
    before, after = linear.encode(X).latents, linear.encode(linear.clean(X, remove=[0, 2])).latents
    np.testing.assert_allclose(after[:, [0, 2]], 0.0, atol=1e-8)
    np.testing.assert_allclose(after[:, 1], before[:, 1], atol=1e-8)


@pytest.fixture(scope="module")
def rows():
    """A smooth column, heavy tails, counts, a column with two decimals, a constant, and a sum of two others."""
    rng = np.random.default_rng(1)
    count = rng.integers(0, 9, 400)
    smooth, tail = rng.normal(3, 2, 400), rng.laplace(size=400)
    return np.column_stack(
        [
            smooth,
            tail + 0.4 * smooth**2,
            count,
            np.round(smooth + count, 2),
            np.full(400, 7.5),
            count + smooth,
        ]
    )


@pytest.fixture(scope="module")
def trained(rows):
    return fit_flow(
        rows, ["smooth", "tail", "count", "cents", "fixed", "sum"], steps=30, width=12, depth=1, seed=4
    )


def test_nothing_removed_is_the_round_trip(trained, rows):
    cleaned = trained.clean(rows, remove=[])
    np.testing.assert_allclose(cleaned, rows, atol=1e-8)
    np.testing.assert_array_equal(cleaned[:, 2:5], rows[:, 2:5])
    np.testing.assert_array_equal(trained.clean(rows, keep=trained.latent_names), cleaned)


@pytest.mark.filterwarnings("ignore::latentflow.LatentFlowWarning")
def test_lattices_constants_and_dependent_columns_stay_what_they_are(trained, rows):
    cleaned = trained.clean(rows, remove=[0, 2])
    assert np.abs(cleaned - rows).max() > 0.5
    np.testing.assert_array_equal(cleaned[:, 2], cleaned[:, 2].round())
    np.testing.assert_array_equal(cleaned[:, 3], cleaned[:, 3].round(2))
    assert (cleaned[:, 4] == 7.5).all()
    np.testing.assert_allclose(cleaned[:, 5], cleaned[:, 0] + cleaned[:, 2], atol=1e-6)


def test_carried_directions_are_left_alone():
    rng = np.random.default_rng(3)
    X = rng.laplace(size=(300, 3)) @ MIXING
    model = fit_flow(X, ["a", "b", "c"], steps=5, width=8, depth=1, components=2, seed=0)
    before = model.encode(X)
    after = model.encode(model.clean(X, remove=model.latent_names))
    np.testing.assert_allclose(after.carried, before.carried, atol=1e-8)
    np.testing.assert_allclose(after.latents, 0.0, atol=1e-8)


def test_samples_keep_their_shape(linear, sources):
    X = sources @ MIXING.T + MEAN
    flat = linear.clean(X, remove=0)
    np.testing.assert_array_equal(linear.clean(X.reshape(200, 3, 1), remove=0), flat.reshape(200, 3, 1))
    with pytest.raises(PreprocessingError, match="3 columns"):
        linear.clean(X[:, :2], remove=0)


def test_rows_far_from_the_training_data_are_warned_of(trained, rows):
    strange = rows[:3].copy()
    strange[1, 1] = 1e4
    with pytest.warns(LatentFlowWarning, match="row 101 lies far outside the training data"):
        trained.clean(strange, remove=0, first_row=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained.clean(strange, remove=[])
        trained.clean(rows[[0, 2]], remove=0)


def test_errors_of_rows_count_from_the_first_row(trained, rows):
    odd = rows[:3].copy()
    odd[1, 4] = 8.0
    with pytest.raises(PreprocessingError, match="row 101"):
        trained.clean(odd, remove=0, first_row=100)


def test_choices_as_positions():
    assert latents_to_remove(NAMES, remove=["latent02", 0, "latent00"]).tolist() == [0, 2]
    assert latents_to_remove(NAMES, keep=[]).tolist() == [0, 1, 2]
    assert latents_to_remove(NAMES, remove=np.int64(1)).tolist() == [1]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"remove": ["latent07"]}, "no latent 'latent07'; it has latent00, latent01, latent02"),
        ({"keep": "blink"}, "no latent 'blink'; it has latent00"),
        ({"remove": [3]}, r"no latent 3; .*positions 0 to 2"),
        ({"remove": [-1]}, "no latent -1"),
        ({"remove": [True]}, "no latent True"),
        ({"remove": [0.5]}, "no latent 0.5"),
        ({}, "give remove or keep"),
        ({"remove": [], "keep": []}, "one of them"),
    ],
)
def test_impossible_choices_are_one_line(choice, words):
    with pytest.raises(DataError, match=words) as caught:
        latents_to_remove(NAMES, **choice)
    assert "\n" not in str(caught.value)


def test_many_latents_are_not_listed_one_by_one():
    with pytest.raises(DataError, match=r"latent00 to latent99 \(positions 0 to 99\)"):
        latents_to_remove([f"latent{i:02d}" for i in range(100)], remove="x")


def test_the_account_does_not_depend_on_the_blocks_and_bears_large_means():
    rng = np.random.default_rng(0)
    before = rng.normal(size=(300, 3)) * [1.0, 1e-3, 0.0] + [0.0, 1e6, 0.1]
    cleaned = before.copy()
    cleaned[:, :2] = cleaned[:, :2].mean(0) + 0.5 * (cleaned[:, :2] - cleaned[:, :2].mean(0))
    for blocks in (1, 7):
        account = VarianceAccount(3)
        for part in np.array_split(np.arange(300), blocks):
            account.add(before[part], cleaned[part])
        np.testing.assert_allclose(account.removed, [0.75, 0.75, 0.0], rtol=1e-4)
        np.testing.assert_allclose(account.changed, [0.25, 0.25, 0.0], rtol=1e-4)
    assert account.rows == 300


def test_the_estimator_cleans_frames_and_paths(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.laplace(size=(300, 2)) @ [[1.0, 0.5], [0.0, 1.0]], columns=["volts", "amps"])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    flow = LatentFlow(steps=10, width=8, depth=1, random_state=0).fit(frame)
    cleaned = flow.clean(frame, remove="latent01")
    np.testing.assert_array_equal(cleaned, flow.model_.clean(frame.to_numpy(), remove=[1]))
    np.testing.assert_allclose(flow.clean(tmp_path / "rows.csv", keep=["latent00"]), cleaned, atol=1e-9)
    with pytest.raises(DataError, match="latent00, latent01"):
        flow.clean(frame, remove="latent02")
