"""Hashes of what a change of the code must leave as it is.

    python bits.py RESULT.json DATA [PART ...]   with the tree to look at on the path, and OMP_NUM_THREADS=1
    python bits.py --model DATA                  make bits_nl5.safetensors, the one model of the last two parts

DATA is the folder of gas_turbine.csv, eeg_eye_state.csv, foetal_ecg.dat and suite.h5. Only the public interface is
used. Parts: models, tables, training, orientation, reports; all by default. Every entry has a hash, and up to 25
evenly spaced values by which a difference can be told in size. What raises an exception is an entry too. Entries
that start with ``may change`` are expected to. ``compare_bits.py`` puts two results side by side.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.linalg  # noqa: F401 - loads the library whose threads are limited below
import torch
from threadpoolctl import threadpool_limits

import latentflow
from latentflow import (
    FittedFlow,
    LatentFlow,
    compare,
    independence_report,
    orient,
    trajectory_report,
    traverse,
    verify,
)

HERE = Path(__file__).resolve().parent
FILES, MODEL = HERE / "model_files", HERE / "bits_nl5.safetensors"
#: Values that are kept of an array, and letters of a text.
VALUES, LETTERS = 25, 400
#: What of a report says where, when and by what it was made.
PROVENANCE = frozenset({"provenance", "version", "versions", "model_hash", "file", "path", "seconds"})
#: Bootstrap draws of a report.
DRAWS = 50


def jacobians(model: Any) -> Any:
    """The mean Jacobians of a model, which was called a picture before the new house."""
    return model.picture if hasattr(model, "picture") else model.mean_jacobians


def jacobians_over(model: Any) -> Any:
    """Its method that takes them over other rows."""
    return model.linear_picture if hasattr(model, "linear_picture") else model.mean_jacobians_over


class Bits:
    """The entries of one run, by name.

    Parameters
    ----------
    data : Path
        The folder of the data; its name is left out of messages.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.entries: dict[str, dict[str, Any]] = {}

    def tried(self, name: str, made: Callable[[], Any]) -> Any:
        """What a call gives; None if it raises, and then the exception is the entry."""
        try:
            return made()
        except Exception as error:  # whatever it is, it is to be told
            told = f"{type(error).__name__}: {error}".replace(str(self.data), "DATA")
            self.entries[name] = {"error": told[:LETTERS]}
            return None

    def add(self, name: str, made: Callable[[], Any]) -> None:
        """Keep what a call gives; a dictionary item by item."""
        value = self.tried(name, made)
        if isinstance(value, dict):
            self.entries |= {f"{name}/{key}": entry(item) for key, item in value.items()}
        elif name not in self.entries:
            self.entries[name] = entry(value)

    def add_all(self, start: str, calls: dict[str, Callable[[], Any]]) -> None:
        """Keep what several calls give, each under its own name."""
        for name, made in calls.items():
            self.add(f"{start}/{name}", made)


