r"""The scale of the sources: each Gaussian latent by the arc length of its own curve in data space.

A Gaussian latent hides the distribution of the source behind it, of which it is a monotone function. The curve
t ↦ decode(latent i = t, the others at their median 0) runs through whitened space, and its signed arc length

    s_i(t) = ∫₀ᵗ ‖∂x/∂z_i‖ du − offset

is monotone in t too. Where whitened rows are a rotation of independent sources the curve is a straight line along the
mixing direction of the source, and s_i is that source itself, at unit variance, up to its sign. The offset gives every
source mean zero over the training rows.

The monotone rational quadratic is our own: scipy's PchipInterpolator is a cubic that picks its own slopes and has no
simple inverse, and zuko's spline, an optional dependency, keeps its knots in a box with slope 1 beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentflow.components.latent_curves import AxisCurves, risen
from latentflow.flow.latent_map import LatentMap

Floats = NDArray[np.float64]

#: Points decoded for all latents together, and the fewest and most knots of one.
MOST_POINTS = 2900
FEWEST_KNOTS, MOST_KNOTS = 17, 145


def knots_for(latents: int) -> int:
    """Knots of each of so many latents: 145 up to 20 of them, then 2 900 over their number, at least 17."""
    return int(np.clip(MOST_POINTS // latents, FEWEST_KNOTS, MOST_KNOTS))


@dataclass(frozen=True)
class SourceScale:
    """Monotone maps between latents and sources, one a latent.

    Between two knots the map is the rational quadratic that has the arc length and the speed of the curve at both
    (Gregory & Delbourgo 1982, IMA J. Numer. Anal. 2:123): strictly increasing for any positive speeds, of fourth order
    in the distance of the knots where they are exact, inverted in closed form. Beyond the knots it is linear.

    Attributes
    ----------
    knots : ndarray, shape (k, m)
        Increasing values of each latent.
    positions : ndarray, shape (k, m)
        Source at each knot, in whitened units.
    slopes : ndarray, shape (k, m)
        Speed ‖∂x/∂z_i‖ at each knot, positive, whitened units per unit of the latent.
    """

    knots: Floats
    positions: Floats
    slopes: Floats

    @classmethod
    def fit(
        cls,
        flow: LatentMap,
        rotation: Floats,
        latents: Floats,
        *,
        reach: float = np.inf,
        knots: int | None = None,
    ) -> SourceScale:
        """Follow the curve of every oriented latent.

        Parameters
        ----------
        flow : LatentMap
        rotation : ndarray, shape (k, k)
            V of the orientation: latent i runs along column i.
        latents : ndarray, shape (n, k)
            Oriented latents of training rows, over which a source has mean zero.
        reach : float
            Largest norm of a whitened training row. A curve is cut where it is far outside, or where a knot cannot be
            decoded, and goes on as a straight line.
        knots : int, optional
            How many a latent has; by default :func:`knots_for` their number. Behind a linear mixture a source is then
            right to 1e-6 of up to 20 latents, 5e-3 of 64, 3e-2 of 128 and more.

        Returns
        -------
        SourceScale
        """
        curves = AxisCurves.follow(flow, rotation, knots=knots or knots_for(len(rotation)), reach=reach)
        lengths = curves.lengths()
        positions = np.cumsum(np.pad(lengths, ((0, 0), (1, 0))), axis=1)
        scale = cls(curves.t, positions, curves.speeds(lengths))
        return scale.centred(latents)

    def centred(self, latents: Floats) -> SourceScale:
        """The same scale with sources of mean zero over these latents, shape (n, k)."""
        offset = self.forward(latents)[0].mean(axis=0)
        return SourceScale(self.knots, self.positions - offset[:, None], self.slopes)

    def arranged(self, order: NDArray[np.intp], signs: Floats) -> SourceScale:
        """The scale of latents taken in another order and then multiplied by ±1.

        Parameters
        ----------
        order : ndarray of int, shape (k,)
            Which latent comes first, second, …
        signs : ndarray, shape (k,)
            ±1 of each latent, in the new order.
        """
        knots, positions, slopes = self.knots[order], self.positions[order], self.slopes[order]
        flipped = np.asarray(signs) < 0
        knots[flipped] = -knots[flipped, ::-1]
        positions[flipped] = -positions[flipped, ::-1]
        slopes[flipped] = slopes[flipped, ::-1]
        return SourceScale(knots, positions, slopes)

    def forward(self, latents: Floats) -> tuple[Floats, Floats]:
        """Sources of oriented latents, both (n, k), with log|det| in nats, shape (n,)."""
        sources, slopes = self._mapped(latents)
        return sources, np.asarray(np.log(slopes).sum(axis=1))

    def speeds(self, latents: Floats) -> Floats:
        """∂source_i/∂latent_i, shape (n, k), positive."""
        return self._mapped(latents)[1]

    def inverse(self, sources: Floats) -> Floats:
        """Oriented latents, shape (n, k), of sources, shape (n, k)."""
        values = np.asarray(sources, dtype=np.float64)
        result = np.empty_like(values)
        for i in range(values.shape[1]):
            piece = _Piece.at(self.positions[i], self, i, values[:, i])
            result[:, i] = piece.inverse(values[:, i])
        return result

    def _mapped(self, latents: Floats) -> tuple[Floats, Floats]:
        values = np.asarray(latents, dtype=np.float64)
        sources, slopes = np.empty_like(values), np.empty_like(values)
        for i in range(values.shape[1]):
            piece = _Piece.at(self.knots[i], self, i, values[:, i])
            sources[:, i], slopes[:, i] = piece.forward(values[:, i])
        return sources, slopes

    def state(self) -> dict[str, Floats]:
        """Named arrays that hold everything, exactly."""
        return {"knots": self.knots, "positions": self.positions, "slopes": self.slopes}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Any]) -> SourceScale:
        """The scale that :meth:`state` wrote."""
        return cls(arrays["knots"], arrays["positions"], arrays["slopes"])


@dataclass(frozen=True)
class _Piece:
    """The rational quadratics of one latent that its values fall on, one a value, all of shape (n,)."""

    t: Floats
    s: Floats
    width: Floats
    rise: Floats
    before: Floats
    after: Floats
    outside: NDArray[np.bool_]

    @classmethod
    def at(cls, grid: Floats, scale: SourceScale, i: int, values: Floats) -> _Piece:
        last = grid.shape[0] - 1
        place = np.searchsorted(grid, values, side="right") - 1
        left = np.clip(place, 0, last - 1)
        outside = (values < grid[0]) | (values > grid[last])
        knots, positions, slopes = scale.knots[i], scale.positions[i], scale.slopes[i]
        # a value outside starts from the knot that it is beyond
        start = np.where(outside & (place >= 0), last, left)
        before = slopes[start]
        return cls(
            knots[start],
            positions[start],
            knots[left + 1] - knots[left],
            positions[left + 1] - positions[left],
            before,
            slopes[left + 1],
            outside,
        )

    def forward(self, values: Floats) -> tuple[Floats, Floats]:
        """Source and its derivative at each value."""
        secant = self.rise / self.width
        u = np.where(self.outside, 0.0, (values - self.t) / self.width)
        bend = self.before + self.after - 2 * secant
        below = secant + bend * u * (1 - u)
        inside = self.s + risen(u, self.width, self.rise, self.before, self.after)
        slope = secant**2 * (self.after * u**2 + 2 * secant * u * (1 - u) + self.before * (1 - u) ** 2)
        linear = self.s + self.before * (values - self.t)
        return np.where(self.outside, linear, inside), np.where(self.outside, self.before, slope / below**2)

    def inverse(self, values: Floats) -> Floats:
        """The value whose source is given: the root of a quadratic in the form that does not cancel."""
        secant = self.rise / self.width
        y = np.where(self.outside, 0.0, values - self.s)
        bend = self.before + self.after - 2 * secant
        a = self.rise * (secant - self.before) + y * bend
        b = self.rise * self.before - y * bend
        c = -secant * y
        root = np.sqrt(np.maximum(b**2 - 4 * a * c, 0.0))
        inside = self.t + self.width * (2 * c / (-b - root))
        return np.where(self.outside, self.t + (values - self.s) / self.before, inside)
