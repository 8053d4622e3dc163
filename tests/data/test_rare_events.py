"""Few events of a kind are found, spread over the roles of a split, and told where a role has none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import butter, lfilter, sosfiltfilt

from latentflow.data.missing_events import headline_without, missing_events
from latentflow.data.rare_events import rare_events
from latentflow.data.splits import GAP, HELD_OUT, ROLES, TRAIN, VALIDATION, Split, make_split

RATE, ROWS, BLINK = 250, 6000, 80
NAMES = [f"ch{i}" for i in range(8)]


def eeg(seed: int, frontal: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Eight channels of rhythms, drift and mains with nine blinks, strongest in front; and where each blink begins."""
    rng = np.random.default_rng(seed)

    def rhythm(low: float, high: float) -> np.ndarray:
        band = butter(4, [low, high], btype="band", fs=RATE, output="sos")
        return sosfiltfilt(band, rng.normal(size=ROWS))

    time = np.arange(ROWS) / RATE
    modulated = rhythm(8, 12) * (1 + 0.8 * np.sin(0.4 * np.pi * time))
    drift = butter(4, 0.5, btype="high", fs=RATE, output="sos")
    starts = np.sort(rng.choice(np.arange(0, ROWS - BLINK, 120), 9, replace=False))
    blinks = np.zeros(ROWS)
    for start in starts:
        blinks[start : start + BLINK] += np.hanning(BLINK)
    sources = [modulated, rhythm(4, 7), rhythm(15, 30), rhythm(9, 13), rhythm(30, 45)]
    sources += [sosfiltfilt(drift, np.cumsum(rng.normal(size=ROWS))), np.sin(100 * np.pi * time), blinks]
    table = np.column_stack(sources)
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    mixing = rng.normal(size=(8, 8))
    mixing[:, 7] = frontal * np.linspace(2.0, 0.2, 8)
    return table @ mixing.T + 0.1 * rng.normal(size=(ROWS, 8)), starts


def blinks_by_role(split: Split, starts: np.ndarray) -> list[int]:
    """In which role most rows of each blink are, counted; by the truth, not by what the split has found."""
    most = [np.bincount(split.role[start : start + BLINK], minlength=4).argmax() for start in starts]
    return np.bincount(most, minlength=4).tolist()


@pytest.mark.parametrize("frontal", [1.0, 2.0, 5.0])
def test_nine_blinks_of_a_recording_get_into_every_role(frontal: float) -> None:
    """At 1 they drown in every channel, and only a combination of channels shows them."""
    lacking = 0
    for seed in range(20):
        table, starts = eeg(seed, frontal)
        split = make_split(table, rng=np.random.default_rng(seed))
        assert split.mode == "blocked"
        lacking += 0 in blinks_by_role(split, starts)[:GAP]
        assert split.to_dict()["rare_events"], "no kind of event was found"
    assert lacking <= 1  # one placement in three lacks them where nobody looks


def test_blinks_are_found_where_they_are_and_told_once() -> None:
    exact = 0
    for seed in range(20):
        table, starts = eeg(seed, 2.0)
        found = rare_events(table, reach=30)
        exact += len(found) == 1 and len(found[0].spans) == 9
        for start, stop in found[0].spans if len(found) == 1 else ():
            assert np.any((starts < stop) & (start < starts + BLINK))
    assert exact >= 18


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.normal(size=(3000, 5)),
        lambda rng: rng.laplace(size=(3000, 5)),
        lambda rng: rng.standard_t(2, size=(3000, 5)),
        lambda rng: np.exp(rng.normal(size=(3000, 5))),
        lambda rng: rng.uniform(size=(3000, 5)),
        lambda rng: rng.laplace(size=(3000, 5)) @ rng.normal(size=(5, 5)),
        lambda rng: rng.integers(0, 5, size=(3000, 5)),
        lambda rng: rng.normal(size=(60, 40)),
    ],
    ids=["normal", "laplace", "t2", "lognormal", "uniform", "mixed", "counts", "wide"],
)
def test_tails_are_no_rare_events(draw: Callable[[np.random.Generator], np.ndarray]) -> None:
    """At most one table in a hundred, by the level of the test: in 60 tables of each kind more than 3 are too many."""
    assert sum(bool(rare_events(draw(np.random.default_rng(seed)))) for seed in range(60)) <= 3


def test_a_recording_without_events_has_none() -> None:
    assert sum(bool(rare_events(eeg(seed, 0.0)[0], reach=30)) for seed in range(30)) <= 2


def walk(n: int, memory: float, columns: int, seed: int) -> np.ndarray:
    return lfilter([1.0], [1.0, -memory], np.random.default_rng(seed).normal(size=(n, columns)), axis=0)


@pytest.mark.parametrize(
    ("table", "mode", "roles"),
    [
        (walk(500, 0.95, 3, 0), "blocked", "791348e4f3510b00"),
        (walk(4000, 0.9, 4, 1), "blocked", "ff2f93feae154001"),
        (eeg(3, 0.0)[0], "blocked", "873746f825edc6df"),
        (np.random.default_rng(4).normal(size=(1500, 3)), "random", "ef15d62ae5c9de57"),
    ],
    ids=["short", "long", "eeg", "random"],
)
def test_a_table_without_rare_events_keeps_its_split(table: np.ndarray, mode: str, roles: str) -> None:
    """The roles are those that were given out before anybody looked for events."""
    split = make_split(table, rng=np.random.default_rng(7))
    assert (split.mode, split.rare) == (mode, ())
    assert hashlib.sha256(split.role.tobytes()).hexdigest()[:16] == roles