def entry(value: Any) -> dict[str, Any]:
    """Hash of an array, or of anything that JSON holds, and some of its values."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        content = np.ascontiguousarray(value).tobytes()
        shape, dtype = list(value.shape), str(value.dtype)
        return {
            "sha256": sha(content),
            "shape": shape,
            "dtype": dtype,
            "values": some(value.ravel().tolist()),
        }
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    numbers = list(numbers_of(value))
    found = {"sha256": sha(text.encode()), "shape": [len(numbers)], "values": some(numbers)}
    return found | ({"text": text[:LETTERS]} if '"' in text else {})


def sha(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def some(values: list[Any]) -> list[float]:
    """Evenly spaced values, the first and the last among them."""
    if len(values) > VALUES:
        values = [values[i] for i in np.linspace(0, len(values) - 1, VALUES).round().astype(int)]
    return [float(value) for value in values]


def numbers_of(value: Any) -> Any:
    """All numbers of plain nested data, in the order of their sorted keys."""
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if isinstance(value, list | tuple):
        for item in value:
            yield from numbers_of(item)
    elif isinstance(value, int | float):
        yield value


def whole(value: Any) -> Any:
    """A dictionary as a single entry."""
    return [value] if isinstance(value, dict) else value


def without_provenance(value: Any) -> Any:
    """Plain data without what says where, when and by what it was made."""
    if isinstance(value, dict):
        return {key: without_provenance(item) for key, item in value.items() if key not in PROVENANCE}
    return [without_provenance(item) for item in value] if isinstance(value, list | tuple) else value


def suite(data: Path, group: str, rows: int, what: str = "X") -> np.ndarray:
    """The first rows of a synthetic table, or of its sources."""
    with h5py.File(data / "suite.h5") as file:
        return np.asarray(file[group][what][:rows])


def models(bits: Bits) -> None:
    """The model files of every format: encode, density, decode, clean, sample."""
    for path in sorted(FILES.glob("format*.safetensors")):
        model = bits.tried(f"models/{path.stem}", lambda path=path: FittedFlow.load(path, device="cpu"))
        if model is not None:
            with np.load(path.with_suffix(".npz")) as file:
                one_model(bits, f"models/{path.stem}", path, model, file["X"])


def one_model(bits: Bits, start: str, path: Path, model: FittedFlow, X: np.ndarray) -> None:
    """What one model gives for rows."""
    z, carried = model.encode(X).latents, model.encode(X).carried

    def encoded() -> dict[str, Any]:
        seen = model.encode(X, log_prob=True)
        return {name: getattr(seen, name) for name in ("latents", "carried", "log_prob", "log_det", "far")}

    def estimator() -> dict[str, Any]:
        flow = LatentFlow.load(path, device="cpu")
        parts = {name: getattr(flow, name, None) for name in ("components_", "mixing_", "mean_")}
        return parts | {"transform": flow.transform(X), "history": whole(flow.history_)}

    calls = {
        "latents alone": lambda: z,
        "encode": encoded,
        "estimated log_prob": lambda: model.encode(X, log_prob=True, trace_seed=1).log_prob,
        "discrete log_prob": lambda: model.log_prob(X, log_det="discrete"),
        "sources": lambda: model.encode(X, scale="source").latents,
        "decode": lambda: model.decode(z, carried),
        "decode sources": lambda: model.decode(0.5 * z, scale="source"),
        "clean": lambda: model.clean(X, remove="latent00"),
        "sample": lambda: model.sample(20, np.random.default_rng(5)),
        "linear picture": lambda: vars(jacobians_over(model)(X)),
        "single precision": lambda: FittedFlow.load(path, device="cpu", dtype="float32").encode(X).latents,
        "rows": lambda: {"roles": model.roles, "reach": model.reach},
        "estimator": estimator,
    }
    if path.stem.endswith(("linear", "bent")):  # separable networks take many rows in another way
        rng = np.random.default_rng(6)
        many = X[rng.integers(len(X), size=4000)] + 0.05 * rng.standard_normal((4000, X.shape[1]))
        calls["many rows"] = lambda: model.encode(many).latents
    bits.add_all(start, calls)
    bits.add_all(f"may change/{start}", {"hash": lambda: model.hash})


def tables(bits: Bits) -> None:
    """Reading each file, and preprocessing its rows there and back."""
    data = bits.data
    with tempfile.TemporaryDirectory() as folder:
        single = Path(folder) / "rings.h5"
        with h5py.File(single, "w") as file:
            file["X"] = suite(data, "rings", 3000).astype(np.float32)
        one_table(bits, data / "gas_turbine.csv", None)
        one_table(bits, data / "eeg_eye_state.csv", "Eye_detection")
        one_table(bits, data / "foetal_ecg.dat", None)
        one_table(bits, data / "suite.h5", None)
        one_table(bits, single, None)


def one_table(bits: Bits, path: Path, groups: str | None) -> None:
    """A file read by ``fit``, whose training is a formality."""
    sizes = {"steps": 1, "width": 8, "depth": 1, "held_out": 0.02}
    flow = LatentFlow(**sizes, orientation="none", random_state=0, device="cpu")
    if bits.tried(f"tables/{path.name}", lambda: flow.fit(path, groups=groups)) is None:
        return
    model, X = flow.model_, values_of(path)
    record, preprocessor = model.record, model.preprocessor
    told = ("fingerprint", "dtype", "key", "n_rows", "n_missing", "split", "warnings", "sample_shape")
    x, log_det = preprocessor.forward(X)
    back = preprocessor.inverse(x)
    calls = {
        "record": lambda: {name: whole(record[name]) for name in told},
        "columns": lambda: list(model.columns),
        "roles": lambda: model.roles,
        "state": lambda: {"meta": whole(preprocessor.state()[0])},
        "state arrays": lambda: dict(sorted(preprocessor.state()[1].items())),
        "forward, 2000 rows": lambda: preprocessor.forward(X[:2000])[0],
        "inverse, 2000 rows": lambda: preprocessor.inverse(x[:2000]),
        "forward": lambda: x,
        "log_det": lambda: log_det,
        "inverse": lambda: back,
        "rows that come back to the bit": lambda: int((back == X).all(axis=1).sum()),
        "dithered": lambda: preprocessor.forward(X[:2000], np.random.default_rng(1))[0],
    }
    bits.add_all(f"tables/{path.name}", calls)


def values_of(path: Path) -> np.ndarray:
    """The values of a file, read without latentflow."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return np.asarray(file["X"], dtype=np.float64)
    if path.suffix == ".dat":
        return np.loadtxt(path)
    X = np.loadtxt(path, delimiter=",", skiprows=1)
    return X[:, :-1] if path.stem.startswith("eeg") else X


