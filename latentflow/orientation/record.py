r"""The rotation chosen for the latents: what turns independent coordinates into components that mean something.

N(0, I) is the same law in every orthonormal basis, so no test of the latents can find the basis of the sources. An
*orientation* is an orthogonal matrix V, and the oriented latents of a row are z V. It is part of the bijection, with
log|det| 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Orientation:
    """A rotation of the latents, and how it was found.

    Attributes
    ----------
    rotation : ndarray, shape (k, k)
        Orthogonal V; oriented latents are z V, so that column i holds the direction of oriented latent i.
    method : str
        How the rotation was found; ``none`` leaves the latents as the flow gives them, but for order and sign.
    asked : str
        What was asked for; differs from the method where that was ``auto``.
    reason : str
        Why this method, in one sentence; empty where it was asked for by name, but for ``gaussianization``, which says
        whether its layers explain the rows.
    converged : bool
        Whether the joint diagonalisation, or the ICA behind an anchor, converged.
    angle_error : ndarray, shape (k, k)
        Standard error, in radians, of the angle between each pair of axes in their plane; π/4 where the data leave
        the plane undetermined. Zeros on the diagonal.
    details : mapping
        Figures of the method, by name: plain numbers, strings and lists.
    """

    rotation: Floats
    method: str = "none"
    asked: str = "none"
    reason: str = ""
    converged: bool = True
    angle_error: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    details: Mapping[str, Any] = field(default_factory=dict)

    def forward(self, latents: Floats) -> tuple[Floats, Floats]:
        """Oriented latents, shape (n, k), of latents, shape (n, k), with log|det| 0, shape (n,)."""
        return latents @ self.rotation, np.zeros(len(latents))

    def inverse(self, oriented: Floats) -> Floats:
        """Latents as the flow gives them, shape (n, k), of oriented ones."""
        return np.asarray(oriented @ self.rotation.T)

    @property
    def standard_errors(self) -> Floats:
        """``angle_error``, shape (k, k), where a search for the axes converged and gave it; else nothing is known."""
        k = len(self.rotation)
        known = self.converged and self.angle_error.shape == (k, k)
        return self.angle_error if known else undetermined(k)

    @property
    def arbitrary(self) -> bool:
        """Whether there are several axes, and nothing chose them."""
        return self.method == "none" and len(self.rotation) > 1

    @property
    def cautions(self) -> tuple[str, ...]:
        """What the rows show that no rotation, or not this one, can do justice to, a clause each."""
        return tuple(self.details.get("cautions", ()))

    @classmethod
    def identity(cls, k: int) -> Orientation:
        """Latents as the flow gives them: every plane undetermined."""
        return cls(np.eye(k), angle_error=undetermined(k))

    def state(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """A JSON-able dictionary and named arrays that hold everything, exactly."""
        meta = {
            "method": self.method,
            "asked": self.asked,
            "reason": self.reason,
            "converged": self.converged,
            "details": dict(self.details),
        }
        return meta, {"rotation": self.rotation, "angle_error": self.angle_error}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, Floats]) -> Orientation:
        """The orientation that :meth:`state` wrote."""
        return cls(rotation=arrays["rotation"], angle_error=arrays["angle_error"], **meta)


def undetermined(k: int) -> Floats:
    """Angle errors of axes about which nothing is known: π/4 off the diagonal, shape (k, k)."""
    return np.where(np.eye(k, dtype=bool), 0.0, np.pi / 4)


def agreement(one: Floats, other: Floats) -> float:
    """Mean |cosine| of two sets of axes, shape (k, k) each, every axis with its match; 1 where they are the same.

    >>> agreement(np.eye(3), -np.eye(3)[:, [2, 0, 1]])
    1.0
    """
    cosines = np.abs(one.T @ other)
    return float(cosines[linear_sum_assignment(-cosines)].mean())
