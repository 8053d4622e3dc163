"""Atoms are opened and closed again, tails squeezed and restored, and both only where they must be."""

from __future__ import annotations

import numpy as np
import pytest

from latentflow.data.columns import ColumnTreatment, treat_column
from latentflow.data.tails import FAR_SHARE, FARTHEST, Tails, fit_tails, tail_statistics
from latentflow.data.ties import find_ties


def treated(values: np.ndarray, tails: str = "none", precision: str = "float64") -> ColumnTreatment:
    ties = find_ties(values, precision)
    return treat_column("v", values, ties, np.arange(len(values)), tails)


def restored(column: ColumnTreatment, squeezed: np.ndarray) -> np.ndarray:
    """Raw values of squeezed ones."""
    assert column.ties is not None
    return column.ties.restore(squeezed if column.squeeze is None else column.squeeze.inverse(squeezed))


def ks_from_uniform(values: np.ndarray) -> float:
    """Kolmogorov–Smirnov distance of numbers in an interval from the uniform distribution on it."""
    ordered = (np.sort(values) - values.min()) / np.ptp(values)
    return float(np.abs(ordered - np.arange(len(ordered)) / (len(ordered) - 1)).max())


def censored(rng: np.random.Generator, n: int = 4000) -> dict[str, tuple[np.ndarray, list[float]]]:
    normal = rng.normal(size=n)
    return {
        "at a lower limit": (np.maximum(normal, -0.71), [-0.71]),
        "at an upper limit": (np.minimum(normal, 1.13), [1.13]),
        "at both": (np.clip(normal, -0.9, 1.2), [-0.9, 1.2]),
        "inside": (np.where(rng.random(n) < 0.1, 0.25, normal), [0.25]),
        "zeros": (np.where(rng.random(n) < 0.6, 0.0, rng.exponential(size=n)), [0.0]),
        "zeros among decimals": (
            np.where(rng.random(n) < 0.4, 0.0, rng.exponential(50.0, size=n).round(2)),
            [0.0],
        ),
    }


@pytest.mark.parametrize("name", censored(np.random.default_rng(0)))
def test_atoms_are_opened_to_the_density_around_them_and_come_back(name: str) -> None:
    rng = np.random.default_rng(1)
    values, atoms = censored(rng)[name]
    column = treated(values)
    assert column.ties is not None
    np.testing.assert_array_equal(column.ties.atoms, atoms)

    continuous = column.dequantise(values, rng.random(len(values)))
    back = restored(column, continuous)
    at_atom = np.isin(values, atoms)
    assert np.array_equal(back[at_atom], values[at_atom])
    np.testing.assert_allclose(back, values, rtol=0, atol=1e-14)
    # The order of the rows is that of their values, and the rows of an atom fill its interval evenly.
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(continuous[order])[np.diff(values[order]) > 0] > 0)
    for atom in atoms:
        inside = continuous[values == atom]
        assert ks_from_uniform(inside) < 2.2 / np.sqrt(len(inside))
        density = len(inside) / np.ptp(inside)
        around = np.abs(continuous - inside.mean()) - 0.5 * np.ptp(inside)
        near = np.count_nonzero((around > 0) & (around < 0.2 * np.ptp(inside)))
        sides = 1 if atom in (values.min(), values.max()) else 2
        assert 0.4 < density / (near / (sides * 0.2 * np.ptp(inside))) < 2.5


def test_slope_is_one_off_the_atoms() -> None:
    values, _ = censored(np.random.default_rng(3))["inside"]
    column = treated(values)
    off = np.array([-1.0, -0.2, 0.2, 0.3, 1.0])
    step = 2.0**-20
    moved = column.dequantise(off + step, np.zeros(5)) - column.dequantise(off, np.zeros(5))
    np.testing.assert_allclose(moved, step, rtol=1e-9)
    # Values never seen are continuous values like any other.
    np.testing.assert_allclose(restored(column, column.dequantise(off, np.zeros(5))), off, atol=1e-15)
    assert not column.refused(off).any()


def test_a_lattice_alone_has_no_atoms() -> None:
    rng = np.random.default_rng(4)
    for values in (
        rng.poisson(0.1, size=5000),
        rng.integers(0, 2, size=5000),
        rng.normal(0.0, 20.0, size=5000).round(),
        rng.normal(size=5000).round(1),
        rng.exponential(size=5000).round(2),
    ):
        ties = find_ties(values.astype(float))
        assert ties.dequantised
        assert len(ties.atoms) == 0


@pytest.mark.parametrize("levels", [2, 60])
def test_levels_that_no_lattice_explains_are_atoms(levels: int) -> None:
    rng = np.random.default_rng(6)
    values = (rng.integers(0, levels, size=3000) - 0.8137) / 0.3713
    column = treated(values)
    assert column.lattice == "atoms"
    continuous = column.dequantise(values, rng.random(len(values)))
    assert np.array_equal(restored(column, continuous), values)
    assert len(np.unique(continuous)) == len(values)


