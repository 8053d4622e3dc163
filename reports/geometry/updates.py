r"""Second-order samplers as finite differences of the denoising trajectory (Chen et al. 2023, arXiv 2305.19947, § 5).

Since d²x/dσ² = −(1/σ) dD/dσ, the Taylor step of order two from σ to τ is

    x(τ) ≈ x + (τ − σ) (x − D)/σ − ½ (τ − σ)²/σ · dD/dσ,

Euler's step and a correction by the slope of the denoising trajectory. Each known second-order update is that step
with a finite difference in place of the slope. Both stand here, the updates as published and the differences, and
:func:`update_gaps` says how far apart they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp

from latentflow.flow.multistep import Multistep
from latentflow.flow.runge_kutta import HEUN, RK4, integrate
from latentflow.flow.solvers import SOLVERS, Solver
from latentflow.geometry.trajectories import Floats
from latentflow.score.denoisers import Denoiser


@dataclass(frozen=True)
class Node:
    """A point of a sampling run: its noise level, its state, the denoiser there, and the slope dx/dσ used to leave it.

    Attributes
    ----------
    sigma : float
    x, denoised : Tensor, shape (n, d)
    taken : Tensor, shape (n, d)
        (x(τ) − x)/(τ − σ) of the step that was taken from here; ε = (x − D)/σ where it was Euler's.
    """

    sigma: float
    x: Tensor
    denoised: Tensor
    taken: Tensor | None = None

    @property
    def noise(self) -> Tensor:
        """ε = dx/dσ = (x − D)/σ."""
        return (self.x - self.denoised) / self.sigma


def node(denoiser: Denoiser, x: Tensor, sigma: float) -> Node:
    """The node of a state: one evaluation of the denoiser."""
    return Node(sigma, x, denoiser(x, sigma))


def taylor_step(here: Node, to: float, slope: Tensor | None = None) -> Tensor:
    """Taylor's step of order two to noise level ``to`` with this slope dD/dσ; Euler's without one. Shape (n, d)."""
    step = to - here.sigma
    euler = here.x + step * here.noise
    return euler if slope is None else euler - 0.5 * step * step / here.sigma * slope


def heun_slope(denoiser: Denoiser, here: Node, to: float) -> Tensor:
    """dD/dσ as Heun's method sees it (Karras et al. 2022, algorithm 1): forward, with σ/τ for its place."""
    ahead = node(denoiser, taylor_step(here, to), to)
    return (ahead.denoised - here.denoised) / (to - here.sigma) * (here.sigma / to)


def midpoint_slope(denoiser: Denoiser, here: Node, to: float) -> Tensor:
    """dD/dσ as DPM-Solver-2 sees it (Lu et al. 2022, arXiv 2206.00927): to the geometric middle √(στ)."""
    middle = math.sqrt(here.sigma * to)
    ahead = node(denoiser, taylor_step(here, middle), middle)
    return (ahead.denoised - here.denoised) / (0.5 * (to - here.sigma)) * (here.sigma / middle)


def data_multistep_slope(here: Node, before: Node, to: float) -> Tensor:
    """dD/dσ as DPM-Solver++(2M) sees it (Lu et al. 2022, arXiv 2211.01095): backward, over log σ."""
    ratio = math.log(here.sigma / to) / math.log(before.sigma / here.sigma)
    return (before.denoised - here.denoised) * ratio / (here.sigma - to)


def exponential_multistep_slope(here: Node, before: Node, to: float) -> Tensor:
    """The same where the line through both values is integrated exactly, as the solvers of the flow do."""
    h = math.log(here.sigma / to)
    share = 2 * here.sigma * (h + math.expm1(-h)) / (here.sigma - to) ** 2
    return (before.denoised - here.denoised) * share / math.log(before.sigma / here.sigma)


def noise_multistep_slope(here: Node, before: Node, to: float) -> Tensor:
    """dD/dσ as second-order Adams–Bashforth in σ sees it (PNDM, DEIS, iPNDM): backward, over σ.

    It carries over what the last step added to Euler's slope; after an Euler step that is nothing.
    """
    difference = (here.denoised - before.denoised) / (here.sigma - before.sigma)
    return difference if before.taken is None else difference - (before.taken - before.noise)


OneStep = Callable[[Denoiser, Node, float], Tensor]
TwoStep = Callable[[Node, Node, float], Tensor]
Update = Callable[[Denoiser, Tensor, Sequence[float]], Tensor]

#: The slope dD/dσ that each update sees.
ONE_STEP: dict[str, OneStep] = {"Heun": heun_slope, "DPM-Solver-2": midpoint_slope}
TWO_STEP: dict[str, TwoStep] = {
    "DPM-Solver++(2M)": data_multistep_slope,
    "exponential multistep": exponential_multistep_slope,
    "Adams–Bashforth 2 in σ": noise_multistep_slope,
}


