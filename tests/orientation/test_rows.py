"""Which rows of a large table an orientation looks at."""

import numpy as np
import pytest

from latentflow.data.row_order import time_steps
from latentflow.data.splits import GAP, HELD_OUT, TRAIN, VALIDATION
from latentflow.orientation.registry import ORDER, method_of
from latentflow.orientation.request import OrientationRequest
from latentflow.orientation.rows import MOST_ROWS, pick_rows


def pick(method, labels, k=3, roles=None):
    labels = np.asarray(labels)
    return pick_rows(method_of(method).needs, k, np.arange(len(labels)), labels, roles)


def test_rows_held_out_are_not_looked_at():
    roles = np.array([TRAIN, HELD_OUT, VALIDATION, GAP, TRAIN, VALIDATION] * 5, np.uint8)
    picked, validation = pick("metric", np.zeros(30), roles=roles)
    assert set(roles[picked]) == {TRAIN, VALIDATION}
    np.testing.assert_array_equal(roles[picked] == VALIDATION, validation)


def test_stretches_of_large_tables_are_of_time_not_of_the_file(monkeypatch):
    monkeypatch.setattr("latentflow.orientation.rows.MOST_ROWS", 800)
    n = 4000
    order = np.random.default_rng(0).permutation(n)
    positions, recordings = time_steps(order.astype(float), None, n)
    picked, _ = pick_rows(ORDER, 3, positions, recordings, None)
    assert len(picked) == 800
    # eight stretches of a hundred rows each: nearly every row has the next one beside it
    assert (np.diff(np.sort(order[picked])) == 1).sum() >= 800 - 8


@pytest.mark.parametrize(
    ("groups", "rows", "k"),
    [(10_000, 100, 10), (2_000, 60, 5), (1_000, 100, 10), (1_000, 60, 10), (500, 200, 20)],
)
@pytest.mark.parametrize("mixed", [True, False])
def test_many_groups_that_are_large_enough_stay_so(groups, rows, k, mixed):
    labels = np.repeat(np.arange(groups), rows)
    if mixed:
        labels = np.random.default_rng(0).permutation(labels)
    picked, _ = pick("groups", labels, k)
    assert MOST_ROWS / 2 < len(picked) <= MOST_ROWS
    chosen, sizes = np.unique(labels[picked], return_counts=True)
    assert sizes.min() >= 5 * k
    assert len(chosen) >= min(groups, MOST_ROWS / (10 * k)) / 2
    # from the first group to the last
    assert (chosen[0], chosen[-1]) == (0, groups - 1)
    asked = OrientationRequest.of("groups", len(labels), groups=labels)
    np.testing.assert_array_equal(asked.rows(k, None).rows, picked)


def test_few_large_groups_are_thinned_evenly_whatever_small_ones_there_are():
    labels = np.repeat(np.arange(54), [20_000] * 4 + [10] * 50)
    picked, _ = pick("groups", labels)
    np.testing.assert_array_equal(picked, np.linspace(0, len(labels) - 1, MOST_ROWS).astype(int))


def test_one_large_group_among_many_keeps_no_more_than_its_share():
    labels = np.repeat(np.arange(801), [100_000] + [60] * 800)
    picked, _ = pick("groups", labels, k=10)
    sizes = np.unique(labels[picked], return_counts=True)[1]
    assert len(picked) <= MOST_ROWS
    assert sizes.min() >= 50
    assert sizes.max() <= 100
