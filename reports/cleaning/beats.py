"""Where the two hearts beat, told from the channels alone, and how much of each is in a cleaned recording.

No separation method has a say in the reference. The mother's beats are the peaks of the thoracic channels, where the
foetus is not seen. The foetal ones are the peaks that stand out in the first abdominal channel once the mother's
average beat has been subtracted there at each of her beats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, find_peaks, sosfiltfilt

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: The band of a ventricular beat, Hz: baseline, breathing and most of the muscle noise are outside.
BAND = (10.0, 45.0)
ABDOMINAL, THORACIC = slice(0, 5), slice(5, 8)
#: Half-widths, in seconds, of a mother's and a foetal beat, and of the template that is subtracted.
MATERNAL, FOETAL, TEMPLATE = 0.06, 0.03, 0.12
#: Fewest seconds between two beats.
MATERNAL_GAP, FOETAL_GAP = 0.45, 0.30
#: Beats a foetal (110 to 170 a minute) and an adult heart (60 to 105) may take, seconds from one to the next.
FOETAL_PERIOD, MATERNAL_PERIOD = (0.35, 0.545), (0.57, 1.0)


@dataclass(frozen=True)
class Beats:
    """Positions of the beats (rows), and which rows are a foetal beat, a mother's, or neither; each of shape (n,)."""

    maternal: NDArray[np.intp]
    foetal: NDArray[np.intp]
    in_maternal: Flags
    in_foetal: Flags
    between: Flags


def band(X: Floats, rate: float) -> Floats:
    """Rows in the band of a ventricular beat, without phase shift; shape (n, ...)."""
    filtered: Floats = sosfiltfilt(butter(3, BAND, "bandpass", fs=rate, output="sos"), X, axis=0)
    return filtered


def find_beats(X: Floats, rate: float) -> Beats:
    """The beats of a recording, shape (n, 8), in the user's units."""
    fast = band(X, rate)
    maternal = maternal_beats(X, rate)
    residue = np.abs(_without_average(fast[:, 0], maternal, round(TEMPLATE * rate)))
    foetal, _ = find_peaks(residue, distance=round(FOETAL_GAP * rate), height=5 * np.median(residue))
    near_maternal, near_foetal = (
        _near(peaks, half, rate, len(X)) for peaks, half in ((maternal, MATERNAL), (foetal, FOETAL))
    )
    return Beats(
        maternal,
        foetal,
        near_maternal & ~near_foetal,
        near_foetal & ~near_maternal,
        ~_near(maternal, 2 * MATERNAL, rate, len(X)) & ~_near(foetal, 2 * FOETAL, rate, len(X)),
    )


def maternal_beats(X: Floats, rate: float) -> NDArray[np.intp]:
    """Peaks of the leading direction of the thoracic channels."""
    thorax = band(X[:, THORACIC], rate)
    lead = np.abs(np.linalg.svd(thorax - thorax.mean(0), full_matrices=False)[0][:, 0])
    return find_peaks(lead, distance=round(MATERNAL_GAP * rate), height=0.4 * np.quantile(lead, 0.995))[0]


def _without_average(signal: Floats, beats: NDArray[np.intp], half: int) -> Floats:
    """A signal less the average beat, scaled to fit at each beat."""
    inside = beats[(beats >= half) & (beats < len(signal) - half)]
    template = np.mean([signal[b - half : b + half + 1] for b in inside], axis=0)
    residue = signal.copy()
    for b in beats:
        start, stop = max(0, b - half), min(len(signal), b + half + 1)
        part = template[start - b + half : stop - b + half]
        residue[start:stop] -= (signal[start:stop] @ part) / (part @ part) * part
    return residue


def _near(peaks: NDArray[np.intp], half: float, rate: float, n: int) -> Flags:
    distance = np.abs(np.arange(n)[:, None] - peaks[None, :]).min(axis=1)
    return np.asarray(distance <= half * rate)


def period(signal: Floats, rate: float) -> tuple[float, float]:
    """Period of a pulse train in seconds, and the autocorrelation of its energy there.

    The energy in the band, smoothed over a beat, repeats at the period and at its multiples; the shortest lag
    that comes within four fifths of the highest peak is the period.
    """
    energy = band(signal, rate) ** 2
    width = round(2 * FOETAL * rate)
    smooth = np.sqrt(np.convolve(energy, np.hanning(width + 2)[1:-1], mode="same"))
    centred = smooth - smooth.mean()
    lags = np.arange(round(FOETAL_PERIOD[0] * rate), round(MATERNAL_PERIOD[1] * rate) + 1)
    alike = np.array([centred[:-lag] @ centred[lag:] for lag in lags]) / (centred @ centred)
    peaks, _ = find_peaks(alike, height=0.8 * alike.max())
    if len(peaks) == 0:
        return float("nan"), 0.0
    return float(lags[peaks[0]] / rate), float(alike[peaks[0]])


def locked_share(signal: Floats, beats: NDArray[np.intp], rate: float) -> float:
    """Share of a signal's energy, in the band and near the beats or not, that their average explains."""
    fast = band(signal, rate)
    return 1.0 - float((_without_average(fast, beats, round(TEMPLATE * rate)) ** 2).sum() / (fast**2).sum())


def beat_figures(before: Floats, cleaned: Floats, beats: Beats, rows: Flags, rate: float) -> dict[str, float]:
    """How much of each heart is left in the abdominal channels, over the rows asked for.

    Parameters
    ----------
    before, cleaned : ndarray, shape (n, 8)
        All rows, in time order.
    beats : Beats
    rows : ndarray of bool, shape (n,)
        Where to measure.

    Returns
    -------
    dict
        ``foetal_to_background`` and ``maternal_to_background``: root mean square in the rows of the beats over that
        between beats, mean over channels; 1 says that no beat is to be seen. ``foetal_left`` and ``maternal_left``:
        root mean square in the rows of the beats over that before cleaning; ``foetal_shape``: correlation with the
        rows before cleaning, in the rows of foetal beats.
    """
    was, now = (band(X[:, ABDOMINAL], rate) for X in (before, cleaned))

    def level(X: Floats, where: Flags) -> Floats:
        values: Floats = np.sqrt((X[where & rows] ** 2).mean(axis=0))
        return values

    foetal = beats.in_foetal & rows
    shape = [np.corrcoef(a, b)[0, 1] for a, b in zip(was[foetal].T, now[foetal].T, strict=True)]
    figures = {
        "foetal_to_background": level(now, beats.in_foetal) / level(now, beats.between),
        "maternal_to_background": level(now, beats.in_maternal) / level(now, beats.between),
        "foetal_left": level(now, beats.in_foetal) / level(was, beats.in_foetal),
        "maternal_left": level(now, beats.in_maternal) / level(was, beats.in_maternal),
        "foetal_shape": np.array(shape),
    }
    return {name: float(np.mean(values)) for name, values in figures.items()}
