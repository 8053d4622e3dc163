"""Before and after, drawn; computes nothing but what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from beats import Beats
from cleaners import FASTICA, LATENTS, TOLD, Cleaner
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from recordings import Recording

GREY, INK = "#9a9a9a", "#1b1b1b"
COLOURS = {LATENTS: "#0b6e99", TOLD: "#b5396b", FASTICA: "#e08a4f"}
WIDTHS = {LATENTS: 0.8, TOLD: 0.8, FASTICA: 1.9}
MOTHER, FOETUS = "#8c2d8c", "#2a7f3b"
#: Seconds shown, and the channels of the EEG: at the eyes, and far from them.
ECG_SECONDS, EEG_SECONDS, CHANNELS = 5.0, 12.0, ("AF3", "F8", "P7", "O1")


def ecg_figure(
    X: np.ndarray, drawn: dict[tuple[str, str], np.ndarray], beats: Beats, held: np.ndarray, rate: float
) -> Figure:
    """The first abdominal channel as recorded and as each way of cleaning leaves it."""
    figure = Figure(figsize=(11, 1.9 * (1 + len(drawn))), layout="constrained")
    axes = figure.subplots(1 + len(drawn), 1, sharex=True)
    window = slice(0, round(ECG_SECONDS * rate))
    seconds = np.arange(len(X))[window] / rate
    axes[0].plot(seconds, X[window, 0], color=INK, lw=1.0)
    axes[0].set_title("As recorded, first abdominal channel", loc="left", fontsize=10)
    for axis, ((method, task), cleaned) in zip(axes[1:], drawn.items(), strict=True):
        axis.plot(seconds, cleaned[window, 0], color=COLOURS[method], lw=1.0)
        axis.set_title(f"{method[0].upper()}{method[1:]}, {task}", loc="left", fontsize=10)
    span = float(np.ptp(X[window, 0]))
    for axis in axes:
        middle = float(np.mean(axis.get_ylim()))
        axis.set_ylim(middle - 0.55 * span, middle + 0.55 * span)
        for positions, colour in ((beats.maternal, MOTHER), (beats.foetal, FOETUS)):
            for position in positions[positions < window.stop]:
                axis.axvline(position / rate, ymin=0.0, ymax=0.06, color=colour, lw=2)
        _shade(axis, held[window], rate)
        _bare(axis)
    axes[-1].set_xlabel(
        "seconds; ticks at the foot: the mother's beats (violet), the foetal ones (green); shaded: held-out rows"
    )
    figure.supylabel("same scale in every panel, units of the recording", fontsize=9)
    return figure


def artefact_figure(
    recording: Recording,
    artefact: np.ndarray,
    stops: dict[str, tuple[Cleaner, list[int]]],
    fits: dict[str, Any],
) -> Figure:
    """Twelve seconds round the artefacts before and after, and what each further component removed gains and costs."""
    X, columns, rate = recording.table.read(), recording.table.columns, recording.rate
    window = _busiest(artefact, round(EEG_SECONDS * rate))
    seconds = np.arange(window.stop - window.start) / rate
    figure = Figure(figsize=(11, 10), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[3.2, 2.2])
    traces = grid[0].subgridspec(len(CHANNELS), 1).subplots(sharex=True)
    cleaned = {name: cleaner.clean(X[window], removed) for name, (cleaner, removed) in stops.items()}
    for axis, name in zip(traces, CHANNELS, strict=True):
        channel = columns.index(name)
        centre = float(np.median(X[window, channel]))
        axis.plot(seconds, X[window, channel] - centre, color=GREY, lw=1.0, label="as recorded")
        # FastICA below and broader, so that both are seen where they agree
        for method, rows in reversed(cleaned.items()):
            label = f"{method}, {len(stops[method][1])} removed"
            axis.plot(
                seconds, rows[:, channel] - centre, color=COLOURS[method], lw=WIDTHS[method], label=label
            )
        # the scale is that of the ongoing signal, or of the artefacts where they are no more than ten times that
        low, high = np.quantile(X[window, channel] - centre, [0.02, 0.98])
        reach = float(np.ptp(X[window, channel]))
        if reach < 10 * (high - low):
            low, high = (
                float(v) for v in (np.min(X[window, channel]), np.max(X[window, channel])) - np.array(centre)
            )
        pad = 0.35 * (high - low)
        axis.set_ylim(low - pad, high + pad)
        axis.set_ylabel(f"{name}\nµV", rotation=0, ha="right", va="center")
        axis.yaxis.set_label_coords(-0.05, 0.5)
        _bare(axis)
    traces[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False, fontsize=9)
    traces[-1].set_xlabel("seconds")
    places = [(split, rows) for split, fit in fits.items() for rows in fit["runs"][0]["sweep"][0]]
    for axis, (split, rows) in zip(
        grid[1].subgridspec(1, len(places)).subplots(squeeze=False)[0], places, strict=True
    ):
        _trade(axis, fits[split]["runs"], rows)
        fitted = "blocks held out" if split == "held out" else "fitted to all rows"
        axis.set_title(f"{fitted}; {rows}", loc="left", fontsize=10)
    return figure


def _trade(axis: Axes, runs: list[dict[str, Any]], rows: str) -> None:
    """Energy left of the artefacts over the change of clean rows, as more components go."""
    told = set()
    for run in runs:
        method = run["method"]
        x, y = ([step[rows][key] for step in run["sweep"]] for key in ("clean_change", "energy_left"))
        label = None if method in told else method
        told.add(method)
        axis.plot(x, y, "o-", color=COLOURS[method], lw=1.2, ms=3.5, alpha=0.8, label=label)
        stop = min(run["stop"], len(x))
        if stop:
            axis.plot(x[stop - 1], y[stop - 1], "o", ms=10, mfc="none", mec=COLOURS[method], mew=1.6)
    axis.axhline(1.0, color=GREY, lw=0.8, ls=":")
    axis.set_yscale("log")
    axis.set_xlabel("change of the clean rows, sd")
    axis.set_ylabel("energy left of the artefacts")
    axis.legend(frameon=False, fontsize=9, title="ring: where the rule stops", title_fontsize=8)
    _bare(axis)


def _busiest(artefact: np.ndarray, length: int) -> slice:
    """The window with the most artefact rows in it, the first of those with as many, centred on them."""
    total = np.concatenate([[0], np.cumsum(artefact)])
    inside = total[length:] - total[:-length]
    start = int(np.argmax(inside))
    rows = np.flatnonzero(artefact[start : start + length])
    start = int(np.clip(start + (rows[0] + rows[-1] - length) // 2, 0, len(artefact) - length))
    return slice(start, start + length)


def _shade(axis: Axes, flags: np.ndarray, rate: float) -> None:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        axis.axvspan(start / rate, stop / rate, color="#eeeade", lw=0, zorder=-1)


def _bare(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.01)
