"""The terminal mismatch: cumulants without bias, the closed form, and tails that have none."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from latentflow.analysis.gaussianity.mismatch import heavy_tailed, squared_cumulants, terminal_mismatch


def test_norms_are_those_of_the_full_tensors() -> None:
    rng = np.random.default_rng(0)
    d, n = 3, 60
    x = rng.standard_normal((n, d))
    one = np.eye(d)
    three = np.einsum("ni,nj,nk->nijk", x, x, x)
    three -= sum(np.einsum(f"n{a},{b}{c}->nijk", x, one) for a, b, c in ("ijk", "jik", "kij"))
    four = np.einsum("ni,nj,nk,nl->nijkl", x, x, x, x)
    for a, b, c, e in ("ijkl", "ikjl", "iljk", "jkil", "jlik", "klij"):
        four -= np.einsum(f"n{a},n{b},{c}{e}->nijkl", x, x, one)
    for a, b, c, e in ("ijkl", "ikjl", "iljk"):
        four += np.einsum(f"{a}{b},{c}{e}->ijkl", one, one)[None]
    for tensor, found in zip((three, four), squared_cumulants(x), strict=True):
        flat = tensor.reshape(n, -1)
        gram = flat @ flat.T
        by_hand = (gram.sum() - np.trace(gram)) / (n * (n - 1))
        assert found == pytest.approx(by_hand)


def test_no_bias_from_few_rows() -> None:
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    normal = [squared_cumulants(rng.standard_normal((100, 3))) for _ in range(400)]
    sources = [squared_cumulants((rng.exponential(size=(100, 3)) - 1.0) @ turn) for _ in range(400)]
    for draws, truth in ((normal, (0.0, 0.0)), (sources, (12.0, 108.0))):
        mean, error = np.mean(draws, axis=0), np.std(draws, axis=0) / 20.0
        assert (np.abs(mean - truth) < 4.0 * error).all()


def test_closed_form_against_the_integral() -> None:
    """KL of a blurred two-mode column from N(0, 1), by quadrature."""
    sigma, m, v = 2.0, 0.8, 0.36
    scale = np.sqrt(1.0 + sigma**2)
    spread = np.sqrt(v + sigma**2) / scale

    def integrand(x: float) -> float:
        p = 0.5 * (norm.pdf(x, -m / scale, spread) + norm.pdf(x, m / scale, spread))
        return p * (np.log(p) - norm.logpdf(x))

    rng = np.random.default_rng(2)
    x = rng.choice([-m, m], (3000, 4)) + np.sqrt(v) * rng.standard_normal((3000, 4))
    found = terminal_mismatch(x, sigma)
    assert found == pytest.approx(4 * quad(integrand, -9, 9)[0], rel=0.25)
    assert terminal_mismatch(x, 20.0) < 1e-9


def test_serial_rows_are_not_paired_with_their_neighbours() -> None:
    rng = np.random.default_rng(3)
    near, far = [], []
    for _ in range(60):
        x = np.repeat(rng.standard_normal((60, 2)), 5, axis=0)
        near.append(squared_cumulants(x)[1])
        far.append(squared_cumulants(x, 5)[1])
    assert np.mean(near) > 0.5
    assert abs(np.mean(far)) < 4.0 * np.std(far) / np.sqrt(60)


@pytest.mark.parametrize("n", [1000, 20_000])
def test_tails(n: int) -> None:
    rng = np.random.default_rng(4)
    light = (
        rng.standard_normal,
        lambda s: rng.laplace(size=s),
        lambda s: rng.exponential(size=s),
        rng.random,
    )
    assert not any(heavy_tailed(draw((n, 8))) for draw in light)
    assert heavy_tailed(rng.standard_cauchy((n, 2)))
    assert terminal_mismatch(rng.standard_cauchy((n, 2)), 10.0) is None
    assert terminal_mismatch(np.zeros((1, 2)), 10.0) is None