def training(bits: Bits) -> None:
    """Short trainings: losses, weights, where the flow starts.

    The first two end with a separable network, and the third, on a recording with lattices, with its sum with a
    perceptron. These start from axes of FastICA's; the perceptrons of the last two do not hang on them.
    """
    data = bits.data
    given = {
        "nl5": (suite(data, "nl5", 2000), 150),
        "lin5": (suite(data, "lin5", 2000), 150),
        "gas turbine": (values_of(data / "gas_turbine.csv")[:2000], 150),
        "one column": (suite(data, "nl5", 2000)[:, :1], 150),
        "few rows": (suite(data, "nl10", 300), 100),
    }
    for name, (X, steps) in given.items():
        flow = LatentFlow(steps=steps, width=16, depth=2, random_state=0, orientation="none", device="cpu")
        if bits.tried(f"training/{name}", lambda flow=flow, X=X: flow.fit(X)) is not None:
            one_training(bits, f"training/{name}", flow, X)


def one_training(bits: Bits, start: str, flow: LatentFlow, X: np.ndarray) -> None:
    """What a fit did, and after the grid was found, what it gives."""
    model, record = flow.model_, flow.model_.record
    told = (
        "best_step",
        "steps",
        "stopped",
        "network",
        "sigma_min",
        "sigma_max",
        "plan",
        "split",
        "fingerprint",
    )
    calls = {
        "history": lambda: dict(flow.history_),
        "record": lambda: {name: whole(record[name]) for name in told},
        "weights": lambda: dict(sorted(model.denoiser.state_dict().items())),
        "roles": lambda: model.roles,
        "held out rows": lambda: flow.held_out_rows_,
        "reach": lambda: model.reach,
        "preprocessor": lambda: dict(sorted(model.preprocessor.state()[1].items())),
    }
    bits.add_all(start, calls)
    changing = {
        "grid": lambda: model.sigmas,
        "shares": lambda: model.shares,
        "solver": lambda: model.solver,
        "grid found": lambda: whole(record["grid"]),
        "latents": lambda: flow.transform(X[:40]),
        "log_prob": lambda: flow.score_samples(X[:40]),
    }
    bits.add_all(f"may change/{start}", changing)


def in_time(S: np.ndarray) -> np.ndarray:
    """An order of rows in which the first source is slow and the second saws."""
    slow = np.digitize(S[:, 0], np.quantile(S[:, 0], np.linspace(0, 1, 41)[1:-1]))
    return np.lexsort((S[:, 1], slow))


