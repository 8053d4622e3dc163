"""torchdiffeq's adaptive solvers against closed forms: as the witness, and as a source of steps."""

import math

import numpy as np
import pytest
import torch
from torchdiffeq import odeint

from latentflow.errors import LatentFlowError
from latentflow.flow.adaptive import ORDERS, WITNESS, Adaptive, witness_latents
from latentflow.flow.descent import CalibrationObjective
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.stepping import Solver
from latentflow.score.oracles import GaussianOracle, IndependentOracle, MixtureOracle

LOW, HIGH = 0.1, 10.0
ENDS = [math.log(LOW), math.log(HIGH)]


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def gaussian():
    return GaussianOracle(tensor([0.3, -0.2]), tensor([[1.3, 0.4], [0.4, 0.35]]))


def independent():
    """Two sources, one of them bimodal, turned by 0.7."""
    turn = tensor([[math.cos(0.7), -math.sin(0.7)], [math.sin(0.7), math.cos(0.7)]])
    bimodal = MixtureOracle(tensor([0.5, 0.5]), tensor([[-0.8], [0.8]]), tensor([[[0.1]], [[0.2]]]))
    heavy = MixtureOracle(tensor([0.8, 0.2]), tensor([[0.0], [0.0]]), tensor([[[0.4]], [[2.5]]]))
    return IndependentOracle(turn, [bimodal, heavy])


LAWS = {"gaussian": gaussian(), "independent": independent()}


def rows(n=40):
    return torch.as_tensor(np.random.default_rng(0).normal(size=(n, 2)))


def exact(law, x):
    return law.flow(x, LOW, HIGH) / math.sqrt(1 + HIGH**2)


def encode(solver, law, x, accepted=None):
    v_prediction = lambda u, y: law.v_prediction(y, math.exp(u))  # noqa: E731
    return solver.integrate(v_prediction, x / math.sqrt(1 + LOW**2), ENDS, accepted)


def error(solver, law):
    return float((encode(solver, law, rows()) - exact(law, rows())).square().sum(1).mean().sqrt())


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_witness_gives_the_exact_flow(law):
    found = witness_latents(law, rows(), (LOW, HIGH))
    np.testing.assert_allclose(found, exact(law, rows()), rtol=0, atol=1e-9)


def test_the_witness_is_in_double_precision_and_leaves_the_denoiser_as_it_was():
    single = gaussian().float()
    found = witness_latents(single, rows().float(), (LOW, HIGH))
    assert found.dtype == torch.float64
    assert next(single.buffers()).dtype == torch.float32
    # what single precision has done to the rows and to the law remains
    np.testing.assert_allclose(found, exact(gaussian(), rows()), atol=1e-5)


def test_a_strict_tolerance_holds_for_the_one_hard_row_among_easy_ones():
    law = MixtureOracle(tensor([0.5, 0.5]), tensor([[-1.0], [1.0]]), tensor([[[0.01]], [[0.01]]]))
    x = torch.cat([tensor([[0.05]]), torch.full((2000, 1), 1.0, dtype=torch.float64)])
    exact = encode(Adaptive("dopri8", 1e-12, strict=True), law, x[:1])[0]
    loose, strict = (
        abs(float(encode(Adaptive("dopri5", 1e-4, strict=strict), law, x)[0] - exact))
        for strict in (False, True)
    )
    assert strict < 2e-4
    assert strict < 0.2 * loose


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("accuracy", [1e-2, 1e-4, 1e-6])
def test_the_converged_solution_of_calibration_is_that_of_the_witness(law, accuracy):
    objective = CalibrationObjective.of(law, rows(200), (LOW, HIGH), accuracy)
    found = witness_latents(law, objective.start * math.sqrt(1 + LOW**2), (LOW, HIGH))
    assert float((objective.target - found).norm(dim=1).mean()) < 0.05 * accuracy


@pytest.mark.parametrize("axis", ["log_sigma", "sigma"])
@pytest.mark.parametrize("method", ORDERS)
def test_error_falls_with_the_tolerance(method, axis):
    errors = [error(Adaptive(method, tolerance, axis), independent()) for tolerance in (1e-3, 1e-6)]
    assert errors[1] < 5e-5
    assert errors[0] > 5 * errors[1]


#: Of each axis its length, and of each pair the fewest steps whose error shows its order and not yet rounding.
LENGTHS = {"log_sigma": math.log(HIGH / LOW), "sigma": HIGH - LOW}
FEWEST = {
    "log_sigma": {"adaptive_heun": 64, "bosh3": 64, "dopri5": 32, "dopri8": 8},
    "sigma": {"adaptive_heun": 64, "bosh3": 128, "dopri5": 128, "dopri8": 32},
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("axis", FEWEST)
@pytest.mark.parametrize("method", ORDERS)
def test_order_of_convergence_at_a_fixed_step(method, axis, law, monkeypatch):
    solver, errors = Adaptive(method, axis=axis), []
    for n in (FEWEST[axis][method], 2 * FEWEST[axis][method]):
        # a step that is both the least and the most is taken whatever its error
        step = LENGTHS[axis] / n
        fixed = {"first_step": step, "min_step": step, "max_step": step}
        monkeypatch.setattr(
            "latentflow.flow.adaptive.odeint",
            lambda *words, options, fixed=fixed, **others: odeint(*words, options=fixed, **others),
        )
        errors.append(error(solver, law))
    assert errors[1] > 4e-14, "rounding is in the way"
    assert abs(math.log(errors[0] / errors[1], 2) - solver.order) < 0.7


@pytest.mark.parametrize("method", ORDERS)
def test_accepted_steps_begin_at_the_start_and_are_as_many_as_the_error_asks_for(method):
    lengths = []
    for tolerance in (1e-3, 1e-6):
        starts = []
        encode(Adaptive(method, tolerance), gaussian(), rows(), starts.append)
        assert starts[0] == ENDS[0]
        assert (np.diff([*starts, ENDS[1]]) > 0).all()
        lengths.append(len(starts))
    # an embedded pair of order p and p - 1 takes steps in proportion to the p-th root, or about that
    assert 0.6 < math.log(lengths[1] / lengths[0], 1e3) * ORDERS[method] < 1.4


def test_where_the_last_step_ends_with_the_grid_nothing_is_interpolated():
    loose, strict = (
        encode(Adaptive("dopri8", 1e-6, strict=strict), gaussian(), rows()) for strict in (False, True)
    )
    gaps = [float((found - exact(gaussian(), rows())).abs().max()) for found in (loose, strict)]
    assert gaps[1] < 0.2 * gaps[0]


def test_an_adaptive_solver_does_not_pass_for_one_of_a_grid():
    assert not isinstance(WITNESS, Solver)
    assert not hasattr(WITNESS, "evaluations")
    with pytest.raises(LatentFlowError, match="adaptive solver dopri5 depend on the rows"):
        ProbabilityFlow(gaussian(), [LOW, HIGH], "dopri5").evaluations  # noqa: B018


def test_a_field_that_no_step_resolves_is_refused():
    with pytest.raises(LatentFlowError, match="dopri5 finds no step small enough"):
        Adaptive("dopri5", 1e-10).integrate(lambda u, y: y * math.inf, rows(), [0.0, 1.0])
