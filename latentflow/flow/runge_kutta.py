"""One-step solvers: explicit Runge–Kutta methods, their tableaux as data, and the exponential midpoint rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise

import torch
from torch import Tensor

from latentflow.flow.predictions import PREDICTIONS
from latentflow.flow.quadrature import polynomial_weights
from latentflow.flow.stepping import Solver, VPrediction

Drift = Callable[[float, Tensor], Tensor]


@dataclass(frozen=True)
class RungeKutta(Solver):
    """Explicit Runge–Kutta method from its Butcher tableau (Hairer, Nørsett & Wanner 1993, § II.1).

    Parameters
    ----------
    order : int
        Order of convergence.
    nodes : sequence of float
        cᵢ, one per stage.
    matrix : sequence of sequences of float
        aᵢⱼ, the strictly lower triangle: row i has i entries.
    weights : sequence of float
        bᵢ.
    """

    order: int
    nodes: Sequence[float]
    matrix: Sequence[Sequence[float]]
    weights: Sequence[float]

    @property
    def stages(self) -> int:
        """As many as there are nodes."""
        return len(self.nodes)

    def advance(self, drift: Drift, u: float, y: Tensor, du: float, slopes: Sequence[Tensor] = ()) -> Tensor:
        """State at u + du, shape of y, for any dy/du = drift(u, y); the first slopes may be known."""
        slopes = list(slopes)
        for node, row in islice(zip(self.nodes, self.matrix, strict=True), len(slopes), None):
            slopes.append(drift(u + node * du, _advance(y, du, row, slopes)))
        return _advance(y, du, self.weights, slopes)

    def step(
        self, v_prediction: VPrediction, part: tuple[float, float], y: Tensor, memory: None = None
    ) -> tuple[Tensor, None]:
        """One step of the flow in u = log σ."""

        def drift(u: float, state: Tensor) -> Tensor:
            return v_prediction(u, state) * slope_of_v(u)

        return self.advance(drift, part[0], y, part[1] - part[0]), None


def slope_of_v(u: float) -> float:
    """−σ/(1+σ²) at u = log σ: dy/du for a v-prediction of one."""
    return -0.5 / math.cosh(u)


def integrate(solver: RungeKutta, drift: Drift, y: Tensor, grid: Sequence[float]) -> Tensor:
    """State at the end of a grid of any ordinary differential equation dy/du = drift(u, y), shape of y."""
    for u, end in pairwise(grid):
        y = solver.advance(drift, u, y, end - u)
    return y


EULER = RungeKutta(1, (0.0,), ((),), (1.0,))
HEUN = RungeKutta(2, (0.0, 1.0), ((), (1.0,)), (0.5, 0.5))
# Bogacki & Shampine 1989, the third-order weights
BOGACKI_SHAMPINE = RungeKutta(3, (0.0, 1 / 2, 3 / 4), ((), (1 / 2,), (0.0, 3 / 4)), (2 / 9, 1 / 3, 4 / 9))
RK4 = RungeKutta(
    4, (0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
)
# Dormand & Prince 1980, the fifth-order weights
DORMAND_PRINCE = RungeKutta(
    5,
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0),
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# Prince & Dormand 1981, RK8(7)13M, the eighth-order weights
PRINCE_DORMAND = RungeKutta(
    8,
    (0.0, 1 / 18, 1 / 12, 1 / 8, 5 / 16, 3 / 8, 59 / 400, 93 / 200, 5490023248 / 9719169821, 13 / 20,
     1201146811 / 1299019798, 1.0, 1.0),
    (
        (),
        (1 / 18,),
        (1 / 48, 1 / 16),
        (1 / 32, 0.0, 3 / 32),
        (5 / 16, 0.0, -75 / 64, 75 / 64),
        (3 / 80, 0.0, 0.0, 3 / 16, 3 / 20),
        (29443841 / 614563906, 0.0, 0.0, 77736538 / 692538347, -28693883 / 1125000000, 23124283 / 1800000000),
        (16016141 / 946692911, 0.0, 0.0, 61564180 / 158732637, 22789713 / 633445777, 545815736 / 2771057229,
         -180193667 / 1043307555),
        (39632708 / 573591083, 0.0, 0.0, -433636366 / 683701615, -421739975 / 2616292301, 100302831 / 723423059,
         790204164 / 839813087, 800635310 / 3783071287),
        (246121993 / 1340847787, 0.0, 0.0, -37695042795 / 15268766246, -309121744 / 1061227803,
         -12992083 / 490766935, 6005943493 / 2108947869, 393006217 / 1396673457, 123872331 / 1001029789),
        (-1028468189 / 846180014, 0.0, 0.0, 8478235783 / 508512852, 1311729495 / 1432422823,
         -10304129995 / 1701304382, -48777925059 / 3047939560, 15336726248 / 1032824649,
         -45442868181 / 3398467696, 3065993473 / 597172653),
        (185892177 / 718116043, 0.0, 0.0, -3185094517 / 667107341, -477755414 / 1098053517,
         -703635378 / 230739211, 5731566787 / 1027545527, 5232866602 / 850066563, -4093664535 / 808688257,
         3962137247 / 1805957418, 65686358 / 487910083),
        (403863854 / 491063109, 0.0, 0.0, -5068492393 / 434740067, -411421997 / 543043805,
         652783627 / 914296604, 11173962825 / 925320556, -13158990841 / 6184727034, 3936647629 / 1978049680,
         -160528059 / 685178525, 248638103 / 1413531060, 0.0),
    ),
    (14005451 / 335480064, 0.0, 0.0, 0.0, 0.0, -59238493 / 1068277825, 181606767 / 758867731,
     561292985 / 797845732, -1041891430 / 1371343529, 760417239 / 1151165299, 118820643 / 751138087,
     -528747749 / 2220607170, 1 / 4),
)  # fmt: skip


@dataclass(frozen=True)
class ExponentialMidpoint(Solver):
    """The midpoint rule for a prediction; of the noise, DPM-Solver-2 (Lu et al. 2022, arXiv 2206.00927, algorithm 1).

    Parameters
    ----------
    prediction : str
        A name in :data:`latentflow.flow.predictions.PREDICTIONS`.
    """

    prediction: str
    order: int = 2

    @property
    def stages(self) -> int:
        """At the start and in the middle."""
        return 2

    def step(
        self, v_prediction: VPrediction, part: tuple[float, float], y: Tensor, memory: None = None
    ) -> tuple[Tensor, None]:
        """Half a step, and a whole one by what is predicted there."""
        u, end = part
        middle = 0.5 * (u + end)
        half = self._move(u, u, y, v_prediction(u, y), y, middle)
        return self._move(u, middle, half, v_prediction(middle, half), y, end), None

    def _move(
        self, u: float, at: float, state: Tensor, v_prediction: Tensor, y: Tensor, end: float
    ) -> Tensor:
        """y at ``end`` from y at u, where the prediction is that of a state at a node ``at``."""
        scale, of_state, of_v = _constant(self.prediction, u, at, end)
        return torch.add(scale * y + of_state * state, v_prediction, alpha=of_v)


@lru_cache(maxsize=4096)
def _constant(prediction: str, u: float, at: float, end: float) -> tuple[float, float, float]:
    kind = PREDICTIONS[prediction]
    points = torch.tensor([u, at, end], dtype=torch.float64)
    scale = kind.scale(points)
    weight = polynomial_weights(points[:1], points[0], points[2], kind.kernel)[0] * scale[2]
    state, speeds = kind.of_state(points)[1] * weight, kind.of_v(points)[1] * weight
    return float(scale[2] / scale[0]), float(state), float(speeds)


def _advance(y: Tensor, du: float, weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """y + du Σ wᵢ slopeᵢ, without touching slopes of weight zero."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            y = torch.add(y, slope, alpha=du * weight)
    return y
