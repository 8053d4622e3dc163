"""Flows fitted to the sets of this report with the defaults, kept in a folder of models, and their whitened rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sets import Case
from torch import Tensor

from latentflow.data.splits import HELD_OUT, TRAIN
from latentflow.model.fit import fit_table
from latentflow.model.fitted_flow import FittedFlow


def fitted_flow(case: Case, saved: Path | None) -> tuple[FittedFlow, Tensor, Tensor]:
    """A flow without an orientation, its training rows, shape (n, d), and its held-out rows, shape (m, d), whitened.

    The flow is read from a file where that is there, else fitted now and left there.
    """
    if saved is not None and saved.is_file():
        model = FittedFlow.load(saved, device="cpu")
    else:
        model = fit_table(case.table, split=case.split, orientation="none", seed=0, device="cpu")
        if saved is not None:
            model.save(saved)
    if model.record["fingerprint"] != case.table.fingerprint():
        raise SystemExit(f"{saved} was not fitted to this table")
    x, _ = model.preprocessor.forward(case.table.read())
    rows = model.tensor(x[:, : model.preprocessor.n_flow])
    train, held_out = (rows[np.flatnonzero(model.roles == role)] for role in (TRAIN, HELD_OUT))
    return model, train, held_out
