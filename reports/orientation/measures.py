"""One mixture: a fit, its orientations and the peers, measured against the sources on held-out rows."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from orientations import BOUND, asked, orientations
from peers import PEERS
from rows import Floats, Rows, halves, select

from datasets.mixing import Chain, Matrix
from datasets.orientation import Mixture, draw
from latentflow.analysis.axes.recovery import recovery
from latentflow.analysis.ledger.ledger import Representation
from latentflow.data.splits import HELD_OUT, TRAIN, VALIDATION, Split
from latentflow.model.fit import fit_flow
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.orient import orient
from latentflow.orientation.procrustes import procrustes
from latentflow.orientation.record import Orientation
from latentflow.statistics.ranks import normal_scores

#: One training row in so many validates.
VALIDATES = 20


@dataclass(frozen=True)
class Task:
    """One run: as many rows to learn from as to measure on."""

    name: str
    width: int
    rows: int
    seed: int
    preset: str = "default"

    @property
    def key(self) -> str:
        """Name of the run in results.json."""
        of_default = f"{self.name}/d{self.width}/n{self.rows}/s{self.seed}"
        return of_default if self.preset == "default" else f"{of_default}/{self.preset}"

    @property
    def file_name(self) -> str:
        """Of its model."""
        return f"{self.name}-d{self.width}-n{self.rows}-s{self.seed}-{self.preset}.safetensors"


@dataclass(frozen=True)
class Plan:
    """What to measure in each run.

    Attributes
    ----------
    orientations : names as in :func:`orientations.asked`; empty fits no flow
    peers : names of :data:`peers.PEERS`
    models : folder that keeps fitted models, so that another orientation wants no other fit; None keeps none
    """

    orientations: tuple[str, ...]
    peers: tuple[str, ...]
    models: Path | None


def measure(task: Task, plan: Plan, known: dict[str, Any]) -> dict[str, Any]:
    """The entry of one run: what is known of it, and what the plan wants and is not known yet."""
    mixture = draw(task.name, 2 * task.rows, task.width, task.seed)
    learns, new = halves(mixture)
    train, held = select(mixture, learns), select(mixture, new)
    everything = select(mixture, np.arange(len(mixture.X)))  # the model knows which rows it may not look at
    sources = mixture.S[new]
    found = dict(known.get("methods", {}))
    entry = {**known, "name": task.name, "d": task.width, "n": task.rows, "seed": task.seed, "methods": found}
    for name in plan.peers:
        if name not in found and PEERS[name].can(train):
            found[name] = _peer(name, train, held, sources, task.seed)
    wanted = [method for method in asked(train, plan.orientations) if method not in found]
    if wanted:
        model = _model(task, plan, mixture, learns)
        entry["fit"] = {k: model.record[k] for k in ("seconds", "steps", "sigma_min", "network", "preset")}
        whitened, plain = _coordinates(model, held.X)
        if BOUND in wanted:
            found[BOUND] = scores(plain @ procrustes(plain, normal_scores(sources)), sources)
        if "source_scale" in wanted:
            turned = orient(model, everything.X, groups=everything.groups, time_order=everything.ordered)
            found["source_scale"] = scores(turned.encode(held.X, scale="source").latents, sources)
        for method, orientation, seconds in orientations(model, everything, wanted):
            found[method] = {"seconds": seconds, **_recovery(orientation, whitened, plain, mixture, sources)}
    return entry


def _peer(name: str, train: Rows, held: Rows, sources: Floats, seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    components = PEERS[name].unmix(train, held, seed)
    seconds = time.perf_counter() - started
    measures: dict[str, Any] = {"seconds": seconds}
    for key, values in components.items():
        if key.endswith("magnitudes"):
            measures["mcc_magnitudes"] = scores(values, np.abs(sources))["mcc"]
        else:
            measures |= scores(values, sources)
    return measures


def _recovery(
    orientation: Orientation, whitened: Floats, plain: Floats, mixture: Mixture, sources: Floats
) -> dict[str, Any]:
    measures: dict[str, Any] = dict(scores(plain @ orientation.rotation, sources))
    if _linear(mixture):
        # The flow shares its axes with the whitened rows, where the gains are exact: no curve adds noise to them.
        measures["amari"] = scores(whitened @ orientation.rotation, sources)["amari"]
    off = ~np.eye(len(orientation.rotation), dtype=bool)
    return measures | {
        "method": orientation.method,
        "reason": orientation.reason,
        "converged": bool(orientation.converged),
        "largest_angle_error": float(np.max(orientation.angle_error[off], initial=0.0)),
    }


def scores(values: Floats, sources: Floats) -> dict[str, float]:
    """Mean correlations after matching, and Amari's index of coordinates (n, d) against sources (n, d)."""
    usable = np.isfinite(values).all(axis=1)
    zeros = np.zeros(int(usable.sum()))
    entry = recovery([Representation("", "", values[usable], zeros)], sources[usable]).entries[0]
    return {"mcc": entry.mcc_spearman, "mcc_pearson": entry.mcc_pearson, "amari": entry.amari}


def _linear(mixture: Mixture) -> bool:
    mixing = mixture.mixing
    return isinstance(mixing, Matrix) or (isinstance(mixing, Chain) and len(mixing.maps) == 1)


def _coordinates(model: FittedFlow, X: Floats) -> tuple[Floats, Floats]:
    """Whitened rows and latents before any orientation, (n, k) both."""
    whitened = model.preprocessor.forward(X)[0][:, : model.preprocessor.n_flow]
    return whitened, model.encode(X).latents @ model.orientation.rotation.T


def _model(task: Task, plan: Plan, mixture: Mixture, learns: NDArray[np.intp]) -> FittedFlow:
    """The fit of a run, from the folder of models where it is there."""
    path = plan.models / task.file_name if plan.models else None
    if path and path.exists():
        return FittedFlow.load(path, device="cpu")
    columns = [f"x{i}" for i in range(task.width)]
    model = fit_flow(
        mixture.X,
        columns,
        preset=task.preset,
        split=_split(mixture, learns),
        orientation="none",
        device="cpu",
        seed=task.seed,
    )
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}.safetensors")
        model.save(beside)
        os.replace(beside, path)
    return model


def _split(mixture: Mixture, learns: NDArray[np.intp]) -> Split:
    """Training, validation and held-out rows; of a time series the last training rows validate, in one block."""
    role = np.full(len(mixture.X), HELD_OUT, dtype=np.uint8)
    role[learns] = TRAIN
    validates = learns[-(len(learns) // VALIDATES) :] if mixture.ordered else learns[::VALIDATES]
    role[validates] = VALIDATION
    return Split(role, "blocked" if mixture.ordered else "random", 0.0, 0, 0)
