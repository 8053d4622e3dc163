"""The joint diagonaliser: exact where there are common axes, honest where there are none."""

import numpy as np
import pytest

from latentflow.orientation.joint_diagonalisation import joint_diagonaliser, tournament


def turn(d, rng):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def around(axes, diagonals):
    """Symmetric matrices with these axes, (m, d, d), from their eigenvalues, (m, d)."""
    return np.stack([axes * diagonal @ axes.T for diagonal in diagonals])


def distance(found, axes):
    """Largest sine of the angle between an axis and its match."""
    cosines = np.abs(found.T @ axes)
    assert sorted(cosines.argmax(0)) == list(range(len(axes)))
    best = axes[:, cosines.argmax(1)] * np.sign((found.T @ axes)[np.arange(len(axes)), cosines.argmax(1)])
    return np.linalg.norm(found - best, axis=0).max()


@pytest.mark.parametrize("d", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("given", [False, True])
def test_common_axes_are_found_exactly_from_any_start(d, given):
    rng = np.random.default_rng(d)
    for _ in range(3):
        axes = turn(d, rng)
        diagonals = rng.normal(size=(6, d))
        found = joint_diagonaliser(around(axes, diagonals), start=turn(d, rng) if given else None)
        assert distance(found.rotation, axes) < 1e-9
        np.testing.assert_allclose(found.rotation.T @ found.rotation, np.eye(d), atol=1e-13)
        place = np.abs(found.rotation.T @ axes).argmax(1)
        np.testing.assert_allclose(found.diagonals, diagonals[:, place], atol=1e-9)
        assert found.converged
        assert found.off_diagonal < 1e-16


def test_one_matrix_gives_its_eigenvectors():
    rng = np.random.default_rng(0)
    axes = turn(5, rng)
    assert distance(joint_diagonaliser(around(axes, rng.normal(size=(1, 5)))).rotation, axes) < 1e-9


@pytest.mark.parametrize("start", [None, np.eye(2)])
def test_entries_that_are_all_off_the_diagonal_are_turned_onto_it(start):
    """The angle π/4, at which the plain formula divides zero by zero."""
    found = joint_diagonaliser(np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 2.0], [2.0, 0.0]]]), start=start)
    assert found.off_diagonal < 1e-16
    np.testing.assert_allclose(np.sort(found.diagonals), [[-1, 1], [-2, 2]], atol=1e-12)


def test_the_error_falls_as_the_root_of_the_number_of_matrices():
    def error(m, seed):
        rng = np.random.default_rng(seed)
        axes, noise = turn(4, rng), rng.normal(size=(m, 4, 4))
        noisy = around(axes, rng.normal(size=(m, 4))) + 0.3 * (noise + noise.transpose(0, 2, 1))
        return distance(joint_diagonaliser(noisy).rotation, axes)

    few, many = (np.mean([error(m, seed) for seed in range(12)]) for m in (100, 1600))
    assert 4 / 1.4 < few / many < 4 * 1.4


def test_it_is_a_minimum():
    """No small turn of any plane makes noisy matrices more diagonal."""
    rng = np.random.default_rng(3)
    matrices = around(turn(4, rng), rng.normal(size=(5, 4))) + 0.2 * np.eye(4)[rng.permutation(4)]
    found = joint_diagonaliser(matrices)
    symmetric = 0.5 * (matrices + matrices.transpose(0, 2, 1))

    def off(rotation):
        turned = rotation.T @ symmetric @ rotation
        return (turned**2).sum() - (np.diagonal(turned, axis1=1, axis2=2) ** 2).sum()

    least = off(found.rotation)
    assert found.off_diagonal > 1e-4
    for i in range(4):
        for j in range(i):
            for angle in (-1e-3, 1e-3):
                plane = np.eye(4)
                plane[[i, j], [i, j]] = np.cos(angle)
                plane[i, j], plane[j, i] = np.sin(angle), -np.sin(angle)
                assert off(found.rotation @ plane) > least


