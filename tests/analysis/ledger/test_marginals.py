"""Stacked kernel densities: proper, finite everywhere, and close to the truth on new rows."""

import numpy as np
import pytest
from scipy.stats import cauchy, expon, laplace, norm, t, uniform

from latentflow.analysis.ledger.marginals import fit_marginal
from latentflow.errors import DataError


@pytest.mark.parametrize(
    ("law", "most"),
    [
        (norm(), 0.006),
        (laplace(), 0.006),
        (uniform(), 0.02),
        (expon(), 0.02),
        (t(5), 0.006),
        (cauchy(), 0.008),
    ],
)
def test_new_rows_are_given_nearly_their_true_density(law: object, most: float) -> None:
    rng = np.random.default_rng(0)
    known, new = law.rvs(8000, random_state=rng), law.rvs(20_000, random_state=rng)
    lost = fit_marginal(5.0 * known - 30.0).neg_log_prob(5.0 * new - 30.0) - np.log(5.0) + law.logpdf(new)
    assert -0.004 < lost.mean() < most


def test_narrow_modes() -> None:
    rng = np.random.default_rng(1)
    x = rng.choice([-1.0, 1.0], 6000) + 0.01 * rng.standard_normal(6000)
    truth = np.log(2.0) + 0.5 * np.log(2.0 * np.pi * np.e * 1e-4)
    assert fit_marginal(x[::2]).neg_log_prob(x[1::2]).mean() == pytest.approx(truth, abs=0.05)


@pytest.mark.parametrize("n", [5, 50, 2000])
def test_the_density_integrates_to_one_and_is_nowhere_zero(n: int) -> None:
    found = fit_marginal(np.random.default_rng(2).standard_t(3, n) * 2.0 + 1.0)
    y = np.linspace(-40.0, 40.0, 400_001)
    x = found.centre + found.scale * np.sinh(y)
    density = np.exp(-found.neg_log_prob(x)) * found.scale * np.cosh(y)
    assert density.sum() * (y[1] - y[0]) == pytest.approx(1.0, abs=1e-3)
    assert np.isfinite(found.neg_log_prob(np.array([-1e9, 1e12, 1e200]))).all()


def test_half_of_a_column_tied_and_a_single_value() -> None:
    x = np.where(np.arange(1000) % 4 > 0, 2.0, np.random.default_rng(3).standard_normal(1000))
    assert np.isfinite(fit_marginal(x).neg_log_prob(x)).all()
    with pytest.raises(DataError, match="single value"):
        fit_marginal(np.ones(30))
