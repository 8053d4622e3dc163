"""False discovery rates: against the definition, and held where half of the hypotheses are false."""

import numpy as np
import pytest
from scipy.stats import norm

from latentflow.analysis.dependence.pairwise import adjusted, discoveries


def test_adjusted_p_values_follow_the_step_up_definition() -> None:
    p = np.array([0.04, 0.001, 0.03, 0.2])
    by_hand = np.array([0.04 * 4 / 3, 0.004, 0.04 * 4 / 3, 0.2])  # 0.03 · 4/2 is capped by the next
    np.testing.assert_allclose(adjusted(p, "bh"), by_hand)
    np.testing.assert_allclose(adjusted(p, "by"), np.minimum(by_hand * (1 + 1 / 2 + 1 / 3 + 1 / 4), 1.0))


def test_pairs_are_counted_once_and_the_diagonal_not_at_all() -> None:
    p = np.full((4, 4), 0.9)
    p[0, 1] = p[1, 0] = 1e-6
    np.fill_diagonal(p, 1e-9)
    found = discoveries(p)
    assert (found.n_bh, found.n_by, found.n_pairs) == (1, 1, 6)


def test_yekutieli_is_stricter() -> None:
    p = np.ones((3, 3))
    p[np.triu_indices(3, 1)] = (0.015, 0.03, 0.045)
    found = discoveries(p)
    assert (found.n_bh, found.n_by) == (3, 0)


@pytest.mark.parametrize("d", [0, 1])
def test_no_pairs(d: int) -> None:
    assert discoveries(np.ones((d, d))).to_dict() == {"n_bh": 0, "n_by": 0, "n_pairs": 0}


def test_share_of_false_discoveries() -> None:
    rng = np.random.default_rng(0)
    false = np.arange(400) < 200
    shares = []
    for _ in range(200):
        found = adjusted(norm.sf(rng.standard_normal(400) + 3.0 * ~false), "bh") <= 0.05
        shares.append((found & false).sum() / max(found.sum(), 1))
    assert np.mean(shares) == pytest.approx(0.025, abs=0.005)  # the rate times the share of true nulls
