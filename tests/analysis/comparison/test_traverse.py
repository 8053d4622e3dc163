"""The traverse against the decoder itself, row by row."""

import numpy as np
import pytest

from latentflow.analysis.comparison.traverse import traverse
from latentflow.errors import DataError
from latentflow.model.fit import fit_flow


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    x = rng.laplace(size=(300, 3)) * [1.0, 20.0, 1.0] + [0, 100, 0]
    X = np.column_stack([x, np.full(300, 7.0), np.rint(x[:, 1]), x[:, 0] - x[:, 2]])
    return fit_flow(X, ["a", "b", "t", "constant", "count", "difference"], steps=20, width=12, depth=1)


@pytest.fixture(scope="module")
def found(model):
    return traverse(model)


def test_every_row_is_the_decoding_of_one_latent_alone(model, found):
    np.testing.assert_allclose(found.t, np.linspace(-2, 2, 9))
    assert found.values.shape == (4, 9, 6)
    for latent, step in [(0, 0), (2, 4), (3, 7)]:
        z = np.zeros((1, 4))
        z[0, latent] = found.t[step]
        np.testing.assert_allclose(found.values[latent, step], model.decode(z)[0], rtol=1e-8, atol=1e-8)


def test_columns_come_back_in_the_units_and_on_the_lattice_of_the_user(found):
    assert (found.values[:, :, 3] == 7.0).all()
    assert (found.values[:, :, 4] == np.rint(found.values[:, :, 4])).all()
    np.testing.assert_allclose(
        found.values[:, :, 5], found.values[:, :, 0] - found.values[:, :, 2], atol=1e-8
    )
    assert abs(found.values[:, 4, 1].mean() - 100) < 5


def test_swing_is_in_standard_deviations_and_ranks_the_columns(found):
    assert (found.swing[:, 3] == 0).all()
    expected = np.ptp(found.values[0, :, 1]) / found.spread[1]
    assert found.swing[0, 1] == pytest.approx(expected)
    assert 15 < found.spread[1] < 40
    strongest = found.strongest(0, 3)
    assert found.swing[0, strongest[0]] == found.swing[0].max()
    assert 3 not in found.strongest(0, 6)


def test_the_table_has_a_row_for_each_latent_and_value(found):
    table = found.table()
    assert table.shape == (36, 8)
    assert list(table.columns[:3]) == ["latent", "t", "a"]
    assert len(set(table.columns)) == 8  # the user's own column t has given way
    row = table[(table["latent"] == "latent02") & (table["t"] == 1.0)]
    np.testing.assert_array_equal(row.iloc[0, 2:].astype(float), found.values[2, 6])


def test_some_latents_and_other_values(model):
    found = traverse(model, latents=["latent03", "latent01"], t=[-1, 0, 3])
    assert found.latent_names == ("latent03", "latent01")
    z = np.zeros((1, 4))
    z[0, 3] = 3.0
    np.testing.assert_allclose(found.values[0, 2], model.decode(z)[0], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"latents": ["latent09"]}, "latent00 to latent03"),
        ({"t": [0.0]}, "two values"),
        ({"t": [0, np.nan]}, "two values"),
    ],
)
def test_what_cannot_run_is_refused(model, wrong, words):
    with pytest.raises(DataError, match=words):
        traverse(model, **wrong)