def heun_over_sigma(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Heun's method for dx/dσ = (x − D)/σ, from its tableau, shape (n, d)."""

    def drift(sigma: float, state: Tensor) -> Tensor:
        return node(denoiser, state, sigma).noise

    return integrate(HEUN, drift, x, sigmas)


def dpm_solver_pp_2m(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """DPM-Solver++(2M) with α = 1 as published (Lu et al. 2022, arXiv 2211.01095, algorithm 2), shape (n, d)."""
    last, width = x, 0.0
    for at, (sigma, to) in enumerate(pairwise(sigmas)):
        denoised, h = denoiser(x, sigma), math.log(sigma / to)
        r = width / h
        mixed = (1 + 1 / (2 * r)) * denoised - last / (2 * r) if at else denoised
        x = x * (to / sigma) - math.expm1(-h) * mixed
        last, width = denoised, h
    return x


def _in_preserving_state(solver: Solver) -> Update:
    def update(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float]) -> Tensor:
        def v_prediction(u: float, y: Tensor) -> Tensor:
            return denoiser.v_prediction(y, math.exp(u))

        first, last = (math.sqrt(1 + sigma * sigma) for sigma in (sigmas[0], sigmas[-1]))
        return solver.integrate(v_prediction, x / first, np.log(sigmas).tolist()) * last

    return update


#: The same updates as they were published, by the solvers of the flow where these have them.
PUBLISHED: dict[str, Update] = {
    "Heun": heun_over_sigma,
    "DPM-Solver-2": _in_preserving_state(SOLVERS["dpm-solver-2"]),
    "DPM-Solver++(2M)": dpm_solver_pp_2m,
    "exponential multistep": _in_preserving_state(Multistep("data", 2)),
    "Adams–Bashforth 2 in σ": _in_preserving_state(Multistep("noise", 2, axis="sigma")),
}


def taylor_run(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float], name: str | None = None) -> Tensor:
    """States after Taylor's steps with the slope that an update of this name sees; Euler's without one; (n, d).

    The first step of a two-step method is Euler's.
    """
    before: Node | None = None
    for sigma, to in pairwise(sigmas):
        here = node(denoiser, x, sigma)
        slope = None
        if name in ONE_STEP:
            slope = ONE_STEP[name](denoiser, here, to)
        elif name is not None and before is not None:
            slope = TWO_STEP[name](here, before, to)
        x = taylor_step(here, to, slope)
        before = replace(here, taken=(x - here.x) / (to - sigma))
    return x


def update_gaps(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float] | Floats) -> dict[str, float]:
    """How far runs of the published updates end from runs of Taylor's steps with their finite differences.

    Parameters
    ----------
    denoiser : Denoiser
    x : Tensor, shape (n, d)
        States at ``sigmas[0]``.
    sigmas : sequence of float
        Decreasing.

    Returns
    -------
    dict of float
        Largest difference, over the largest distance of the published end from Euler's: 0 to rounding.
    """
    levels, gaps = [float(sigma) for sigma in sigmas], {}
    with torch.no_grad():
        euler = taylor_run(denoiser, x, levels)
        for name, update in PUBLISHED.items():
            end = update(denoiser, x, levels)
            gap = (end - taylor_run(denoiser, x, levels, name)).abs().max()
            gaps[name] = float(gap / (end - euler).abs().max())
    return gaps


def local_orders(
    denoiser: Denoiser, x: Tensor, sigma: float, widths: Sequence[float] = (0.2, 0.1, 0.05, 0.025)
) -> dict[str, float]:
    """Order of the error of one step from σ to σ e⁻ʰ, by the slope of its logarithm over that of h.

    Euler's is of order 2; Taylor's step with the exact slope, and with each finite difference, of order 3.

    Parameters
    ----------
    denoiser : Denoiser
    x : Tensor, shape (n, d)
        States at ``sigma``; those of two-step methods reached from σ eʰ along the flow.
    sigma : float
    widths : sequence of float
        Values of h.
    """
    errors: dict[str, list[float]] = {}
    with torch.no_grad():
        here = node(denoiser, x, sigma)
        level = x.new_tensor(sigma)
        exact = jvp(denoiser, (x, level), (here.noise, torch.ones_like(level)))[1]
        for h in widths:
            to, back = sigma * math.exp(-h), sigma * math.exp(h)
            end = _flow(denoiser, x, sigma, to)
            before = node(denoiser, _flow(denoiser, x, sigma, back), back)
            before = replace(before, taken=(x - before.x) / (sigma - back))
            slopes: dict[str, Tensor | None] = {"Euler": None, "exact slope": exact}
            slopes |= {name: slope(denoiser, here, to) for name, slope in ONE_STEP.items()}
            slopes |= {name: slope(here, before, to) for name, slope in TWO_STEP.items()}
            for name, each in slopes.items():
                reached = taylor_step(here, to, each)
                errors.setdefault(name, []).append(float((reached - end).norm(dim=1).mean()))
    logs = np.log(np.asarray(widths))
    return {name: float(np.polyfit(logs, np.log(found), 1)[0]) for name, found in errors.items()}


def _flow(denoiser: Denoiser, x: Tensor, sigma: float, to: float) -> Tensor:
    """States carried along the flow from one level to another, up or down, by eight RK4 steps over log σ."""

    def drift(u: float, state: Tensor) -> Tensor:
        return state - denoiser(state, math.exp(u))

    return integrate(RK4, drift, x, np.linspace(math.log(sigma), math.log(to), 9).tolist())
