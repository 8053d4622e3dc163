"""Every row gets a role; neighbours that resemble each other never end up on both sides of the fence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.signal import lfilter

from latentflow.data.splits import GAP, HELD_OUT, TRAIN, VALIDATION, Split, autocorrelation, make_split
from latentflow.errors import LatentFlowError


def autoregressive(n: int, memory: float, columns: int = 3, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, columns))
    return lfilter([1.0], [1.0, -memory], noise, axis=0)


def counts(split: Split) -> list[int]:
    return np.bincount(split.role, minlength=4).tolist()


def distance_to(split: Split, role: int) -> np.ndarray:
    """Rows between every training row and the nearest row of a role."""
    others = split.rows(role)
    train = split.rows(TRAIN)
    after = np.searchsorted(others, train)
    before = np.where(after > 0, train - others[np.maximum(after - 1, 0)], len(split.role))
    ahead = np.where(after < len(others), others[np.minimum(after, len(others) - 1)] - train, len(split.role))
    return np.minimum(before, ahead)


def test_independent_rows_are_split_at_random_in_the_asked_shares() -> None:
    table = np.random.default_rng(1).laplace(size=(5000, 8))
    split = make_split(table, rng=np.random.default_rng(2))
    assert (split.mode, split.gap, split.block_rows) == ("random", 0, 0)
    assert counts(split) == [3500, 500, 1000, 0]
    assert split.role.dtype == np.uint8
    # Held-out rows lie everywhere: one in five of any thousand.
    held = (split.role == HELD_OUT).reshape(5, 1000).mean(axis=1)
    assert np.all(np.abs(held - 0.2) < 0.06)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("n", "d"), [(60, 40), (400, 5), (5000, 3)])
def test_auto_takes_no_independent_table_for_a_recording(n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.column_stack([rng.standard_t(2, size=(n, d)), np.arange(n), np.zeros(n)])
    assert make_split(table, rng=rng).mode == "random"


@pytest.mark.parametrize("n", [400, 3000, 50_000])
def test_recordings_are_split_in_blocks_with_gaps(n: int) -> None:
    table = autoregressive(n, 0.9)
    split = make_split(table, rng=np.random.default_rng(3))
    assert split.mode == "blocked"
    assert 0.8 < split.lag1 < 0.95
    train, validation, held_out, gap = counts(split)
    assert (validation, held_out) == (n // 10, n // 5)
    assert 0 < gap <= 0.16 * n
    assert train == n - validation - held_out - gap
    for role in (VALIDATION, HELD_OUT):
        assert distance_to(split, role).min() > split.gap
    if n == 50_000:
        # Rows a gap apart have forgotten each other: 0.9²² = 0.1.
        assert 18 <= split.gap <= 30
        assert np.abs(autocorrelation(table, split.gap)).max() < 0.12


def test_every_role_sees_the_whole_recording() -> None:
    n = 20_000
    split = make_split(autoregressive(n, 0.99), rng=np.random.default_rng(4))
    for role, share in ((TRAIN, 0.55), (VALIDATION, 0.1), (HELD_OUT, 0.2)):
        parts = (split.role == role).reshape(4, -1).mean(axis=1)
        assert np.all(parts > 0.1 * share)
    starts = np.flatnonzero(np.diff((split.role == HELD_OUT).astype(int)) == 1)
    assert 5 <= len(starts) + (split.role[0] == HELD_OUT) <= 12
    assert split.block_rows == pytest.approx(0.2 * n / len(starts), rel=0.05)
    assert split.block_rows > 3 * split.gap


def test_gaps_of_a_drifting_recording_are_capped() -> None:
    table = np.cumsum(np.random.default_rng(5).normal(size=(10_000, 4)), axis=0)
    split = make_split(table, rng=np.random.default_rng(6))
    assert 0.10 * 10_000 < counts(split)[GAP] <= 0.155 * 10_000


def test_no_held_out_and_validation_rows_touch() -> None:
    for seed in range(20):
        split = make_split(autoregressive(500, 0.95), rng=np.random.default_rng(seed))
        pairs = set(zip(split.role[:-1].tolist(), split.role[1:].tolist(), strict=True))
        allowed = {(role, role) for role in range(4)}
        allowed |= {(TRAIN, GAP), (GAP, TRAIN)}
        allowed |= {(role, GAP) for role in (VALIDATION, HELD_OUT)}
        allowed |= {(GAP, role) for role in (VALIDATION, HELD_OUT)}
        assert pairs <= allowed


def test_a_spike_hides_no_autocorrelation_and_makes_none() -> None:
    table = autoregressive(3000, 0.9, columns=1)
    table[1500] = 1e9
    assert autocorrelation(table)[0] > 0.85
    noise = np.random.default_rng(7).normal(size=(3000, 1))
    noise[1500:1503] = 1e9
    assert abs(autocorrelation(noise)[0]) < 0.1


def test_autocorrelation_of_each_column_at_each_lag() -> None:
    table = np.column_stack([autoregressive(100_000, 0.8, columns=1), np.full(100_000, 3.0)])
    for lag in (1, 2, 5):
        measured = autocorrelation(table, lag)
        # Spearman's correlation of a bivariate normal with correlation r is 6/π arcsin(r/2).
        assert measured[0] == pytest.approx(6 / np.pi * np.arcsin(0.8**lag / 2), abs=0.02)
        assert measured[1] == 0.0
    assert autocorrelation(np.arange(4.0)[:, None], lag=3)[0] == 0.0
    long = np.tile(autoregressive(60_000, 0.8, columns=1), (5, 1))
    assert autocorrelation(long)[0] == pytest.approx(autocorrelation(table)[0], abs=0.02)


def test_a_trace_of_autocorrelation_is_no_reason_for_blocks() -> None:
    table = autoregressive(20_000, 0.1)
    split = make_split(table, rng=np.random.default_rng(12))
    assert split.lag1 > 0.08  # beyond all chance at this length
    assert split.mode == "random"


def test_the_mode_can_be_chosen() -> None:
    noise = np.random.default_rng(8).normal(size=(2000, 2))
    blocked = make_split(noise, mode="blocked", rng=np.random.default_rng(0))
    assert (blocked.mode, blocked.gap) == ("blocked", 1)
    assert distance_to(blocked, HELD_OUT).min() == 2
    assert make_split(autoregressive(2000, 0.9), mode="random", rng=np.random.default_rng(0)).mode == "random"


@pytest.mark.parametrize("mode", ["random", "blocked"])
def test_nothing_need_be_held_out(mode: str) -> None:
    split = make_split(autoregressive(1000, 0.5), mode=mode, held_out=0.0, rng=np.random.default_rng(9))
    assert counts(split)[HELD_OUT] == 0
    assert counts(split)[VALIDATION] == 100
    bare = make_split(
        autoregressive(1000, 0.5), mode=mode, held_out=0, validation=0, rng=np.random.default_rng(9)
    )
    assert counts(bare) == [1000, 0, 0, 0]


@pytest.mark.parametrize("mode", ["auto", "random", "blocked"])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, 10, 11, 17, 29, 64])
def test_tiny_tables_keep_rows_to_train_on(n: int, mode: str) -> None:
    for held_out in (0.0, 0.2, 0.5):
        table = np.cumsum(np.random.default_rng(n).normal(size=(n, 2)), axis=0)
        split = make_split(table, mode=mode, held_out=held_out, rng=np.random.default_rng(10))
        assert len(split.role) == n
        assert len(split.rows(TRAIN)) >= 1
        assert n >= 10 or len(split.rows(VALIDATION)) == 0
        assert len(split.rows(HELD_OUT)) == int(n * held_out)


@pytest.mark.parametrize("mode", ["random", "blocked"])
def test_a_split_is_decided_by_its_generator(mode: str) -> None:
    table = autoregressive(800, 0.7)
    first, again, other = (make_split(table, mode=mode, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first.role, again.role)
    assert not np.array_equal(first.role, other.role)


def test_the_summary_is_plain_json() -> None:
    split = make_split(autoregressive(600, 0.9), rng=np.random.default_rng(11))
    summary = json.loads(json.dumps(split.to_dict()))
    assert summary["mode"] == "blocked"
    assert [summary[k] for k in ("n_train", "n_validation", "n_held_out", "n_gap")] == counts(split)
    assert summary["gap"] == split.gap


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "weekly"}, "auto, random or blocked"),
        ({"held_out": -0.1}, "shares of the rows"),
        ({"held_out": 0.9, "validation": 0.1}, "shares of the rows"),
        ({"validation": float("nan")}, "shares of the rows"),
    ],
)
def test_impossible_splits_are_refused(options: dict, message: str) -> None:
    with pytest.raises(LatentFlowError, match=message):
        make_split(np.zeros((10, 2)), rng=np.random.default_rng(0), **options)
