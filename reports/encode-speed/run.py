"""What encoding and exact densities cost, beside peers, in one run.

    python reports/encode-speed/run.py --models FOLDER --data FOLDER [--sets nl5 nl10] [--rows 10000]

FOLDER of models holds NAME.safetensors as ``latentflow fit`` writes them. Every comparison is of medians over repeats
taken in turn. Writes results.json and results.md. On a machine with a CUDA GPU the same is measured there too.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "first-light")]

from clock import Work, operations, products_of, race, replay  # noqa: E402
from peers import (  # noqa: E402
    Counted,
    by_torchdiffeq,
    continuous_flow,
    flow_matching,
    in_sigma,
    latents_in_sigma,
    latents_of_zuko,
)
from sets import CASES  # noqa: E402
from summary import tables  # noqa: E402

from latentflow import __version__  # noqa: E402
from latentflow.data.splits import HELD_OUT, TRAIN  # noqa: E402
from latentflow.flow.calibration import CalibratedGrid, calibrate  # noqa: E402
from latentflow.flow.grids import log_uniform_grid  # noqa: E402
from latentflow.flow.probability_flow import ProbabilityFlow  # noqa: E402
from latentflow.flow.solvers import SOLVERS, integrate  # noqa: E402
from latentflow.model.fitted_flow import FittedFlow  # noqa: E402
from latentflow.score.denoisers import Denoiser  # noqa: E402
from latentflow.score.fields import Field  # noqa: E402
from latentflow.score.separable import BREAK_EVEN  # noqa: E402

#: Name of a model file → name of its table among those of reports/first-light.
TABLES = {"nl5": "nl5", "rings": "rings", "nl10": "nl10", "gas": "gas turbine", "eeg": "EEG, spikes cut"}
CHUNKS = (128, 256, 512, 1024, 2048, 4096, 8192)
#: The flow goes from this noise level or the model's own, if that is lower.
SIGMA_MIN = 0.01
#: Accuracies of the grids: latents are encoded with the first, densities are told for all.
ACCURACIES = (1e-3, 1e-4, 2e-5, 1e-6)
ENCODING = ACCURACIES[0]
#: Steps of the converged solution, RK4 in double precision; half as many tell how far it is converged. A density on so
#: many rows is taken on fewer, and held against that on the first ones.
CONVERGED_STEPS, DENSITY_STEPS = 300, 100
#: Heun steps of the density with one forward-mode product per column: 80 evaluations.
HEUN_STEPS = 40
PRECISIONS = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Subject:
    """A fitted model in one precision, held-out rows to encode, and training rows for the peers, all whitened.

    ``grids`` are the calibrated ones by accuracy, the same in every precision.
    """

    model: FittedFlow
    rows: Tensor
    train: Tensor
    grids: dict[float, CalibratedGrid]

    def flow(self, accuracy: float) -> ProbabilityFlow:
        """The flow on the grid of an accuracy."""
        grid = self.grids[accuracy]
        return ProbabilityFlow(self.model.denoiser, grid.sigmas, grid.method)

    @property
    def residual(self) -> dict[str, Any]:
        """Settings of the residual part; of a default size where the network has none."""
        settings = self.model.denoiser.network.settings
        parts = settings.get("parts", [settings])
        return next((part for part in parts if part["kind"] == "residual"), {"width": 128, "depth": 5})

    @property
    def width(self) -> int:
        """Hidden size of the residual part."""
        return int(self.residual["width"])

    @property
    def depth(self) -> int:
        """Blocks of the residual part."""
        return int(self.residual["depth"])


def subject(
    options: argparse.Namespace,
    name: str,
    precision: str,
    device: str,
    grids: dict[float, CalibratedGrid] | None = None,
) -> Subject:
    """A model, its rows, and its grids, which are calibrated on training rows where they are not given."""
    model = FittedFlow.load(options.models / f"{name}.safetensors", device=device)
    model.dtype = PRECISIONS[precision]
    model.denoiser = model.denoiser.to(model.dtype)
    values = CASES[TABLES[name]](options.data).table.read()

    def whitened(role: int) -> Tensor:
        at = np.flatnonzero(model.roles == role)[: options.rows]
        return model.tensor(model.preprocessor.forward(values[at])[0][:, : model.preprocessor.n_flow])

    held_out, train = whitened(HELD_OUT), whitened(TRAIN)
    if grids is None:
        ends = (min(SIGMA_MIN, float(model.sigmas[0])), float(model.sigmas[-1]))
        grids = {accuracy: calibrate(model.denoiser, train, ends, accuracy) for accuracy in ACCURACIES}
    return Subject(model, held_out, train, grids)


def error(found: Tensor, truth: Tensor) -> dict[str, float]:
    """Mean and largest |Δ| over rows, of the norm where a row has several values."""
    distance = (found[: len(truth)].double() - truth).reshape(len(truth), -1).norm(dim=1)
    return {"mean": float(distance.mean()), "largest": float(distance.max())}


def evaluation(case: Subject, repeats: int) -> list[dict[str, Any]]:
    """One evaluation at σ = 0.5 by chunk size: the plain call, the frozen field, its products alone, its tangents."""
    found = []
    denoiser, d = case.model.denoiser, case.rows.shape[1]
    field, basis = denoiser.at(0.5), torch.eye(d).to(case.rows)
    for chunk in CHUNKS:
        y = case.rows.repeat(math.ceil(chunk / len(case.rows)), 1)[:chunk]
        few = y[: max(1, chunk // d)]
        with torch.inference_mode():
            # of the network itself, also where the field goes by a table
            products = products_of(partial(Field.v_predictions, field, y))
            works: dict[str, Work] = {
                "plain": partial(denoiser.v_prediction, y, 0.5),
                "field": partial(field.v_predictions, y),
                "products": replay(products, y),
                "plain tangents": partial(denoiser.push_forward, few, 0.5, basis),
                "field tangents": partial(field.push_forward, few, basis),
            }
            timed = race(works, repeats, y.device)
        found.append(
            {
                "chunk": chunk,
                "tangents": len(few) * d,
                "seconds": timed.to_dict(),
                "mm_flops": operations(products) / timed.median("products"),
                "share_of_mm": timed.ratio("products", "field"),
            }
        )
    return found


def low_precision(case: Subject) -> dict[str, Any]:
    """Error of the latents where the network alone evaluates in a lower precision, the state staying as it is."""
    flow, x = case.flow(ENCODING), case.rows[:1000]
    grid = np.log(np.asarray(flow.sigmas)).tolist()

    def encoded(dtype: torch.dtype) -> Tensor:
        def drift(u: float, y: Tensor) -> Tensor:
            sigma = math.exp(u)
            return case.model.denoiser.at(sigma, dtype).v_prediction(y) * (-sigma / (1 + sigma * sigma))

        return integrate(SOLVERS["rk4"], drift, x / math.sqrt(1 + flow.sigmas[0] ** 2), grid)

    with torch.inference_mode():
        exact = encoded(torch.float64)
        return {name: error(encoded(PRECISIONS[name]), exact) for name in ("float32", "bfloat16")}


def converged(denoiser: Denoiser, sigmas: np.ndarray, steps: int) -> ProbabilityFlow:
    """The flow between the same noise levels by RK4 on many steps."""
    return ProbabilityFlow(denoiser, log_uniform_grid(float(sigmas[0]), float(sigmas[-1]), steps), "rk4")


def encoding(case: Subject, exact: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """Rows per second of encoding and the error of the latents, beside the peers."""
    flow, x = case.flow(ENCODING), case.rows
    sample = exact.rows[: options.exact_rows]
    levels = (float(flow.sigmas[0]), float(flow.sigmas[-1]))
    truth = converged(exact.model.denoiser, flow.sigmas, CONVERGED_STEPS).encode(sample)
    coarse = converged(exact.model.denoiser, flow.sigmas, CONVERGED_STEPS // 2).encode(sample)
    works, errors, evaluations, steps = _peers(case, levels, options)
    with torch.inference_mode():
        # of the network itself: so few rows at once go by no table, which only a CPU has
        few = BREAK_EVEN - 1 if x.device.type == "cpu" else len(x)
        products = products_of(lambda: [flow.encode(part) for part in x.split(few)])
    works = {"latentflow": partial(flow.encode, x), "products": replay(products, x), **works}
    timed = race(works, options.repeats, x.device)
    for name in ("latentflow", "dopri5", "dopri5 in chunks"):
        errors[name] = error(works[name]()[: len(sample)], truth)
    better = min(("dopri5", "dopri5 in chunks"), key=timed.median)
    return {
        "rows": len(x),
        "converged_within": error(coarse, truth),
        "seconds": timed.to_dict(),
        "rows_per_second": {name: len(x) / timed.median(name) for name in works},
        "evaluations": {"latentflow": flow.evaluations, **evaluations},
        "error": errors,
        "peer_steps": steps,
        "times_dopri5": timed.ratio(better, "latentflow"),
        "share_of_mm": timed.ratio("products", "latentflow"),
        "flops": operations(products) / timed.median("latentflow"),
    }


def _peers(
    case: Subject, levels: tuple[float, float], options: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Any], dict[str, int], dict[str, int]]:
    """What the peers do, the errors of those with networks of their own, evaluations, and training steps."""
    x, some = case.rows, case.rows[: options.exact_rows]
    tight = 1e-9 if x.dtype == torch.float64 else 1e-6
    adaptive, rows = in_sigma(case.model.denoiser), case.model.denoiser.at(1.0).rows_at_once
    matched, matched_steps = flow_matching(case.train, case.width, options.train_seconds)
    cnf, cnf_steps = continuous_flow(case.train, case.width, case.depth, options.train_seconds)
    drift = Counted(matched)
    works: dict[str, Any] = {
        "dopri5": partial(latents_in_sigma, adaptive, x, levels),
        "dopri5 in chunks": partial(latents_in_sigma, adaptive, x, levels, rows),
        "flow matching": partial(by_torchdiffeq, drift, x, (1.0, 0.0)),
        "zuko CNF": partial(latents_of_zuko, cnf, x),
    }
    evaluations = {
        "dopri5": _calls(adaptive, works["dopri5"]),
        "flow matching": _calls(drift, works["flow matching"]),
        "zuko CNF": latents_of_zuko(cnf, x)[1],
    }
    errors = {
        "flow matching": error(
            by_torchdiffeq(drift, x, (1.0, 0.0))[: len(some)],
            by_torchdiffeq(drift, some, (1.0, 0.0), tight).double(),
        ),
        "zuko CNF": error(
            latents_of_zuko(cnf, x)[0][: len(some)], latents_of_zuko(cnf, some, tight)[0].double()
        ),
    }
    return works, errors, evaluations, {"flow matching": matched_steps, "zuko CNF": cnf_steps}


def _calls(drift: Counted, work: Work) -> int:
    drift.calls = 0
    work()
    return drift.calls


def column_by_column(denoiser: Denoiser, sigmas: np.ndarray, x: Tensor) -> Tensor:
    """log p by Heun steps uniform in log σ, the trace by one forward-mode product per column and stage, (n,)."""
    d = x.shape[1]
    basis = torch.eye(d).to(x)

    def drift(u: float, state: Tensor) -> Tensor:
        sigma, y = math.exp(u), state[:, :d]
        pairs = [jvp(lambda q: denoiser.v_prediction(q, sigma), (y,), (e.expand_as(y),)) for e in basis]
        trace = torch.stack([pair[1][:, i] for i, pair in enumerate(pairs)]).sum(0)
        return torch.cat([pairs[0][0], trace[:, None]], dim=1) * (-sigma / (1 + sigma * sigma))

    grid = np.log(log_uniform_grid(float(sigmas[0]), float(sigmas[-1]), HEUN_STEPS)).tolist()
    scale = 1 + float(sigmas[0]) ** 2
    with torch.no_grad():
        start = torch.cat([x / math.sqrt(scale), x.new_zeros(len(x), 1)], dim=1)
        end = integrate(SOLVERS["heun"], drift, start, grid)
    z, log_det = end[:, :d], end[:, d] - 0.5 * d * math.log(scale)
    return log_det - 0.5 * (z * z).sum(1) - 0.5 * d * math.log(2 * math.pi)


def exact_density(exact: Subject, steps: int, rows: int | None = None) -> Tensor:
    """log p of the first rows in double precision by RK4 on many steps, (rows,)."""
    flow = converged(exact.model.denoiser, exact.grids[ENCODING].sigmas, steps)
    return flow.log_prob(exact.rows[:rows])


def density(case: Subject, truth: Tensor, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of exact log p by the accuracy of the grid, and its error against a converged one at every row.

    Column by column the error is told at the rows that are timed.
    """
    x, sigmas = case.rows[: options.density_rows], case.grids[ENCODING].sigmas
    works: dict[str, Work] = {
        f"latentflow at {accuracy:g}": partial(case.flow(accuracy).log_prob, x) for accuracy in ACCURACIES
    }
    works["column by column"] = partial(column_by_column, case.model.denoiser, sigmas, x)
    timed = race(works, max(1, options.repeats // 3), x.device)
    found = {
        f"latentflow at {accuracy:g}": case.flow(accuracy).log_prob(case.rows) for accuracy in ACCURACIES
    }
    found["column by column"] = column_by_column(case.model.denoiser, sigmas, x)
    return {
        "rows": len(x),
        "exact_rows": len(truth),
        "dimension": x.shape[1],
        "seconds": timed.to_dict(),
        "evaluations": {
            f"latentflow at {accuracy:g}": case.flow(accuracy).evaluations for accuracy in ACCURACIES
        },
        "error": {name: error(values, truth[: len(values)]) for name, values in found.items()},
        "times": {
            name: timed.ratio("column by column", name) for name in works if name != "column by column"
        },
    }


def peak(device: torch.device, precision: str) -> float:
    """Operations per second of one large product."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device).to(PRECISIONS[precision]) for _ in range(2))
    return 2.0 * side**3 / race({"mm": partial(torch.mm, a, b)}, 5, device).median("mm")


def measure(options: argparse.Namespace, device: str, threads: int) -> dict[str, Any]:
    """Everything on one device with a number of threads."""
    torch.set_num_threads(threads)
    sets: dict[str, Any] = {}
    for name in options.sets:
        exact = subject(options, name, "float64", device)
        sets[name] = {"network": exact.model.denoiser.network.settings, "low precision": low_precision(exact)}
        truth = exact_density(exact, DENSITY_STEPS)
        finer = exact_density(exact, CONVERGED_STEPS, options.density_rows)
        for precision in options.precisions:
            case = subject(options, name, precision, device, exact.grids)
            found: dict[str, Any] = {"evaluation": evaluation(case, options.repeats)}
            if precision != "bfloat16":
                found["encoding"] = encoding(case, exact, options)
                found["density"] = density(case, truth, options)
                found["density"]["converged_within"] = error(truth[: len(finer)], finer)
            sets[name][precision] = found
            print(device, threads, name, precision, flush=True)
    kind = torch.cuda.get_device_name() if device == "cuda" else f"{threads} thread(s)"
    peaks = {precision: peak(torch.device(device), precision) for precision in PRECISIONS}
    return {"device": device, "kind": kind, "threads": threads, "peak_flops": peaks, "sets": sets}


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["nl5", "nl10"], choices=list(TABLES))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--exact-rows", type=int, default=1000)
    parser.add_argument("--density-rows", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--train-seconds", type=float, default=120.0)
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=list(PRECISIONS))
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    runs = [measure(options, "cpu", threads) for threads in options.threads]
    if torch.cuda.is_available():
        runs.append(measure(options, "cuda", options.threads[-1]))
    machine = {
        "version": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    asked = {name: value for name, value in vars(options).items() if name not in ("models", "data", "out")}
    result = {"machine": machine, "options": asked, "runs": runs}
    (options.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "results.md").write_text(tables(result))
    print(tables(result))


if __name__ == "__main__":
    main()