def orientation(bits: Bits) -> None:
    """One model oriented in every way, and a linear one in some."""
    model, X, S = (
        FittedFlow.load(MODEL, device="cpu"),
        suite(bits.data, "nl5", 3000),
        suite(bits.data, "nl5", 3000, "S"),
    )
    groups = np.digitize(np.abs(S[:, :2]), [0.7, 1.4]) @ [3, 1]
    for method in ("jacobian", "metric", "ica", "gaussianization", "none", "auto"):
        one_orientation(bits, method, model, X)
    one_orientation(bits, "groups", model, X, groups=groups)
    one_orientation(bits, "temporal", model, X[in_time(S)], time_order=True)
    one_orientation(bits, "auto", model, X[in_time(S)], name="auto in time", time=np.arange(len(X)) * 0.5)

    linear, rng = (
        FittedFlow.load(FILES / "format4_linear.safetensors", device="cpu"),
        np.random.default_rng(8),
    )
    rows = np.stack([rng.laplace(size=1500), rng.uniform(-2, 2, 1500)], axis=1) @ [[1, 0.6], [-0.4, 1]]
    for method in ("jacobian", "ica", "auto"):
        one_orientation(bits, method, linear, rows, name=f"linear, {method}")


def one_orientation(
    bits: Bits, method: str, model: FittedFlow, rows: np.ndarray, *, name: str = "", **told: Any
) -> None:
    """The axes of one way, with what goes with them."""

    def made() -> dict[str, Any]:
        turned = orient(model, rows, orientation=method, **told)
        found, picture = turned.orientation, jacobians(turned)
        latents = np.linspace(-3, 3, 13)[:, None] * np.ones(len(found.rotation))
        return {
            "rotation": found.rotation,
            "angle_error": found.angle_error,
            "method": found.method,
            "reason": found.reason,
            "converged": found.converged,
            "details": whole(dict(found.details)),
            "source scale": turned.source_scale.forward(latents),
            "components": picture.components,
            "mixing": picture.mixing,
        }

    bits.add(f"orientation/{name or method}", made)


def reports(bits: Bits) -> None:
    """Every measurement of one model, entry by entry."""
    model = FittedFlow.load(MODEL, device="cpu")
    X, S = suite(bits.data, "nl5", 3000), suite(bits.data, "nl5", 3000, "S")
    other = X[in_time(S)][::3]
    calls = {
        "independence_report": lambda: independence_report(model, X, sources=S, n_boot=DRAWS),
        "independence_report, other rows": lambda: independence_report(model, other, n_boot=DRAWS),
        "compare": lambda: compare(model, X, n_boot=DRAWS),
        "compare with sources": lambda: compare(model, X, components=S, n_boot=DRAWS),
        "verify": lambda: verify(model, X, rows=200, draws=100),
        "traverse": lambda: traverse(model),
        "trajectory_report": lambda: trajectory_report(model, X, rows=100),
        "trajectory_report, other rows": lambda: trajectory_report(model, other, rows=50),
    }
    for name, made in calls.items():
        result = bits.tried(f"reports/{name}", made)
        if result is not None:
            found = without_provenance(result.to_dict())
            bits.entries |= {f"reports/{name}/{key}": entry(whole(item)) for key, item in found.items()}


PARTS = {each.__name__: each for each in (models, tables, training, orientation, reports)}


def main() -> None:
    """Make the one model, or run the parts that are asked for and write their entries."""
    if sys.argv[1] == "--model":
        flow = LatentFlow(steps=400, width=32, depth=2, random_state=0, device="cpu")
        flow.fit(suite(Path(sys.argv[2]), "nl5", 3000)).save(MODEL)
        return
    bits, seconds = Bits(Path(sys.argv[2])), {}
    for name in sys.argv[3:] or PARTS:
        started = time.monotonic()
        PARTS[name](bits)
        seconds[name] = round(time.monotonic() - started, 1)
    result = {"torch": torch.__version__, "seconds": seconds, "entries": bits.entries}
    Path(sys.argv[1]).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{latentflow.__file__}: {len(bits.entries)} entries; seconds: {seconds}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        main()
