"""A calibrated grid keeps its accuracy on rows that it has not seen, and never folds."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from latentflow.flow import calibration, descent, drafts
from latentflow.flow.calibration import calibrate, calibrate_steps
from latentflow.flow.descent import CalibrationObjective, evenly
from latentflow.flow.drafts import Draft
from latentflow.flow.grids import blended_grid, log_uniform_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.solvers import PREDICTOR_CORRECTORS, SOLVERS
from latentflow.score.denoisers import NetworkDenoiser
from latentflow.score.oracles import MixtureOracle
from latentflow.score.residual import ResidualMLP

ENDS = (0.05, 10.0)
ACCURACIES = (1e-2, 1e-3, 1e-4, 1e-6)


def oracle():
    """A mixture of two, of covariance about one."""
    means = torch.tensor([[-0.9, 0.3], [0.7, -0.3]], dtype=torch.float64)
    covariances = torch.tensor([[[0.2, 0.1], [0.1, 0.8]], [[0.4, -0.1], [-0.1, 0.7]]], dtype=torch.float64)
    return MixtureOracle(torch.tensor([0.4, 0.6], dtype=torch.float64), means, covariances)


def bimodal():
    """Two narrow modes on one axis: between them a long step throws neighbours across each other."""
    means = torch.tensor([[-0.95], [0.95]], dtype=torch.float64)
    narrow = torch.full((2, 1, 1), 0.15**2, dtype=torch.float64)
    return MixtureOracle(torch.tensor([0.5, 0.5], dtype=torch.float64), means, narrow)


def draws(law, n, seed):
    rng = np.random.default_rng(seed)
    which = rng.choice(len(law.weights), n, p=law.weights.numpy())
    local = rng.normal(size=(n, law.means.shape[1])) * law.eigenvalues.sqrt().numpy()[which]
    turned = np.einsum("nde,ne->nd", law.eigenvectors.numpy()[which], local)
    return law.means[which] + torch.as_tensor(turned)


def encode(law, solver, sigmas, x):
    method = SOLVERS[solver] if isinstance(solver, str) else solver
    start = x / math.sqrt(1 + sigmas[0] ** 2)
    v_prediction = lambda u, y: law.v_prediction(y, math.exp(u))  # noqa: E731
    with torch.no_grad():
        return method.integrate(v_prediction, start, np.log(sigmas).tolist())


def errors(law, solver, sigmas, x):
    exact = encode(law, "dp5", log_uniform_grid(sigmas[0], sigmas[-1], 400), x)
    return (encode(law, solver, sigmas, x) - exact).norm(dim=1)


@pytest.fixture(scope="module")
def calibrated():
    """Grids of three accuracies from the same rows."""
    x = draws(oracle(), 400, 0)
    return {accuracy: calibrate(oracle(), x, ENDS, accuracy) for accuracy in ACCURACIES}


@pytest.fixture
def hasty(monkeypatch):
    """Descent that is short, where the grid itself does not matter."""
    monkeypatch.setattr(calibration, "DESCENT", 1)
    monkeypatch.setattr(calibration, "THOROUGH", 1)


def by_hand(ends, steps, grid=log_uniform_grid):
    """A draft that nobody found, of order 4."""
    blend_weights = np.zeros((2, steps, 2, 3))
    blend_weights[..., 0] = 1
    return Draft(np.log(grid(*ends, steps)), blend_weights)


@pytest.fixture
def spoilt(monkeypatch):
    """A data file whose grids are no good for anything: the lowest order, on steps that shrink."""
    shapes = [by_hand(ENDS, steps) for steps in (8, 16, 32)]
    bad = [
        Draft(draft.nodes[0] + np.ptp(draft.nodes) * np.linspace(0, 1, len(draft.nodes)) ** 0.3,
              draft.blend_weights[..., ::-1].copy())
        for draft in shapes
    ]  # fmt: skip
    monkeypatch.setattr(drafts, "_shipped", lambda: bad)


@pytest.fixture
def counted(monkeypatch):
    """Steps of each draft that descends."""
    seen, descend = [], CalibrationObjective.descend
    monkeypatch.setattr(
        CalibrationObjective,
        "descend",
        lambda self, draft, error: seen.append(draft.steps) or descend(self, draft, error),
    )
    return seen


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_accuracy_is_kept_on_new_rows(calibrated, accuracy):
    found = calibrated[accuracy]
    new = errors(oracle(), found.method, found.sigmas, draws(oracle(), 1000, 1))
    assert float(new.mean()) <= accuracy
    assert float(new.max()) <= 20 * accuracy
    # and the record tells what the calibration rows had
    assert found.mean_error <= descent.SAFETY * accuracy
    assert found.warnings() == []
    assert 0.5 < float(new.mean()) / found.mean_error < 2


def test_finer_accuracy_takes_more_steps(calibrated):
    lengths = [len(calibrated[accuracy].sigmas) for accuracy in ACCURACIES]
    assert lengths[0] <= lengths[1] < lengths[2] < lengths[3]
    # at a fourth order each tenth costs less than twice the steps
    assert lengths[3] < 2**4 * lengths[0]


def test_ends_are_exact_and_levels_rise(calibrated):
    for found in calibrated.values():
        assert (found.sigmas[0], found.sigmas[-1]) == ENDS
        assert (np.diff(found.sigmas) > 0).all()


def test_the_record_has_everything_but_the_grid(calibrated):
    found = calibrated[1e-3]
    assert found.to_dict() == {
        "steps": len(found.sigmas) - 1,
        "solver": found.solver,
        "accuracy": 1e-3,
        "mean_error": found.mean_error,
        "max_error": found.max_error,
        "rows": found.rows,
        "folds": False,
        "log_det_gap": found.log_det_gap,
    }
    assert found.solver in PREDICTOR_CORRECTORS
    assert found.rows == 400


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_the_record_tells_how_far_two_log_dets_are_apart_on_new_rows(calibrated, accuracy):
    found = calibrated[accuracy]
    flow = ProbabilityFlow(oracle(), found.sigmas, found.method)
    new = draws(oracle(), 500, 1)
    gap = (flow.encode_with_discrete_log_det(new)[2] - flow.encode_with_log_det(new)[1]).abs()
    assert 0.4 < float(gap.mean()) / found.log_det_gap < 2.5
    # a derivative is less accurate than what it is taken of, though not by orders of magnitude
    assert found.log_det_gap < 30 * accuracy


def test_where_the_trace_is_an_estimate_no_gap_is_told(monkeypatch, hasty):
    monkeypatch.setattr(descent, "EXACT_TRACE_DIMENSION", 1)
    assert calibrate(oracle(), draws(oracle(), 64, 0), ENDS, 1e-2).log_det_gap is None


def test_the_same_rows_give_the_same_grid_and_no_gradient_is_left_behind(hasty):
    law = oracle()
    x = draws(law, 200, 0)
    first, second = (calibrate_steps(law, x, ENDS, 9) for _ in range(2))
    np.testing.assert_array_equal(first.sigmas, second.sigmas)
    assert all(each.grad is None and not each.requires_grad for each in (x, *law.buffers()))


def test_descent_beats_every_made_grid_on_new_rows():
    steps = 12
    found = calibrate_steps(oracle(), draws(oracle(), 400, 0), ENDS, steps)
    assert len(found.sigmas) == steps + 1
    new = draws(oracle(), 1000, 1)
    made = [blended_grid(*ENDS, steps), log_uniform_grid(*ENDS, steps)]
    best = min(
        float(errors(oracle(), name, grid, new).mean()) for grid in made for name in PREDICTOR_CORRECTORS
    )
    assert float(errors(oracle(), found.method, found.sigmas, new).mean()) < 0.6 * best


def test_most_flows_ask_for_few_gauss_newton_steps(counted):
    """Zero to three at each of one to three lengths; from an empty start descent took dozens."""
    calibrate(oracle(), draws(oracle(), 300, 0), ENDS, 1e-4)
    assert len(counted) <= 9


def test_shipped_grids_are_far_better_than_those_made_by_hand():
    objective = CalibrationObjective.of(oracle(), draws(oracle(), 300, 0), ENDS, 1e-5)
    for steps, share in ((10, 0.9), (18, 0.7), (32, 0.4), (44, 0.5)):
        made = min(
            float(objective.errors(by_hand(ENDS, steps, grid)).mean())
            for grid in (log_uniform_grid, blended_grid)
        )
        assert float(objective.errors(Draft.shipped(ENDS, steps)).mean()) < share * made


def test_where_shipped_grids_are_no_good_descent_goes_on_until_the_accuracy_is_reached(spoilt, counted):
    law = oracle()
    objective = CalibrationObjective.of(law, draws(law, 300, 0), ENDS, 1e-3)
    # which shows that the file is spoilt
    assert objective.excess(Draft.shipped(ENDS, 16)) > 10 * objective.excess(by_hand(ENDS, 16))
    found = calibrate(law, draws(law, 300, 0), ENDS, 1e-3)
    assert len(counted) >= 3
    assert float(errors(law, found.method, found.sigmas, draws(law, 1000, 1)).mean()) <= 1e-3


@pytest.mark.parametrize(
    ("law", "ends", "accuracy"),
    [(bimodal(), (0.02, 15.0), 1e-3), (oracle(), (0.5, 10.0), 1e-5), (oracle(), (0.002, 15.0), 1e-8)],
    ids=["one axis, narrow modes", "a high start", "a very fine accuracy"],
)
def test_accuracy_is_kept_far_from_what_is_shipped(law, ends, accuracy):
    found = calibrate(law, draws(law, 200, 0), ends, accuracy)
    assert (found.sigmas[0], found.sigmas[-1]) == ends
    assert found.warnings() == []
    assert float(errors(law, found.method, found.sigmas, draws(law, 300, 1)).mean()) <= accuracy


def test_accuracy_is_kept_on_a_network():
    """In single precision, as it is trained, and in double where the accuracy asks for it."""
    generator = torch.Generator().manual_seed(0)
    network = ResidualMLP(3, 16, 2, generator)
    with torch.no_grad():
        for block in network.blocks:
            block.outer.weight.normal_(0, 0.2, generator=generator)
        network.outlet.weight.normal_(0, 0.2, generator=generator)
    denoiser, x = NetworkDenoiser(network), torch.randn(600, 3, generator=generator)
    exact = NetworkDenoiser(network).double()
    for accuracy, dtype in ((1e-3, torch.float32), (1e-6, torch.float64)):
        assert CalibrationObjective.of(denoiser, x, ENDS, accuracy).start.dtype == torch.float64
        precision = CalibrationObjective.of(denoiser, x, ENDS, accuracy).denoiser.network.inlet.weight.dtype
        assert precision == dtype
        found = calibrate(denoiser, x[:300], ENDS, accuracy)
        new = errors(exact, found.method, found.sigmas, x[300:].double())
        assert float(new.mean()) <= accuracy


def test_converged_solutions_are_far_more_accurate_than_what_is_asked_for():
    x = draws(oracle(), 200, 0)
    exact = encode(oracle(), "dp5", log_uniform_grid(*ENDS, 400), x)
    for accuracy in ACCURACIES:
        target = CalibrationObjective.of(oracle(), x, ENDS, accuracy).target
        assert float((target - exact).norm(dim=1).mean()) < accuracy / 30


def test_grids_longer_than_those_that_are_shipped_have_the_full_order():
    assert Draft.shipped(ENDS, 48).blend_weights.any()
    assert not Draft.shipped(ENDS, 49).blend_weights.any()
    objective = CalibrationObjective.of(oracle(), draws(oracle(), 100, 0), ENDS, 1e-8)
    short, long = (float(objective.errors(Draft.shipped(ENDS, steps)).mean()) for steps in (60, 120))
    assert long < short / 2**4


def test_descent_sees_the_worst_rows_and_some_of_the_others():
    objective = CalibrationObjective.of(oracle(), draws(oracle(), 768, 0), ENDS, 1e-4)
    error = objective.errors(by_hand(ENDS, 10))
    rows = objective._even_and_worst(error)
    assert len(rows) == descent.EVEN_ROWS + descent.WORST_ROWS
    assert set(error.argsort()[-descent.WORST_ROWS :].tolist()) <= set(rows.tolist())
    few = CalibrationObjective.of(oracle(), draws(oracle(), 40, 0), ENDS, 1e-4)
    assert len(few._even_and_worst(few.errors(by_hand(ENDS, 10)))) == 50


def test_a_row_without_an_end_counts_as_infinitely_wrong():
    objective = CalibrationObjective.of(oracle(), draws(oracle(), 50, 0), ENDS, 1e-2)
    objective.start[3] = torch.nan
    error = objective.errors(by_hand(ENDS, 12))
    assert error[3] == math.inf
    # of which nothing is learned
    assert objective.descend(by_hand(ENDS, 12), error).steps == 12


def test_a_fold_is_seen_where_rows_change_their_order():
    # on one axis that is what folding means
    law, x = bimodal(), torch.linspace(-1.3, 1.3, 400, dtype=torch.float64)[:, None]
    objective, seen = CalibrationObjective.of(law, x, ENDS, 1e-2), []
    for steps in (12, 24, 48, 96, 192):
        draft = by_hand(ENDS, steps)
        ordered = bool((encode(law, draft.solver, np.exp(draft.nodes), x).diff(dim=0) > 0).all())
        seen.append(objective.folds(draft))
        assert seen[-1] != ordered
    assert seen == sorted(seen, reverse=True)
    assert seen[0]
    assert not seen[-1]


def test_a_fold_is_seen_at_rows_that_do_not_calibrate():
    law, x = bimodal(), torch.linspace(-1.3, 1.3, 2000, dtype=torch.float64)[:, None]
    fine, coarse = (CalibrationObjective.of(law, x, ENDS, accuracy) for accuracy in (1e-4, 1e-2))
    assert (len(fine.many), len(coarse.many)) == (2000, 0)
    draft = by_hand(ENDS, 12)
    apart = coarse.start.abs().squeeze() > 1.2
    calm = replace(coarse, start=coarse.start[apart], target=coarse.target[apart])
    assert not calm.folds(draft)
    assert replace(calm, many=fine.many).folds(draft)


def test_a_calibrated_grid_does_not_fold_at_its_rows(hasty):
    law, x = bimodal(), torch.linspace(-1.3, 1.3, 400, dtype=torch.float64)[:, None]
    found = calibrate(law, x, ENDS, 1e-2)
    assert (encode(law, found.method, found.sigmas, x).diff(dim=0) > 0).all()
    coarse = log_uniform_grid(*ENDS, 24)
    assert not (encode(law, "pec4", coarse, x).diff(dim=0) > 0).all()


def test_a_fold_makes_the_grid_finer(monkeypatch, hasty):
    asked = []

    def folds(self, draft):
        asked.append(draft.steps)
        return len(asked) < 4

    monkeypatch.setattr(CalibrationObjective, "folds", folds)
    found = calibrate(oracle(), draws(oracle(), 100, 0), ENDS, 1e-2)
    assert asked == sorted(set(asked))
    assert (len(asked), len(found.sigmas) - 1) == (4, asked[-1])


def test_where_the_steps_do_not_reach_the_record_says_so(monkeypatch, hasty):
    monkeypatch.setattr(calibration, "MOST", 14)
    found = calibrate(oracle(), draws(oracle(), 100, 0), ENDS, 1e-6)
    assert len(found.sigmas) - 1 <= 14
    assert found.mean_error > 1e-6
    (warning,) = found.warnings()
    assert (
        f"the accuracy 1e-06 of the latents was not reached: their mean error is {found.mean_error:.1g}"
        in warning
    )


def test_resampling_keeps_ends_spread_and_blend():
    blend_weights = np.linspace(0, 1, 20)[:, None, None] * np.ones((2, 20, 2, 3))
    draft = Draft(np.log(blended_grid(*ENDS, 20)), blend_weights)
    longer = draft.resampled(40)
    assert longer.nodes.shape == (41,)
    assert longer.blend_weights.shape == (2, 40, 2, 3)
    np.testing.assert_allclose(longer.nodes[[0, -1]], draft.nodes[[0, -1]], rtol=1e-12)
    np.testing.assert_allclose(longer.nodes[::2], draft.nodes, atol=0.04)
    np.testing.assert_allclose(
        longer.blend_weights[:, :, 1, 2], np.tile(np.linspace(0, 1, 40), (2, 1)), atol=0.02
    )
    even = Draft(np.linspace(0, 1, 11), np.ones((2, 10, 2, 3))).resampled(30)
    np.testing.assert_allclose(even.nodes, np.linspace(0, 1, 31), atol=1e-14)
    np.testing.assert_allclose(even.blend_weights, 1.0)
    np.testing.assert_allclose(draft.returning.resampled(7).returning.nodes, draft.resampled(7).nodes)


def test_shipped_grids_are_stretched_to_the_ends_and_none_is_mistaken_for_another():
    for ends in ((0.002, 15.0), (0.01, 15.0), (0.2, 80.0)):
        for steps in (5, 8, 25, 48, 200):
            draft = Draft.shipped(ends, steps)
            np.testing.assert_allclose(draft.nodes[[0, -1]], np.log(ends), rtol=1e-9)
            assert draft.steps == steps
            assert (np.diff(draft.nodes) > 0).all()
            assert draft.blend_weights.shape == (2, steps, 2, 3)
    # the start decides before the length
    starts = {round(draft.nodes[0], 2): draft for draft in drafts._shipped()}
    assert len(starts) == 2
    lengths = {draft.steps for draft in drafts._shipped()}
    assert len(drafts._shipped()) == len(starts) * len(lengths)


def test_rows_are_spread_evenly():
    np.testing.assert_array_equal(evenly(torch.arange(101), 3), [0, 50, 100])
    np.testing.assert_array_equal(evenly(torch.arange(4), 30), np.arange(4))


def test_a_fold_that_is_left_is_told(monkeypatch, hasty):
    monkeypatch.setattr(calibration, "MOST", 30)
    law, x = bimodal(), torch.linspace(-1.3, 1.3, 400, dtype=torch.float64)[:, None]
    found = calibrate(law, x, ENDS, 0.5)
    assert found.folds
    assert any("folds" in words for words in found.warnings())


def test_the_way_back_retraces_the_way_there():
    """Blended for it, the plain way back misses the rows by less than order 4 does."""
    objective = CalibrationObjective.of(oracle(), draws(oracle(), 300, 0), ENDS, 1e-4)
    draft, start = by_hand(ENDS, 14, blended_grid), draws(oracle(), 500, 1)
    missed = []
    for iterations in (0, 1, 3):
        flow = objective.flow(objective.way_back(draft, iterations))
        missed.append(float((flow.decode(flow.encode(start), rounds=0)[0] - start).norm(dim=1).mean()))
    assert missed[2] < missed[1] < 0.7 * missed[0]
    # the way there is left as it was
    back = objective.way_back(draft, 2)
    np.testing.assert_allclose(back.nodes, draft.nodes, rtol=1e-12)
    np.testing.assert_array_equal(back.blend_weights[0], draft.blend_weights[0])
