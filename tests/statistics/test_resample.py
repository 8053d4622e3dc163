"""Bootstrap means by rows and by blocks."""

import numpy as np
import pytest
from scipy.signal import lfilter

from latentflow.statistics import resample
from latentflow.statistics.resample import bootstrap_means, intervals


def _autoregressive(n: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.standard_normal(n + 300))[300:]


def test_draws_have_the_variance_of_a_mean_and_are_paired() -> None:
    rng = np.random.default_rng(0)
    x = rng.exponential(size=500)
    draws = bootstrap_means(np.stack([x, 2.0 * x + 1.0], axis=1), np.random.default_rng(1), 4000)
    assert draws.shape == (4000, 2)
    assert draws[:, 0].mean() == pytest.approx(x.mean(), abs=0.005)
    assert draws[:, 0].std() == pytest.approx(x.std() / np.sqrt(500), rel=0.05)
    np.testing.assert_allclose(draws[:, 1], 2.0 * draws[:, 0] + 1.0)


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = np.random.default_rng(0).standard_normal((300, 2))
    whole = [bootstrap_means(terms, np.random.default_rng(5), 40, block) for block in (None, 10)]
    monkeypatch.setattr(resample, "CHUNK_NUMBERS", 900)
    parts = [bootstrap_means(terms, np.random.default_rng(5), 40, block) for block in (None, 10)]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_far_means_keep_their_digits() -> None:
    terms = 1e9 + np.random.default_rng(0).standard_normal((1000, 1))
    spread = bootstrap_means(terms, np.random.default_rng(1), 500).std()
    assert spread == pytest.approx(1 / np.sqrt(1000), rel=0.15)


def test_few_blocks_widen_the_interval_by_students_t() -> None:
    x = np.random.default_rng(0).standard_normal((200, 1))
    interval = intervals(x, np.random.default_rng(1), 2000, 40)[0]
    draws = bootstrap_means(x, np.random.default_rng(1), 2000, 40)
    low, high = np.percentile(draws, [2.5, 97.5])
    assert interval.high - interval.estimate == pytest.approx((high - x.mean()) * 2.776 / 1.960, rel=1e-3)
    assert interval.estimate - interval.low == pytest.approx((x.mean() - low) * 2.776 / 1.960, rel=1e-3)


def test_blocks_cover_the_mean_of_a_series_where_rows_do_not() -> None:
    phi, n, seeds = 0.8, 1500, 120
    covered = {None: 0, 60: 0}
    for seed in range(seeds):
        x = _autoregressive(n, phi, np.random.default_rng(seed))[:, None]
        for block in covered:
            interval = intervals(x, np.random.default_rng(seed), 300, block)[0]
            covered[block] += not interval.excludes(0.0)
    assert covered[60] / seeds > 0.88
    assert covered[None] / seeds < 0.65
