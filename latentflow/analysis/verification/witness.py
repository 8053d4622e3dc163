"""Latents of a model beside those of an independent witness: torchdiffeq's adaptive solver, near rounding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.analysis.verification.results import Quantiles, WitnessAgreement
from latentflow.flow.adaptive import WITNESS, witness_latents
from latentflow.score.tensors import as_array

Floats = NDArray[np.float64]


@dataclass
class WitnessedRows:
    """Distances of evenly spaced rows among all that pass by, gathered part by part.

    Parameters
    ----------
    model : FittedFlow
    wanted : ndarray of int
        Which of them the witness sees, by the order in which they pass.
    """

    model: Any
    wanted: NDArray[np.intp]
    seen: int = 0
    index: list[NDArray[np.intp]] = field(default_factory=list)
    distances: list[Floats] = field(default_factory=list)

    def add(self, index: NDArray[np.intp], x: Tensor, latents: Floats) -> None:
        """Take in rows at whitened x (m, k) with the model's latents (m, k), before their orientation."""
        picked = np.flatnonzero(np.isin(np.arange(self.seen, self.seen + len(index)), self.wanted))
        self.seen += len(index)
        if len(picked):
            ends = float(self.model.sigmas[0]), float(self.model.sigmas[-1])
            rows = self.model.before_flow(x[torch.as_tensor(picked, device=x.device)])
            witnessed = as_array(witness_latents(self.model.denoiser, rows, ends) if self.model.ode else rows)
            distance = np.linalg.norm(latents[picked] - witnessed, axis=1)
            self.distances.append(np.nan_to_num(distance, nan=np.inf))
            self.index.append(index[picked])

    def agreement(self) -> WitnessAgreement | None:
        """What they show; None where no row was seen."""
        if not self.index:
            return None
        distance = np.concatenate(self.distances)
        quantiles = Quantiles.of(distance, np.concatenate(self.index))
        assert quantiles is not None  # a distance is never NaN
        return WitnessAgreement(
            solver=WITNESS.method,
            tolerance=WITNESS.tolerance,
            distance=quantiles,
            mean_distance=float(distance.mean()),
            accuracy=(self.model.record.get("grid") or {}).get("accuracy"),
        )
