r"""The curve of one latent: where the decoder goes as that latent runs and the others stay at their median, 0.

With E the encoder and v the unit direction of an oriented latent, the curve is x(t) = E⁻¹(t v), and its velocity
solves (∂E/∂x) x′ = v. One tangent along v is enough for that, whatever the number of coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentflow.flow.latent_map import LatentMap
from latentflow.score.tensors import as_array

Floats = NDArray[np.float64]

#: Up to this many coordinates a velocity is solved from the whole Jacobian, which then costs less than corrections.
WHOLE_JACOBIAN_UP_TO = 64
#: Corrections of a velocity before the whole Jacobian is taken for it after all.
MOST_CORRECTIONS = 12
#: Largest |(∂E/∂x) x′ − v| to stop at: the share of a speed that is left.
VELOCITY_TOLERANCE = 1e-4
#: Knots lie between −FARTHEST_KNOT and FARTHEST_KNOT: one normal draw in 150 000 is farther out.
FARTHEST_KNOT = 4.5
#: Knots that are spread evenly at first; the others go where they help most, in rounds that double their number.
EVEN_KNOTS = 17
#: Parts that a piece is cut into at most in one round, so that a jump does not take every knot.
MOST_PARTS = 4
#: What a decoded knot may leave of its latent, in units of the latents, before it is not believed.
LARGEST_RESIDUAL = 1e-3
#: A whitened point beyond this multiple of the farthest training row has left the data.
LARGEST_REACH = 1.5
#: A speed counts for at most so many times the steeper chord beside its knot, and as many times less than the flatter.
CHORD_RATIO = 8.0
_TINY = 1e-9  # of arc length per unit of the latent, so that it always increases
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class CurvePoints:
    """Points of curves in whitened space.

    Attributes
    ----------
    x : Tensor, shape (n, d)
    velocity : Tensor, shape (n, d)
        dx/dt.
    residual : Tensor, shape (n,)
        What is left of the larger of the two equations, E(x) = t v and (∂E/∂x) x′ = v: max norm, in units of the
        latents. Infinite where a number is not finite.
    """

    x: Tensor
    velocity: Tensor
    residual: Tensor


def curve_points(flow: LatentMap, z: Tensor, directions: Tensor) -> CurvePoints:
    """Pre-images of latents, and their velocities as the latents move.

    With few coordinates the velocity is solved from the Jacobian of the encoder. With many it is the tangent of the
    backward integration, corrected by its own defect as the decoder itself is, w ← w + G′(v − E′w); where that
    stalls, it is solved after all.

    Parameters
    ----------
    flow : LatentMap
    z : Tensor, shape (n, d)
        Un-oriented latents.
    directions : Tensor, shape (n, d)
        Direction of motion of each row, un-oriented.

    Returns
    -------
    CurvePoints
    """
    x, residual = flow.decode(z)
    velocity, defect = _velocities(flow, z, x, directions)
    finite = torch.isfinite(x).all(1) & torch.isfinite(velocity).all(1)
    worst = torch.where(finite, torch.maximum(residual, defect), torch.inf)
    return CurvePoints(x, velocity, worst.nan_to_num(nan=torch.inf))


def _velocities(flow: LatentMap, z: Tensor, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """x′ with E′(x) x′ = v, and the largest |E′(x) x′ − v| of each row."""
    if z.shape[1] <= WHOLE_JACOBIAN_UP_TO:
        return _solved(flow, x, directions)
    velocity, defect = _corrected(flow, z, x, directions)
    for part in torch.nonzero(~(defect <= VELOCITY_TOLERANCE))[:, 0].split(64):
        velocity[part], defect[part] = _solved(flow, x[part], directions[part])
    return velocity, defect


def _solved(flow: LatentMap, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    jacobian = flow.encode_with_jacobian(x)[1].nan_to_num()
    velocity = torch.linalg.lstsq(jacobian, directions[:, :, None]).solution
    return velocity[:, :, 0], ((jacobian @ velocity)[:, :, 0] - directions).abs().amax(1)


def _corrected(flow: LatentMap, z: Tensor, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    velocity = flow.decode_along(z, directions)
    rest = directions - flow.encode_along(x, velocity)
    defect = rest.abs().amax(1)
    rows = torch.nonzero(defect > VELOCITY_TOLERANCE)[:, 0]
    for _ in range(MOST_CORRECTIONS):
        if len(rows) == 0:
            break
        candidate = velocity[rows] + flow.decode_along(z[rows], rest[rows])
        remains = directions[rows] - flow.encode_along(x[rows], candidate)
        better = remains.abs().amax(1) < defect[rows]
        rows = rows[better]
        velocity[rows], rest[rows] = candidate[better], remains[better]
        defect[rows] = rest[rows].abs().amax(1)
        rows = rows[defect[rows] > VELOCITY_TOLERANCE]
    return velocity, defect


@dataclass(frozen=True)
class AxisCurves:
    """The curves of all oriented latents at knots of their own.

    Attributes
    ----------
    t : ndarray, shape (k, m)
        Increasing values of the latents.
    x, velocity : ndarray, shape (k, m, k)
        The curve in whitened space, and dx/dt, at each.
    """

    t: Floats
    x: Floats
    velocity: Floats

    @classmethod
    def follow(cls, flow: LatentMap, rotation: Floats, *, knots: int, reach: float = np.inf) -> AxisCurves:
        """Decode every latent's curve at ``knots`` knots.

        The first 17 are spread evenly over −4.5 … 4.5, and the others placed where the arc length is least well
        interpolated. A curve ends before a knot that does not decode, or whose point lies farther out than one and a
        half times ``reach``, the largest norm of a whitened training row.
        """
        even = min(EVEN_KNOTS, (knots - 1) // 2 * 2 + 1)
        span = np.tile(np.linspace(-FARTHEST_KNOT, FARTHEST_KNOT, even), (len(rotation), 1))
        curves, good = _decoded(flow, rotation, span, reach)
        if not good.all():
            ends = _believed(span, good)
            span = np.linspace(ends[:, 0], ends[:, 1], even, axis=1)
            curves, good = _decoded(flow, rotation, span, reach)
        curves = curves.mended(good, rotation)
        while (size := curves.t.shape[1]) < knots:
            curves = curves.refined(flow, rotation, reach, min(size - 1, knots - size))
        return curves

    def lengths(self) -> Floats:
        """Arc length of each piece, shape (k, m − 1), positive: that of the cubic through its points and velocities.

        The velocities are bounded by three chords, within which a straight piece is as long as its chord (Fritsch &
        Carlson 1980, SIAM J. Numer. Anal. 17:238).
        """
        width = np.diff(self.t, axis=1)[:, :, None]
        chord = np.diff(self.x, axis=1)
        limit = 3 * np.linalg.norm(chord, axis=2, keepdims=True)
        start, end = (_bounded(v * width, limit) for v in (self.velocity[:, :-1], self.velocity[:, 1:]))
        total = np.zeros(width.shape[:2])
        for node, weight in zip((_NODES + 1) / 2, _WEIGHTS / 2, strict=True):
            slope = 6 * node * (1 - node) * chord + (1 - node) * (1 - 3 * node) * start
            total += weight * np.linalg.norm(slope + node * (3 * node - 2) * end, axis=2)
        return np.maximum(total, _TINY * width[:, :, 0])

    def speeds(self, lengths: Floats) -> Floats:
        """‖dx/dt‖ at each knot, shape (k, m), kept near the mean speeds of the pieces beside it."""
        mean = lengths / np.diff(self.t, axis=1)
        before = np.concatenate([mean[:, :1], mean], axis=1)
        after = np.concatenate([mean, mean[:, -1:]], axis=1)
        exact = np.linalg.norm(self.velocity, axis=2)
        return np.clip(
            exact, np.minimum(before, after) / CHORD_RATIO, np.maximum(before, after) * CHORD_RATIO
        )

    def refined(self, flow: LatentMap, rotation: Floats, reach: float, more: int) -> AxisCurves:
        """With ``more`` further knots a latent, where the arc length is least well interpolated."""
        parts = _divided(self.errors(), more)
        start, width = self.t[:, :-1], np.diff(self.t, axis=1)
        added = np.empty((len(parts), more))
        for i, row in enumerate(parts):
            piece = np.repeat(np.arange(row.size), row - 1)
            nth = np.arange(more) - np.repeat(np.cumsum(row - 1) - (row - 1), row - 1) + 1
            added[i] = start[i, piece] + width[i, piece] * (nth / row[piece])
        new, good = _decoded(flow, rotation, added, reach)
        t = np.concatenate([self.t, new.t], axis=1)
        order = np.argsort(t, axis=1)
        x, velocity = (
            np.take_along_axis(np.concatenate(pair, axis=1), order[:, :, None], 1)
            for pair in ((self.x, new.x), (self.velocity, new.velocity))
        )
        good = np.take_along_axis(np.concatenate([np.ones_like(self.t, bool), good], axis=1), order, 1)
        return AxisCurves(np.take_along_axis(t, order, 1), x, velocity).mended(good, rotation)

    def errors(self) -> Floats:
        """What the rational quadratic of each piece is off by, shape (k, m − 1), about.

        Its error is c u²(1 − u)² h⁴ at the share u of a piece of width h. What each knot would be off by, were it left
        out, gives c beside it; of the knots at both ends of a piece the larger counts.
        """
        width, lengths = np.diff(self.t, axis=1), self.lengths()
        speeds = self.speeds(lengths)
        left, right, rise = width[:, :-1], width[:, 1:], lengths[:, :-1] + lengths[:, 1:]
        without = risen(left / (left + right), left + right, rise, speeds[:, :-2], speeds[:, 2:])
        bent = np.abs(without - lengths[:, :-1]) / (left * right) ** 2
        bent = np.pad(bent, ((0, 0), (1, 1)))
        return np.maximum(bent[:, :-1], bent[:, 1:]) * width**4 / 16

    def mended(self, good: NDArray[np.bool_], rotation: Floats) -> AxisCurves:
        """With straight lines between good knots, shape (k, m), instead of the others."""
        x, velocity = self.x.copy(), self.velocity.copy()
        for i in np.flatnonzero(~good.all(axis=1)):
            t, kept = self.t[i], good[i]
            if kept.sum() < 2:
                # nothing is known of this curve: the one of a standard normal source
                x[i], velocity[i] = t[:, None] * rotation[:, i], rotation[:, i]
                continue
            for coordinate in range(x.shape[2]):
                x[i, :, coordinate] = np.interp(t, t[kept], x[i, kept, coordinate])
            velocity[i, ~kept] = np.gradient(x[i], t, axis=0)[~kept]
        return AxisCurves(self.t, x, velocity)


def risen(u: Floats, width: Floats, rise: Floats, before: Floats, after: Floats) -> Floats:
    """How far a rational quadratic has risen at the share u of its piece, from its speeds at both ends.

    Parameters
    ----------
    u, width, rise, before, after : ndarray of one shape

    Returns
    -------
    ndarray of that shape
    """
    secant = rise / width
    below = secant + (before + after - 2 * secant) * u * (1 - u)
    return rise * (secant * u**2 + before * u * (1 - u)) / below


def _divided(errors: Floats, more: int) -> NDArray[np.intp]:
    """Into how many parts each piece goes, shape (k, m), with ``more`` cuts a row, for the least largest error."""
    parts = np.ones(errors.shape, np.intp)
    rows = np.arange(len(errors))
    for _ in range(more):
        parts[rows, np.argmax(np.where(parts < MOST_PARTS, errors / parts**4.0, -1.0), axis=1)] += 1
    return parts


def _decoded(
    flow: LatentMap, rotation: Floats, t: Floats, reach: float
) -> tuple[AxisCurves, NDArray[np.bool_]]:
    """The curves at t, shape (k, m), and which of the knots can be believed."""
    k, m = t.shape
    axes = flow.tensor(np.repeat(rotation.T, m, axis=0))
    points = curve_points(flow, flow.tensor(t.reshape(-1, 1)) * axes, axes)
    x, velocity, residual = map(as_array, (points.x, points.velocity, points.residual))
    good = (residual <= LARGEST_RESIDUAL) & (np.linalg.norm(x, axis=1) <= LARGEST_REACH * reach)
    return AxisCurves(t, x.reshape(k, m, k), velocity.reshape(k, m, k)), good.reshape(k, m)


def _believed(t: Floats, good: NDArray[np.bool_]) -> Floats:
    """First and last knot of the unbroken run of good ones around the median, shape (k, 2)."""
    middle = t.shape[1] // 2
    ends = np.empty((len(t), 2))
    for i, row in enumerate(good):
        below = int(np.argmin(np.append(row[middle::-1], False)))
        above = int(np.argmin(np.append(row[middle:], False)))
        # one knot on either side at the least
        ends[i] = t[i, middle - max(below - 1, 1)], t[i, middle + max(above - 1, 1)]
    return ends


def _bounded(vectors: Floats, limit: Floats) -> Floats:
    size = np.linalg.norm(vectors, axis=2, keepdims=True)
    return vectors * np.minimum(1.0, limit / np.maximum(size, np.finfo(float).tiny))
