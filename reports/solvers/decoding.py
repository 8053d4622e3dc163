"""Exact decode on calibrated grids: every held-out row and as many draws, in both precisions."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from subjects import Counted, Subject
from torch import Tensor

from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.flow.solvers import solver_of

PRECISIONS = {"double": torch.float64, "single": torch.float32}
#: Tolerances by precision, 1e-11 being the default; in single precision a residual of 1e-9 is below rounding.
TOLERANCES = {"double": (1e-5, 1e-9, 1e-11), "single": (1e-5,)}


def decoding(subject: Subject, grids: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each grid (as `calibrate` gave it), precision, tolerance and kind of row."""
    found = []
    for grid in grids:
        sigmas, solver = np.array(grid["sigmas"]), solver_of(grid["solver"], np.array(grid["shares"]))
        exact = ProbabilityFlow(subject.denoiser, sigmas, solver)
        generator = torch.Generator().manual_seed(0)
        draws = torch.randn(subject.held_out.shape, generator=generator, dtype=torch.float64)
        back, _ = exact.decode(draws)
        for kind, rows in {"rows": subject.held_out, "draws": back}.items():
            condition, shape = jacobians(exact, rows)
            for precision, dtype in PRECISIONS.items():
                denoiser = copy.deepcopy(subject.denoiser).to(dtype)
                flow = ProbabilityFlow(Counted(denoiser), sigmas, solver)
                latents = draws.to(dtype) if kind == "draws" else flow.encode(rows.to(dtype))
                for tolerance in TOLERANCES[precision]:
                    line = {"accuracy": grid["accuracy"], "solver": grid["solver"], "kind": kind}
                    line |= {"precision": precision, "tolerance": tolerance, **shape}
                    found.append(line | decoded(flow, latents, rows, condition, tolerance))
    return found


def jacobians(flow: ProbabilityFlow, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """Condition numbers of the discrete encoder at rows, and in how many it folds.

    Also how far the log|det| of the discrete map is from that of the continuous one, on the first thousand rows.
    """
    conditions, folds = [], 0
    for part in x.split(2000):
        jacobian = flow.encode_with_jacobian(part)[1]
        values = torch.linalg.svdvals(jacobian)
        conditions.append(values[:, 0] / values[:, -1])
        folds += int((~(torch.linalg.slogdet(jacobian)[0] > 0)).sum())
    condition = torch.cat(conditions)
    gap = (flow.encode_with_discrete_log_det(x[:1000])[2] - flow.encode_with_log_det(x[:1000])[1]).abs()
    return condition, {
        "folded": folds,
        "condition_max": float(condition.max()),
        "condition_median": float(condition.median()),
        "log_det_gap_mean": float(gap.mean()),
        "log_det_gap_max": float(gap.max()),
    }


def decoded(
    flow: ProbabilityFlow, z: Tensor, rows: Tensor, condition: Tensor, tolerance: float
) -> dict[str, Any]:
    """Decode latents z of rows: the residual, the data error, and what it costs.

    A plain decode is an integration from end to end without a check, as an encoding is, whose seconds it is given.
    """
    _, plain_seconds = timed(lambda: (flow.encode(rows.to(z)), z))
    counted = cast(Counted, flow.denoiser)
    counted.rows = 0
    (back, residual), seconds = timed(lambda: flow.decode(z, tolerance=tolerance))
    cost = counted.rows / (len(z) * flow.evaluations)
    again = (flow.encode(back) - z).abs().amax(1)
    error = (back.double() - rows).abs().amax(1)
    failed = torch.nonzero(~(residual <= tolerance))[:, 0]
    return {
        "rows": len(z),
        "evaluations": flow.evaluations,
        "residual_max": float(residual.max()),
        "encoded_again_max": float(again.max()),
        "error_mean": float(error.mean()),
        "error_max": float(error.max()),
        "error_by_condition_max": float((error / condition).max()),
        "cost": cost,
        "seconds_by_plain": seconds / plain_seconds,
        "not_inverted": len(failed),
        "not_inverted_first": failed[:10].tolist(),
    }


def timed(work: Callable[[], tuple[Tensor, Tensor]]) -> tuple[tuple[Tensor, Tensor], float]:
    """What a piece of work returns, and its seconds."""
    started = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started
