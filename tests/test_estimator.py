"""The estimator: scikit-learn's own checks, and the habits of its users."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from latentflow import LatentFlow, LatentFlowError, LatentFlowWarning
from latentflow.components.source_scale import SourceScale
from latentflow.data.writing import TableWriter
from latentflow.model.settings import FitSettings


def small(**settings):
    return LatentFlow(**{"steps": 25, "width": 12, "depth": 1, "random_state": 0, **settings})


@pytest.mark.usefixtures("numpy_seeded")
@pytest.mark.filterwarnings("ignore::latentflow.LatentFlowWarning")
@parametrize_with_checks([small(steps=10, width=8)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)
    assert estimator is not None


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    x = rng.laplace(size=(300, 2))
    return pd.DataFrame(
        {"volts": x[:, 0], "amps": x[:, 1] + 0.4 * x[:, 0] ** 2, "count": rng.integers(0, 9, 300)}
    )


@pytest.fixture(scope="module")
def fitted(frame):
    return small().fit(frame)


def test_round_trip_of_a_frame(fitted, frame):
    back = fitted.inverse_transform(fitted.transform(frame))
    np.testing.assert_allclose(back, frame, atol=1e-8)
    assert (back[:, 2] == frame["count"]).all()


def test_frames_come_back_when_asked_for(frame):
    flow = clone(small()).set_output(transform="pandas")
    latents = flow.fit_transform(frame)
    assert list(latents.columns) == list(flow.get_feature_names_out()) == ["latent00", "latent01", "latent02"]
    assert (latents.index == frame.index).all()


def test_latents_are_a_change_of_variables(fitted, frame):
    """score_samples is the density: its change under a rescaled column is the logarithm of the scale."""
    scaled = frame.assign(volts=frame["volts"] * 1000)
    other = small().fit(scaled)
    difference = fitted.score_samples(frame) - other.score_samples(scaled)
    # the count column's dequantisation hashes the row, so the rows themselves differ a little
    assert abs(np.median(difference) - np.log(1000)) < 0.05
    assert fitted.score(frame) == pytest.approx(fitted.score_samples(frame).mean())


def test_density_of_either_map(fitted, frame):
    rows = frame.to_numpy(float)
    flow, steps = (fitted.score_samples(frame, log_det=each) for each in ("continuous", "discrete"))
    np.testing.assert_array_equal(flow, fitted.score_samples(frame))
    np.testing.assert_array_equal(steps, fitted.model_.log_prob(rows, log_det="discrete"))
    assert np.abs(steps - flow).max() < 0.1
    with pytest.raises(LatentFlowError, match="continuous, discrete"):
        fitted.score_samples(frame, log_det="both")


def test_a_path_is_as_good_as_an_array(tmp_path, frame):
    path = tmp_path / "rows.h5"
    with TableWriter(path, list(frame.columns), key="X") as writer:
        writer.write(frame.to_numpy(float))
    from_path = small().fit(path)
    assert list(from_path.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(from_path.transform(path), small().fit(frame).transform(frame))


def test_saved_and_loaded(tmp_path, fitted, frame):
    fitted.save(tmp_path / "m.safetensors")
    loaded = LatentFlow.load(tmp_path / "m.safetensors", device="cpu")
    np.testing.assert_array_equal(loaded.transform(frame), fitted.transform(frame))
    assert loaded.get_params()["steps"] == 25
    np.testing.assert_array_equal(loaded.held_out_rows_, fitted.held_out_rows_)


def test_same_seed_same_latents_other_seed_other_latents(frame):
    first, second, third = (small(random_state=s).fit(frame).transform(frame) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, third)


def test_samples_follow_the_seed_and_the_lattice(fitted):
    rows = fitted.sample(20, random_state=3)
    assert rows.shape == (20, 3)
    np.testing.assert_array_equal(rows, fitted.sample(20, random_state=3))
    assert (rows[:, 2] == rows[:, 2].round()).all()


def test_held_out_rows_are_kept_back(fitted, frame):
    assert len(fitted.held_out_rows_) == 60
    assert len(small(held_out=0).fit(frame).held_out_rows_) == 0


def test_components_reduce_the_latents(frame):
    flow = small(n_components=2).fit(frame)
    assert flow.transform(frame).shape == (300, 2)
    encoding = flow.model_.encode(frame.to_numpy())
    back = flow.model_.decode(encoding.latents, encoding.carried)
    np.testing.assert_allclose(back, frame, atol=1e-8)


def test_few_rows_warn():
    X = np.random.default_rng(0).normal(size=(25, 3))
    with pytest.warns(LatentFlowWarning, match="training rows are few for 3 dimensions"):
        small().fit(X)


def test_missing_values_may_be_dropped(frame):
    holes = frame.astype(float)
    holes.iloc[5, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        small().fit(holes)
    flow = small(missing="drop").fit(holes)
    assert len(flow.model_.roles) == 300
    assert 5 not in flow.held_out_rows_


def test_bad_settings_are_one_line(frame):
    for setting, words in [
        ({"preset": "huge"}, "huge"),
        ({"device": "abacus"}, "abacus"),
        ({"tails": "x"}, "tails"),
        ({"n_components": 4}, "between 1 and 3"),
    ]:
        with pytest.raises(LatentFlowError, match=words) as caught:
            small(**setting).fit(frame)
        assert "\n" not in str(caught.value)


def test_in_a_pipeline(frame):
    pipeline = make_pipeline(StandardScaler(), small())
    latents = pipeline.fit_transform(frame)
    assert latents.shape == (300, 3)
    assert np.isfinite(pipeline.score(frame))


def test_verbose_prints_losses(frame, capsys):
    small(verbose=True).fit(frame)
    assert "/25: loss" in capsys.readouterr().out


@pytest.fixture(scope="module")
def scaled(fitted, frame):
    """The fitted estimator around a model that has the scale of its sources and mean Jacobians."""
    model, rows = fitted.model_, frame.to_numpy(dtype=float)
    turn = model.orientation.rotation
    scale = SourceScale.fit(model.flow, turn, model.encode(rows).latents, reach=model.reach, knots=17)
    model = replace(model, source_scale=scale)
    estimator = copy.deepcopy(fitted)
    estimator.model_ = replace(model, mean_jacobians=model.mean_jacobians_over(rows[:50]))
    return estimator


def test_sources_are_transformed_and_back(scaled, frame):
    sources = scaled.transform(frame, scale="source")
    assert np.abs(sources - scaled.transform(frame)).max() > 0.05
    np.testing.assert_allclose(scaled.inverse_transform(sources, scale="source"), frame, atol=1e-8)
    with pytest.raises(LatentFlowError, match="latent, source"):
        scaled.transform(frame, scale="data")


def test_components_and_mixing_are_there_after_loading(scaled, tmp_path, frame):
    scaled.save(tmp_path / "m.safetensors")
    loaded = LatentFlow.load(tmp_path / "m.safetensors")
    assert loaded.components_.shape == loaded.mixing_.T.shape == (3, 3)
    np.testing.assert_array_equal(loaded.components_, scaled.model_.mean_jacobians.components)
    np.testing.assert_array_equal(loaded.mixing_, scaled.model_.mean_jacobians.mixing)
    np.testing.assert_allclose(loaded.mean_, frame[:50].mean())


def test_groups_and_times_orient_the_latents(frame, tmp_path):
    labels = np.array(["a", "b", "c"])[np.arange(300) // 100]
    grouped = small().fit(frame, groups=labels)
    assert (grouped.model_.orientation.method, grouped.model_.orientation.asked) == ("groups", "auto")
    timed = small(orientation="temporal").fit(frame, time=np.arange(300) * 0.1)
    assert timed.model_.orientation.method == "temporal"
    np.testing.assert_array_equal(
        small(time_order=True).fit(frame).transform(frame),
        small().fit(frame, time=range(300)).transform(frame),
    )
    with pytest.raises(LatentFlowError, match="300 rows"):
        small().fit(frame, groups=labels[:-1])
    grouped.save(tmp_path / "m.safetensors")
    loaded = LatentFlow.load(tmp_path / "m.safetensors", device="cpu")
    np.testing.assert_array_equal(
        loaded.transform(frame, scale="source"), grouped.transform(frame, scale="source")
    )


def test_columns_of_a_file_may_be_groups_and_times(frame, tmp_path):
    path, labels = tmp_path / "rows.csv", np.arange(300) // 60
    frame.assign(subject=[f"s{i}" for i in labels], t=np.arange(300)).to_csv(path, index=False)
    by_name = small().fit(path, groups="subject", time="t")
    assert by_name.model_.columns == tuple(frame.columns)
    assert by_name.model_.orientation.method == "temporal"
    assert (by_name.model_.record["groups"], by_name.model_.record["time"]) == ("subject", "t")
    with pytest.raises(LatentFlowError, match="'tt'"):
        small().fit(path, groups="subject", time="tt")
    by_value = small().fit(frame, groups=labels, time=np.arange(300))
    np.testing.assert_allclose(by_name.transform(frame), by_value.transform(frame), atol=1e-9)


def test_what_was_loaded_is_saved_as_it_was(fitted, tmp_path):
    fitted.save(tmp_path / "one.safetensors")
    LatentFlow.load(tmp_path / "one.safetensors", device="cpu").save(tmp_path / "two.safetensors")
    assert (tmp_path / "two.safetensors").read_bytes() == (tmp_path / "one.safetensors").read_bytes()
    assert LatentFlow.load(tmp_path / "two.safetensors", device="cpu").orientation == "auto"


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "model" / "files").glob("*.safetensors")))
def test_models_of_older_versions_are_loaded_with_the_settings_that_they_record(path):
    loaded = LatentFlow.load(path, device="cpu")
    settings = loaded.model_.record["settings"]
    assert "solver" not in settings
    assert loaded.solver == FitSettings().solver
    assert (loaded.n_components, loaded.steps) == (settings["components"], settings["steps"])
    assert loaded.random_state == loaded.model_.record["seed"]
    loaded._validate_params()
