"""Any solver can be that of a fit: the model reaches its accuracy, comes back from its file, and keeps rows apart."""

import numpy as np
import pytest

from latentflow.analysis.verification.verification import verify
from latentflow.flow.grids import log_uniform_grid
from latentflow.model.fit import fit_flow
from latentflow.model.fitted_flow import FittedFlow

ACCURACY = 1e-3
SIZES = {"base": "none", "steps": 60, "width": 16, "depth": 1, "batch_size": 64, "seed": 3, "device": "cpu"}


@pytest.mark.parametrize(("solver", "held"), [("heun", "heun"), ("rk4", "rk4"), ("dopri5", "dp5")])
def test_a_fit_with_a_solver_reaches_its_accuracy(solver, held, run, tiny_rows, tmp_path):
    rows = tiny_rows()
    model = fit_flow(rows, ["a", "b", "c"], solver=solver, accuracy=ACCURACY, orientation="none", **SIZES)
    assert (model.solver, model.blend_weights) == (held, None)
    assert model.record["settings"]["solver"] == solver
    assert model.record["grid"]["steps_frozen_from"] == (None if solver == held else solver)
    assert model.record["grid"]["mean_error"] <= ACCURACY
    loaded = FittedFlow.load(model.save(tmp_path / "model.latentflow.safetensors"), device="cpu")
    assert loaded.hash == model.hash
    frozen = "" if solver == held else f", frozen from {solver}"
    told = run("info", tmp_path / "model.latentflow.safetensors").stdout
    assert f"{len(model.sigmas) - 1} steps of {held}{frozen}, noise" in told
    latents = loaded.encode(rows).latents
    np.testing.assert_array_equal(latents, model.encode(rows).latents)
    alone = np.concatenate([loaded.encode(row[None]).latents for row in rows[:10]])
    np.testing.assert_allclose(alone, latents[:10], rtol=0, atol=1e-12)
    found = verify(loaded, rows, rows=60, draws=20, witness=60)
    assert found.passed
    assert found.witness.mean_distance <= ACCURACY == found.witness.accuracy


@pytest.mark.parametrize("solver", ["adaptive_heun", "bosh3", "dopri5", "dopri8"])
def test_a_file_that_names_an_adaptive_solver_still_loads(solver, model, tiny_rows, tmp_path):
    """No fit writes one, but a model could be put together so."""
    by_hand = FittedFlow(
        model.preprocessor,
        model.denoiser,
        log_uniform_grid(0.05, 12.0, 3),
        solver=solver,
        record=model.record,
        roles=model.roles,
    )
    loaded = FittedFlow.load(by_hand.save(tmp_path / "adaptive.safetensors"), device="cpu")
    assert (loaded.hash, loaded.solver) == (by_hand.hash, solver)
    rows = tiny_rows()[:8]
    latents = loaded.encode(rows).latents
    np.testing.assert_array_equal(latents, by_hand.encode(rows).latents)
    # rows that are decoded together share their steps with fewer and fewer others
    np.testing.assert_allclose(loaded.decode(latents), rows, rtol=0, atol=1e-2)
