"""The headline figures in a few plain lines, for a terminal."""

from __future__ import annotations

from latentflow.analysis.axes.account import OrientationAccount
from latentflow.analysis.results import IndependenceResult, Interval, PairwiseDependence
from latentflow.report import numbers, selection
from latentflow.report.drawing import printable

_ASCII = str.maketrans({numbers.MINUS: "-", numbers.MISSING: "-", "\u202f": " ", "\u00a0": " ", "σ": "sigma"})


def summary_lines(result: IndependenceResult) -> list[str]:
    """The verdict and the headline figures, one line each, in characters that any terminal can print.

    Parameters
    ----------
    result : IndependenceResult

    Returns
    -------
    list of str
        About eight lines without line breaks or colours, the verdict first, then what to know before the axes are
        read, and the alerts last.
    """
    trip = result.round_trip
    lines = [
        result.verdict.headline,
        *result.verdict.notices,
        f"rows                 {selection.rows_in_words(result)} of {numbers.count(result.rows.n_table)}, "
        f"{numbers.many(len(result.latent_names), 'latent')}",
        f"dependence removed   latents {_nats(_removed(result, 'latents'))}, "
        f"FastICA {_nats(_removed(result, 'fastica'))} (total correlation)",
    ]
    if "latents-fastica" in result.ledger.differences:
        lines.append(f"latents - FastICA    {_nats(result.ledger.differences['latents-fastica'])}")
    name = "held-out -log p" if result.rows.which == "held out" else "-log p"
    lines += [
        f"{name:<20} {_nats(result.neg_log_prob)}, Gaussian {_nats(result.neg_log_prob_gaussian)}",
        "strongest pair       "
        + ", ".join(f"{pairs.label} {numbers.nats(pairs.max_nats)}" for pairs in _headline_pairs(result))
        + " nats",
        f"round trip           at most {_power(trip.data_max)} column standard deviations, "
        f"{numbers.percent(trip.exact_rows)} of rows bit by bit",
    ]
    if result.orientation is not None:
        lines.append(f"axes                 {_axes(result.orientation)}")
    if result.alerts:
        lines.append(f"alerts               {len(result.alerts)}, see the report: {result.alerts[0]}")
    return [printable(line).translate(_ASCII).rstrip() for line in lines]


def _headline_pairs(result: IndependenceResult) -> list[PairwiseDependence]:
    return [result.pairwise[name] for name in ("raw", "fastica", "latents") if name in result.pairwise]


def _axes(account: OrientationAccount) -> str:
    """The method, how many planes it leaves open, and the agreement with FastICA."""
    if len(account.latents) == 1:
        return "a single latent: none to choose"
    if account.method == "none":
        return "arbitrary: no orientation was chosen"
    asked = "" if account.asked == account.method else f" (asked for {account.asked})"
    open_planes = (
        numbers.many(len(account.undetermined), "undetermined plane")
        if account.converged
        else "did not converge"
    )
    agreement = "no evidence" if account.agreement is None else numbers.fixed(account.agreement, 2)
    return f"{account.method}{asked}, {open_planes}, agreement with FastICA {agreement}"


def _removed(result: IndependenceResult, name: str) -> Interval | None:
    return next((entry.removed for entry in result.ledger.entries if entry.name == name), None)


def _nats(interval: Interval | None) -> str:
    return f"{numbers.estimate(interval)} nats {numbers.bounds(interval)}".strip()


def _power(value: float) -> str:
    return f"{value:.1e}"
