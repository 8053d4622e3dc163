"""What tests all over the suite share: one tiny table, and one tiny model fitted to it, once a session."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import settings
from torch import Tensor

from latentflow.cli.main import latentflow
from latentflow.components.source_scale import SourceScale
from latentflow.flow.calibration import CalibratedGrid, calibrate
from latentflow.flow.grids import blended_grid
from latentflow.model.fitted_flow import FittedFlow
from latentflow.score.denoisers import Denoiser

# The same examples every time, and no limit on the time that one takes, for machines may be busy.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

COLUMNS = ("voltage", "current", "phase")
#: Words that make any fit a matter of a second, and its flow one of a network.
TINY = ["--steps=60", "--width=16", "--depth=1", "--batch-size=64", "--seed=3", "--base=none", "--device=cpu"]
#: Where a fit finds its calibration.
CALIBRATION = "latentflow.flow.step_count.calibrate"


def _grid_by_hand(
    denoiser: Denoiser, x: Tensor, ends: tuple[float, float], accuracy: float
) -> CalibratedGrid:
    """A grid that is fine enough for the networks of the tests, in the place of one found by descent.

    Its map is a bijection like any other, and what it claims of its errors is made up: calibration takes three quarters
    of a tiny fit, and few tests are of it.
    """
    sigmas = blended_grid(*ends, steps=20)
    return CalibratedGrid(
        "pec5", sigmas, np.zeros((2, 20, 2, 3)), accuracy, accuracy / 2, accuracy, len(x), False, accuracy
    )


@pytest.fixture(scope="session", autouse=True)
def grids_by_hand() -> Iterator[None]:
    """No fit calibrates its grid, but for those in a test that is marked ``calibration``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CALIBRATION, _grid_by_hand)
        yield


@pytest.fixture(autouse=True)
def calibration_where_it_is_asked_for(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The true calibration, in a test that is marked ``calibration``."""
    if request.node.get_closest_marker("calibration"):
        monkeypatch.setattr(CALIBRATION, calibrate)


def _rows(n: int = 300, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sources = np.column_stack([rng.laplace(size=n), rng.uniform(-1, 1, size=n), rng.exponential(size=n)])
    mixing = np.array([[2.0, 0.3, -0.5], [0.1, 1.0, 0.8], [-0.4, 0.2, 1.5]])
    return sources @ mixing + [230.0, 5.0, 0.0]


def _write(path: Path, rows: np.ndarray, columns: Sequence[str] = COLUMNS, key: str = "X") -> Path:
    with h5py.File(path, "a") as file:
        file[key] = rows
        file[key].attrs["columns"] = np.array(columns, dtype=h5py.string_dtype())
    return path


def _run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(latentflow, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def numpy_seeded() -> Iterator[None]:
    """A seed for numpy's global generator, from which others' code may draw, and after the test its old state."""
    before = np.random.get_state()  # noqa: NPY002 the habit of scikit-learn and scipy
    np.random.seed(0)  # noqa: NPY002
    yield
    np.random.set_state(before)  # noqa: NPY002


@pytest.fixture(scope="session")
def tiny_rows() -> Callable[..., np.ndarray]:
    """Function (n=300, seed=0) that draws three columns, none Gaussian, which depend on each other."""
    return _rows


@pytest.fixture(scope="session")
def write_table() -> Callable[..., Path]:
    """Function (path, rows, columns=..., key="X") that adds a table to an HDF5 file."""
    return _write


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """Function (*words, code=0) that runs the command line in this process and checks its exit code."""
    return _run


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Options that make any fit a matter of a second."""
    return TINY


@pytest.fixture(scope="session")
def fitted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.h5 and the model fitted to it by the command; not to be written to."""
    folder = tmp_path_factory.mktemp("fitted")
    _run("fit", _write(folder / "data.h5", _rows()), *TINY)
    return folder


@pytest.fixture
def folder(fitted_folder: Path, tmp_path: Path) -> Path:
    """A copy of that folder for the test alone."""
    return Path(shutil.copytree(fitted_folder, tmp_path / "work"))


@pytest.fixture
def scaled_folder(folder: Path) -> Path:
    """The same with a model whose latents have the scale of their sources and mean Jacobians."""
    path, rows = folder / "data.latentflow.safetensors", _rows()
    model = FittedFlow.load(path, device="cpu")
    turn = model.orientation.rotation
    scale = SourceScale.fit(model.flow, turn, model.encode(rows).latents, reach=model.reach, knots=17)
    scaled = replace(model, source_scale=scale)
    replace(scaled, mean_jacobians=scaled.mean_jacobians_over(rows[:50])).save(path)
    return folder


@pytest.fixture(scope="session")
def model(fitted_folder: Path) -> FittedFlow:
    """The model in that folder."""
    return FittedFlow.load(fitted_folder / "data.latentflow.safetensors", device="cpu")
