"""Every solver converges at the order it states, at the evaluations it states, to the same end as the others."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torchdiffeq import odeint

from latentflow.flow.adaptive import ORDERS
from latentflow.flow.grids import log_uniform_grid
from latentflow.flow.multistep import Multistep
from latentflow.flow.predictions import PREDICTIONS
from latentflow.flow.quadrature import polynomial_weights
from latentflow.flow.runge_kutta import ExponentialMidpoint
from latentflow.flow.solver_names import ADAPTIVE, CALIBRATED, FIXED_STEP, solver_names
from latentflow.flow.solvers import SOLVERS, integrate, solver_of
from latentflow.score.oracles import GaussianOracle, MixtureOracle

LOW, HIGH = 0.1, 10.0


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def gaussian():
    return GaussianOracle(tensor([0.3, -0.2]), tensor([[1.3, 0.4], [0.4, 0.35]]))


def mixture():
    covariances = [[[0.3, 0.1], [0.1, 0.2]], [[0.4, -0.1], [-0.1, 0.5]]]
    return MixtureOracle(tensor([0.4, 0.6]), tensor([[-0.8, 0.3], [0.6, -0.2]]), tensor(covariances))


def rows(n=40):
    return torch.as_tensor(np.random.default_rng(0).normal(size=(n, 2)))


def velocity_of(oracle):
    return lambda u, y: oracle.v_prediction(y, math.exp(u))


def encode(solver, oracle, sigmas, x):
    start = x / math.sqrt(1 + sigmas[0] ** 2)
    with torch.no_grad():
        return solver.integrate(velocity_of(oracle), start, np.log(sigmas).tolist())


@pytest.fixture(scope="module")
def witnesses():
    """Each oracle with the exact states at the end: in closed form, or by very many steps."""
    plain, mixed, x = gaussian(), mixture(), rows()
    closed = plain.flow(x, LOW, HIGH) / math.sqrt(1 + HIGH**2)
    fine = log_uniform_grid(LOW, HIGH, 1000)
    np.testing.assert_allclose(encode(SOLVERS["dp5"], plain, fine, x), closed, atol=1e-13)
    return {"gaussian": (plain, closed), "mixture": (mixed, encode(SOLVERS["dp5"], mixed, fine, x))}


def graded_grid(low, high, steps, exponent):
    """Levels at log low + (i/steps)^exponent log(high/low): first steps so short that a low order will do."""
    levels = low * (high / low) ** (np.linspace(0, 1, steps + 1) ** exponent)
    levels[-1] = high
    return levels


def error(solver, witness, sigmas):
    """Root mean squared distance to the exact states."""
    oracle, exact = witness
    return float((encode(solver, oracle, sigmas, rows()) - exact).square().sum(1).mean().sqrt())


@pytest.mark.parametrize("law", ["gaussian", "mixture"])
@pytest.mark.parametrize("name", SOLVERS)
def test_order_of_convergence(name, law, witnesses):
    solver = SOLVERS[name]
    # a multistep method whose first steps are of low order shows its own only where these are short
    exponent = 2 if isinstance(solver, Multistep) and not solver.started else 1
    lengths = {"dp5": (32, 128), "dp8": (12, 24)}.get(name, (128, 512))
    errors = [error(solver, witnesses[law], graded_grid(LOW, HIGH, n, exponent)) for n in lengths]
    assert errors[1] > 1e-13, "rounding is in the way"
    # Dormand and Prince's next error term is large: its order comes down to five from above
    assert -0.3 < math.log(errors[0] / errors[1], lengths[1] / lengths[0]) - solver.order < 0.45


class Counted:
    """A v-prediction that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, u, y):
        self.calls += 1
        return torch.sin(y) + u


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("name", SOLVERS)
def test_evaluations_are_counted_right(name, steps):
    v_prediction = Counted()
    SOLVERS[name].integrate(v_prediction, rows(3), np.linspace(-2, 1, steps + 1).tolist())
    assert v_prediction.calls == SOLVERS[name].evaluations(steps)


