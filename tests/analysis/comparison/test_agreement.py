"""Agreement of codes of which it is known how they differ."""

import numpy as np
import pytest

from latentflow.analysis.comparison.agreement import agreement, permuted_distance, rotated_distance

N, D = 3000, 4
NAMES = [f"latent{i:02d}" for i in range(D)]


@pytest.fixture(scope="module")
def code() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, D))


def test_order_and_sign_are_no_difference(code) -> None:
    found = agreement([code, -code[:, [2, 0, 3, 1]], code[:, ::-1]], NAMES, "Latents")
    assert found.mean == pytest.approx(1.0)
    assert found.distance == pytest.approx(0.0, abs=1e-7)
    assert found.distance_rotated == pytest.approx(0.0, abs=1e-6)
    assert {row.words for row in found.coordinates} == {"stable"}
    assert (found.n_runs, found.reference) == (3, pytest.approx(np.sqrt(2 * D)))


def test_a_rotation_is_told_from_another_map(code) -> None:
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((D, D)))[0]
    turned = agreement([code, code @ turn], NAMES, "Latents")
    assert turned.mean < 0.9
    assert turned.distance > 0.5
    assert turned.distance_rotated == pytest.approx(0.0, abs=1e-6)
    bent = code + 0.3 * np.roll(code, 1, axis=1) ** 2
    other = agreement([code, bent], NAMES, "Latents")
    assert other.distance_rotated > 0.9 * other.distance > 0.3


def test_unrelated_codes_are_as_far_apart_as_the_reference(code) -> None:
    other = np.random.default_rng(2).standard_normal((N, D))
    found = agreement([code, other], NAMES, "Latents")
    assert found.distance == pytest.approx(found.reference, rel=0.03)
    assert found.distance_rotated <= found.distance
    assert {row.words for row in found.coordinates} == {"unstable"}


def test_one_latent_that_moves_is_named_with_its_worst_pair(code) -> None:
    rng = np.random.default_rng(3)

    def spoilt(share: float) -> np.ndarray:
        other = code.copy()
        other[:, 1] = np.sqrt(1 - share**2) * other[:, 1] + share * rng.standard_normal(N)
        return other[:, rng.permutation(D)]

    found = agreement([code, spoilt(0.3), spoilt(0.8)], NAMES, "Latents")
    moved = found.coordinates[1]
    assert moved.name == "latent01"
    pair = np.sqrt(1 - 0.3**2) * np.sqrt(1 - 0.8**2)  # of the two spoilt ones
    spearman = 6 / np.pi * np.arcsin(np.array([np.sqrt(1 - 0.3**2), np.sqrt(1 - 0.8**2), pair]) / 2)
    assert moved.lowest == pytest.approx(spearman.min(), abs=0.04)
    assert moved.median == pytest.approx(np.median(spearman), abs=0.04)
    assert [row.words for row in found.coordinates] == ["stable", "unstable", "stable", "stable"]
    assert found.mean == pytest.approx(np.mean([row.median for row in found.coordinates]))


def test_distances_are_those_of_the_best_transform(code) -> None:
    noise = 0.1 * np.random.default_rng(4).standard_normal((N, D))
    moved = -code[:, [1, 0, 2, 3]] + noise
    expected = np.sqrt((noise**2).sum(axis=1).mean())
    assert permuted_distance(code, moved) == pytest.approx(expected, rel=1e-9)
    assert rotated_distance(code, moved) == pytest.approx(expected, rel=0.01)
