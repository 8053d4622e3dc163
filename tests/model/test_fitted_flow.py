"""The fitted flow and its file, with a closed form in the network's place where that is the sharper witness."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from latentflow.components.source_scale import SourceScale
from latentflow.data.preprocess import Preprocessor
from latentflow.errors import DataError, LatentFlowError, LatentFlowWarning, ModelFileError
from latentflow.flow.grids import log_uniform_grid
from latentflow.model.devices import choose_device
from latentflow.model.fit import fit_flow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.orientation.record import Orientation
from latentflow.score.oracles import GaussianOracle, MixtureOracle


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    return np.column_stack([rng.normal(3, 2, 400), rng.laplace(size=400), rng.integers(0, 5, 400)]).astype(
        float
    )


@pytest.fixture(scope="module")
def model(rows):
    return fit_flow(rows, ["a", "b", "c"], steps=30, width=12, depth=1, base="none", seed=4)


def test_density_is_in_the_users_units():
    """With the exact score of a Gaussian, log p is the Gaussian's own density of the raw rows."""
    rng = np.random.default_rng(0)
    covariance = np.array([[4.0, 1.5], [1.5, 25.0]])
    X = rng.multivariate_normal([10, -3], covariance, size=4000)
    preprocessor = Preprocessor.fit(X, ["a", "b"])
    start = 0.01
    # the flow starts at noise σ_min, so the blurred law is the data's where the oracle is sharper by as much
    oracle = GaussianOracle(torch.zeros(2), (1 - start**2) * torch.eye(2))
    model = FittedFlow(preprocessor, oracle, log_uniform_grid(start, 200.0, 400))
    centred = X[:50] - X.mean(0)
    sample_covariance = centred_covariance(X)
    expected = -0.5 * (
        np.einsum("ni,ij,nj->n", centred, np.linalg.inv(sample_covariance), centred)
        + np.log(np.linalg.det(2 * np.pi * sample_covariance))
    )
    np.testing.assert_allclose(model.log_prob(X[:50]), expected, atol=2e-3)


def centred_covariance(X):
    return np.cov(X.T, bias=True)


def test_log_det_is_that_of_the_whole_map(model, rows):
    """User's units to latents, against central differences of the continuous part."""
    row = model.preprocessor.continuous(rows[:1])[0]

    def whole(values):
        x, _ = model.preprocessor.whiten(values)
        return model.flow.encode(torch.as_tensor(x)).numpy()

    steps = np.eye(3) * 1e-5
    jacobian = (whole(row + steps) - whole(row - steps)) / 2e-5
    encoding = model.encode(rows[:1], log_prob=True)
    assert encoding.log_det[0] == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=2e-3)
    gaussian = -0.5 * (encoding.latents**2).sum() - 1.5 * np.log(2 * np.pi)
    assert encoding.log_prob[0] == pytest.approx(gaussian + encoding.log_det[0])


def gaussian_flow(steps):
    """A flow whose log|det| is known: the score of a Gaussian that is not the one of the whitened rows."""
    X = np.random.default_rng(5).multivariate_normal([10, -3], [[4.0, 1.5], [1.5, 25.0]], size=500)
    covariance = torch.tensor([[0.6, 0.3], [0.3, 0.25]], dtype=torch.float64)
    oracle, sigmas = GaussianOracle(torch.tensor([0.2, -0.1]), covariance), log_uniform_grid(0.1, 20.0, steps)
    rotation = np.array([[0.6, 0.8], [0.8, -0.6]])  # a reflection too: it has no part in |det|
    turned = Orientation(rotation, angle_error=np.zeros((2, 2)))
    model = FittedFlow(Preprocessor.fit(X, ["a", "b"]), oracle, sigmas, orientation=turned)
    _, stretch = model.preprocessor.forward(X[:30])
    variances = oracle.eigenvalues[0].numpy()
    of_flow = 0.5 * np.log((variances + 20.0**2) / (variances + 0.1**2)).sum() - np.log(1 + 20.0**2)
    return model, X[:30], stretch + of_flow


