"""Angles between axes that were found and those that are true, one for each plane of two sources."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import special_ortho_group


def turn(d: int, rng: np.random.Generator) -> np.ndarray:
    """A random rotation."""
    return np.atleast_2d(special_ortho_group.rvs(d, random_state=rng)) if d > 1 else np.eye(1)


def matched(found: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The found axis (a column) that belongs to each true one."""
    return linear_sum_assignment(-np.abs(axes.T @ found))[1]


def angles(found: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """By how much the found axes are turned in the plane of each two true ones, radians to first order, (d, d)."""
    gain = axes.T @ found[:, matched(found, axes)]
    gain = gain * np.sign(np.diag(gain))
    return 0.5 * (gain - gain.T)


def distance(found: np.ndarray, axes: np.ndarray) -> float:
    """Largest distance of an axis from its match, signs apart."""
    best = found[:, matched(found, axes)]
    return float(np.linalg.norm(best * np.sign((best * axes).sum(0)) - axes, axis=0).max())


def in_order(error: np.ndarray, found: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Errors of the angles in the order of the true axes, (d, d)."""
    place = matched(found, axes)
    return error[np.ix_(place, place)]
