r"""One rotation that makes many symmetric matrices as diagonal as it can.

Minimises Σₖ wₖ off(Vᵀ Mₖ V) over orthogonal V, off being the sum of squared off-diagonal entries, by Jacobi
rotations whose angle is known in closed form (Cardoso & Souloumiac 1996, SIAM J. Matrix Anal. Appl. 17:161, with the
real-valued angle of their eq. 10 f.). Planes that share no axis do not disturb each other, so a sweep runs through the
d − 1 rounds of a round-robin tournament, and the d/2 planes of a round turn at once, in all matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_SWEEPS = 100
#: A sweep in which no plane turns by more than this, radians, is the last.
ANGLE_TOLERANCE = 1e-9
#: What the entries of a plane add up to below this share of all entries, root of the sum of squares, is rounding.
ROUNDING = 1e-13


@dataclass(frozen=True)
class JointDiagonalisation:
    """An orthogonal joint diagonaliser, and how far it got.

    Attributes
    ----------
    rotation : ndarray, shape (d, d)
        V: column i is the i-th common axis.
    diagonals : ndarray, shape (m, d)
        Of Vᵀ Mₖ V, unweighted.
    converged : bool
        Whether the last sweep turned no plane by more than the tolerance.
    sweeps : int
    off_diagonal : float
        Share of the weighted squares of all entries, less their common multiple of the identity, that is left off the
        diagonal: 0 where the matrices have common axes, and where there is nothing to diagonalise.
    """

    rotation: Floats
    diagonals: Floats
    converged: bool
    sweeps: int
    off_diagonal: float


def joint_diagonaliser(
    matrices: Floats,
    weights: Floats | None = None,
    *,
    start: Floats | None = None,
    sweeps: int = MOST_SWEEPS,
    tolerance: float = ANGLE_TOLERANCE,
) -> JointDiagonalisation:
    """The rotation under which symmetric matrices are jointly most diagonal.

    Parameters
    ----------
    matrices : ndarray, shape (m, d, d)
        Symmetric; their antisymmetric parts are left out.
    weights : ndarray, shape (m,), optional
        Non-negative; all alike by default.
    start : ndarray, shape (d, d), optional
        Orthogonal first guess; by default the eigenvectors of the weighted sum of squares Σ wₖ Mₖ², whose eigenbasis
        is the answer where one exists, up to planes of equal eigenvalues.
    sweeps : int
        Most sweeps.
    tolerance : float
        Radians.

    Returns
    -------
    JointDiagonalisation

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> axes, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    >>> found = joint_diagonaliser(np.stack([axes * rng.normal(size=4) @ axes.T for _ in range(9)]))
    >>> found.converged, bool(np.allclose(np.abs(found.rotation.T @ axes).max(0), 1))
    (True, True)
    """
    symmetric = 0.5 * (matrices + matrices.transpose(0, 2, 1))
    d = symmetric.shape[1]
    weight = np.ones(len(symmetric)) if weights is None else np.asarray(weights, dtype=np.float64)
    scaled = symmetric * np.sqrt(weight)[:, None, None]
    rotation = _first_guess(scaled) if start is None else np.array(start, dtype=np.float64)
    work = np.ascontiguousarray((rotation.T @ scaled @ rotation).transpose(1, 2, 0))
    rounding = (ROUNDING**2) * float((scaled**2).sum())
    rounds = tournament(d)
    done, largest = 0, np.inf if rounds else 0.0
    while done < sweeps and largest > tolerance:
        done, largest = done + 1, 0.0
        for first, second in rounds:
            angle = _angles(work, first, second, rounding)
            _turn(work, rotation, first, second, angle)
            largest = max(largest, float(np.abs(angle).max()))
    left, _, right = np.linalg.svd(rotation)  # rounding of many turns
    rotation = left @ right
    turned = rotation.T @ symmetric @ rotation
    return JointDiagonalisation(
        rotation=rotation,
        diagonals=np.ascontiguousarray(np.diagonal(turned, axis1=1, axis2=2)),
        converged=bool(largest <= tolerance),
        sweeps=done,
        off_diagonal=_off_diagonal(turned, weight),
    )


def tournament(d: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rounds in which each of d axes meets each other once, as arrays of first and second partners.

    >>> [list(zip(first.tolist(), second.tolist())) for first, second in tournament(4)]
    [[(0, 3), (1, 2)], [(0, 2), (1, 3)], [(0, 1), (2, 3)]]
    """
    players = list(range(d + d % 2))  # with an odd number one sits out each round
    rounds = []
    for _ in range(len(players) - 1):
        half = len(players) // 2
        pairs = [
            (min(pair), max(pair)) for pair in zip(players[:half], players[: half - 1 : -1], strict=True)
        ]
        kept = np.array([pair for pair in pairs if pair[1] < d], dtype=np.intp).reshape(-1, 2)
        rounds.append((kept[:, 0], kept[:, 1]))
        players = [players[0], players[-1], *players[1:-1]]
    return rounds if d > 1 else []


def _first_guess(matrices: Floats) -> Floats:
    return np.asarray(np.linalg.eigh(np.einsum("kij,kjl->il", matrices, matrices))[1])


def _angles(work: Floats, first: NDArray[np.intp], second: NDArray[np.intp], rounding: float) -> Floats:
    """The angle by which each plane of a round must turn; ``work`` is (d, d, m).

    The quarter of an arc tangent is the right one also where off-diagonal entries are all there is (a turn by π/4).
    """
    difference = work[first, first] - work[second, second]
    twice_off = 2.0 * work[first, second]
    on = (difference**2 - twice_off**2).sum(1)
    off = 2.0 * (difference * twice_off).sum(1)
    angle = 0.25 * np.arctan2(off, on)
    # where there is nothing to gain, rounding would turn the plane for ever
    scale = (difference**2 + twice_off**2).sum(1)
    return np.where(scale > rounding, angle, 0.0)


def _turn(
    work: Floats, rotation: Floats, first: NDArray[np.intp], second: NDArray[np.intp], angle: Floats
) -> None:
    """Turn all planes of a round, in place: rows and columns of every matrix, columns of the rotation."""
    c, s = np.cos(angle), np.sin(angle)
    a, b = work[first], work[second]
    work[first], work[second] = (
        c[:, None, None] * a + s[:, None, None] * b,
        c[:, None, None] * b - s[:, None, None] * a,
    )
    a, b = work[:, first], work[:, second]
    work[:, first], work[:, second] = (
        c[:, None] * a + s[:, None] * b,
        c[:, None] * b - s[:, None] * a,
    )
    a, b = rotation[:, first], rotation[:, second]
    rotation[:, first], rotation[:, second] = c * a + s * b, c * b - s * a


def _off_diagonal(turned: Floats, weights: Floats) -> float:
    diagonal = np.diagonal(turned, axis1=1, axis2=2)
    off = (np.where(np.eye(turned.shape[1], dtype=bool), 0.0, turned) ** 2).sum((1, 2))
    on = ((diagonal - diagonal.mean(1, keepdims=True)) ** 2).sum(1)
    total = float(weights @ (off + on))
    rounding = ROUNDING**2 * float(weights @ (turned**2).sum((1, 2)))
    return float(weights @ off) / total if total > rounding else 0.0
