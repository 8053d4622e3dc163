"""C_IMA on decoders whose contrast is known."""

import numpy as np
import pytest
import torch

from latentflow.analysis.axes.ima import ima_contrast, ima_terms
from latentflow.data.preprocess import Preprocessor
from latentflow.flow.grids import log_uniform_grid
from latentflow.model.fitted_flow import FittedFlow
from latentflow.orientation.record import Orientation
from latentflow.score.oracles import IndependentOracle, MixtureOracle


def rotation(d: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def linear_model(turn: np.ndarray, X: np.ndarray) -> FittedFlow:
    """Two-mode sources of unit variance behind a rotation, with the exact score; latents un-oriented."""
    law = MixtureOracle(
        torch.ones(2, dtype=torch.float64),
        torch.tensor([[-0.9], [0.9]], dtype=torch.float64),
        torch.full((2, 1, 1), 0.19, dtype=torch.float64),
    )
    preprocessor = Preprocessor.fit(X, [f"x{i}" for i in range(X.shape[1])], tails="none")
    # the oracle lives in whitened coordinates: its axes are those of the sources there
    whitening = np.stack([preprocessor.forward(X)[0][:, i] for i in range(X.shape[1])], axis=1)
    axes = np.linalg.lstsq(X @ turn, whitening, rcond=None)[0].T
    left, _, right = np.linalg.svd(axes)
    return FittedFlow(
        preprocessor,
        IndependentOracle(torch.as_tensor(left @ right), [law] * X.shape[1]),
        log_uniform_grid(0.01, 15.0, 64),
        orientation=Orientation.identity(X.shape[1]),
    )


@pytest.fixture(scope="module")
def mixture() -> tuple[FittedFlow, np.ndarray]:
    rng = np.random.default_rng(1)
    turn = rotation(3)
    sources = rng.choice([-0.9, 0.9], (900, 3)) + np.sqrt(0.19) * rng.standard_normal((900, 3))
    X = sources @ turn.T
    return linear_model(turn, X), X


def test_orthogonal_columns_have_no_contrast_whatever_their_lengths() -> None:
    lengths = np.exp(np.random.default_rng(0).standard_normal((6, 4)))
    decoder = rotation(4) * lengths[:, None, :]
    np.testing.assert_allclose(ima_terms(np.linalg.inv(decoder), np.eye(4)), 0.0, atol=1e-12)


def test_contrast_is_that_of_the_definition_and_never_negative() -> None:
    decoder = np.random.default_rng(3).standard_normal((50, 4, 4))
    turn = rotation(4, 5)
    terms = ima_terms(np.linalg.inv(decoder), turn)
    for term, matrix in zip(terms, decoder @ turn, strict=True):
        norms = [np.log(np.linalg.norm(column)) for column in matrix.T]
        assert term == pytest.approx(sum(norms) - np.linalg.slogdet(matrix)[1])
    assert terms.min() > 0.0


def test_the_axes_of_a_linear_mixture_have_no_contrast_and_plain_latents_have_some(mixture) -> None:
    model, X = mixture
    plain, n_rows = ima_contrast(model, X, rng=np.random.default_rng(0), n_boot=100)
    assert n_rows == 900
    assert plain.low > 0.05
    model.orientation = Orientation(model.denoiser.rotation.numpy(), "jacobian", "jacobian")
    try:
        oriented, _ = ima_contrast(model, X, rng=np.random.default_rng(0), n_boot=100)
    finally:
        model.orientation = Orientation.identity(3)
    assert oriented.high < 1e-9
    assert oriented.low > -1e-9


def test_a_scaled_and_permuted_orientation_is_the_same_contrast(mixture) -> None:
    model, X = mixture
    start = torch.as_tensor(model.preprocessor.forward(X[:40])[0])
    jacobian = model.flow.encode_with_jacobian(start)[1].numpy()
    turn = rotation(3, 2)
    np.testing.assert_allclose(
        ima_terms(jacobian, turn), ima_terms(jacobian, -turn[:, [2, 0, 1]]), atol=1e-12
    )


def test_rows_are_few_in_many_dimensions_and_spread_over_the_table(monkeypatch, mixture) -> None:
    model, X = mixture
    monkeypatch.setattr("latentflow.analysis.axes.ima.MOST_JACOBIAN_COLUMNS", 300)
    seen = []
    forward = Preprocessor.forward
    monkeypatch.setattr(
        Preprocessor, "forward", lambda self, rows: (seen.append(rows), forward(self, rows))[1]
    )
    _, n_rows = ima_contrast(model, X, rng=np.random.default_rng(0), n_boot=20, block=90)
    assert n_rows == 100
    np.testing.assert_array_equal(seen[0][[0, -1]], X[[0, -1]])
