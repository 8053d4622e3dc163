"""Verification against closed forms: a map that folds, errors of known size, and the linear flow of a Gaussian."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from latentflow.analysis.verification.results import Quantiles
from latentflow.analysis.verification.verification import verify_blocks
from latentflow.data.preprocess import Preprocessor
from latentflow.errors import DataError, PreprocessingError
from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.orientation.record import Orientation
from latentflow.score.oracles import GaussianOracle, MixtureOracle

SIGMA_MIN, SIGMA_MAX = 0.05, 12.0


def table(n=200, d=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)) @ np.triu(np.full((d, d), 0.4) + np.eye(d))


def blocks(rows, size=70):
    """Rows in blocks, as a table gives them."""
    return [
        (np.arange(at, min(at + size, len(rows))), rows[at : at + size]) for at in range(0, len(rows), size)
    ]


def wrap(flow, rows, dtype=torch.float64):
    """A model whose latents are those of this flow, turned by half a radian."""
    turn = np.array([[math.cos(0.5), -math.sin(0.5)], [math.sin(0.5), math.cos(0.5)]])
    return SimpleNamespace(
        preprocessor=Preprocessor.fit(rows, ["a", "b"]),
        columns=("a", "b"),
        flow=flow,
        orientation=SimpleNamespace(rotation=turn),
        dtype=dtype,
        tensor=lambda values: torch.as_tensor(values, dtype=dtype),
    )


def whitened(model, rows):
    return model.preprocessor.forward(rows)[0]


@dataclass
class Folded:
    """(x₀², x₁): two rows share each latent, no row has a negative first one, and the determinant is 2 x₀."""

    evaluations: int = 1

    def encode(self, x):
        return torch.stack([x[:, 0] ** 2, x[:, 1]], 1)

    def decode(self, z):
        return torch.stack([z[:, 0].sqrt(), z[:, 1]], 1), torch.zeros(len(z))

    jacobian_parts = ProbabilityFlow.jacobian_parts

    def encode_with_jacobian(self, x):
        jacobian = torch.eye(2, dtype=x.dtype).repeat(len(x), 1, 1)
        jacobian[:, 0, 0] = 2 * x[:, 0]
        return self.encode(x), jacobian

    def encode_with_log_det(self, x):
        return self.encode(x), (2 * x[:, 0]).abs().log() + 0.25


@dataclass
class Stretched:
    """(x₀, x₁ / stretch), decoded with an error; the decoder claims to be exact."""

    stretch: float
    error: torch.Tensor
    evaluations: int = 1
    scale: torch.Tensor = field(init=False)

    def __post_init__(self):
        self.scale = torch.tensor([1.0, 1 / self.stretch], dtype=self.error.dtype)

    def encode(self, x):
        return x * self.scale

    def decode(self, z):
        return z / self.scale + self.error, torch.zeros(len(z))

    jacobian_parts = ProbabilityFlow.jacobian_parts

    def encode_with_jacobian(self, x):
        return self.encode(x), torch.diag(self.scale).expand(len(x), 2, 2)

    def encode_with_log_det(self, x):
        return self.encode(x), torch.full((len(x),), -math.log(self.stretch), dtype=x.dtype)


def test_a_fold_is_found_row_by_row():
    rows = table()
    model = wrap(Folded(), rows)
    found = verify_blocks(model, blocks(rows), n_rows=len(rows), draws=300, seed=4)
    first = whitened(model, rows)[:, 0]
    left = tuple(np.flatnonzero(first < 0).tolist())
    assert found.data.folded == found.data.not_restored == found.data.failed == left
    assert (found.data.not_inverted, found.data.lost) == ((), ())
    assert found.data.data_error.maximum == pytest.approx(2 * -first.min())
    assert found.data.data_error.at == first.argmin()
    assert found.data.log_det_difference.median == pytest.approx(0.25)
    condition = np.maximum(np.abs(2 * first), 1) / np.minimum(np.abs(2 * first), 1)
    assert found.data.condition.maximum == pytest.approx(condition.max())
    assert found.data.condition.n == len(rows)
    assert [row.index for row in found.data.worst] == np.argsort(first)[:5].tolist()
    assert not found.passed


def test_draws_that_no_row_has_are_reported_and_break_nothing():
    rows = table()
    found = verify_blocks(wrap(Folded(), rows), blocks(rows), n_rows=len(rows), draws=300, seed=4)
    z = np.random.default_rng(4).standard_normal((300, 2))
    assert found.draws.lost == tuple(np.flatnonzero(z[:, 0] < 0).tolist())
    assert (found.draws.folded, found.draws.not_inverted, found.draws.not_restored) == ((), (), ())
    assert found.draws.data_error is None
    assert found.draws.latent_residual.maximum == math.inf
    assert found.to_dict()["draws"]["latent_residual"]["maximum"] is None


class Lost(Folded):
    """The same, with no latents for rows right of 1, and a decoder that chokes on what is not finite."""

    def encode(self, x):
        return super().encode(x) / torch.where(x[:, :1] > 1, 0.0, 1.0)

    def decode(self, z):
        assert torch.isfinite(z).all()
        return super().decode(z)


@pytest.mark.filterwarnings("error")
def test_rows_without_latents_are_reported_and_not_decoded():
    """Left of -1 a row has latents, but the row that these are decoded to has none."""
    rows = table()
    model = wrap(Lost(), rows)
    found = verify_blocks(model, blocks(rows), n_rows=len(rows), draws=10)
    first = whitened(model, rows)[:, 0]
    assert found.data.lost == tuple(np.flatnonzero(np.abs(first) > 1).tolist())
    assert found.data.folded == tuple(np.flatnonzero((first < 0) & (first > -1)).tolist())
    assert found.data.worst[0].latent_residual == math.inf
    assert np.isfinite([column.maximum for column in found.columns]).all()


def test_errors_have_their_size_in_every_unit():
    """Decoding puts δ on the first whitened axis: δ √λ₁ times its direction and scale in each column."""
    rows, delta = table(), 1e-7
    model = wrap(Stretched(1.0, torch.tensor([delta, 0.0], dtype=torch.float64)), rows)
    found = verify_blocks(model, blocks(rows), n_rows=len(rows), draws=50)
    assert found.data.latent_residual.maximum == pytest.approx(delta, rel=1e-6)  # not what the decoder claims
    assert found.draws.latent_residual.median == pytest.approx(delta, rel=1e-6)
    assert found.data.data_error.median == pytest.approx(delta, rel=1e-6)
    white = model.preprocessor.whitening
    moved = np.abs(white.scale * white.basis[:, 0]) * math.sqrt(white.variances[0]) * delta
    np.testing.assert_allclose([column.maximum for column in found.columns], moved, rtol=1e-5)
    np.testing.assert_allclose(
        [column.in_deviations for column in found.columns], moved / rows.std(0), rtol=1e-5
    )
    assert (found.exact_rows, len(found.data.not_inverted), len(found.draws.not_inverted)) == (0, 200, 50)
    assert verify_blocks(model, blocks(rows), n_rows=200, tolerance=1e-6).passed


@pytest.mark.parametrize(("dtype", "passes"), [(torch.float32, True), (torch.float64, False)])
def test_in_single_precision_the_data_error_counts_over_the_condition_number(dtype, passes):
    rows = table()
    model = wrap(Stretched(100.0, torch.tensor([0.0, 3e-5], dtype=dtype)), rows, dtype)
    found = verify_blocks(model, blocks(rows), n_rows=len(rows), draws=20, tolerance=1e-5)
    assert found.data.condition.maximum == pytest.approx(100, rel=1e-5)
    assert found.data.scaled_error.median == pytest.approx(3e-7, rel=0.5)
    assert len(found.data.not_restored) == (0 if passes else 200)
    assert found.passed is passes


def test_rows_without_a_condition_number_are_judged_by_the_error_itself():
    rows = table()
    model = wrap(Stretched(100.0, torch.tensor([0.0, 3e-5], dtype=torch.float32)), rows, torch.float32)
    found = verify_blocks(model, blocks(rows), n_rows=len(rows), draws=20, tolerance=1e-5, determinants=10)
    assert found.data.determinants == 10
    assert len(found.data.not_restored) == len(rows) - 10
    assert not found.passed


def test_determinants_of_fewer_rows_are_evenly_spaced_over_blocks():
    rows = table(205)
    model = wrap(Folded(), rows)
    found = verify_blocks(model, blocks(rows, 64), n_rows=205, draws=95, determinants=21)
    looked = np.arange(0, 205, 10)
    assert (found.data.determinants, found.draws.determinants) == (21, 19)
    assert found.data.folded == tuple(looked[whitened(model, rows)[looked, 0] < 0].tolist())


def gaussian(rows, steps=96):
    """A fitted flow with the exact denoiser of N(0, diag(2, 0.3, 0.01)) on whitened coordinates."""
    variances = torch.tensor([2.0, 0.3, 0.01], dtype=torch.float64)
    return FittedFlow(
        preprocessor=Preprocessor.fit(rows, ["a", "b", "c"]),
        denoiser=GaussianOracle(torch.zeros(3, dtype=torch.float64), torch.diag(variances)),
        sigmas=log_uniform_grid(SIGMA_MIN, SIGMA_MAX, steps),
        orientation=Orientation.identity(3),
    )


def test_the_flow_of_a_gaussian_is_a_bijection_with_its_known_condition_number():
    rows = table(150, 3)
    told = []
    found = verify_blocks(gaussian(rows), blocks(rows), n_rows=150, draws=80, progress=told.append)
    stretch = np.sqrt([(v + SIGMA_MAX**2) / (v + SIGMA_MIN**2) for v in (2.0, 0.3, 0.01)])
    assert found.passed
    assert found.data.condition.median == pytest.approx(stretch.max() / stretch.min(), rel=1e-4)
    assert found.draws.condition.maximum == pytest.approx(stretch.max() / stretch.min(), rel=1e-4)
    assert found.data.log_det_difference.maximum < 1e-4
    assert found.data.latent_residual.maximum <= 1e-9
    assert (found.data.determinants, found.draws.determinants, told[-1]) == (150, 80, 230)
    assert (found.dtype, found.tolerance) == ("float64", 1e-9)


def test_the_witness_tells_how_far_latents_are_from_the_exact_flow():
    rows = table(150, 3)
    model = gaussian(rows, steps=20)
    model.record["grid"] = {"accuracy": 1e-3}
    found = verify_blocks(model, blocks(rows), n_rows=150, draws=5, witness=31).witness
    x = model.tensor(whitened(model, rows))
    exact = model.denoiser.flow(x, SIGMA_MIN, SIGMA_MAX) / math.sqrt(1 + SIGMA_MAX**2)
    looked = np.linspace(0, 149, 31).astype(int)
    distance = (model.flow.encode(x) - exact).norm(dim=1).numpy()[looked]
    assert (found.distance.n, found.distance.at) == (31, looked[distance.argmax()])
    assert found.distance.maximum == pytest.approx(distance.max(), abs=1e-9)
    assert found.mean_distance == pytest.approx(distance.mean(), abs=1e-9)
    assert distance.mean() > 1e-6
    assert (found.solver, found.tolerance, found.accuracy) == ("dopri8", 1e-10, 1e-3)
    assert verify_blocks(model, blocks(rows), n_rows=150, draws=5).witness is None


def test_a_coarse_grid_that_folds_between_modes_is_caught():
    """Three Euler steps overshoot where the field of two narrow modes is steepest, half-way between them."""
    modes = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    narrow = torch.full((2, 1, 1), 1e-3, dtype=torch.float64)
    rows = np.linspace(-1.2, 1.2, 41)[:, None]
    model = FittedFlow(
        preprocessor=Preprocessor.fit(rows, ["a"], tails="none"),
        denoiser=MixtureOracle(torch.ones(2, dtype=torch.float64), modes, narrow),
        sigmas=log_uniform_grid(SIGMA_MIN, SIGMA_MAX, 3),
        solver="euler",
    )
    coarse = verify_blocks(model, blocks(rows), n_rows=41, draws=10)
    assert not coarse.passed
    assert coarse.data.folded
    x = whitened(model, rows)
    z = model.flow.encode(model.tensor(x)).numpy()[:, 0]
    falls = np.flatnonzero(np.diff(z[np.argsort(x[:, 0])]) < 0)
    assert len(falls) > 0  # what the determinant says, the values show


def test_a_refused_row_is_named_by_its_place_in_the_file():
    rows = np.column_stack([np.arange(40) % 7, table(40, 1)[:, 0]]).astype(float)
    model = wrap(Stretched(1.0, torch.zeros(2, dtype=torch.float64)), rows)
    rows[25, 0] = 3.5
    with pytest.raises(PreprocessingError, match="row 25"):
        verify_blocks(model, [(np.arange(1, 40, 4), rows[1::4])], n_rows=10)


def test_no_rows_are_an_error():
    with pytest.raises(DataError, match="no rows"):
        verify_blocks(gaussian(table(50, 3)), [], n_rows=0)


def test_quantiles_are_values_that_rows_have():
    values = np.array([np.nan, 3.0, 1.0, np.inf, 2.0])
    found = Quantiles.of(values, np.arange(10, 15))
    assert (found.n, found.median, found.maximum, found.at) == (4, 3.0, math.inf, 13)
    assert Quantiles.of(np.full(3, np.nan), np.arange(3)) is None
