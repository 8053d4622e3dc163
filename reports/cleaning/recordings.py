"""The recordings of this report, and which rows a fit may learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentflow.data.splits import TRAIN, VALIDATION, Split
from latentflow.data.tables import Table, as_table, open_table

ECG_RATE, EEG_RATE = 250.0, 128.0
#: Readings this many microvolts from the median of their channel are no brain's: the spikes of the EEG recording.
SPIKE = 1_000.0
FRONTAL = ("AF3", "AF4")


@dataclass(frozen=True)
class Recording:
    """A table whose rows are in time order, at a rate in Hz."""

    table: Table
    rate: float


def foetal_ecg(folder: Path) -> Recording:
    """Five abdominal and three thoracic channels, without the time column."""
    table = open_table(folder / "foetal_ecg.dat")
    return Recording(open_table(folder / "foetal_ecg.dat", columns=table.columns[1:]), ECG_RATE)


def eeg(folder: Path, *, cut: bool) -> Recording:
    """Fourteen channels; with ``cut`` without the four rows that hold spikes."""
    table = open_table(folder / "eeg_eye_state.csv", drop_columns=["Eye_detection"])
    if not cut:
        return Recording(table, EEG_RATE)
    rows = table.read()
    return Recording(as_table(rows[~spike_rows(rows)], table.columns), EEG_RATE)


def spike_rows(X: np.ndarray) -> np.ndarray:
    """Rows with a reading that no brain makes, shape (n,) bool."""
    return np.asarray((np.abs(X - np.median(X, axis=0)) > SPIKE).any(axis=1))


def everything(n: int) -> Split:
    """All rows to learn from, of which every twentieth validates: what is cleaned is what was fitted."""
    role = np.full(n, TRAIN, dtype=np.uint8)
    role[::20] = VALIDATION
    return Split(role, "random", 0.0, 0, 0)
