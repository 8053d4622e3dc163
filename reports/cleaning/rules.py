"""Which components to take out, by rules that see the recording and no truth; the same for every cleaner."""

from __future__ import annotations

import numpy as np
from artefacts import without_drift
from beats import FOETAL_PERIOD, locked_share, maternal_beats, period
from numpy.typing import NDArray
from recordings import FRONTAL
from scipy.stats import kurtosis

Floats = NDArray[np.float64]

#: Excess kurtosis beyond which a component is a spike: a blink has 10 to 20, a single row of n up to n.
KURTOSIS = 100.0
#: Correlation with the frontal channels beyond which a component is the eyes'.
OCULAR = 0.5
#: Share of a component's energy that the average over the mother's beats explains, beyond which it is hers.
LOCKED = 0.20
#: Autocorrelation of its energy at a foetal period beyond which a component is the foetal heart's.
PERIODIC = 0.30


def spikes(sources: Floats) -> tuple[list[int], int]:
    """Components in falling order of their excess kurtosis, and how many of them are beyond the threshold."""
    values = kurtosis(sources, axis=0)
    return np.argsort(-values, kind="stable").tolist(), int((values > KURTOSIS).sum())


def blinks(sources: Floats, X: Floats, columns: tuple[str, ...], rate: float) -> tuple[list[int], int]:
    """Components in falling order of how much they go with the eyes, and how many of them are the eyes' own.

    The measure is the correlation with the mean of the two frontal channels, all without their drift. EEG tools do the
    same with a channel at the eye, which this recording lacks.
    """
    frontal = without_drift(X[:, [columns.index(name) for name in FRONTAL]], rate).mean(axis=1)
    alike = np.array([abs(np.corrcoef(frontal, s)[0, 1]) for s in without_drift(sources, rate).T])
    return np.argsort(-alike, kind="stable").tolist(), int((alike > OCULAR).sum())


def hearts(sources: Floats, X: Floats, rate: float) -> dict[str, list[int]]:
    """The mother's and the foetal components of an ECG.

    Parameters
    ----------
    sources : ndarray, shape (n, k)
    X : ndarray, shape (n, 8)
        The recording, whose thoracic channels give the mother's beats.

    Returns
    -------
    dict
        ``maternal``: components locked to the mother's beats. ``foetal``: those not locked to them whose energy
        repeats at the rate of a foetal heart.
    """
    beats = maternal_beats(X, rate)
    maternal = [i for i, s in enumerate(sources.T) if locked_share(s, beats, rate) > LOCKED]
    foetal = []
    for i, s in enumerate(sources.T):
        length, strength = period(s, rate)
        if i not in maternal and FOETAL_PERIOD[0] <= length <= FOETAL_PERIOD[1] and strength > PERIODIC:
            foetal.append(i)
    return {"maternal": maternal, "foetal": foetal}