def test_dequantised_values_stand_clear_of_the_edges_of_their_cells() -> None:
    rng = np.random.default_rng(7)
    coarse = rng.normal(0.0, 3.0, size=4000).round()
    fine = rng.normal(size=4000).round(5)
    squeezed_fine = np.append(fine, [4.0e4, -3.0e4]).round(4)
    for values, tails in ((coarse, "none"), (fine, "none"), (squeezed_fine, "asinh")):
        column = treated(values, tails)
        for extreme in (np.zeros(len(values)), np.full(len(values), 1 - 2.0**-53)):
            squeezed = column.dequantise(values, extreme)
            squeezed = squeezed if column.squeeze is None else column.squeeze.forward(squeezed)[0]
            for error in (-1e-6, 1e-6):
                # A quarter of the finest cells is less than the tolerance, and they may flip.
                back = restored(column, squeezed + 0.99 * error * column.scale)
                assert np.array_equal(back, values)


def test_negligible_steps_are_left_alone() -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(size=3000).round(9)
    column = treated(values)
    assert (column.lattice, column.step, column.spreads) == ("none", 0.0, False)
    assert np.array_equal(column.dequantise(values, rng.random(3000)), values)
    # Whole numbers stay whole numbers, however wide they are spread.
    identifiers = rng.integers(10**9, 10**10, size=3000).astype(float)
    column = treated(identifiers)
    assert not column.spreads
    assert np.array_equal(restored(column, identifiers + 0.2), identifiers)
    assert column.refused(np.array([0.5]))[0]


def test_squeezing_is_a_bijection_with_its_slope() -> None:
    tails = Tails(center=3.0, scale=0.7)
    values = np.concatenate([3.0 + np.array([-1e6, -20.0, 0.0, 1e-3, 5.0, 1e9]), np.linspace(-5, 9, 50)])
    np.testing.assert_allclose(tails.inverse(tails.forward(values)[0]), values, rtol=1e-13)
    step = 1e-5 * np.maximum(1.0, np.abs(values - 3.0))
    slope = (tails.forward(values + step)[0] - tails.forward(values - step)[0]) / (2 * step)
    np.testing.assert_allclose(tails.forward(values)[1], np.log(slope), atol=1e-6)
    assert np.all(np.isfinite(tails.inverse(np.array([-1e300, 1e300]))))


ORDINARY = {
    "normal": lambda rng, n: rng.normal(size=n),
    "laplace": lambda rng, n: rng.laplace(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "t5": lambda rng, n: rng.standard_t(5, size=n),
    "uniform": lambda rng, n: rng.random(n),
    "two modes": lambda rng, n: rng.choice([-1.0, 1.0], size=n) + 0.3 * rng.normal(size=n),
    "cubed normal": lambda rng, n: rng.normal(size=n) ** 3,
    "rare indicator": lambda rng, n: (rng.permutation(n) < 0.004 * n).astype(float),
    "mostly zero counts": lambda rng, n: rng.integers(0, 17, size=n) * (rng.random(n) < 0.06),
}


@pytest.mark.parametrize("n", [300, 10_000, 100_000])
@pytest.mark.parametrize("name", ORDINARY)
def test_auto_leaves_ordinary_columns_alone(name: str, n: int) -> None:
    values = ORDINARY[name](np.random.default_rng(n), n).astype(float)
    assert treated(values, "auto").squeeze is None


@pytest.mark.parametrize("spikes", [[170.0], [-200.0, 30_000.0], [5e5] * 3])
def test_auto_squeezes_spikes_even_where_none_is_a_training_row(spikes: list[float]) -> None:
    rng = np.random.default_rng(10)
    values = np.append(rng.normal(size=10_000), spikes)
    tails = fit_tails(values, np.arange(10_000), "auto")
    assert tails is not None
    assert np.abs(tails.forward(values)[0]).max() < 45.0
    bulk = np.linspace(-1.0, 1.0, 5)
    np.testing.assert_allclose(tails.forward(bulk)[0], bulk, atol=0.03)
    assert fit_tails(values, np.arange(10_000), "none") is None


def test_the_threshold_lies_between_the_columns_it_was_chosen_from() -> None:
    farthest, share = tail_statistics(np.random.default_rng(11).standard_t(5, size=100_000))
    assert farthest < FARTHEST
    assert share < FAR_SHARE
    # A count that is mostly zero has no scale finer than its step.
    counts = np.repeat([0.0, 1.0, 16.0], [1700, 90, 7])
    assert tail_statistics(counts)[0] > FARTHEST
    assert tail_statistics(counts, step=1.0)[0] == 16.0


def test_asinh_squeezes_every_column() -> None:
    values = np.random.default_rng(12).normal(size=500)
    column = treated(values, "asinh")
    assert column.tails == "asinh"
    assert column.squeeze is not None
    squeezed, _ = column.squeeze.forward(values)
    np.testing.assert_allclose(restored(column, squeezed), values, rtol=1e-13, atol=1e-15)
    assert treated(np.repeat([0.0, 1.0], [990, 10]), "asinh").squeeze is not None
