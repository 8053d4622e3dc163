"""Confirmed pairs: what is planted comes first and is confirmed, chance is not; ties, constants, serial rows."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from latentflow.analysis.dependence.confirmation import confirm_pairs
from latentflow.analysis.dependence.pairwise import adjusted, pairwise_dependence


def planted(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((n, d))
    z[:, 5] = z[:, 2] ** 2 + 2.0 * rng.standard_normal(n)
    z[:, 1] = 0.3 * z[:, 0] + np.sqrt(1 - 0.3**2) * z[:, 1]
    return z


@pytest.mark.parametrize("block", [None, 4])
def test_planted_pairs_come_first_and_are_confirmed(block: int | None) -> None:
    z = planted(2000, 10, np.random.default_rng(0))
    screening = pairwise_dependence(z, "z", block=block)
    found = confirm_pairs(z, screening, np.random.default_rng(0), most=4, block=block)
    assert [(pair.i, pair.j) for pair in found[:2]] == [(2, 5), (0, 1)]
    assert len(found) == 4
    assert [pair.nats for pair in found] == sorted((pair.nats for pair in found), reverse=True)
    for pair in found[:2]:
        assert pair.names == (screening.columns[pair.i], screening.columns[pair.j])
        assert pair.distance_correlation.low > 0.0
        assert pair.mutual_information.low > 0.0
        assert pair.distance_p_adjusted < 1e-6
        assert max(pair.p_bh, pair.p_by) < 1e-6
    assert not found[1].mutual_information.excludes(-0.5 * np.log(1 - 0.3**2))
    for pair in found[2:]:
        assert pair.distance_p_adjusted > 0.05
        assert pair.mutual_information.estimate < 0.05


def test_adjustment_is_over_all_pairs_and_not_over_those_shown() -> None:
    z = planted(500, 6, np.random.default_rng(1))
    screening = pairwise_dependence(z, "z")
    found = confirm_pairs(z, screening, np.random.default_rng(0), most=2)
    upper = np.triu_indices(6, 1)
    for pair in found:
        at = int(np.flatnonzero((upper[0] == pair.i) & (upper[1] == pair.j))[0])
        assert pair.p_value == screening.p_value[pair.i, pair.j]
        assert pair.p_bh == adjusted(screening.p_value[upper], "bh")[at]
        assert pair.p_by == adjusted(screening.p_value[upper], "by")[at]
        assert pair.distance_p_adjusted == pytest.approx(min(1.0, 15 * pair.distance_p))


@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_choosing_the_worst_of_many_independent_pairs_is_allowed_for(phi: float) -> None:
    rng = np.random.default_rng(2)
    alone, adjusted_for, seeds = 0, 0, 60
    for _ in range(seeds):
        z = lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.standard_normal((700, 8)), axis=0)[200:]
        block = 25 if phi else None
        (pair,) = confirm_pairs(z, pairwise_dependence(z, "z", block=block), rng, most=1, block=block)
        alone += pair.distance_p < 0.05
        adjusted_for += pair.distance_p_adjusted < 0.05
    assert adjusted_for <= binom.ppf(0.999, seeds, 0.05)
    assert alone > binom.ppf(0.999, seeds, 0.05)  # what the adjustment is for


def test_heavy_ties_are_not_dependence() -> None:
    rng = np.random.default_rng(3)
    z = rng.integers(0, 3, (1500, 3)).astype(float)
    for pair in confirm_pairs(z, pairwise_dependence(z, "z"), rng):
        assert not pair.mutual_information.excludes(0.0)
        assert abs(pair.mutual_information.estimate) < 0.05
        assert pair.distance_p_adjusted > 0.01
    z[:, 1] = z[:, 0]
    first = confirm_pairs(z, pairwise_dependence(z, "z"), rng)[0]
    assert (first.i, first.j) == (0, 1)
    assert first.distance_correlation.estimate == pytest.approx(1.0)
    assert first.mutual_information.estimate == pytest.approx(np.log(3), abs=0.1)


def test_constant_columns_single_columns_and_few_rows() -> None:
    rng = np.random.default_rng(4)
    z = rng.standard_normal((60, 3))
    z[:, 1] = 1.0
    found = confirm_pairs(z, pairwise_dependence(z, "z"), rng)
    assert [(pair.i, pair.j) for pair in found] == [(0, 2)]
    assert confirm_pairs(z[:, :1], pairwise_dependence(z[:, :1], "z"), rng) == ()


def test_rows_are_capped_and_said_so() -> None:
    z = planted(25_000, 6, np.random.default_rng(5))
    (pair,) = confirm_pairs(z, pairwise_dependence(z, "z"), np.random.default_rng(0), most=1)
    assert 5_000 < pair.n_rows <= 10_000
