"""Simulated recordings with known sources: rows in the order of time, as those have them who use ICA on recordings.

Independent sources, each standardised, are mixed by a matrix, white sensor noise is added, and the noisy mixture may
pass one or two bends (a leaky ReLU of slope 0.2 and a rotation), which keep it a bijection. The kinds:

eeg
    Noise in bands of 8–12 Hz (its amplitude modulated), 4–7, 15–30, 9–13 and 30–45 Hz (Butterworth, order 4, zero
    phase), a random walk above 0.5 Hz, mains at 50 Hz and blinks (Hann windows of 0.32 s, one in 2.7 s, nine in 6 000
    rows), whose column of the mixture decreases from the first channel to the last.
ecg
    The hearts of mother and child (beats with waves P, QRS and T, at 1.2 and 2.3 Hz, no two intervals alike),
    breathing, mains, the wander of electrodes, and muscles, noise in bands.
audio
    By turns speech (noise through two formants, in syllables) and music (decaying notes of a scale with overtones).
climate
    Days of some years: the yearly and half-yearly cycle, a trend, an oscillation of some years, and red noise.
returns
    White, of long-tailed or skewed laws, all times one common volatility: neither spectrum nor variance tells them
    apart.

More channels than a kind has sources of its own get noise in further bands, or more series of its last families.

    python -m datasets.recordings eeg eeg.h5 --rows 6000 --channels 8 --rate 250 --bends 0 --seed 0
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfiltfilt

from datasets.mixing import Chain, LeakyRelu, Map, Matrix
from datasets.mixtures import SLOPE, rotation

Array = NDArray[np.float64]
#: Sources by name, drawn for rows, channels and rate: (n, d).
Draw = Callable[[int, int, float, np.random.Generator], dict[str, Array]]

ORDER = 4
#: Hz of the mains, seconds of a blink, and seconds between two.
MAINS, BLINK, BETWEEN_BLINKS = 50.0, 0.32, 24 / 9
#: Singular values of the mixture, and the condition number beyond which one with a given column is drawn again.
SINGULAR_VALUES, LARGEST_CONDITION = (1.0, 4.0), 12.0
#: Of the logarithm of the common volatility of returns: its standard deviation and its coefficient.
VOLATILITY, PERSISTENCE = 0.5, 0.97
MOST_BENDS = 2


@dataclass(frozen=True)
class Recording:
    """Rows of one recording, in the order of time.

    Attributes
    ----------
    kind : str
    X : (n, d) channels
    S : (n, d) sources, of mean 0 and variance 1 over these rows
    sources : what each source is
    rate : rows in a second; of climate, in a year
    mixing : the invertible map from S, with the noise taken through its first matrix, to X
    noise : deviation of the white noise on the linear mixture
    """

    kind: str
    X: Array
    S: Array
    sources: tuple[str, ...]
    rate: float
    mixing: Map
    noise: float


@dataclass(frozen=True)
class Kind:
    """One kind of recording.

    Attributes
    ----------
    sources : its recipe
    rate : where none is given
    noise : deviation of the sensor noise; a source has 1
    frontal : the source whose column of the mixture decreases from the first channel on, if any
    """

    sources: Draw
    rate: float
    noise: float
    frontal: str = ""


def draw(
    kind: str,
    rows: int = 6_000,
    channels: int = 8,
    *,
    rate: float | None = None,
    bends: int = 0,
    seed: int = 0,
) -> Recording:
    """One recording; every kind, number of channels and seed has its own stream of random numbers.

    Parameters
    ----------
    kind : one of `KINDS`
    rows, channels : n, 100 at least, and d, from 2
    rate : rows in a second (in a year, of climate); by default the kind's own
    bends : 0, 1 or 2
    seed : not negative

    Raises
    ------
    ValueError
        Unknown kind; too few rows or channels, a rate too low for a band, or another number of bends.
    """
    if kind not in KINDS:
        raise ValueError(f"no recording is called {kind!r}; there are {', '.join(KINDS)}")
    if rows < 100 or channels < 2 or bends not in range(MOST_BENDS + 1):
        raise ValueError(
            f"a recording has 100 rows, two channels and 0 to {MOST_BENDS} bends, not {rows}, {channels} and {bends}"
        )
    of_kind = KINDS[kind]
    rate = of_kind.rate if rate is None else rate
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), channels])
    named = of_kind.sources(rows, channels, rate, rng)
    names = tuple(named)[:channels]
    S = np.column_stack([_standardised(named[name]) for name in names])
    matrix = _matrix(channels, names.index(of_kind.frontal) if of_kind.frontal in names else None, rng)
    maps: list[Map] = []
    for _ in range(bends):
        maps += [LeakyRelu(SLOPE), Matrix(rotation(channels, rng))]
    noise = of_kind.noise * rng.standard_normal((rows, channels))
    X = Chain(tuple(maps)).forward(S @ matrix.T + noise)
    return Recording(kind, X, S, names, rate, Chain((Matrix(matrix), *maps)), of_kind.noise)


def band_noise(rows: int, low: float, high: float, rate: float, rng: np.random.Generator) -> Array:
    """White noise between two frequencies, (rows,), as it goes on: cut out of a longer series."""
    if not 0 < low < high < rate / 2:
        raise ValueError(f"a band of {low} to {high} Hz cannot be sampled at {rate} Hz")
    margin = int(np.ceil(3 * rate / (high - low)))
    filtered = sosfiltfilt(
        butter(ORDER, (low, high), "bandpass", fs=rate, output="sos"), rng.standard_normal(rows + 2 * margin)
    )
    return np.asarray(filtered[margin : margin + rows])


def eeg(rows: int, channels: int, rate: float, rng: np.random.Generator) -> dict[str, Array]:
    """The sources of an EEG, (rows,) each by name, at least as many as channels."""
    loudness = np.exp(0.7 * _standardised(_slow(rows, 0.5, rate, rng)))
    walk = np.cumsum(rng.standard_normal(rows + int(2 * rate)))
    named = {
        "alpha": band_noise(rows, 8, 12, rate, rng) * loudness,
        "theta": band_noise(rows, 4, 7, rate, rng),
        "beta": band_noise(rows, 15, 30, rate, rng),
        "alpha2": band_noise(rows, 9, 13, rate, rng),
        "gamma": band_noise(rows, 30, 45, rate, rng),
        "drift": sosfiltfilt(butter(ORDER, 0.5, "highpass", fs=rate, output="sos"), walk)[int(rate) :][:rows],
        "mains": _sine(rows, MAINS, rate, rng),
        "blink": _blinks(rows, rate, rng),
    }
    return named | _more_bands(rows, channels - len(named), rate, rng)


def ecg(rows: int, channels: int, rate: float, rng: np.random.Generator) -> dict[str, Array]:
    """The sources of an abdominal ECG, (rows,) each by name, at least as many as channels."""
    named = {
        "mother": _heart(rows, 1.2, 1.0, rate, rng),
        "child": _heart(rows, 2.3, 0.5, rate, rng),
        "breathing": _wandering_sine(rows, 0.25, rate, rng),
        "mains": _sine(rows, MAINS, rate, rng),
        "electrodes": lfilter([1], [1, -0.998], rng.standard_normal(rows + 3_000))[3_000:],
    }
    return named | _more_bands(rows, channels - len(named), rate, rng)


def audio(rows: int, channels: int, rate: float, rng: np.random.Generator) -> dict[str, Array]:
    """Speech and music by turns, (rows,) each by name, as many as channels."""
    named = {}
    for number in range(channels):
        place = number / max(channels - 1, 1)
        if number % 2 == 0:
            formants = rate * np.array([0.05 + 0.07 * place, 0.15 + 0.15 * place])
            syllables = _standardised(_slow(rows, 4.0 + 3.0 * place, rate, rng))
            voice = rng.laplace(size=rows + 200)
            for formant in formants:
                voice = _resonance(voice, formant, 0.97, rate)
            named[f"speech{number}"] = voice[200:] * np.exp(1.2 * syllables)
        else:
            named[f"music{number}"] = _notes(rows, rate * (0.02 + 0.03 * place), rate, rng)
    return named


def climate(rows: int, channels: int, rate: float, rng: np.random.Generator) -> dict[str, Array]:
    """Cycles, a trend and red noise, (rows,) each by name, at least as many as channels; rate in rows a year."""
    years = np.arange(rows) / rate
    named = {
        "season": np.sin(2 * np.pi * (years + rng.uniform())) * np.exp(0.1 * _red(rows, 0.999, rng)),
        "half_year": np.sin(4 * np.pi * (years + rng.uniform())) * np.exp(0.2 * _red(rows, 0.999, rng)),
        "trend": years / max(years[-1], 1e-9) + 0.1 * _red(rows, 0.999, rng),
        "oscillation": _wandering_sine(rows, 0.6, rate, rng),
    }
    reds = max(channels - len(named), 0)
    coefficients = 1 - np.geomspace(0.02, 0.6, reds) if reds else ()
    return named | {f"red{i}": _red(rows, c, rng) for i, c in enumerate(coefficients)}


def returns(rows: int, channels: int, rate: float, rng: np.random.Generator) -> dict[str, Array]:
    """Shocks of long-tailed and skewed laws times one volatility, (rows,) each by name; they know no rate."""
    volatility = np.exp(VOLATILITY * _red(rows, PERSISTENCE, rng))
    laws = (
        ("laplace", lambda: rng.laplace(size=rows)),
        ("skewed", lambda: rng.exponential(size=rows) - 1),
        ("student", lambda: rng.standard_t(5, size=rows)),
    )
    return {f"{laws[i % 3][0]}{i}": laws[i % 3][1]() * volatility for i in range(channels)}


#: What there is.
KINDS = {
    "eeg": Kind(eeg, 250.0, 0.1, frontal="blink"),
    "ecg": Kind(ecg, 250.0, 0.05),
    "audio": Kind(audio, 8_000.0, 0.0),
    "climate": Kind(climate, 365.0, 0.05),
    "returns": Kind(returns, 250.0, 0.0),
}


def _matrix(channels: int, frontal: int | None, rng: np.random.Generator) -> Array:
    while True:
        spread = np.diag(np.geomspace(*SINGULAR_VALUES, channels))
        matrix = rotation(channels, rng) @ spread @ rotation(channels, rng)
        if frontal is not None:
            column = np.exp(-np.arange(channels) / (channels / 3))
            matrix[:, frontal] = np.mean(SINGULAR_VALUES) * column / np.linalg.norm(column)
        if np.linalg.cond(matrix) <= LARGEST_CONDITION:
            return np.asarray(matrix)


def _standardised(series: Array) -> Array:
    return np.asarray((series - series.mean()) / series.std())


def _slow(rows: int, below: float, rate: float, rng: np.random.Generator) -> Array:
    """Noise below a frequency."""
    margin = int(np.ceil(2 * rate / below))
    sos = butter(2, below, "lowpass", fs=rate, output="sos")
    return np.asarray(sosfiltfilt(sos, rng.standard_normal(rows + 2 * margin))[margin : margin + rows])


def _red(rows: int, coefficient: float, rng: np.random.Generator) -> Array:
    """An autoregressive series of order 1 and variance 1 in law."""
    settling = int(np.ceil(10 / (1 - coefficient)))
    steps = np.sqrt(1 - coefficient**2) * rng.standard_normal(rows + settling)
    return np.asarray(lfilter([1], [1, -coefficient], steps)[settling:])


def _sine(rows: int, frequency: float, rate: float, rng: np.random.Generator) -> Array:
    return np.asarray(np.sin(2 * np.pi * (frequency * np.arange(rows) / rate + rng.uniform())))


def _wandering_sine(rows: int, frequency: float, rate: float, rng: np.random.Generator) -> Array:
    """A sine whose frequency and size change slowly, by a tenth or so."""
    pace, size = (_red(rows, 1 - frequency / rate / 3, rng) for _ in range(2))
    phase = np.cumsum(frequency * np.exp(0.15 * pace) / rate) + rng.uniform()
    return np.asarray(np.exp(0.15 * size) * np.sin(2 * np.pi * phase))


def _more_bands(rows: int, count: int, rate: float, rng: np.random.Generator) -> dict[str, Array]:
    """Noise in so many further bands between 2 Hz and 0.4 of the rate, every second one modulated."""
    named = {}
    for i in range(count):
        centre = 2 * (0.2 * rate) ** ((i + 0.5) / count)
        noise = band_noise(rows, 0.8 * centre, 1.2 * centre, rate, rng)
        if i % 2:
            noise = noise * np.exp(0.7 * _standardised(_slow(rows, 0.5, rate, rng)))
        named[f"band{i}"] = noise
    return named


def _blinks(rows: int, rate: float, rng: np.random.Generator) -> Array:
    """Hann windows, each somewhere in its own stretch of the recording, apart from the next."""
    length = max(round(BLINK * rate), 3)
    count = max(1, round(rows / rate / BETWEEN_BLINKS))
    series, window = np.zeros(rows), np.hanning(length + 2)[1:-1]
    for stretch in np.array_split(np.arange(rows), count):
        start = rng.integers(stretch[0], max(stretch[-1] - length, stretch[0]) + 1)
        own = window[: rows - start]
        series[start : start + len(own)] += own
    return series


def _heart(rows: int, beats: float, width: float, rate: float, rng: np.random.Generator) -> Array:
    """Beats a second, with the waves P, QRS and T of widths in proportion, intervals and heights 5 % apart."""
    waves = (
        (-0.2, 0.025, 0.15),
        (-0.03, 0.008, -0.15),
        (0, 0.011, 1.0),
        (0.03, 0.008, -0.25),
        (0.25, 0.05, 0.3),
    )
    seconds = np.arange(rows) / rate
    series, beat = np.zeros(rows), -rng.uniform() / beats
    while beat < seconds[-1] + 1:
        height = 1 + 0.05 * rng.standard_normal()
        for delay, spread, level in waves:
            series += (
                height * level * np.exp(-0.5 * ((seconds - beat - width * delay) / (width * spread)) ** 2)
            )
        beat += (1 + 0.05 * rng.standard_normal()) / beats
    return series


def _resonance(series: Array, frequency: float, radius: float, rate: float) -> Array:
    return np.asarray(
        lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * frequency / rate), radius**2], series)
    )


def _notes(rows: int, tonic: float, rate: float, rng: np.random.Generator) -> Array:
    """Decaying notes of a scale of twelve steps, some seven a second, each of noise around three harmonics."""
    series, start = np.zeros(rows), 0
    while start < rows:
        length = int(rate * rng.uniform(0.08, 0.25)) + 1
        own = min(length, rows - start)
        pitch = tonic * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
        fade = np.exp(-3 * np.arange(own) / length) * rng.uniform(0.5, 1.5)
        for harmonic in (1, 2, 3):
            tone = _resonance(rng.standard_normal(own + 500), harmonic * pitch, 0.995, rate)[500:]
            series[start : start + own] += fade * tone / tone.std() / harmonic
        start += length
    return series


def write(
    path: str | Path,
    kind: str,
    *,
    rows: int = 6_000,
    channels: int = 8,
    rate: float | None = None,
    bends: int = 0,
    seed: int = 0,
) -> None:
    """Write one recording to HDF5: `X` (rows, d) and `S` (rows, d), with the names of the sources and the rate."""
    recording = draw(kind, rows, channels, rate=rate, bends=bends, seed=seed)
    with h5py.File(path, "w") as file:
        file.attrs["recipe"] = (
            f"datasets.recordings {kind} --rows {rows} --channels {channels} --rate {recording.rate:g} "
            f"--bends {bends} --seed {seed}"
        )
        file.attrs["sources"], file.attrs["rate"] = list(recording.sources), recording.rate
        file["X"], file["S"] = recording.X, recording.S


def main(arguments: list[str] | None = None) -> None:
    """Command line: KIND OUT.h5 [--rows N] [--channels D] [--rate HZ] [--bends B] [--seed S]."""
    parser = argparse.ArgumentParser(description="Write a simulated recording of known sources to HDF5.")
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("out", metavar="OUT.h5")
    parser.add_argument("--rows", type=int, default=6_000, help="(default: %(default)s)")
    parser.add_argument("--channels", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--rate", type=float, help="rows in a second (default: the kind's own)")
    parser.add_argument("--bends", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        write(
            options.out,
            options.kind,
            rows=options.rows,
            channels=options.channels,
            rate=options.rate,
            bends=options.bends,
            seed=options.seed,
        )
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