def test_two_log_dets_agree_to_the_accuracy_of_the_grid():
    model, rows, exact = gaussian_flow(100)
    for log_det in ("continuous", "discrete"):
        found = model.encode(rows, log_prob=True, log_det=log_det)
        np.testing.assert_allclose(found.log_det, exact, atol=1e-5)
        density = exact - 0.5 * (found.latents**2).sum(1) - np.log(2 * np.pi)
        np.testing.assert_allclose(found.log_prob, density, atol=1e-5)
        np.testing.assert_array_equal(model.log_prob(rows, log_det=log_det), found.log_prob)


def test_two_log_dets_differ_on_a_coarse_grid_where_one_is_that_of_the_encoder():
    model, rows, exact = gaussian_flow(8)
    flow, steps = (model.encode(rows, log_prob=True, log_det=each) for each in ("continuous", "discrete"))
    np.testing.assert_allclose(steps.latents, flow.latents, atol=1e-12)
    assert np.abs(steps.log_det - flow.log_det).min() > 1e-3
    np.testing.assert_allclose(steps.log_det, by_differences(model, rows, step=1e-3), atol=1e-9)
    assert np.abs(flow.log_det - exact).max() > 1e-5
    assert flow.folded is None
    assert not steps.folded.any()


def by_differences(model, rows, scale="latent", step=1e-6):
    """log|det| of rows in the user's units to (latents, carried), by central differences of ``encode``."""

    def encoded(values):
        found = model.encode(values, scale=scale)
        return np.concatenate([found.latents, found.carried], axis=1)

    columns = [
        (encoded(rows + way) - encoded(rows - way)) / (2 * step) for way in np.eye(rows.shape[1]) * step
    ]
    return np.linalg.slogdet(np.stack(columns, axis=2))[1]


@pytest.mark.calibration
@pytest.mark.parametrize("components", [None, 2])
def test_the_discrete_log_det_is_that_of_encode_itself(components):
    """Of all that encode does: heavy tails, whitening, carried directions, the steps, orientation and sources."""
    rng = np.random.default_rng(6)
    X = np.column_stack([rng.normal(3, 20, 400), rng.standard_t(2, 400), rng.exponential(0.1, 400)])
    model = fit_flow(
        X,
        ["a", "b", "c"],
        steps=150,
        width=12,
        depth=1,
        components=components,
        tails="asinh",
        accuracy=0.01,
        base="none",
    )
    turn = np.linalg.qr(rng.normal(size=(len(model.latent_names),) * 2))[0]
    model = replace(model, orientation=Orientation(turn, angle_error=np.zeros(turn.shape)), source_scale=None)
    latents = model.encode(X).latents
    sources = SourceScale.fit(model.flow, turn, latents, reach=model.reach, knots=17)
    model = replace(model, source_scale=sources)
    for scale in ("latent", "source"):
        found = model.encode(X[:20], log_prob=True, log_det="discrete", scale=scale)
        by_hand = by_differences(model, X[:20], scale)
        np.testing.assert_allclose(found.log_det, by_hand, atol=1e-6)
        assert np.abs(model.encode(X[:20], log_prob=True, scale=scale).log_det - by_hand).max() > 3e-6
        # the density of a row has nothing to do with the scale of its latents
        z = np.concatenate([latents[:20], found.carried], axis=1)
        density = by_differences(model, X[:20]) - 0.5 * (z**2).sum(1) - 1.5 * np.log(2 * np.pi)
        np.testing.assert_allclose(found.log_prob, density, atol=1e-6)


def test_a_row_where_the_discrete_map_folds_has_no_density():
    X = np.random.default_rng(7).normal(size=(200, 2))
    spread = torch.tensor([[[0.02, 0.0], [0.0, 1.0]]] * 2, dtype=torch.float64)
    law = MixtureOracle(torch.ones(2), torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64), spread)
    model = FittedFlow(Preprocessor.fit(X, ["a", "b"]), law, log_uniform_grid(0.1, 20.0, 3), solver="euler")
    found = model.encode(X, log_prob=True, log_det="discrete")
    jacobian = model.flow.encode_with_jacobian(model.tensor(model.preprocessor.forward(X)[0]))[1]
    folded = np.linalg.det(jacobian) <= 0
    assert 0 < folded.sum() < 200
    np.testing.assert_array_equal(found.folded, folded)
    np.testing.assert_array_equal(np.isnan(found.log_prob), folded)
    assert np.isfinite(found.latents).all()
    assert np.isfinite(model.log_prob(X)).all()


