"""What the independence analysis costs: seconds and memory by stage, and screening against distance correlation.

    python reports/analysis-cost/run.py [--rows 50000] [--columns 64]

A linear mixture of Laplace, uniform and exponential sources stands for the data, its own sources made normal for
the latents, so that encoding costs nothing. Writes results.json and results.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dcor
import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from latentflow import __version__
from latentflow.analysis.baselines.fitted import fit_fastica, pca_whitening
from latentflow.analysis.dependence.classifier import joint_dependence
from latentflow.analysis.dependence.confirmation import confirm_pairs
from latentflow.analysis.dependence.magnitudes import magnitudes
from latentflow.analysis.dependence.pairwise import pairwise_dependence
from latentflow.analysis.gaussianity.joint import joint_gaussianity
from latentflow.analysis.gaussianity.marginal import gaussianity
from latentflow.analysis.gaussianity.mismatch import terminal_mismatch
from latentflow.analysis.ledger.densities import Baseline, baseline_densities
from latentflow.analysis.ledger.ledger import Representation, ledger

HERE = Path(__file__).parent
#: Pairs on which dcor is timed; all pairs cost as much each.
DCOR_PAIRS = 12


def data(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """A mixture (n, d) and its sources made normal (n, d)."""
    rng = np.random.default_rng(0)
    kinds = [rng.laplace, rng.uniform, rng.exponential]
    sources = np.stack([kinds[i % 3](size=n) for i in range(d)], axis=1)
    mixed = sources @ rng.normal(size=(d, d))
    return mixed, np.asarray(ndtri((rankdata(sources, axis=0) - 0.5) / n))


def stages(n: int, d: int) -> dict[str, float]:
    """Seconds of each stage of a report on n held-out rows, as many training rows, d columns."""
    X, z = data(2 * n, d)
    train, held = X[:n], X[n:]
    z = z[n:]
    rng = np.random.default_rng(0)
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        found = work()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
        return found

    whitening = timed("PCA whitening", lambda: pca_whitening(train))
    ica = timed("FastICA", lambda: fit_fastica(train, 0))
    reps = [
        Representation("raw", "Raw columns", held, 0.0),
        Representation("pca", "PCA whitening", *whitening.transform(held)),
        Representation("fastica", "FastICA", *ica.transform(held)),
        Representation("latents", "Latents", z, 0.0),
    ]
    timed("ledger with intervals", lambda: ledger(reps, rng=rng))
    pairwise = {
        rep.name: timed(
            "screening of all pairs, four times", lambda rep=rep: pairwise_dependence(rep.values, rep.name)
        )
        for rep in reps
    }
    baselines = [
        Baseline("raw", "raw"),
        Baseline("pca", "pca", whitening),
        Baseline("fastica", "FastICA", ica),
    ]
    timed("densities of the baselines", lambda: baseline_densities(baselines, train, held, np.zeros(n), rng))
    for rep in (reps[0], reps[2], reps[3]):
        timed("strongest pairs again", lambda rep=rep: confirm_pairs(rep.values, pairwise[rep.name], rng))
        timed("classifier", lambda rep=rep: joint_dependence(rep.values, rep.name, rep.label, rng))
        timed(
            "magnitudes",
            lambda rep=rep: magnitudes(rep.values, rep.name, label=rep.label, columns=rep.columns),
        )
    timed("Gaussianity of each latent", lambda: gaussianity(z, [str(i) for i in range(d)]))
    timed("joint Gaussianity", lambda: joint_gaussianity(z, rng))
    timed("terminal mismatch", lambda: terminal_mismatch(whitening.transform(held)[0], 15.0))
    return seconds


def screening_against_dcor(n: int, d: int) -> dict[str, float]:
    """Seconds of screening all pairs, and of distance correlation of all pairs by dcor, from a sample of pairs."""
    _, z = data(n, d)
    pairwise_dependence(z[:, :4], "warm")
    started = time.perf_counter()
    pairwise_dependence(z, "latents")
    screening = time.perf_counter() - started
    dcor.u_distance_correlation_sqr(z[:100, 0], z[:100, 1], method="mergesort")  # compiled at first use
    started = time.perf_counter()
    for k in range(DCOR_PAIRS):
        dcor.u_distance_correlation_sqr(z[:, k % d], z[:, (k + 1) % d], method="mergesort")
    pairs = d * (d - 1) // 2
    all_pairs = (time.perf_counter() - started) / DCOR_PAIRS * pairs
    return {
        "screening_s": screening,
        "dcor_all_pairs_s": all_pairs,
        "ratio": all_pairs / screening,
        "pairs": pairs,
    }


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--columns", type=int, default=64)
    options = parser.parse_args()
    found = stages(options.rows, options.columns)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    screening = screening_against_dcor(options.rows, options.columns)
    machine = {"version": __version__, "python": platform.python_version(), "cores": os.cpu_count()}
    result = {
        "machine": machine,
        "rows": options.rows,
        "columns": options.columns,
        "seconds": found,
        "total_s": sum(found.values()),
        "peak_gib": peak,
        "screening": screening,
    }
    (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    lines = [
        f"latentflow {__version__}, {os.cpu_count()} cores: {options.rows} evaluated rows, {options.columns} columns.",
        "",
        "| stage | seconds |",
        "|---|---|",
        *(f"| {name} | {value:.1f} |" for name, value in found.items()),
        f"| **all** | **{result['total_s']:.1f}** |",
        "",
        f"Peak memory {peak:.2f} GiB. Screening all {screening['pairs']:.0f} pairs took "
        f"{screening['screening_s']:.2f} s; "
        f"distance correlation of all of them by dcor would take {screening['dcor_all_pairs_s']:.0f} s "
        f"(timed on {DCOR_PAIRS} pairs): {screening['ratio']:.0f} times as long.",
        "",
    ]
    (HERE / "results.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
