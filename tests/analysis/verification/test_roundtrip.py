"""Round-trip errors, both ways."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from latentflow.analysis.verification.roundtrip import latent_errors, log_histogram, round_trip


class Blurred:
    """Decodes with a known error in the second column."""

    latent_names = ("a", "b")
    dtype, device, flow = torch.float64, torch.device("cpu"), None

    def decode(self, Z: np.ndarray, carried: np.ndarray | None = None) -> np.ndarray:
        out = Z.copy()
        out[1::2, 1] += 0.5
        return out


class Offset:
    """Comes back shifted by 0.25 in the first latent of every draw."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.tensor([0.25, 0.0])

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return z, torch.zeros(len(z))


def test_errors_are_in_standard_deviations_of_the_column() -> None:
    X = np.random.default_rng(0).standard_normal((400, 2)) * [1.0, 10.0]
    found = round_trip(Blurred(), X, X, None, np.random.default_rng(0))
    assert found.n == 400
    assert found.exact_rows == 0.5
    assert found.data_max == pytest.approx(0.5 / X[:, 1].std())
    assert found.data_q50 == pytest.approx(found.data_max / 2)
    assert found.histogram.exact == 200
    assert found.histogram.counts.sum() == 200
    assert (found.latent_n, found.latent_max) == (0, None)


def test_at_most_two_thousand_rows_are_decoded() -> None:
    X = np.random.default_rng(0).standard_normal((5000, 2))
    assert round_trip(Blurred(), X, X, None, np.random.default_rng(0)).n == 2000


def test_constant_columns_count_as_they_are() -> None:
    X = np.ones((20, 2))
    assert round_trip(Blurred(), X, X, None, np.random.default_rng(0)).data_max == 0.5


def test_latents_there_and_back() -> None:
    model = SimpleNamespace(
        flow=Offset(), latent_names=("a", "b"), dtype=torch.float64, device=torch.device("cpu")
    )
    errors = latent_errors(model, 7, np.random.default_rng(0))
    np.testing.assert_allclose(errors, 0.25)
    assert latent_errors(SimpleNamespace(flow=None), 7, np.random.default_rng(0)) is None


def test_histogram_of_all_exact_and_of_one_error() -> None:
    exact = log_histogram(np.zeros(5))
    assert exact.exact == 5
    assert exact.counts.sum() == 0
    single = log_histogram(np.array([1e-3]))
    assert single.counts.sum() == 1
    assert single.edges[0] <= -3.0 <= single.edges[-1]
