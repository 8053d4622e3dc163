"""The preprocessor is a bijection with a true log-determinant: exact, deterministic, and frank on limits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentflow.data.preprocess import Preprocessor
from latentflow.errors import LatentFlowError, PreprocessingError


def names(count: int) -> list[str]:
    return [f"c{j}" for j in range(count)]


def mixed_table(rng: np.random.Generator, n: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """One column of every kind; also which of them must come back to the last bit."""
    normal = rng.normal(size=n)
    whole = rng.poisson(6.0, size=n).astype(float)
    cents = (3.0 * normal + rng.normal(size=n)).round(2)
    step = np.array([float(f"{k * 20 / 39:.2f}") for k in rng.integers(8000, 8600, size=n)])
    spiky = rng.normal(4200.0, 8.0, size=n)
    spiky[: max(1, n // 500)] = 3.0e5
    censored = np.maximum(rng.normal(size=n), -0.5)
    columns = {
        "normal": (normal, False),
        "whole": (whole, True),
        "constant": (np.full(n, -7.25), True),
        "cents": (cents, True),
        "total": ((whole + cents).round(2), True),
        "step": (step, True),
        "spiky": (spiky, False),
        "censored": (censored, False),
        "fahrenheit": (1.8 * normal + 32.0, False),
        "digits": (np.array([float(f"{v:.4g}") for v in rng.lognormal(0.0, 2.0, size=n)]), True),
    }
    table = np.column_stack([values for values, _ in columns.values()])
    return table, list(columns), np.array([exact for _, exact in columns.values()])


@pytest.fixture(scope="module")
def mixed() -> tuple[np.ndarray, list[str], np.ndarray, Preprocessor]:
    table, columns, exact = mixed_table(np.random.default_rng(0), 2000)
    return table, columns, exact, Preprocessor.fit(table, columns, train=np.arange(0, 2000, 2))


def assert_restored(restored: np.ndarray, table: np.ndarray, exact: np.ndarray) -> None:
    assert np.array_equal(restored[:, exact], table[:, exact])
    scale = np.maximum(np.abs(table), table.std(axis=0))
    assert np.abs((restored - table) / scale).max() < 1e-12


def test_every_kind_of_column_is_recognised_and_restored(mixed) -> None:
    table, columns, exact, preprocessor = mixed
    roles = {t.name: (t.role, t.lattice, t.tails) for t in preprocessor.treatments}
    assert roles == {
        "normal": ("flow", "none", "none"),
        "whole": ("flow", "decimal", "none"),
        "constant": ("constant", "none", "none"),
        "cents": ("flow", "decimal", "none"),
        "total": ("dependent", "decimal", "none"),
        "step": ("flow", "regular", "none"),
        "spiky": ("flow", "none", "asinh"),
        "censored": ("flow", "atoms", "none"),
        "fahrenheit": ("dependent", "none", "none"),
        "digits": ("flow", "significant", "asinh"),
    }
    assert (preprocessor.n_columns, preprocessor.n_kept, preprocessor.n_flow) == (10, 7, 7)
    assert [columns[j] for j in preprocessor.kept] == [t for t, (role, *_) in roles.items() if role == "flow"]
    assert len(preprocessor.warnings) == 1
    assert "'total', 'fahrenheit'" in preprocessor.warnings[0]
    for rng in (None, np.random.default_rng(1)):
        assert_restored(preprocessor.inverse(preprocessor.forward(table, rng)[0]), table, exact)


def test_training_rows_are_white_in_order_of_variance() -> None:
    rng = np.random.default_rng(2)
    mixing = rng.normal(size=(6, 6))
    table = (rng.laplace(size=(3000, 6)) @ mixing).round(1) + 50.0
    train = rng.random(3000) < 0.6
    preprocessor = Preprocessor.fit(table, names(6), train=train)
    x, _ = preprocessor.forward(table)
    np.testing.assert_allclose(x[train].mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.cov(x[train].T, bias=True), np.eye(6), atol=1e-12)
    # The first direction is the first principal component of the standardised columns, and so on.
    continuous = preprocessor.continuous(table)[train]
    standard = (continuous - continuous.mean(axis=0)) / continuous.std(axis=0)
    variances, directions = np.linalg.eigh(np.cov(standard.T, bias=True))
    projections = standard @ directions[:, ::-1] / np.sqrt(variances[::-1])
    np.testing.assert_allclose(np.abs(np.mean(projections * x[train], axis=0)), 1.0, atol=1e-9)
    basis = preprocessor.whitening.basis
    assert np.all(basis[np.abs(basis).argmax(axis=0), np.arange(6)] > 0)


def test_log_det_is_that_of_the_jacobian(mixed) -> None:
    table, _, _, preprocessor = mixed
    rows = np.concatenate([[0, 1], np.arange(1990, 2000)])
    continuous = preprocessor.continuous(table[rows])
    x, log_det = preprocessor.forward(table[rows])
    d = preprocessor.n_kept
    jacobian = np.empty((len(rows), d, d))
    for j in range(d):
        step = 1e-6 * np.maximum(np.abs(continuous[:, j]), 1.0)
        up, down = continuous.copy(), continuous.copy()
        up[:, j] += step
        down[:, j] -= step
        jacobian[:, :, j] = (preprocessor.whiten(up)[0] - preprocessor.whiten(down)[0]) / (up - down)[
            :, j, None
        ]
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], atol=1e-6)
    assert np.ptp(log_det) > 1.0  # the spikes of the first rows are squeezed
    np.testing.assert_array_equal(preprocessor.whiten(continuous)[0], x)


def test_a_row_gets_the_same_place_whatever_shares_its_batch(mixed) -> None:
    table, _, _, preprocessor = mixed
    together = preprocessor.continuous(table)
    order = np.random.default_rng(3).permutation(len(table))
    np.testing.assert_array_equal(preprocessor.continuous(table[order]), together[order])
    np.testing.assert_array_equal(preprocessor.continuous(table[17:18]), together[17:18])
    np.testing.assert_array_equal(
        np.concatenate([preprocessor.continuous(table[i : i + 300]) for i in range(0, 2000, 300)]), together
    )
    x, _ = preprocessor.forward(table)
    np.testing.assert_allclose(preprocessor.forward(table[5:9])[0], x[5:9], rtol=1e-12, atol=1e-13)


def test_the_place_depends_on_the_whole_row_and_on_the_seed() -> None:
    rng = np.random.default_rng(4)
    table = np.column_stack([rng.integers(0, 3, size=(20_000, 2)), rng.normal(size=20_000)])
    places = []
    for seed in (0, 1):
        preprocessor = Preprocessor.fit(table, names(3), seed=seed)
        inside = preprocessor.continuous(table)[:, :2] - table[:, :2]
        assert np.abs(inside).max() <= 0.495
        for column in inside.T:
            ordered = np.sort(column) / 0.99 + 0.5
            assert np.abs(ordered - (np.arange(20_000) + 0.5) / 20_000).max() < 2.0 / np.sqrt(20_000)
        assert abs(np.corrcoef(inside.T)[0, 1]) < 0.03
        places.append(inside)
    assert abs(np.corrcoef(places[0][:, 0], places[1][:, 0])[0, 1]) < 0.03
    minus_zero = table[:50].copy()
    minus_zero[minus_zero == 0.0] = -0.0
    np.testing.assert_array_equal(preprocessor.continuous(minus_zero), preprocessor.continuous(table[:50]))


def test_fresh_draws_move_values_inside_their_cells_only(mixed) -> None:
    table, columns, _, preprocessor = mixed
    first, second = (preprocessor.continuous(table, np.random.default_rng(seed)) for seed in (5, 6))
    np.testing.assert_array_equal(first, preprocessor.continuous(table, np.random.default_rng(5)))
    kept = [columns[j] for j in preprocessor.kept]
    whole, normal = kept.index("whole"), kept.index("normal")
    assert np.abs(first - second)[:, whole].max() > 0.9
    assert np.abs(first[:, whole] - table[:, 1]).max() < 0.5
    np.testing.assert_array_equal(first[:, normal], table[:, 0])


def test_suite_like_columns_are_not_touched() -> None:
    rng = np.random.default_rng(7)
    n = 10_000
    two_modes = rng.choice([-1, 1], size=n) + 0.3 * rng.normal(size=n)
    tailed = [rng.laplace(size=n), rng.exponential(size=n), rng.standard_t(5, size=n)]
    sources = np.column_stack([*tailed, rng.uniform(-1.7, 1.7, size=n), two_modes])
    linear = sources @ rng.normal(size=(5, 5))
    bent = np.where(linear > 0, linear, 0.2 * linear) @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    for table in (sources, linear, bent):
        preprocessor = Preprocessor.fit(table, names(5), train=np.arange(5000))
        assert {(t.lattice, t.tails, t.role) for t in preprocessor.treatments} == {("none", "none", "flow")}
        assert preprocessor.warnings == ()
        np.testing.assert_array_equal(preprocessor.continuous(table), table)
        x, log_det = preprocessor.forward(table)
        assert np.ptp(log_det) == 0.0
        np.testing.assert_allclose(preprocessor.inverse(x), table, rtol=0, atol=1e-13 * np.abs(table).max())


@settings(max_examples=100)
@given(
    seed=st.integers(0, 100_000),
    n=st.integers(2, 400),
    which=st.lists(st.integers(0, 9), min_size=1, max_size=8, unique=True),
    single=st.booleans(),
    tails=st.sampled_from(["auto", "none", "asinh"]),
)
def test_any_mixed_table_comes_back(seed: int, n: int, which: list[int], single: bool, tails: str) -> None:
    table, columns, exact = mixed_table(np.random.default_rng(seed), n)
    table, exact = table[:, which], exact[which]
    if single:
        table = table.astype(np.float32).astype(float)
    if np.all(table == table[0]):
        with pytest.raises(LatentFlowError, match="constant"):
            Preprocessor.fit(table, [columns[j] for j in which])
        return
    dtype = np.float32 if single else np.float64
    preprocessor = Preprocessor.fit(table, [columns[j] for j in which], tails=tails, dtype=dtype)
    assert 1 <= preprocessor.n_flow <= preprocessor.n_kept <= len(which)
    for rng in (None, np.random.default_rng(seed)):
        x, log_det = preprocessor.forward(table, rng)
        assert np.isfinite(x).all()
        assert np.isfinite(log_det).all()
        restored = preprocessor.inverse(x)
        scale = np.maximum(np.abs(table), table.std(axis=0))
        # In single precision, dependent columns are some roundings off: the columns they follow were rounded.
        assert np.abs((restored - table) / np.where(scale > 0, scale, 1)).max() < (1e-5 if single else 1e-12)
        flows = np.array([t.role == "flow" for t in preprocessor.treatments])
        lattices = np.array([t.lattice not in ("none", "atoms") for t in preprocessor.treatments])
        checked = flows & (lattices | single)
        assert np.array_equal(restored[:, checked], table[:, checked])


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("whole", 3.5, "off the lattice"),
        ("cents", 1.234, "off the lattice"),
        ("step", 4200.3, "off the lattice"),
        ("constant", -7.0, "always -7.25"),
        ("total", 1e3, "linear combination"),
        ("fahrenheit", 50.0, "linear combination"),
        ("normal", np.nan, "--missing drop"),
        ("censored", np.inf, "--missing drop"),
    ],
)
def test_what_cannot_be_restored_is_refused_by_name(mixed, column: str, value: float, reason: str) -> None:
    table, columns, _, preprocessor = mixed
    rows = table[:40].copy()
    rows[23, columns.index(column)] = value
    with pytest.raises(PreprocessingError, match=reason) as refusal:
        preprocessor.forward(rows, first_row=1000)
    message = str(refusal.value)
    assert "\n" not in message
    assert f"column '{column}' is {value!r} in row 1023" in message
    preprocessor.forward(np.delete(rows, 23, axis=0))


def test_values_never_seen_are_taken_where_the_lattice_holds_them(mixed) -> None:
    table, columns, exact, preprocessor = mixed
    rows = table[:3].copy()
    rows[:, columns.index("whole")] = [500.0, -3.0, 7.0]
    rows[:, columns.index("cents")] = [123.45, 0.0, -77.77]
    rows[:, columns.index("total")] = [623.45, -3.0, -70.77]
    rows[:, columns.index("step")] = [float(f"{k * 20 / 39:.2f}") for k in (1, 17, 19999)]
    rows[:, columns.index("spiky")] = [9e8, -5e6, 0.0]
    assert_restored(preprocessor.inverse(preprocessor.forward(rows)[0]), rows, exact)


def test_fewer_training_rows_than_columns_shrink_the_flow_with_a_warning() -> None:
    rng = np.random.default_rng(10)
    table = rng.normal(size=(14, 20)).round(3)
    preprocessor = Preprocessor.fit(table, names(20), train=np.arange(9))
    assert (preprocessor.n_kept, preprocessor.n_flow) == (20, 8)
    assert len(preprocessor.warnings) == 1
    for part in ("9 training rows", "20 columns", "--components"):
        assert part in preprocessor.warnings[0]
    x, log_det = preprocessor.forward(table)
    np.testing.assert_allclose(np.cov(x[:9, :8].T, bias=True), np.eye(8), atol=1e-10)
    assert np.isfinite(log_det).all()
    assert np.abs(x).max() < 1e3
    assert np.array_equal(preprocessor.inverse(x), table)
    fewer = Preprocessor.fit(table, names(20), train=np.arange(9), components=5)
    assert (fewer.n_flow, fewer.warnings) == (5, ())
    assert Preprocessor.fit(table[:2], names(20)).n_flow == 1


def test_components_choose_the_leading_directions() -> None:
    rng = np.random.default_rng(11)
    table = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4))
    full, part = (Preprocessor.fit(table, names(4), components=k) for k in (None, 2))
    assert (full.n_flow, part.n_flow, part.n_kept) == (4, 2, 4)
    np.testing.assert_array_equal(full.forward(table)[0], part.forward(table)[0])
    np.testing.assert_allclose(part.inverse(part.forward(table)[0]), table, atol=1e-12)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (np.zeros((1, 3)), {}, "n_samples = 1"),
        (np.zeros((0, 3)), {}, "n_samples = 0"),
        (np.ones((5, 3)), {}, "constant"),
        (np.eye(3), {"components": 4}, "--components"),
        (np.eye(3), {"components": 0}, "--components"),
        (np.eye(3), {"tails": "log"}, "auto, none, asinh"),
        (np.eye(4), {}, "3 columns"),
    ],
)
def test_impossible_requests_are_refused(table: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(LatentFlowError, match=message):
        Preprocessor.fit(table, names(3), **options)


def test_impossible_latents_are_refused(mixed) -> None:
    preprocessor = mixed[-1]
    with pytest.raises(PreprocessingError, match=r"\(n, 7\)"):
        preprocessor.inverse(np.zeros((3, 6)))
    with pytest.raises(PreprocessingError, match="coordinate 2 of row 1"):
        preprocessor.inverse(np.array([[0.0] * 7, [0.0, 0.0, np.nan, 0.0, 0.0, 0.0, 0.0]]))
    assert np.isfinite(preprocessor.inverse(np.full((1, 7), 1e6))).all()


def test_state_survives_json_and_gives_identical_results(mixed) -> None:
    table, _, _, preprocessor = mixed
    meta, arrays = preprocessor.state()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    again = Preprocessor.from_state(json.loads(json.dumps(meta)), {k: v.copy() for k, v in arrays.items()})
    x, log_det = preprocessor.forward(table)
    x_again, log_det_again = again.forward(table)
    assert np.array_equal(x, x_again)
    assert np.array_equal(log_det, log_det_again)
    assert np.array_equal(preprocessor.inverse(x + 0.1), again.inverse(x + 0.1))
    assert [t.to_dict() for t in again.treatments] == [t.to_dict() for t in preprocessor.treatments]
    for name in ("columns", "warnings", "n_flow", "n_kept"):
        assert getattr(again, name) == getattr(preprocessor, name)
    json.dumps([t.to_dict() for t in again.treatments])
    with pytest.raises(PreprocessingError, match="format 99"):
        Preprocessor.from_state({**meta, "format": 99}, arrays)


def test_location_and_covariance_come_from_the_training_rows_only() -> None:
    rng = np.random.default_rng(12)
    table = rng.normal(size=(600, 3))
    shifted = table.copy()
    shifted[300:] = shifted[300:] * 7.0 + 40.0
    first, second = (Preprocessor.fit(t, names(3), train=np.arange(300)) for t in (table, shifted))
    assert np.array_equal(first.forward(table[:300])[0], second.forward(shifted[:300])[0])