@pytest.mark.parametrize("name", SOLVERS)
def test_steps_by_hand_are_the_integration_and_the_first_evaluation_of_each_is_kept(name):
    """Nothing but the state and the memory goes from step to step, so two runs may take turns on one solver."""
    solver, v_prediction = SOLVERS[name], velocity_of(mixture())
    grid, kept = np.log(graded_grid(LOW, HIGH, 9, 1.5)).tolist(), []
    whole = solver.integrate(v_prediction, rows(4), grid, kept)
    one, other, points = (rows(4), None), (2 * rows(4), None), []
    for part in solver.plan(grid):
        points.append(one[0])
        one, other = (solver.step(v_prediction, part, *run) for run in (one, other))
    assert torch.equal(one[0], whole)
    assert torch.equal(other[0], solver.integrate(v_prediction, 2 * rows(4), grid))
    for u, point, (seen, value) in zip(grid, points, kept, strict=False):
        assert torch.equal(seen, point)
        assert torch.equal(value, v_prediction(u, point))
    assert len(kept) == 9


def test_names_are_known_without_torch():
    assert tuple(SOLVERS) == FIXED_STEP
    assert ADAPTIVE.keys() == ORDERS.keys()
    assert solver_names()[0] == CALIBRATED
    assert len(set(solver_names())) == len(SOLVERS) + len(ORDERS)
    code = (
        "import sys; from latentflow.flow.solver_names import solver_names; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_there_is_no_solver_of_another_name():
    for name, blend_weights in (("dopri5", None), ("euler", np.zeros((2, 3, 2, 3))), ("magic", None)):
        with pytest.raises(KeyError, match=name):
            solver_of(name, blend_weights)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_tableau_under_an_adaptive_solver_is_its_own(name):
    """One step of a length that torchdiffeq is made to take, whatever its error."""
    field = lambda u, y: torch.sin(y) * math.cosh(u) + u  # noqa: E731
    options = {"first_step": 0.3, "min_step": 0.3, "max_step": 0.3}
    drift = lambda u, y: field(float(u), y) * (-0.5 / math.cosh(float(u)))  # noqa: E731
    ends = tensor([0.1, 0.4])
    expected = odeint(drift, rows(5), ends, rtol=1.0, atol=1.0, method=name, options=options)[-1]
    reached = SOLVERS[ADAPTIVE[name]].integrate(field, rows(5), [0.1, 0.4])
    np.testing.assert_allclose(reached, expected, rtol=1e-13, atol=1e-14)


def test_runge_kutta_on_an_equation_of_its_own():
    # dy/du = y cos u has the solution y₀ exp(sin u − sin u₀)
    grid = np.linspace(0.3, 1.7, 41).tolist()
    y = integrate(SOLVERS["rk4"], lambda u, y: y * math.cos(u), tensor([1.0, -2.0]), grid)
    np.testing.assert_allclose(y, tensor([1.0, -2.0]) * math.exp(math.sin(1.7) - math.sin(0.3)), rtol=1e-8)


@pytest.mark.parametrize("name", SOLVERS)
def test_there_and_back(name):
    grid = graded_grid(0.3, 5, 100, 2)
    there = encode(SOLVERS[name], mixture(), grid, rows())
    back = SOLVERS[name].integrate(velocity_of(mixture()), there, np.log(grid[::-1]).tolist())
    # of an order p there is h^p left, about ten times over, and h^2 of the longest first step on the way back
    left = 10 * (2 * math.log(5 / 0.3) / 100) ** min(SOLVERS[name].order, 2)
    assert float((back * math.sqrt(1 + 0.3**2) - rows()).abs().max()) < left


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_weights_integrate_polynomials_times_the_kernel(prediction, degree):
    kernel, nodes = PREDICTIONS[prediction].kernel, tensor([0.2, -0.1, -0.25, -0.7, -0.8])
    weights = polynomial_weights(nodes, tensor(0.2), tensor(0.6), kernel)
    fine = torch.linspace(0.2, 0.6, 20001, dtype=torch.float64)
    expected = torch.trapezoid(kernel(fine) * fine**degree, fine)
    np.testing.assert_allclose(float(weights @ nodes**degree), float(expected), rtol=1e-8)


def test_weights_for_polynomials_of_sigma():
    # ∫ σ · σ² du = ∫ σ² dσ, on three nodes of which none is an end
    nodes = tensor([1.4, 0.9, 0.5])
    weights = polynomial_weights(nodes, tensor(0.0), tensor(2.0).log(), torch.exp, torch.exp)
    np.testing.assert_allclose(float(weights @ nodes**2), (2**3 - 1) / 3, rtol=1e-12)


def test_adams_bashforth_has_its_known_weights():
    step = Multistep("slope", 4).plan(np.arange(6.0).tolist())[-1]
    np.testing.assert_allclose(step.predictor, np.array([55, -59, 37, -9]) / 24, rtol=1e-12)
    corrected = Multistep("slope", 4, corrector=True).plan(np.arange(6.0).tolist())[-1]
    np.testing.assert_allclose(corrected.predictor, np.array([23, -16, 5]) / 12, rtol=1e-12)
    np.testing.assert_allclose(corrected.corrector, np.array([9, 19, -5, 1]) / 24, rtol=1e-12)


#: What the state becomes when a prediction stays at m, from y at σ₀ to σ₁.
CONSTANT = {
    "v_prediction": lambda y, m, low, high: y - m * (math.atan(high) - math.atan(low)),
    "slope": lambda y, m, low, high: y + m * math.log(high / low),
    "data": lambda y, m, low, high: (m + (y * math.hypot(1, low) - m) * high / low) / math.hypot(1, high),
    "noise": lambda y, m, low, high: (y * math.hypot(1, low) + (high - low) * m) / math.hypot(1, high),
}


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", ["predictor", "corrector", "midpoint", "sigma"])
def test_a_constant_prediction_is_integrated_exactly(prediction, kind):
    solver = {
        "predictor": Multistep(prediction, 3),
        "corrector": Multistep(prediction, 4, corrector=True),
        "midpoint": ExponentialMidpoint(prediction),
        "sigma": Multistep(prediction, 3, axis="sigma"),
    }[kind]
    constant, table = tensor([0.4, -1.1]), PREDICTIONS[prediction]

    def v_prediction(u, y):
        at = tensor(u)
        return (constant - table.of_state(at) * y) / table.of_v(at)

    reached = solver.integrate(v_prediction, rows(), np.log(graded_grid(0.3, 4, 9, 1.3)).tolist())
    np.testing.assert_allclose(
        reached, CONSTANT[prediction](rows(), constant, 0.3, 4), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("corrector", [False, True])
def test_every_prediction_has_the_same_limit(corrector, witnesses):
    grid = graded_grid(LOW, HIGH, 500, 2)
    for prediction in PREDICTIONS:
        solver = Multistep(prediction, 3, corrector=corrector)
        assert error(solver, witnesses["mixture"], grid) < 3e-6


@pytest.mark.parametrize("name", SOLVERS)
def test_a_row_does_not_depend_on_its_batch(name):
    grid, x = log_uniform_grid(LOW, HIGH, 12), rows(37)
    whole = encode(SOLVERS[name], mixture(), grid, x)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(1))
    shuffled = torch.empty_like(whole)
    shuffled[order] = encode(SOLVERS[name], mixture(), grid, x[order])
    split = torch.cat([encode(SOLVERS[name], mixture(), grid, part) for part in x.split([1, 5, 31])])
    np.testing.assert_allclose(shuffled, whole, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(split, whole, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("solver", [SOLVERS["pec4"], SOLVERS["eab3"], SOLVERS["deis3"], SOLVERS["unipc3"]])
def test_a_grid_to_be_differentiated_gives_the_same_states_and_their_derivative(solver):
    oracle, x, nodes = mixture(), rows(6), np.log(graded_grid(0.1, 8, 9, 1.5))

    def reached(grid):
        return solver.integrate(lambda u, y: oracle.v_prediction(y, u.exp()), x, grid).square().sum()

    grid = torch.as_tensor(nodes).requires_grad_()
    value = reached(grid)
    with torch.no_grad():
        plain = solver.integrate(velocity_of(oracle), x, nodes.tolist()).square().sum()
    np.testing.assert_allclose(float(value.detach()), float(plain), rtol=1e-12)
    value.backward()
    for i in (0, 1, 4, 9):
        shift = torch.zeros(10, dtype=torch.float64)
        shift[i] = 1e-5
        with torch.no_grad():
            difference = (reached(grid + shift) - reached(grid - shift)) / 2e-5
        np.testing.assert_allclose(float(grid.grad[i]), float(difference), rtol=1e-5, atol=1e-8)
