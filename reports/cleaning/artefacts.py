"""Where an EEG has artefacts, told from its channels alone, and what cleaning does there and elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from recordings import FRONTAL

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: A blink lifts both frontal channels by this many robust standard deviations above their median.
BLINK = 5.0
#: Rows nearer than this many seconds to an artefact are neither artefact nor clean.
MARGIN = 0.5
#: A channel's running median over this many seconds is its drift, which no blink is.
DRIFT = 4.0


def blink_rows(X: Floats, columns: tuple[str, ...], rate: float) -> Flags:
    """Rows in which both frontal channels are far above their drift, shape (n,)."""
    frontal = X[:, [columns.index(name) for name in FRONTAL]]
    level = without_drift(frontal, rate)
    spread = (np.quantile(level, 0.75, axis=0) - np.quantile(level, 0.25, axis=0)) / 1.349
    return np.asarray((level > BLINK * spread).all(axis=1))


def without_drift(X: Floats, rate: float) -> Floats:
    """Rows less the running median of each channel, taken on every eighth row; shape (n, D)."""
    every, half = 8, round(DRIFT * rate / 2)
    at = np.arange(0, len(X), every)
    medians = np.array([np.median(X[max(0, i - half) : i + half + 1], axis=0) for i in at])
    drift = np.column_stack([np.interp(np.arange(len(X)), at, column) for column in medians.T])
    return X - drift


def clean_rows(artefact: Flags, rate: float) -> Flags:
    """Rows with no artefact near them, shape (n,)."""
    width = 2 * round(MARGIN * rate) + 1
    return np.convolve(artefact.astype(float), np.ones(width), mode="same") < 0.5


def artefact_figures(before: Floats, cleaned: Floats, artefact: Flags, clean: Flags) -> dict[str, float]:
    """What cleaning took from the rows with artefacts, and what it did to those without.

    Parameters
    ----------
    before, cleaned : ndarray, shape (m, D)
    artefact, clean : ndarray of bool, shape (m,)

    Returns
    -------
    dict
        ``energy_left``: sum of squares about the median of the clean rows, in their standard deviations, over all
        channels and artefact rows, relative to that before; ``peak_left``: the largest such deviation, in standard
        deviations; ``clean_change``: root mean square change of the clean rows in standard deviations;
        ``clean_correlation``: correlation of cleaned with original clean rows, mean over channels.
    """
    centre, spread = np.median(before[clean], axis=0), before[clean].std(axis=0)
    was, now = ((X - centre) / spread for X in (before, cleaned))
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(was[clean].T, now[clean].T, strict=True) if b.std() > 0]
    return {
        "energy_left": float((now[artefact] ** 2).sum() / (was[artefact] ** 2).sum()),
        "peak_before": float(np.abs(was[artefact]).max()),
        "peak_left": float(np.abs(now[artefact]).max()),
        "clean_change": float(np.sqrt(((now - was)[clean] ** 2).mean())),
        "clean_correlation": float(np.mean(alike)) if alike else 0.0,
    }
