"""Every test under its null, and its power, by few draws; the many are in reports/calibration/."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from latentflow.analysis.gaussianity.energy import energy_p_value, unbiased_energy
from reports.calibration import account, classifier, confirmation, entropies, normality, nulls, pairs
from reports.calibration.power import PLANTED, powers
from reports.calibration.registry import GRID, Check, Figure, Procedure, judge, run
from reports.calibration.run import PROCEDURES
from reports.calibration.summary import tables
from tests.analysis.exact_model import true_total_correlation

RESULTS = Path(__file__).parents[2] / "reports" / "calibration" / "results.json"


def energy(values: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    return {"energy": energy_p_value(unbiased_energy(values), *values.shape)}


def registered(procedures: tuple[Procedure, ...], rows: str) -> Procedure:
    return next(procedure for procedure in procedures if procedure.rows == rows)


def few(procedure: Procedure, n: int, d: int, draws: int) -> list[Figure]:
    """The figures from about so many draws."""
    return run(procedure, n, d, share=draws / procedure.repeats(n, d))


def told(figures: list[Figure]) -> str:
    departing = [figure for figure in figures if figure.judgement.startswith("too")]
    return "; ".join(f"{figure.check}: {figure.rejected} of {figure.trials}" for figure in departing)


@pytest.mark.parametrize(("n", "d"), GRID)
def test_pairs_keep_their_level(n: int, d: int) -> None:
    assert not told(few(registered(pairs.PROCEDURES, "independent normal rows"), n, d, 80 if d < 50 else 30))


@pytest.mark.parametrize(("n", "d"), GRID)
def test_gaussianity_keeps_its_level(n: int, d: int) -> None:
    assert not told(
        few(registered(normality.PROCEDURES, "independent normal rows"), n, d, 100 if d < 50 else 30)
    )


@pytest.mark.parametrize(("n", "d"), GRID)
def test_classifier_keeps_its_level(n: int, d: int) -> None:
    found = few(registered(classifier.PROCEDURES, "independent normal rows"), n, d, 20)
    assert not told(found)


@pytest.mark.parametrize(("n", "d", "draws"), [(300, 2, 200), (300, 10, 200), (300, 50, 200), (3000, 10, 12)])
def test_energy_distance_keeps_its_level(n: int, d: int, draws: int) -> None:
    procedure = Procedure("energy", "normal", nulls.normal, energy, (Check("energy"),), lambda n, d: draws)
    assert not told(run(procedure, n, d))


@pytest.mark.parametrize("procedure", confirmation.PROCEDURES, ids=lambda p: f"{p.name}, {p.rows}")
def test_confirmation_keeps_its_level(procedure: Procedure) -> None:
    n, d = procedure.grid[0]
    assert not told(few(procedure, n, d, 60 if d == 2 else 25))


def test_rows_of_a_series_keep_the_level() -> None:
    rows = "AR(1), φ = 0.9"
    assert not told(few(registered(pairs.PROCEDURES, rows), 3000, 2, 40))
    assert not told(few(registered(classifier.PROCEDURES, rows), 300, 2, 6))
    of_latents = few(registered(normality.PROCEDURES, rows), 3000, 2, 60)
    assert not [figure for figure in of_latents if figure.judgement == "too often"]


def test_ledger_covers_what_an_exact_map_removes() -> None:
    for rows, n, d in (("mixture of normals", 300, 10), ("mixture of two-mode sources", 1000, 2)):
        assert not told(few(registered(account.PROCEDURES, rows), n, d, 60))


def test_bias_of_the_entropy_at_ten_thousand_rows() -> None:
    for name in entropies.DENSITIES:
        found = entropies.bias(name, 10_000, 8, 0.003)
        assert found.kept
        assert found.standard_error < 0.0015


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: "; ".join(planted.promised))
def test_planted_dependence_is_seen(planted: object) -> None:
    for power in powers(planted, 15 / planted.repeats):
        if power.promised is not None:
            assert power.seen >= binom.ppf(0.01, power.repeats, power.promised)
        if "pair" in power.test and power.promised is None and "sign" in power.planted:
            assert power.rate < 0.5  # no pair shows it


def test_a_broken_test_is_called_so() -> None:
    """P-values that are too small, too large, or right; intervals that miss too often."""

    def measure(values: np.ndarray, rng: np.random.Generator) -> dict[str, object]:
        p = rng.random()
        return {"small": p**2, "large": p**0.5, "right": p, "careful": p**0.5, "missing": p < 0.2}

    checks = (
        Check("small"),
        Check("large"),
        Check("right"),
        Check("careful", "at most"),
        Check("missing"),
    )
    found = run(Procedure("made", "up", nulls.normal, measure, checks, lambda n, d: 400), 3, 2)
    judged = {figure.check: figure.judgement for figure in found}
    assert judged == {
        "small": "too often",
        "large": "too seldom",
        "right": "kept",
        "careful": "kept",
        "missing": "too often",
    }
    page = tables(found, [], [], {})
    assert {line.split("(")[0] for line in page.splitlines() if "▲ |" in line} == {"| small ", "| missing "}
    assert "| made: small | up | 3 | 2 | 5 |" in page
    assert found == run(Procedure("made", "up", nulls.normal, measure, checks, lambda n, d: 400), 3, 2)


def test_judgement_stands_on_binomial_error_and_on_a_tenth() -> None:
    check = Check("x")
    assert judge(check, 5, 100) == judge(check, 10, 100) == judge(check, 53_000, 1_000_000) == "kept"
    assert judge(check, 20, 100) == judge(check, 56_000, 1_000_000) == "too often"
    assert judge(check, 44_000, 1_000_000) == "too seldom"
    assert judge(Check("x", "at most"), 0, 10_000) == "kept"
    assert judge(Check("x", "shown"), 10_000, 10_000) == "shown"


def test_nulls_are_what_they_are_called() -> None:
    rng = np.random.default_rng(0)
    x = nulls.autoregressive(200_000, 2, np.array([0.5, 0.9]), rng)
    np.testing.assert_allclose(x.std(axis=0), 1.0, atol=0.02)
    np.testing.assert_allclose((x[1:] * x[:-1]).mean(axis=0), [0.5, 0.9], atol=0.02)
    starts = np.concatenate([nulls.autoregressive(3, 50, 0.9, rng)[0] for _ in range(100)])
    assert starts.std() == pytest.approx(1.0, abs=0.05)
    assert nulls.AutoregressiveRows(0.9)(1000, 3, rng).block > 1
    square = nulls.planted_square(5000, 3, rng)
    assert square[:, 1].std() == pytest.approx(1.0)
    assert np.corrcoef(square[:, 0] ** 2, square[:, 1])[0, 1] == pytest.approx(3**-0.5, abs=0.04)
    signs = nulls.sign_product(5000, 3, rng)
    assert (signs.prod(axis=1) > 0.0).all()
    assert abs(np.corrcoef(signs, rowvar=False) - np.eye(3)).max() < 0.05


def test_truth_of_the_ledger_against_other_ways_to_it() -> None:
    assert account.two_mode_total_correlation(2) == pytest.approx(
        true_total_correlation(account.mixing(2)), abs=1e-6
    )
    rng = np.random.default_rng(1)
    for draw in (account.normal_mixture, account.heavy_tails):
        made = draw(20_000, 3, rng)
        raw, _, latents = made.representations
        # −log p of the raw rows two ways: through the map, and as a Gaussian copula's
        through = 0.5 * (latents.values**2).sum(axis=1) + 1.5 * np.log(2 * np.pi) - latents.log_det
        covariance = account.mixing(3) @ account.mixing(3).T
        deviations = np.sqrt(np.diag(covariance))
        truth = -0.5 * np.linalg.slogdet(covariance / np.outer(deviations, deviations))[1]
        assert made.removed == pytest.approx(truth)
        marginal = latents.entropy_terms().mean() + made.removed - np.mean(latents.log_det)
        assert raw.entropy_terms().mean() == pytest.approx(marginal, abs=0.03)
        assert through.mean() == pytest.approx(raw.entropy_terms().mean() - truth, abs=0.05)


def test_committed_figures_cover_all_that_is_registered() -> None:
    record = json.loads(RESULTS.read_text())
    measured = {(f["procedure"], f["rows"], f["check"], f["n"], f["d"]) for f in record["figures"]}
    expected = {
        (procedure.name, procedure.rows, check.name, n, d)
        for procedure in PROCEDURES
        for check in procedure.checks
        for n, d in procedure.grid
    }
    assert measured == expected
    assert all(bias["kept"] is not False for bias in record["entropy"])
    assert all(power["kept"] is not False for power in record["power"])