def test_jacobians_are_taken_a_part_at_a_time(monkeypatch, model, rows):
    whole = model.log_prob(rows, log_det="discrete")
    sizes, taken = [], type(model.flow).encode_with_jacobian

    def watched(flow, x):
        sizes.append(len(x))
        return taken(flow, x)

    monkeypatch.setattr(type(model.flow), "encode_with_jacobian", watched)
    monkeypatch.setattr("latentflow.flow.latent_map.NUMBERS_AT_ONCE", 150 * 12)
    np.testing.assert_allclose(model.log_prob(rows, log_det="discrete"), whole, atol=1e-10)
    assert sizes == [150, 150, 100]


def test_a_log_det_that_cannot_be_had_is_refused(model, rows):
    with pytest.raises(LatentFlowError, match="continuous, discrete, not 'exact'"):
        model.log_prob(rows[:2], log_det="exact")
    with pytest.raises(LatentFlowError, match="trace_seed"):
        model.encode(rows[:2], log_prob=True, log_det="discrete", trace_seed=1)


def test_decode_restores_lattices_to_the_bit(model, rows):
    back = model.decode(model.encode(rows).latents)
    np.testing.assert_allclose(back, rows, atol=1e-8)
    assert (back[:, 2] == rows[:, 2]).all()


def test_a_row_has_one_latent_whatever_its_company(model, rows):
    together = model.encode(rows).latents
    np.testing.assert_allclose(model.encode(rows[7:9]).latents, together[7:9], atol=1e-12)


def test_components_carry_the_rest(rows):
    model = fit_flow(rows, ["a", "b", "c"], steps=5, width=8, depth=1, base="none", components=1)
    encoding = model.encode(rows, log_prob=True)
    assert encoding.latents.shape == (400, 1)
    assert encoding.carried.shape == (400, 2)
    np.testing.assert_allclose(model.decode(encoding.latents, encoding.carried), rows, atol=1e-8)
    assert np.isfinite(encoding.log_prob).all()
    assert model.decode(encoding.latents).shape == (400, 3)


def test_far_rows_are_flagged(model, rows):
    strange = rows[:3].copy()
    strange[1, 0] = 500.0
    assert model.encode(strange).far.tolist() == [False, True, False]


def test_held_out_rows_do_not_touch_the_fit(rows):
    """Other values in the held-out rows change nothing of what was learned."""
    first = fit_flow(rows[:, :2], ["a", "b"], steps=5, width=8, depth=1, base="none", split="random", seed=3)
    held = first.roles == 2
    other = rows[:, :2].copy()
    other[held] = other[held][::-1] * 1.01
    second = fit_flow(other, ["a", "b"], steps=5, width=8, depth=1, base="none", split="random", seed=3)
    kept = rows[~held, :2]
    np.testing.assert_array_equal(first.encode(kept).latents, second.encode(kept).latents)


def test_file_round_trip(tmp_path, model, rows):
    path = model.save(tmp_path / "m.safetensors")
    loaded = FittedFlow.load(path, device="cpu")
    np.testing.assert_array_equal(loaded.encode(rows).latents, model.encode(rows).latents)
    np.testing.assert_array_equal(loaded.roles, model.roles)
    assert loaded.record == json.loads(json.dumps(model.record))
    assert loaded.hash == model.hash
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.fixture(scope="module")
def turned(model, rows):
    """The model with a rotation, the scale of sources and mean Jacobians, as an orientation leaves it."""
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    oriented = replace(model, orientation=Orientation(rotation, angle_error=np.zeros((3, 3))))
    latents = oriented.encode(rows).latents
    scale = SourceScale.fit(model.flow, rotation, latents, reach=model.reach, knots=17)
    scaled = replace(oriented, source_scale=scale)
    return replace(scaled, mean_jacobians=scaled.mean_jacobians_over(rows[:40]))


