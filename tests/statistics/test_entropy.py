"""The entropy estimator against known entropies, its ties, and the variance that its terms promise."""

import numpy as np
import pytest
from scipy import stats

from latentflow.errors import DataError
from latentflow.statistics.entropy import entropy, entropy_terms, tied_fraction

TWO_MODES = ([-0.9, 0.9], np.sqrt(0.19))


def _two_mode_log_density(x: np.ndarray) -> np.ndarray:
    means, sd = TWO_MODES
    return np.log(0.5 * sum(stats.norm.pdf(x, m, sd) for m in means))


def _two_mode_draws(n: int, rng: np.random.Generator) -> np.ndarray:
    means, sd = TWO_MODES
    return rng.choice(means, n) + sd * rng.standard_normal(n)


DENSITIES = {
    "normal": (lambda n, r: r.standard_normal(n), stats.norm.logpdf),
    "laplace": (lambda n, r: r.laplace(size=n), stats.laplace.logpdf),
    "uniform": (lambda n, r: r.random(n), stats.uniform.logpdf),
    "exponential": (lambda n, r: r.exponential(size=n), stats.expon.logpdf),
    "t5": (lambda n, r: r.standard_t(5, n), stats.t(5).logpdf),
    "two modes": (_two_mode_draws, _two_mode_log_density),
}


@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize(
    ("n", "repeats", "bound"),
    [(500, 300, 0.008), (2000, 100, 0.005), (10_000, 40, 0.003), (100_000, 4, 0.002)],
)
def test_bias_against_the_known_entropy(name: str, n: int, repeats: int, bound: float) -> None:
    draw, log_density = DENSITIES[name]
    rng = np.random.default_rng(11)
    # E[Ĥ + mean log p(x)] is the bias exactly, with most of the sampling error taken out.
    errors = []
    for _ in range(repeats):
        x = draw(n, rng)
        errors.append(entropy(x) + log_density(x).mean())
    standard_error = np.std(errors) / np.sqrt(repeats)
    assert standard_error < bound / 4
    assert abs(np.mean(errors)) < bound


@pytest.mark.parametrize("name", ["normal", "uniform", "laplace"])
def test_plain_variance_of_terms_is_that_of_the_estimate(name: str) -> None:
    draw, _ = DENSITIES[name]
    rng = np.random.default_rng(3)
    n, repeats = 2000, 1500
    terms = [entropy_terms(draw(n, rng)) for _ in range(repeats)]
    promised = np.mean([t.var() for t in terms]) / n
    found = np.var([t.mean() for t in terms])
    assert 0.9 < promised / found < (1.6 if name == "uniform" else 1.15)


def test_terms_follow_their_rows_and_units() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(700)
    terms = entropy_terms(x)
    shuffle = rng.permutation(700)
    np.testing.assert_array_equal(entropy_terms(x[shuffle]), terms[shuffle])
    np.testing.assert_allclose(entropy_terms(-7.0 * x + 3.0), terms + np.log(7.0), atol=1e-9)
    assert np.corrcoef(terms, -stats.norm.logpdf(x))[0, 1] > 0.8


def test_repeated_rows_change_nothing_and_never_give_infinity() -> None:
    x = np.random.default_rng(1).standard_normal(400)
    twice = np.repeat(x, 3)
    np.testing.assert_allclose(entropy_terms(twice), np.repeat(entropy_terms(x), 3))
    rounded = np.round(x, 1)
    assert np.isfinite(entropy_terms(rounded)).all()
    assert entropy(np.array([0.0, 0.0, 2.0])) == pytest.approx(np.log(2.0) + 0.5, abs=1.1)


def test_tied_fraction_counts_rows() -> None:
    assert tied_fraction(np.array([1.0, 1.0, 2.0, 3.0])) == 0.5
    assert tied_fraction(np.arange(5.0)) == 0.0


@pytest.mark.parametrize("bad", [np.ones(10), np.array([1.0, np.nan, 2.0]), np.array([1.0, np.inf, 2.0])])
def test_what_has_no_entropy_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(DataError):
        entropy_terms(bad)
