"""Which chain a table gets: the flow alone, the flow behind a base, or the base alone. Validation rows decide.

The flow is trained on the whitened rows for the first half of the steps. Then log p of the validation rows, paired,
holds it against linear ICA with free densities and against a few layers of it (:mod:`latentflow.base.layers`). Where
one of these is ahead it becomes the base, and the second half trains a flow on what it leaves; else the flow goes on as
it is. In the end the flow stays only if it gains clearly on the base alone: a tie goes to the simpler chain. So the
model is no worse than linear ICA, up to the error of the choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from latentflow.base.fastica import ica_axes
from latentflow.base.gaussianization import GaussianizationFit
from latentflow.base.layers import LayeredBase, fit_base
from latentflow.data.whitening import Whitening
from latentflow.flow.calibration import choose_start
from latentflow.flow.grids import blended_grid
from latentflow.flow.probability_flow import ProbabilityFlow
from latentflow.model.settings import FitSettings
from latentflow.orientation.methods import (
    Material,
    enough,
    layered_fits,
    linear_fit,
    one_more_layer,
)
from latentflow.orientation.registry import method_of
from latentflow.score.denoisers import Denoiser, StandardNormal
from latentflow.score.sizing import TrainingPlan
from latentflow.score.tensors import as_array
from latentflow.score.training import Progress, Training, TrainingRecord

#: Fewest validation rows that can choose, fewest training rows for layers, and most coordinates for a base.
FEWEST_VALIDATION_ROWS, FEWEST_LAYER_ROWS, MOST_COORDINATES = 20, 1_000, 64
#: Share of the training after which the base is chosen, and that after which a flow on it that gains nothing ends.
CHOICE_SHARE, PATIENCE_SHARE = 0.5, 0.65
#: Standard errors of a paired difference by which one chain must be ahead of a simpler one.
CLEAR_ERRORS = 2.0
#: Stretches of validation rows whose means are compared; neighbours may be alike, stretches less so.
STRETCHES = 20
#: Rows whose log p is compared, and steps of the grid on which it is integrated.
COMPARED_ROWS, JUDGED_STEPS = 1_000, 32
NAMES = {1: "linear ICA", 2: "two layers", 3: "three layers"}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WhitenedRows:
    """Whitened rows of a fit.

    Attributes
    ----------
    train, validation : Tensor, shape (n, k)
        Single precision, on the training device.
    draw : callable () -> Tensor, shape (n, k)
        Training rows, dithered anew at each call where they lie on lattices.
    dequantised : bool
        Whether they do.
    whitening : Whitening
    """

    train: Tensor
    validation: Tensor
    draw: Callable[[], Tensor]
    dequantised: bool
    whitening: Whitening


@dataclass(frozen=True)
class TrainedChain:
    """A base and a denoiser on its coordinates.

    Attributes
    ----------
    base : LayeredBase or None
    denoiser : Denoiser
        :class:`~latentflow.score.denoisers.StandardNormal` where the flow is the identity.
    record : TrainingRecord
        Of the network that was trained last.
    sigma_min : float
        Noise level at which the flow starts.
    choice : dict
        What was compared, log p of validation rows in nats, and what came of it, in words.
    """

    base: LayeredBase | None
    denoiser: Denoiser
    record: TrainingRecord
    sigma_min: float
    choice: dict[str, Any]


def train_chain(
    rows: WhitenedRows,
    plan: TrainingPlan,
    settings: FitSettings,
    *,
    generator: Generator,
    progress: Callable[[Progress], None] | None = None,
) -> TrainedChain:
    """Train a flow, with the base that the settings ask for or that the validation rows speak for.

    Parameters
    ----------
    rows : WhitenedRows
    plan : TrainingPlan
    settings : FitSettings
        Of which ``base``, ``flow`` and ``seed`` act.
    generator : torch.Generator
    progress : callable, optional
    """
    search = _Search(rows, plan, settings, generator, progress)
    if settings.base == "ica":
        base: LayeredBase | None = search.linear()
        training = search.training(base)
    else:
        training = search.training(None)
        base = None
        if settings.base != "none" and search.bases_possible:
            training.advance(CHOICE_SHARE)
            base = search.base_for(training)
        if base is not None:
            training = search.training(base, after=training)
    if base is not None and settings.flow == "auto":
        training.advance(PATIENCE_SHARE)
        gain, error = training.gain_over_normal()
        if not gain > CLEAR_ERRORS * error:
            return search.without_flow(base, training)
    training.advance(1.0)
    return search.best(base, training)


@dataclass
class _Search:
    rows: WhitenedRows
    plan: TrainingPlan
    settings: FitSettings
    generator: Generator
    progress: Callable[[Progress], None] | None
    log_prob: dict[str, Floats] = field(default_factory=dict)
    bases: list[LayeredBase] = field(default_factory=list)

    @property
    def bases_possible(self) -> bool:
        """Whether there are rows enough to fit a base and to choose one, unless it was asked for."""
        n, k = self.rows.train.shape
        chosen = len(self.rows.validation) >= FEWEST_VALIDATION_ROWS and k <= MOST_COORDINATES
        return n > k and (chosen or self.settings.base == "layers")

    def training(self, base: LayeredBase | None, after: Training | None = None) -> Training:
        """A training on the coordinates of a base, or on whitened rows."""
        fixed = through(base, self.rows.train)
        draw = (lambda: through(base, self.rows.draw())) if self.rows.dequantised else (lambda: fixed)
        return Training(
            draw,
            through(base, self.rows.validation),
            self.plan,
            generator=self.generator,
            redraw=self.rows.dequantised,
            progress=self.progress,
            after=after,
        )

    def linear(self) -> LayeredBase:
        """Linear ICA with free densities."""
        material = self._material(None)
        return self._fitted(linear_fit(material, self._ica_rotation()), material)

    def base_for(self, training: Training) -> LayeredBase | None:
        """The base that is ahead of the flow as it has been trained so far, or that was asked for."""
        denoiser = training.denoiser()
        sigma_min, of_flow = self._judged(None, denoiser)
        self.log_prob["flow, half trained"] = of_flow
        material = self._material(self._flow(denoiser, sigma_min))
        best = self._fitted(linear_fit(material, self._ica_rotation()), material)
        of_best = self._of_base(best)
        if self._layers_are_tried():
            k = material.x.shape[1]
            two = layered_fits(material, 2)[0]
            right = enough(of_flow, of_best, k)
            layers = self._fitted(one_more_layer(material, two, right), material)
            of_layers = self._of_base(layers)
            if self.settings.base == "layers" or _ahead(of_layers, of_best, CLEAR_ERRORS):
                best, of_best = layers, of_layers
        if self.settings.base != "auto" or _ahead(of_best, of_flow, CLEAR_ERRORS):
            return best
        self.bases = [best]
        return None

    def best(self, base: LayeredBase | None, training: Training) -> TrainedChain:
        """The chain at the end of the training: with its flow, or a base alone that does as well."""
        denoiser, record = training.finish()
        sigma_min, of_flow = self._judged(base, denoiser)
        name = "flow" if base is None else f"flow on {NAMES[base.layers]}"
        self.log_prob[name] = of_flow
        for rival in [base] if base is not None else self.bases:
            if self.settings.flow == "auto" and not _ahead(of_flow, self._of_base(rival), CLEAR_ERRORS):
                return self.without_flow(rival, training)
        return TrainedChain(base, denoiser, record, sigma_min, self._choice(name))

    def without_flow(self, base: LayeredBase, training: Training) -> TrainedChain:
        """The chain of a base alone."""
        self._of_base(base)
        record = training.finish()[1]
        choice = self._choice(NAMES[base.layers])
        return TrainedChain(base, StandardNormal(), record, self.plan.sigma_min, choice)

    def _fitted(self, layers: GaussianizationFit, material: Material) -> LayeredBase:
        """Layers as a base, on the device of the training."""
        return fit_base(layers.flow, material.x[~material.validation]).to(self.rows.train.device)

    def _choice(self, chosen: str) -> dict[str, Any]:
        levels = {name: float(log_prob.mean()) for name, log_prob in self.log_prob.items() if len(log_prob)}
        return {"chosen": chosen, "log_prob": levels}

    def _of_base(self, base: LayeredBase) -> Floats:
        """log p of the compared rows by a base, nats."""
        name = NAMES[base.layers]
        if name not in self.log_prob:
            self.log_prob[name] = as_array(base.log_prob(self._compared().to(base.matrices[0])))
        return self.log_prob[name]

    def _judged(self, base: LayeredBase | None, denoiser: Denoiser) -> tuple[float, Floats]:
        """Where the flow of a denoiser starts best, and log p of the compared rows through it, nats."""
        validation = through(base, self.rows.validation)
        ends = self.plan.sigma_min, self.plan.sigma_max
        sigma_min = choose_start(denoiser, validation, ends)
        if len(validation) == 0:
            return sigma_min, np.zeros(0)
        log_prob = as_array(self._flow(denoiser, sigma_min).log_prob(through(base, self._compared())))
        if base is not None:
            log_prob = log_prob + as_array(base(self._compared().to(base.matrices[0]))[1])
        return sigma_min, log_prob

    def _flow(self, denoiser: Denoiser, sigma_min: float) -> ProbabilityFlow:
        return ProbabilityFlow(denoiser, blended_grid(sigma_min, self.plan.sigma_max, JUDGED_STEPS), "pec5")

    def _compared(self) -> Tensor:
        """Validation rows that are compared, evenly spread, shape (m, k)."""
        rows = self.rows.validation
        return rows[torch.linspace(0, len(rows) - 1, min(len(rows), COMPARED_ROWS)).long()]

    def _material(self, flow: ProbabilityFlow | None) -> Material:
        x = as_array(torch.cat([self.rows.train, self.rows.validation]))
        validation = np.arange(len(x)) >= len(self.rows.train)
        nothing: Any = None
        return Material(
            flow=flow if flow is not None else nothing,
            whitening=self.rows.whitening,
            network={},
            X=nothing,
            x=x,
            z=nothing if flow is None else as_array(flow.encode(flow.tensor(x))),
            validation=validation,
            positions=np.arange(len(x)),
            groups=None,
            seed=self.settings.seed,
        )

    def _ica_rotation(self) -> Floats:
        """FastICA's rotation of the training rows: that of the report's baseline."""
        x = as_array(self.rows.train)
        return ica_axes(x, self.settings.seed).rotation if x.shape[1] > 1 else np.ones((1, 1))

    def _layers_are_tried(self) -> bool:
        n, k = self.rows.train.shape
        most = method_of("gaussianization").most_latents
        return self.settings.base == "layers" or (1 < k <= (most or k) and n >= FEWEST_LAYER_ROWS)


def through(base: LayeredBase | None, rows: Tensor) -> Tensor:
    """Whitened rows on the coordinates of a base, shape (n, k) both, in their own precision."""
    return rows if base is None else base(rows.to(base.matrices[0]))[0].to(rows)


def _ahead(one: Floats, other: Floats, errors: float) -> bool:
    """Whether mean log p of the same rows is higher by so many standard errors of stretches."""
    gain = one - other
    means = np.array([part.mean() for part in np.array_split(gain, min(STRETCHES, len(gain)))])
    return bool(gain.mean() > errors * means.std(ddof=1) / math.sqrt(len(means)))
