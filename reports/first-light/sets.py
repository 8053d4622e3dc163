"""The tables of this report: real files, sets bundled with scikit-learn, and the synthetic suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

from latentflow.data.splits import HELD_OUT, TRAIN, VALIDATION, Split
from latentflow.data.tables import Table, as_table, open_table

SUITE = ("lin5", "nl5", "nl10", "rings")
#: Readings beyond this many microvolts are the spikes of the EEG recording.
SPIKE = 10_000.0


@dataclass(frozen=True)
class Case:
    """A table, how its rows are split, and the true log-density of its rows where it is known (nats, user's units)."""

    table: Table
    split: str | Split = "auto"
    true_log_prob: np.ndarray | None = None


def halves(n: int) -> Split:
    """First half to learn from (a twentieth of it, evenly spaced, validates), second half held out."""
    role = np.full(n, TRAIN, dtype=np.uint8)
    role[: n // 2 : 20] = VALIDATION
    role[n // 2 :] = HELD_OUT
    return Split(role, "random", 0.0, 0, 0)


def suite(folder: Path, name: str) -> Case:
    """A group of suite.h5."""
    with h5py.File(folder / "suite.h5") as file:
        rows = file[name]["X"][:]
        truth = file[name]["log_p"][:] if "log_p" in file[name] else None
    return Case(as_table(rows, [f"x{i}" for i in range(rows.shape[1])]), halves(len(rows)), truth)


def eeg(folder: Path, *, cut: bool, split: str = "auto") -> Case:
    """The fourteen channels; with ``cut`` without the rows that hold spikes."""
    table = open_table(folder / "eeg_eye_state.csv", drop_columns=["Eye_detection"])
    if not cut:
        return Case(table, split)
    rows = table.read()
    return Case(as_table(rows[(np.abs(rows) < SPIKE).all(axis=1)], table.columns), split)


def foetal_ecg(folder: Path) -> Case:
    """The eight channels, without the time column."""
    table = open_table(folder / "foetal_ecg.dat")
    return Case(open_table(folder / "foetal_ecg.dat", columns=table.columns[1:]))


def breast_cancer(*, logs: bool) -> Case:
    """Thirty columns as they are, or the logarithms of the 27 that are never zero, half to train."""
    data = load_breast_cancer(as_frame=True).data
    if not logs:
        return Case(as_table(data))
    positive = np.log(data.loc[:, (data > 0).all()])
    order = np.random.default_rng(0).permutation(len(positive))
    return Case(as_table(positive.iloc[order]), halves(len(positive)))


CASES: dict[str, Callable[[Path], Case]] = {
    **{name: lambda folder, name=name: suite(folder, name) for name in SUITE},
    "gas turbine": lambda folder: Case(open_table(folder / "gas_turbine.csv")),
    "foetal ECG": foetal_ecg,
    "EEG": lambda folder: eeg(folder, cut=False),
    "EEG, spikes cut": lambda folder: eeg(folder, cut=True),
    # neighbours of held-out rows are then in training: what a careless split would have shown
    "gas turbine, random split": lambda folder: Case(open_table(folder / "gas_turbine.csv"), "random"),
    "EEG, spikes cut, random split": lambda folder: eeg(folder, cut=True, split="random"),
    "breast cancer": lambda folder: breast_cancer(logs=False),
    "breast cancer, logs": lambda folder: breast_cancer(logs=True),
    "digits": lambda folder: Case(as_table(load_digits(as_frame=True).data)),
}