def spiked(rows: list[int], seed: int = 0, memory: float = 0.9) -> np.ndarray:
    """A recording, or independent rows, with a downward spike of three rows here and there."""
    table = walk(3000, memory, 4, seed)
    for row in rows:
        table[row : row + 3, 2] = -40.0 * table[:, 2].std()
    return table


@pytest.mark.parametrize("seed", range(5))
def test_a_single_event_trains_and_is_told_to_be_missing(seed: int) -> None:
    split = make_split(spiked([1300], seed), rng=np.random.default_rng(seed))
    (kind,) = split.to_dict()["rare_events"]
    assert (kind["column"], kind["along"], kind["events"]) == (2, "column", 1)
    assert kind["by_role"]["train"] == 1
    (told,) = missing_events(split.to_dict(), NAMES)
    assert told.startswith(
        "the one event in which 'ch2' is extreme is not among the held-out rows or the validation rows"
    )
    lead = headline_without(split.to_dict(), NAMES)
    assert lead == "The one event in which 'ch2' is extreme is not among the held-out rows."


@pytest.mark.parametrize("seed", range(5))
def test_three_events_are_one_for_each_role(seed: int) -> None:
    split = make_split(spiked([400, 1400, 2500], seed), rng=np.random.default_rng(seed))
    (kind,) = split.to_dict()["rare_events"]
    assert kind["by_role"] == {"train": 1, "validation": 1, "held out": 1, "gap": 0}
    assert missing_events(split.to_dict(), NAMES) == []
    assert headline_without(split.to_dict(), NAMES) == ""


def test_a_random_split_keeps_its_rows_and_tells_what_it_lacks() -> None:
    table = walk(3000, 0.0, 4, 0)
    kept = make_split(table, rng=np.random.default_rng(0)).role
    table[np.flatnonzero(kept == TRAIN)[::500][:4], 1] = 60.0
    split = make_split(table, rng=np.random.default_rng(0))
    assert split.mode == "random"
    np.testing.assert_array_equal(split.role, kept)
    (told,) = missing_events(split.to_dict(), NAMES)
    assert "of 4 events in which 'ch1' is extreme, none is among the held-out rows" in told


def test_roles_without_rows_lack_nothing() -> None:
    split = make_split(spiked([1300]), held_out=0.0, rng=np.random.default_rng(0))
    (kind,) = split.to_dict()["rare_events"]
    assert "held out" not in kind["by_role"]
    assert "held-out" not in missing_events(split.to_dict(), NAMES)[0]


def test_of_many_kinds_some_are_told_and_the_others_counted() -> None:
    kind = {"column": 0, "along": "direction", "events": 2}
    kind["by_role"] = {"train": 2, "validation": 0, "held out": 0, "gap": 0}
    told = missing_events({"rare_events": [{**kind, "column": i} for i in range(6)]}, NAMES)
    assert len(told) == 4
    assert "in which a combination of columns (most of all 'ch0') is extreme" in told[0]
    assert told[-1] == "3 more kinds of extreme events are missing from a role of the split"


def test_a_record_of_an_older_model_says_nothing() -> None:
    assert missing_events({"mode": "blocked", "lag1": 0.9}, NAMES) == []
    assert headline_without({}, NAMES) == ""


def test_an_event_counts_where_most_of_its_rows_are() -> None:
    split = make_split(spiked([1300]), rng=np.random.default_rng(0))
    (kind,) = split.rare
    role = np.full(3000, TRAIN, np.uint8)
    role[1302:] = HELD_OUT
    assert dict(zip(ROLES, kind.counts(role), strict=True)) == {
        "train": 1,
        "validation": 0,
        "held out": 0,
        "gap": 0,
    }
    role[1300:1302] = VALIDATION
    assert kind.counts(role)[VALIDATION] == 1


def test_tables_at_the_edge_have_no_rare_events() -> None:
    for table in (np.zeros((0, 3)), np.zeros((1, 1)), np.ones((900, 2)), np.full((900, 2), 1e300)):
        assert rare_events(table) == ()
    huge = 1e200 * np.random.default_rng(0).normal(size=(900, 2))
    huge[450, 1] = -1e203
    (kind,) = rare_events(huge)
    assert (kind.column, kind.spans.tolist()) == (1, [[450, 451]])


@pytest.mark.parametrize("seed", range(4))
def test_a_great_event_does_not_hide_smaller_ones(seed: int) -> None:
    table = eeg(seed, 2.0)[0]
    table[3000:3004, 5] += 300.0
    found = rare_events(table, reach=30)
    assert [(kind.column, kind.along, len(kind.spans)) for kind in found[:1]] == [(5, "column", 1)]
    assert any(abs(len(kind.spans) - 9) <= 1 for kind in found[1:])
    assert len(found) == 2