def test_sources_are_the_latents_at_another_scale(turned, rows):
    latents, sources = turned.encode(rows), turned.encode(rows, scale="source")
    np.testing.assert_allclose(
        sources.latents, turned.source_scale.forward(latents.latents)[0], rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(sources.latents.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(turned.decode(sources.latents, scale="source"), rows, atol=1e-8)
    np.testing.assert_array_equal(sources.far, latents.far)


def test_density_of_a_row_is_the_same_in_either_scale_and_the_log_det_is_not(turned, rows):
    latents = turned.encode(rows[:20], log_prob=True)
    sources = turned.encode(rows[:20], log_prob=True, scale="source")
    np.testing.assert_allclose(sources.log_prob, latents.log_prob, atol=1e-12)
    added = turned.source_scale.forward(latents.latents)[1]
    np.testing.assert_allclose(sources.log_det - latents.log_det, added, atol=1e-10)
    assert np.abs(added).max() > 1e-3


def test_source_scale_is_refused_where_there_is_none(model, rows):
    plain = replace(model, source_scale=None)
    with pytest.raises(LatentFlowError, match="latentflow orient"):
        plain.encode(rows[:2], scale="source")
    with pytest.raises(LatentFlowError, match="latentflow orient"):
        plain.decode(np.zeros((2, 3)), scale="source")
    with pytest.raises(LatentFlowError, match="latent, source"):
        plain.encode(rows[:2], scale="sources")


def test_the_file_keeps_scale_and_picture(tmp_path, turned, rows):
    loaded = FittedFlow.load(turned.save(tmp_path / "m.safetensors"), device="cpu")
    np.testing.assert_array_equal(
        loaded.encode(rows, scale="source").latents, turned.encode(rows, scale="source").latents
    )
    for name in ("components", "mixing", "mean"):
        np.testing.assert_array_equal(
            getattr(loaded.mean_jacobians, name), getattr(turned.mean_jacobians, name)
        )
    assert loaded.hash == turned.hash != replace(turned, source_scale=None).hash


def test_the_picture_is_of_the_sources_where_they_have_a_scale(turned, rows):
    """One row has one Jacobian: by the chain rule, that of the latent times the speed of the source."""
    row = rows[:1]
    sources, latents = (
        turned.mean_jacobians_over(row),
        replace(turned, source_scale=None).mean_jacobians_over(row),
    )
    speeds = turned.source_scale.speeds(turned.encode(row).latents)[0]
    np.testing.assert_allclose(sources.components, latents.components * speeds[:, None], rtol=1e-9)
    np.testing.assert_allclose(sources.mixing, latents.mixing / speeds, rtol=1e-9)
    np.testing.assert_allclose(sources.components @ sources.mixing, np.eye(3), atol=1e-9)


def test_damaged_and_foreign_files_are_refused(tmp_path, model):
    path = model.save(tmp_path / "m.safetensors")
    content = path.read_bytes()
    (tmp_path / "short").write_bytes(content[: len(content) // 2])
    (tmp_path / "noise").write_bytes(b"not a model at all")
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign")
    for name, words in [
        ("short", "damaged"),
        ("noise", "damaged"),
        ("foreign", "not a latentflow model"),
        ("absent", "no such model file"),
    ]:
        with pytest.raises(ModelFileError, match=words) as caught:
            FittedFlow.load(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_unknown_versions_and_missing_parts_are_refused(tmp_path, model):
    path = model.save(tmp_path / "m.safetensors")
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["latentflow"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "new", metadata={"latentflow": json.dumps({**header, "format": 99})})
    with pytest.raises(ModelFileError, match="format 99"):
        FittedFlow.load(tmp_path / "new")
    tensors.pop("rows.role")
    save_file(tensors, tmp_path / "part", metadata={"latentflow": json.dumps(header)})
    with pytest.raises(ModelFileError, match="damaged"):
        FittedFlow.load(tmp_path / "part")


def test_a_file_from_before_orientations_is_read_as_not_oriented(tmp_path, turned, rows):
    with safe_open(turned.save(tmp_path / "m.safetensors"), framework="pt") as file:
        header = json.loads(file.metadata()["latentflow"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    new = ("orientation.", "source_scale.", "linear_picture.")
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(new)}
    header = {key: value for key, value in header.items() if key != "orientation"} | {"format": 1}
    save_file(tensors, tmp_path / "old", metadata={"latentflow": json.dumps(header)})
    loaded = FittedFlow.load(tmp_path / "old", device="cpu")
    assert loaded.orientation.method == "none"
    assert (loaded.orientation.angle_error[~np.eye(3, dtype=bool)] == np.pi / 4).all()
    assert loaded.source_scale is None
    latents = loaded.encode(rows).latents
    np.testing.assert_allclose(latents @ turned.orientation.rotation, turned.encode(rows).latents, atol=1e-12)
    np.testing.assert_allclose(loaded.decode(latents), rows, atol=1e-8)
    # and is written anew in the present format
    again = FittedFlow.load(loaded.save(tmp_path / "new"), device="cpu")
    np.testing.assert_array_equal(again.encode(rows).latents, latents)


def test_the_blend_of_orders_is_part_of_the_file(tmp_path, model, rows):
    blend_weights = np.random.default_rng(0).uniform(-0.5, 0.5, (2, len(model.sigmas) - 1, 2, 3))
    blended = replace(model, solver="pec5", blend_weights=blend_weights)
    loaded = FittedFlow.load(blended.save(tmp_path / "m.safetensors"), device="cpu")
    np.testing.assert_array_equal(loaded.blend_weights, blend_weights)
    latents = loaded.encode(rows).latents
    np.testing.assert_array_equal(latents, blended.encode(rows).latents)
    np.testing.assert_allclose(loaded.decode(latents), rows, atol=1e-8)
    # without it the encoder is another one
    assert (
        np.abs(replace(model, solver="pec5", blend_weights=None).encode(rows).latents - latents).max() > 1e-9
    )


def test_wrong_shapes_are_refused(model):
    with pytest.raises(DataError, match="3 columns"):
        model.decode(np.zeros((4, 2)))
    with pytest.raises(DataError, match="row 1 are not finite"):
        model.decode([[0, 0, 0], [0, np.nan, 0]])
    with pytest.raises(DataError, match="carried"):
        model.decode(np.zeros((4, 3)), np.zeros((4, 1)))


def test_unavailable_device_is_a_clear_error():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(LatentFlowError, match="not available"):
        choose_device("abacus")


def test_samples_have_the_law_of_the_data(model, rows):
    drawn = model.sample(300, np.random.default_rng(0))
    assert abs(drawn[:, 0].mean() - rows[:, 0].mean()) < 0.5
    assert (drawn[:, 2] == drawn[:, 2].round()).all()


def test_random_traces_leave_the_mean_density_and_state_their_error(model, rows):
    exact, found = model.encode(rows, log_prob=True), model.encode(rows, log_prob=True, trace_seed=3)
    assert exact.trace_error is None
    assert found.trace_error > 0
    assert abs(found.log_prob.mean() - exact.log_prob.mean()) < 5 * found.trace_error
    np.testing.assert_allclose(found.latents, exact.latents, atol=1e-10)


def test_rows_that_cannot_be_decoded_are_named(model, monkeypatch):
    exact = type(model.flow).decode

    def astray(self, z, **settings):
        x, residual = exact(self, z, **settings)
        residual[2] = np.nan
        return x, residual

    monkeypatch.setattr(type(model.flow), "decode", astray)
    with pytest.warns(LatentFlowWarning, match="rows 102"):
        model.decode(np.zeros((5, len(model.latent_names))), first_row=100)


def test_a_copy_in_another_precision_leaves_the_first_as_it_was(model, rows):
    first = replace(model)
    single = replace(first, dtype=torch.float32)
    assert next(single.denoiser.parameters()).dtype == torch.float32
    assert next(first.denoiser.parameters()).dtype == torch.float64
    np.testing.assert_array_equal(first.encode(rows).latents, model.encode(rows).latents)
