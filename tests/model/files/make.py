"""Make the model files of this folder, and write down what is expected of them.

With the code that is on the path:

    python make.py write FOLDER [NAME ...]   fit, and keep each model as formatN_NAME.safetensors and .npz
    python make.py read FOLDER               load all of them, and add to each .npz what this code gives

N is the format that the code writes.
"""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open

from latentflow import FittedFlow, LatentFlow

#: Rows of the table that are kept, and draws.
ROWS, DRAWS = 40, 20
SIZES = {"width": 16, "depth": 1, "steps": 60}


def sources(n: int, k: int) -> np.ndarray:
    """Independent sources of other laws than the normal one, shape (n, k)."""
    rng = np.random.default_rng(7)
    drawn = [rng.laplace(size=n), rng.uniform(-2, 2, n), rng.exponential(size=n), rng.standard_t(9, n) ** 3]
    return np.stack(drawn[:k], axis=1)


def mixed() -> tuple[pd.DataFrame, dict[str, Any]]:
    """Four columns, bent; one of whole numbers, one of few decimals."""
    s = np.tanh(0.3 * sources(300, 4)) * 3
    X = s @ np.array([[1, 0.6, 0.2, 0], [0.3, 2, 0, 0.4], [0, -0.5, 1, 0.3], [0.2, 0, 0.4, 1]])
    X[:, 0] += 0.3 * X[:, 3] ** 2
    frame = pd.DataFrame(
        {"count": np.rint(3 * X[:, 1]), "length": X[:, 2].round(1), "a": X[:, 0], "µ": X[:, 3]}
    )
    return frame, SIZES


def linear() -> tuple[pd.DataFrame, dict[str, Any]]:
    """A linear mixture, of which a separable network is the exact form."""
    X = sources(2000, 2) @ np.array([[1, 0.6], [-0.4, 1]])
    return pd.DataFrame(X, columns=["a", "b"]), {"width": 8, "depth": 1, "steps": 800}


def bent() -> tuple[pd.DataFrame, dict[str, Any]]:
    """A mixture that is nearly linear, for a separable network and a perceptron together."""
    s = sources(3000, 2)
    X = s @ np.array([[1, 0.6], [-0.4, 1]])
    X[:, 1] += 0.4 * np.sin(2 * X[:, 0])
    return pd.DataFrame(X, columns=["a", "b"]), {"width": 16, "depth": 1, "steps": 2000}


def reduced() -> tuple[pd.DataFrame, dict[str, Any]]:
    """Fewer components than columns, a constant column and a dependent one."""
    X = sources(300, 4) @ np.array(
        [[1, 0.6, 0.2, 0.1], [0.3, 2, 0, 0.4], [0, -0.5, 1, 0.3], [0, 0, 0.1, 0.2]]
    )
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["b"] = frame["b"].round(2)
    frame.insert(1, "constant", 1013.25)
    frame["sum"] = frame["a"] + 2 * frame["b"] - frame["c"]
    return frame, {**SIZES, "n_components": 3}


def tails() -> tuple[pd.DataFrame, dict[str, Any]]:
    """Spikes far out in two columns, and a third in steps of 0.5128 that are printed with two decimals."""
    X = sources(300, 3) @ np.array([[1, 0.6, 2], [0.3, 2, 0], [0, -0.5, 10]])
    X[[5, 17, 200], 0] += [400.0, -900.0, 2500.0]
    X[[9, 150], 1] += [700.0, -1500.0]
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["b"] = frame["b"].round(1)
    frame["c"] = (np.rint(frame["c"] / 0.5128) * 0.5128).round(2)
    return frame, SIZES


VARIANTS = {each.__name__: each for each in (mixed, linear, bent, reduced, tails)}


def expected(model: FittedFlow, X: np.ndarray) -> dict[str, np.ndarray]:
    """What a model gives for rows, as far as its code has it."""
    seen = model.encode(X, log_prob=True)
    found = {
        "latents": seen.latents,
        "carried": seen.carried,
        "log_prob": seen.log_prob,
        "log_det": seen.log_det,
        "far": seen.far,
        "decoded": model.decode(seen.latents, seen.carried),
        "sample": model.sample(DRAWS, np.random.default_rng(5)),
        "hash": np.array(model.hash),
    }
    if getattr(model, "source_scale", None) is not None:
        found["sources"] = model.encode(X, scale="source").latents
        found["decoded_sources"] = model.decode(found["sources"], seen.carried, scale="source")
    if hasattr(model, "clean"):
        found["cleaned"] = model.clean(X, remove="latent00")
    if hasattr(model, "decode_with_residual"):
        found["residual"] = model.decode_with_residual(seen.latents, seen.carried)[1]
    with suppress(TypeError):  # older code has none
        found["log_prob_discrete"] = model.log_prob(X, log_det="discrete")
    return found


def write(folder: Path, names: list[str]) -> None:
    """Fit the variants with the code on the path, and keep them."""
    for name in names or VARIANTS:
        frame, settings = VARIANTS[name]()
        fitted = LatentFlow(**settings, random_state=3, device="cpu").fit(frame)
        beside = folder / f"{name}.safetensors"
        fitted.save(beside)
        with safe_open(beside, framework="pt") as file:
            number = json.loads(file.metadata()["latentflow"])["format"]
        path = beside.replace(folder / f"format{number}_{name}.safetensors")
        X = frame.to_numpy()[:ROWS]
        found = expected(FittedFlow.load(path, device="cpu"), X)
        np.savez_compressed(path.with_suffix(".npz"), X=X, **{f"made_{k}": v for k, v in found.items()})
        print(path.name, path.stat().st_size, fitted.model_.record["network"]["structure"])


def read(folder: Path) -> None:
    """Add what the code on the path gives for every file of the folder."""
    for path in sorted(folder.glob("format*.safetensors")):
        with np.load(path.with_suffix(".npz")) as file:
            kept = {name: file[name] for name in file.files if not name.startswith("read_")}
        found = expected(FittedFlow.load(path, device="cpu"), kept["X"])
        np.savez_compressed(path.with_suffix(".npz"), **kept, **{f"read_{k}": v for k, v in found.items()})
        print(path.name)
        for name, value in found.items():
            then = kept.get(f"made_{name}")
            if then is not None and value.dtype == np.float64:
                print(f"  {name}: {np.abs(value - then).max(initial=0.0):.2g}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), sys.argv[3:])
    else:
        read(Path(sys.argv[2]))
