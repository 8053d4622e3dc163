"""Every map that a row goes through: there and back, with its log|det|, row by row. A new map is a line in `MAPS`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from latentflow.base.based_flow import BasedFlow
from latentflow.base.layers import LayeredBase
from latentflow.base.monotone import Curves
from latentflow.base.splines import MonotoneSplines
from latentflow.bijection import Bijection, Chain, Leading
from latentflow.components.source_scale import SourceScale
from latentflow.data.preprocess import Preprocessor
from latentflow.data.tails import TableTails, Tails
from latentflow.data.whitening import Whitening
from latentflow.errors import LatentFlowError
from latentflow.flow.flow_map import FlowMap
from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.orientation.record import Orientation
from latentflow.score.oracles import MixtureOracle

Floats = np.ndarray


@dataclass(frozen=True)
class Case:
    """A fitted map and rows for it.

    Attributes
    ----------
    accuracy : float
        Of a round trip, relative to the size of the rows; 0 asks for the same bits.
    volume : float or None
        Largest error of log|det| in nats; None for maps that spread values over cells and have no derivative.
    checks : tuple of str
        The ways, ``forward`` or ``inverse``, on which rows are checked.
    """

    bijection: Bijection
    rows: Floats
    accuracy: float = 1e-12
    volume: float | None = 1e-6
    checks: tuple[str, ...] = ()


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape)


def column() -> Case:
    return Case(Tails(center=3.0, scale=0.7), 3.0 + 5.0 * normal(12))


def tails() -> Case:
    return Case(TableTails((Tails(0.2, 0.5), None, Tails(-1.0, 2.0))), 4.0 * normal(12, 3))


def mixed_table() -> tuple[Preprocessor, Floats]:
    """Whole numbers, decimals, a hidden step, an atom, a constant, a sum of columns, plain and heavy-tailed ones."""
    rng = np.random.default_rng(1)
    whole, cents = rng.poisson(6.0, 400).astype(float), rng.normal(size=400).round(2)
    step = np.array([float(f"{k * 20 / 39:.2f}") for k in rng.integers(8000, 8600, 400)])
    spiky = np.where(rng.random(400) < 0.01, 3e5, rng.normal(4200.0, 8.0, 400))
    plain = [np.maximum(rng.normal(size=400), -0.5), np.full(400, 7.25), rng.normal(size=400)]
    table = np.column_stack([whole, cents, step, spiky, *plain, (whole + cents).round(2)])
    return Preprocessor.fit(table, [f"c{j}" for j in range(8)]), table[:60]


def dequantisation() -> Case:
    preprocessor, rows = mixed_table()
    return Case(preprocessor.table, rows, accuracy=1e-15, volume=None)


def preprocessor_of_a_mixed_table() -> Case:
    preprocessor, rows = mixed_table()
    return Case(preprocessor, rows, volume=None, checks=("forward", "inverse"))


def preprocessor_of_plain_columns() -> Case:
    rows = np.append(normal(300, 3) @ normal(3, 3, seed=2), [[900.0, 5.0, -400.0]], axis=0)
    return Case(Preprocessor.fit(rows, "abc", tails="asinh"), rows[-20:], checks=("forward", "inverse"))


def whitening() -> Case:
    rows = normal(200, 3) @ normal(3, 3, seed=3) + [10.0, 0.0, -3.0]
    return Case(Whitening.fit(rows, rows.mean(axis=0), rows.std(axis=0)), rows[:20])


def rotation() -> Orientation:
    cos, sin = np.cos(0.7), np.sin(0.7)
    return Orientation(np.array([[cos, -sin], [sin, cos]]))


def orientation() -> Case:
    return Case(rotation(), normal(20, 2))


def scale() -> SourceScale:
    knots = np.linspace(-3, 3, 9) + np.array([[0.0], [0.1]])
    return SourceScale(knots, np.sinh(knots / 2), np.cosh(knots / 2) / 2)


def source_scale() -> Case:
    return Case(scale(), 2.0 * normal(40, 2), accuracy=1e-11)


def mixture(dtype: torch.dtype = torch.float64, device: str = "cpu") -> MixtureOracle:
    means = torch.tensor([[-1.0, 0.5], [0.9, 0.6], [0.2, -0.8]], dtype=torch.float64)
    weights = torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64)
    covariances = 0.2 * torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
    return MixtureOracle(weights, means, covariances).to(device=device, dtype=dtype)


def flow(log_det: str, volume: float, **kind: Any) -> Case:
    single = kind.get("dtype") == torch.float32
    of = ProbabilityFlow(mixture(**kind), log_uniform_grid(0.05, 12.0, 24))
    return Case(FlowMap(of, log_det), normal(8, 2), accuracy=1e-5 if single else 1e-9, volume=volume)


def fitted_flow(scale_of: str) -> Case:
    """A whole model: two of three directions go through the flow, and the third is carried."""
    rows = normal(300, 3) @ normal(3, 3, seed=2) + [0.0, 50.0, -8.0]
    model = FittedFlow(
        Preprocessor.fit(rows, "abc", components=2, tails="asinh"),
        mixture(),
        np.asarray(log_uniform_grid(0.05, 12.0, 24)),
        orientation=rotation(),
        source_scale=scale(),
    )
    onwards = model.latent_chain(FlowMap(model.flow, "discrete"), scale_of)
    return Case(Chain((model.preprocessor, onwards)), rows[:8], accuracy=1e-8, checks=("forward",))


def layers(number: int) -> LayeredBase:
    """Matrices and splines drawn at random, their determinants positive."""
    rng = np.random.default_rng(number)
    matrices, splines = [], []
    for _ in range(number):
        matrix = np.eye(3) + 0.4 * rng.normal(size=(3, 3))
        matrices.append(torch.as_tensor(matrix if np.linalg.det(matrix) > 0 else matrix[::-1].copy()))
        at, value = (np.sort(rng.normal(size=(3, 9)), axis=1) for _ in range(2))
        splines.append(MonotoneSplines.through(Curves(at, value, 0.5 * rng.normal(size=(3, 9)))))
    return LayeredBase(matrices, splines).requires_grad_(False)


def behind_a_base(number: int, log_det: str = "discrete", flow: ProbabilityFlow | None = None) -> Case:
    accuracy, volume = (1e-11, 1e-6) if flow is None else (1e-8, 1e-5)
    return Case(FlowMap(BasedFlow(layers(number), flow), log_det), normal(12, 3), accuracy, volume)


def plane_in_space() -> ProbabilityFlow:
    law = MixtureOracle(
        torch.ones(2, dtype=torch.float64),
        torch.tensor([[-0.8, 0.0, 0.0], [0.8, 0.3, 0.0]], dtype=torch.float64),
        0.4 * torch.eye(3, dtype=torch.float64).expand(2, 3, 3),
    )
    return ProbabilityFlow(law, log_uniform_grid(0.05, 12.0, 24))


MAPS: dict[str, Callable[[], Case]] = {
    "tails of a column": column,
    "tails": tails,
    "dequantisation": dequantisation,
    "whitening": whitening,
    "preprocessor, mixed": preprocessor_of_a_mixed_table,
    "preprocessor, plain": preprocessor_of_plain_columns,
    "flow": lambda: flow("continuous", 1e-3),
    "flow, discrete": lambda: flow("discrete", 1e-6),
    "flow, single precision": lambda: flow("discrete", 1e-2, dtype=torch.float32),
    "base of one layer": lambda: behind_a_base(1),
    "base of three layers": lambda: behind_a_base(3, "continuous"),
    "flow behind a base": lambda: behind_a_base(2, flow=plane_in_space()),
    "orientation": orientation,
    "source scale": source_scale,
    "leading columns": lambda: Case(Leading(scale(), 2), normal(20, 4), accuracy=1e-11),
    "chain": lambda: Case(Chain((rotation(), scale(), rotation())), normal(20, 2), accuracy=1e-11),
    "empty chain": lambda: Case(Chain(()), normal(20, 2), accuracy=0),
    "model": lambda: fitted_flow("latent"),
    "model, sources": lambda: fitted_flow("source"),
}
if torch.cuda.is_available():
    MAPS["flow on a GPU"] = lambda: flow("discrete", 1e-6, device="cuda")


made = cache(lambda name: MAPS[name]())


@pytest.fixture(params=MAPS)
def case(request) -> Case:
    return made(request.param)


def close(one: Floats, other: Floats, accuracy: float) -> None:
    assert one.dtype == other.dtype == np.float64
    assert one.shape == other.shape
    np.testing.assert_allclose(one, other, rtol=accuracy, atol=accuracy * np.abs(other).max())


def test_there_and_back_and_back_and_there(case: Case) -> None:
    images, _ = case.bijection.forward(case.rows)
    back = case.bijection.inverse(images)
    close(back, case.rows, case.accuracy)
    again, _ = case.bijection.forward(back)
    if case.volume is not None:
        close(again, images, 10 * case.accuracy)
    else:  # a rounding of one column moves the others within their cells, not out of them
        close(case.bijection.inverse(again), case.rows, case.accuracy)


def test_log_det_is_one_finite_number_of_nats_a_row(case: Case) -> None:
    images, log_det = case.bijection.forward(case.rows)
    assert (log_det.shape, log_det.dtype) == ((len(case.rows),), np.float64)
    assert np.isfinite(log_det).all()
    assert len(images) == len(case.rows)


def test_log_det_is_that_of_the_jacobian_by_central_differences(case: Case) -> None:
    if case.volume is None:
        return
    rows = case.rows[:, None] if case.rows.ndim == 1 else case.rows
    size = (3e-3 if case.volume > 1e-3 else 1e-5) * np.maximum(1.0, np.abs(rows))
    # four points, so that what the step is off by is of fourth order; all of them at once
    moved = [rows + k * size * axis for axis in np.eye(rows.shape[1]) for k in (-2, -1, 1, 2)]
    images = case.bijection.forward(np.concatenate(moved).reshape(-1, *case.rows.shape[1:]))[0]
    far_below, below, above, far_above = np.moveaxis(images.reshape(rows.shape[1], 4, *rows.shape), 1, 0)
    jacobians = (far_below - 8 * below + 8 * above - far_above).transpose(1, 2, 0) / (12 * size[:, None, :])
    expected = np.linalg.slogdet(jacobians)[1]
    np.testing.assert_allclose(case.bijection.forward(case.rows)[1], expected, atol=case.volume, rtol=0)


def test_a_row_alone_is_mapped_as_among_others(case: Case) -> None:
    images, log_det = case.bijection.forward(case.rows)
    for i in (0, len(case.rows) - 1):
        alone, own = case.bijection.forward(case.rows[i : i + 1])
        close(alone, images[i : i + 1], max(1e-12, case.accuracy))
        np.testing.assert_allclose(own, log_det[i : i + 1], atol=max(1e-11, case.accuracy))


def test_rows_that_cannot_be_mapped_are_refused_where_they_are_checked(case: Case) -> None:
    for way in case.checks:
        rows = case.rows if way == "forward" else case.bijection.forward(case.rows)[0]
        with pytest.raises(LatentFlowError):
            getattr(case.bijection, way)(rows[:, :-1])
        for value in (np.nan, np.inf):
            spoilt = rows.copy()
            spoilt[3, 1] = value
            with pytest.raises(LatentFlowError):
                getattr(case.bijection, way)(spoilt)


def test_state_holds_the_map_to_the_bit(case: Case) -> None:
    if not hasattr(case.bijection, "state"):
        return
    state = case.bijection.state()
    if isinstance(state, tuple):
        meta, arrays = (
            json.loads(json.dumps(state[0])),
            {key: value.copy() for key, value in state[1].items()},
        )
        again = type(case.bijection).from_state(meta, arrays)
    else:
        again = type(case.bijection).from_state({key: value.copy() for key, value in state.items()})
    images, log_det = case.bijection.forward(case.rows)
    np.testing.assert_array_equal(again.forward(case.rows)[0], images)
    np.testing.assert_array_equal(again.forward(case.rows)[1], log_det)
    np.testing.assert_array_equal(again.inverse(images), case.bijection.inverse(images))


def test_stages_of_a_chain_add_up_from_what_came_before() -> None:
    parts = (rotation(), scale())
    rows, before = normal(5, 2), np.arange(5.0)
    (turned, first), (sources, second) = Chain(parts).stages(rows, before)
    np.testing.assert_array_equal(turned, rows @ parts[0].rotation)
    np.testing.assert_array_equal(first, before)
    np.testing.assert_array_equal(second - before, parts[1].forward(turned)[1] + before - before)
    np.testing.assert_array_equal(sources, parts[1].forward(turned)[0])


def test_an_unmeasured_flow_leaves_the_log_det_out() -> None:
    measured, plain = (FlowMap(flow("discrete", 0).bijection.flow, measured=each) for each in (True, False))
    rows = normal(5, 2)
    np.testing.assert_allclose(plain.forward(rows)[0], measured.forward(rows)[0], atol=1e-13)
    assert np.isnan(plain.forward(rows)[1]).all()
