"""Recovery of known sources: matching, correlations and Amari's index, by hand and on known mixtures."""

import itertools

import numpy as np
import pytest

from latentflow.analysis.axes.recovery import Recovery, amari_index, recovery
from latentflow.analysis.ledger.ledger import Representation
from latentflow.errors import DataError


def representation(values: np.ndarray, name: str = "latents") -> Representation:
    return Representation(name, name.title(), values, 0.0)


def recovered(values: np.ndarray, sources: np.ndarray) -> Recovery:
    return recovery((representation(values),), sources)


@pytest.fixture(scope="module")
def sources() -> np.ndarray:
    return np.random.default_rng(0).laplace(size=(3000, 4))


def test_permuted_scaled_and_flipped_sources_are_recovered(sources: np.ndarray) -> None:
    entry = recovered(sources[:, [2, 0, 3, 1]] * [1.0, -5.0, 0.1, 2.0], sources).entries[0]
    assert entry.matched == (1, 3, 0, 2)
    assert entry.correlation == pytest.approx((-1.0, 1.0, 1.0, 1.0))
    assert entry.mcc_pearson == pytest.approx(1.0)
    assert entry.mcc_spearman == pytest.approx(1.0)
    assert entry.amari == pytest.approx(0.0, abs=1e-12)


def test_a_monotone_distortion_is_seen_by_pearson_alone(sources: np.ndarray) -> None:
    entry = recovered(np.sinh(1.5 * sources), sources).entries[0]
    assert entry.mcc_spearman == pytest.approx(1.0)
    assert entry.mcc_pearson < 0.9


def test_a_quarter_turn_by_hand() -> None:
    s = np.random.default_rng(1).standard_normal((50_000, 2))
    half = np.sqrt(0.5)
    entry = recovered(s @ np.array([[half, half], [-half, half]]), s).entries[0]
    assert entry.mcc_pearson == pytest.approx(half, abs=0.01)
    assert entry.amari == pytest.approx(1.0, abs=0.03)


def test_matching_is_the_best_of_all(sources: np.ndarray) -> None:
    mixed = sources @ np.random.default_rng(2).standard_normal((4, 4))
    entry = recovered(mixed, sources).entries[0]
    size = np.abs(np.corrcoef(mixed.T, sources.T)[:4, 4:])
    best = max(sum(size[i, j] for j, i in enumerate(order)) for order in itertools.permutations(range(4)))
    assert entry.mcc_pearson == pytest.approx(best / 4)


def test_amari_index_by_its_definition() -> None:
    p = np.abs(np.random.default_rng(3).standard_normal((4, 4)))
    by_hand = (p / p.max(1, keepdims=True)).sum() + (p / p.max(0, keepdims=True)).sum() - 8.0
    both = np.arange(4)
    assert amari_index(p, both, both) == pytest.approx(by_hand / (2 * 4 * 3))
    assert amari_index(np.ones((1, 1)), both[:1], both[:1]) == 0.0


def test_other_numbers_of_sources_than_of_coordinates(sources: np.ndarray) -> None:
    more = recovered(sources[:, [1, 0, 2, 3]], sources[:, :2]).entries[0]
    assert more.matched == (1, 0)
    assert more.mcc_spearman == pytest.approx(1.0)
    assert more.amari < 0.05
    fewer = recovered(sources[:, :3], sources).entries[0]
    assert fewer.matched == (0, 1, 2, None)
    assert fewer.correlation[3] is None
    assert fewer.mcc_spearman == pytest.approx(0.75)
    assert recovered(sources, sources[:, 1]).entries[0].matched == (1,)


def test_every_representation_in_order(sources: np.ndarray) -> None:
    found = recovery((representation(sources, "raw"), representation(-sources, "latents")), sources)
    assert [entry.name for entry in found.entries] == ["raw", "latents"]
    assert found.n_rows == 3000
    assert found.to_dict()["entries"][1]["matched"] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda s: s[:-1], "3000 evaluated rows"),
        (lambda s: np.where(np.arange(3000)[:, None] == 7, np.nan, s), "row 7"),
        (lambda s: np.where(np.arange(4) == 2, 1.5, s), "source 2 has a single value"),
    ],
)
def test_sources_that_cannot_be_used(sources: np.ndarray, spoil: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        recovered(sources, spoil(sources))
