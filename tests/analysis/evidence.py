"""Evidence made to measure, for tests of the verdict and of alerts."""

from __future__ import annotations

import numpy as np

from latentflow.analysis.gaussianity.marginal import gaussianity
from latentflow.analysis.measures import Ledger, LedgerEntry, PairwiseDependence
from latentflow.analysis.results import FastICASummary, Rows
from latentflow.analysis.verdict import Evidence
from latentflow.statistics.interval import Interval

D = 5


def span(estimate: float, half: float) -> Interval:
    return Interval(estimate, estimate - half, estimate + half)


def pairwise(tree: Interval, p_adjusted: float, max_nats: float) -> PairwiseDependence:
    zeros = np.zeros((D, D))
    return PairwiseDependence(
        name="latents",
        label="Latents",
        columns=tuple(f"latent{i:02d}" for i in range(D)),
        nats=zeros,
        statistic=zeros,
        p_value=np.ones((D, D)),
        max_nats=max_nats,
        max_pair=(1, 3),
        max_p_adjusted=p_adjusted,
        mean_nats=0.0,
        tree=tree,
        n_rows=2000,
        null="simulated",
    )


def evidence(
    *,
    gap: Interval,
    removed: Interval | None = None,
    tree: Interval | None = None,
    p_adjusted: float = 0.5,
    max_nats: float = 0.002,
) -> Evidence:
    np.random.default_rng(0).standard_normal((500, D))
    removed = removed or span(2.0, 0.05)
    ica = span(removed.estimate - gap.estimate, 0.05)
    entries = tuple(
        LedgerEntry(name, name, taken, 5.0, 0.0, 5.0)
        for name, taken in (("raw", span(0.0, 0.0)), ("fastica", ica), ("latents", removed))
    )
    return Evidence(
        ledger=Ledger(entries, {"latents-fastica": gap}, "raw", 2000, 1000, None),
        pairwise={"latents": pairwise(tree or span(0.0, 0.01), p_adjusted, max_nats)},
        gaussianity=gaussianity(
            np.random.default_rng(0).standard_normal((500, D)), [str(i) for i in range(D)]
        ),
        fastica=FastICASummary(
            True, 12, "Converged within 200 iterations.", 0.7, tuple(range(D)), (0.7,) * D
        ),
        rows=Rows("held out", "random", 2000, 10_000, 8000, "training rows", 0.01, False, None, 2000.0),
        log_prob_gain=span(1.0, 0.1),
        overfit=span(0.02, 0.05),
        tied_columns=0.0,
        history={"validation_loss": [1.0] * 20},
    )
