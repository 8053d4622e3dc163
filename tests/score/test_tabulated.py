"""Tables of functions of one variable, against the functions themselves, and the field that takes many rows by them."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.fields import Field, FieldSum, PlainField
from latentflow.score.networks import NetworkSum
from latentflow.score.piecewise import REACH, tabulate
from latentflow.score.residual import ResidualMLP
from latentflow.score.separable import BREAK_EVEN, SeparableField, SeparableNetwork

DIMENSION = 3


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _network(steepness: float = 1.0, dimension: int = DIMENSION) -> SeparableNetwork:
    """Weights away from their start; the first units of all axes steeper by a factor."""
    axes = torch.linalg.qr(_normal(dimension, dimension, seed=3))[0].float()
    network = SeparableNetwork(axes, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        for i, parameter in enumerate(network.parameters()):
            parameter.add_(0.1 * _normal(*parameter.shape, seed=10 + i))
        network.slopes *= steepness
        network.offsets *= steepness
        network.mixing /= steepness
    return network


def _field(sigma: float = 0.5, dtype: torch.dtype = torch.float64, steepness: float = 1.0) -> SeparableField:
    field = NetworkDenoiser(_network(steepness)).at(sigma, dtype)
    assert isinstance(field, SeparableField)
    return field


def _exact(field: Field, y: Tensor) -> Tensor:
    """The network itself, as many rows at once as without a table."""
    return Field.v_predictions(field, y)


def _tabulated(field: Field) -> bool:
    """Whether a table was asked for and made."""
    return vars(field).get("_table") is not None


class Closed:
    """f₁(s) = 1/(1 + (s/w)²) and f₂(s) = s³ − 2s, in closed form."""

    def __init__(self, width: float, which: Tensor | None = None):
        self.width, self.which = width, torch.arange(2) if which is None else which

    def value(self, s: Tensor) -> Tensor:
        return torch.where(self.which[:, None] == 0, 1 / (1 + (s / self.width) ** 2), s**3 - 2 * s)

    def of(self, which: Tensor) -> Closed:
        return Closed(self.width, which)


@pytest.mark.parametrize("width", [2.0, 0.03])
def test_table_of_closed_forms(width: float) -> None:
    functions = Closed(width)
    table = tabulate(functions, 2, torch.float64)
    assert table is not None
    # the cubic takes the first cells as they are, the bump cuts its own where it is narrow
    cubic = int((table.cells >= table.cells[len(table.cells) // 2]).sum())
    assert len(table.centres) - len(table.cells[:cubic].unique()) == REACH
    s = torch.linspace(-REACH, REACH, 40_001, dtype=torch.float64).repeat(2, 1)
    exact = functions.value(s)
    assert bool(((table.value(s) - exact).abs() <= 1e-13 * exact.abs().clamp(min=1)).all())
    steep = torch.stack([-2 * s[0] / width**2 * exact[0] ** 2, 3 * s[1] ** 2 - 2])
    slope = jvp(table.value, (s,), (torch.ones_like(s),))[1]
    assert bool(((slope - steep).abs() <= 1e-10 * steep.abs().amax(1, keepdim=True)).all())
    assert steep.abs().amax(1).min() > 0.3


def test_no_table_where_a_function_is_too_steep() -> None:
    assert tabulate(Closed(1e-5), 2, torch.float64) is None
    field, y = _field(steepness=1e5), _normal(BREAK_EVEN, DIMENSION, seed=4)
    found = field.v_predictions(y)
    assert "_table" in vars(field)
    assert not _tabulated(field)
    assert torch.equal(found, _exact(field, y))


@pytest.mark.parametrize("steepness", [1.0, 20.0])
@pytest.mark.parametrize("sigma", [0.01, 0.5, 15.0])
def test_field_by_table(sigma: float, steepness: float) -> None:
    field, y = _field(sigma, steepness=steepness), 2 * _normal(BREAK_EVEN, DIMENSION, seed=5)
    with torch.no_grad():
        found, expected = field.v_predictions(y), _exact(field, y)
    assert 0 < (found - expected).abs().amax() <= 1e-13 * expected.abs().amax()
    # steeper units take smaller cells
    assert (field._table.rates.max() > 32) == (steepness > 1)


def test_beyond_the_table() -> None:
    field, y = _field(), _normal(BREAK_EVEN + 50, DIMENSION, seed=6)
    y[7], y[20, 1], y[31] = 40 * y[7], torch.inf, torch.nan
    # the last point of the table, and the first beyond
    y[40], y[41] = (field.axes.T * REACH)[0], (field.axes.T * (REACH + 1e-9))[0]
    with torch.no_grad():
        found, expected = field.v_predictions(y), _exact(field, y)
        beyond = [7, 20, 31, 41]
        # to rounding: how a processor sums a product may depend on the number of rows
        alone = field.v_prediction(y[beyond])
        torch.testing.assert_close(found[beyond], alone, rtol=1e-14, atol=1e-14, equal_nan=True)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12, equal_nan=True)
    assert bool(found[7].isfinite().all())
    assert bool(found[31].isnan().all())
    # a table made by then changes nothing for a row alone
    assert _tabulated(field)
    assert torch.equal(field.v_prediction(y[:5]), _field().v_prediction(y[:5]))


def test_derivatives_by_table() -> None:
    field, y = _field(), 2 * _normal(BREAK_EVEN, DIMENSION, seed=8)
    y[3] *= 1e25  # one row beyond, whose powers overflow
    directions = _normal(2, DIMENSION, seed=9)
    each, close = directions[0].expand_as(y), partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
    with torch.inference_mode():  # where the table is made should not matter
        field.v_predictions(y)
    assert _tabulated(field)
    with torch.no_grad():
        value, expected = field.push_forward(y, directions)
        found, along = jvp(field.v_predictions, (y,), (each,))
        torch.testing.assert_close(found, value, rtol=1e-12, atol=1e-12)
        assert not torch.equal(found, _exact(field, y))
        close(along, expected[0])
        close(vmap(lambda v: jvp(field.v_predictions, (y,), (v.expand_as(y),))[1])(directions), expected)
        pulled = vjp(field.v_predictions, y)[1](each)[0]
        close(pulled, vjp(field.v_prediction, y)[1](each)[0])
    assert expected.abs().mean() > 0.1
    state = y.clone().requires_grad_()
    (field.v_predictions(state) * each).sum().backward()
    torch.testing.assert_close(state.grad, pulled, rtol=1e-12, atol=1e-12)


def test_only_the_rows_of_a_call_decide() -> None:
    y = _normal(2 * BREAK_EVEN, DIMENSION, seed=12)
    few, many = y[: BREAK_EVEN - 1], y[:BREAK_EVEN]
    with torch.no_grad():
        field, other = _field(), _field()
        before, pushed = field.v_predictions(few), field.push_forward(few, y[:1])
        assert "_table" not in vars(field)
        by_table = field.v_predictions(many)
        table = field._table
        assert torch.equal(before, _exact(field, few))
        torch.testing.assert_close(by_table[:-1], before, rtol=1e-12, atol=1e-12)
        assert not torch.equal(by_table[:-1], before)
        # again, after other calls, and in another order
        other.v_predictions(y)
        for each in (field, other):
            assert torch.equal(each.v_predictions(many), by_table)
            assert torch.equal(each.v_predictions(few), before)
            assert torch.equal(each.v_prediction(few[:9]), _field().v_prediction(few[:9]))
            assert all(map(torch.equal, each.push_forward(few, y[:1]), pushed))
        assert field._table is table
        # a row does not feel those beside it
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(1))
        shuffled = torch.empty_like(y).index_copy(0, order, field.v_predictions(y[order]))
        torch.testing.assert_close(shuffled[:BREAK_EVEN], by_table, rtol=1e-12, atol=1e-12)


def test_parts_of_a_sum_go_their_own_way() -> None:
    separable = _network()
    residual = ResidualMLP(DIMENSION, 64, 2, torch.Generator().manual_seed(1)).double()
    total = NetworkDenoiser(NetworkSum([separable, residual])).at(0.3)
    assert isinstance(total, FieldSum)
    y = _normal(BREAK_EVEN, DIMENSION, seed=15)
    with torch.no_grad():
        found = total.v_predictions(y)
        assert [_tabulated(part) for part in total.parts] == [True, False]
        assert torch.equal(found, total.parts[0].v_predictions(y) + total.parts[1].v_predictions(y))
        torch.testing.assert_close(found, total.v_prediction(y), rtol=1e-12, atol=1e-12)


def test_rows_are_taken_as_many_at_once_as_is_fastest() -> None:
    y, taken = _normal(2500, DIMENSION, seed=16), []

    def kept(part: Tensor) -> Tensor:
        taken.append(len(part))
        return part

    field = PlainField(kept)
    assert field.rows_at_once == 1024
    assert torch.equal(field.v_predictions(y), y)
    assert torch.equal(field.v_predictions(y[:1024]), y[:1024])
    assert taken == [1024, 1024, 452, 1024]


def _flow(dimension: int = DIMENSION) -> ProbabilityFlow:
    return ProbabilityFlow(NetworkDenoiser(_network(dimension=dimension)), log_uniform_grid(0.1, 10, 24))


@pytest.mark.parametrize("dimension", [DIMENSION, 24])
def test_encoding_goes_by_tables_where_they_pay(dimension: int) -> None:
    flow, x = _flow(dimension), _normal(BREAK_EVEN, dimension, seed=13)
    some = flow.encode(x[:-1])
    assert flow._fields
    assert not any(map(_tabulated, flow._fields.values()))
    z = flow.encode(x)
    assert all(map(_tabulated, flow._fields.values()))
    assert not torch.equal(z[:-1], some)
    torch.testing.assert_close(z[:-1], some, rtol=1e-12, atol=1e-12)
    assert torch.equal(flow.encode(x[:-1]), some)
    assert torch.equal(flow.encode(x), z)


def test_rows_do_not_feel_the_table() -> None:
    few, many, x = _flow(), _flow(), _normal(BREAK_EVEN + 2000, DIMENSION, seed=13)
    directions = x.roll(1, 0)
    # tables made under a transform serve afterwards
    along = many.encode_along(x, directions)
    assert all(map(_tabulated, many._fields.values()))
    z = many.encode(x)
    assert torch.equal(z, _flow().encode(x))
    torch.testing.assert_close(along[:300], few.encode_along(x[:300], directions[:300]), rtol=1e-9, atol=1e-9)
    for tell in (lambda flow: flow.log_prob(x[:100]), lambda flow: flow.encode(x[:100])):
        assert torch.equal(tell(many), tell(few))
    back, residual = many.decode(z[:20])
    torch.testing.assert_close(back, x[:20], rtol=1e-9, atol=1e-9)
    assert residual.amax() <= 1e-11
    assert not any(map(_tabulated, few._fields.values()))


def test_single_precision() -> None:
    field, y = _field(dtype=torch.float32), _normal(BREAK_EVEN, DIMENSION, seed=14)
    with torch.no_grad():
        expected, found = _exact(_field(), y), field.v_predictions(y)
        by_table, by_network = (
            (each - expected).abs().amax() / expected.abs().amax() for each in (found, _exact(field, y))
        )
    assert field._table.coefficients[0].dtype == torch.float32
    assert found.dtype == torch.float64
    assert not torch.equal(found, _exact(field, y))
    assert 0 < by_table < 1e-6
    # the rest is the rounding of the weights and of the state, which both share
    assert by_table < 1.5 * by_network
    low = _field(dtype=torch.bfloat16)
    assert torch.equal(low.v_predictions(y), _exact(low, y))
    assert not _tabulated(low)