def test_it_says_when_it_did_not_converge():
    rng = np.random.default_rng(1)
    matrices = rng.normal(size=(5, 6, 6))
    stopped, whole = joint_diagonaliser(matrices, sweeps=1), joint_diagonaliser(matrices)
    assert (stopped.converged, stopped.sweeps) == (False, 1)
    assert whole.converged
    assert 1 < whole.sweeps < 100
    assert whole.off_diagonal < stopped.off_diagonal


def test_antisymmetric_parts_are_left_out():
    rng = np.random.default_rng(2)
    axes = turn(4, rng)
    skew = rng.normal(size=(6, 4, 4))
    skewed = around(axes, rng.normal(size=(6, 4))) + 5 * (skew - skew.transpose(0, 2, 1))
    found = joint_diagonaliser(skewed)
    assert distance(found.rotation, axes) < 1e-9
    assert found.off_diagonal < 1e-16


def test_a_matrix_of_no_weight_says_nothing():
    rng = np.random.default_rng(4)
    one, other = turn(3, rng), turn(3, rng)
    matrices = np.concatenate(
        [around(one, rng.normal(size=(4, 3))), around(other, 100 * rng.normal(size=(4, 3)))]
    )
    weights = np.repeat([1.0, 0.0], 4)
    found = joint_diagonaliser(matrices, weights)
    assert distance(found.rotation, one) < 1e-9
    assert found.off_diagonal < 1e-16
    assert joint_diagonaliser(matrices).off_diagonal > 1e-5
    # a weight of four counts as four matrices
    repeated = np.concatenate([matrices[:4], np.repeat(matrices[4:], 4, axis=0)])
    assert (
        distance(
            joint_diagonaliser(repeated).rotation,
            joint_diagonaliser(matrices, 1 + 3 * (1 - weights)).rotation,
        )
        < 1e-7
    )


def test_the_share_off_the_diagonal_is_between_none_and_all():
    rng = np.random.default_rng(5)
    shares = [joint_diagonaliser(rng.normal(size=(m, 5, 5))).off_diagonal for m in (2, 10, 200)]
    assert 0 < shares[0] < shares[1] < shares[2] < 1
    # a multiple of the identity is no diagonal that anything has found
    matrices = rng.normal(size=(10, 5, 5))
    assert joint_diagonaliser(matrices + 1e3 * np.eye(5)).off_diagonal == pytest.approx(
        joint_diagonaliser(matrices).off_diagonal, rel=1e-6
    )


@pytest.mark.parametrize("given", [False, True])
def test_of_the_identity_alone_any_axes_are_right(given):
    rng = np.random.default_rng(6)
    matrices = np.arange(1.0, 4.0)[:, None, None] * np.eye(5) / 3
    found = joint_diagonaliser(matrices, start=turn(5, rng) if given else None)
    assert found.converged
    assert found.off_diagonal == 0
    np.testing.assert_allclose(found.rotation.T @ found.rotation, np.eye(5), atol=1e-13)


def test_a_plane_that_no_matrix_tells_apart_does_not_keep_it_turning():
    rng = np.random.default_rng(7)
    axes, diagonals = turn(5, rng), rng.normal(size=(7, 5))
    diagonals[:, 1] = diagonals[:, 0]
    found = joint_diagonaliser(around(axes, diagonals), start=turn(5, rng))
    assert found.converged
    assert found.sweeps < 20
    assert found.off_diagonal < 1e-16
    both = found.rotation.T @ axes[:, :2] @ axes[:, :2].T @ found.rotation
    assert np.sum(np.diag(both) > 1 - 1e-9) == 2


@pytest.mark.parametrize("d", [2, 3, 6, 9])
def test_each_pair_meets_once_and_none_twice_in_a_round(d):
    rounds = tournament(d)
    pairs = [pair for first, second in rounds for pair in zip(first, second, strict=True)]
    assert sorted(pairs) == [(i, j) for i in range(d) for j in range(i + 1, d)]
    for first, second in rounds:
        assert len({*first, *second}) == 2 * len(first)
    assert len(rounds) == d - 1 + d % 2
