"""Where a command reads and writes when it is not told."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path

from latentflow.errors import DataError, ModelFileError

MODEL_SUFFIX = ".latentflow.safetensors"

_OURS = (".latents", ".decoded")


def beside(data: Path, suffix: str) -> Path:
    """`data.h5`, or what was made from it, with `suffix` in place of its endings.

    >>> beside(Path("runs/data.h5"), ".latents.h5").as_posix()
    'runs/data.latents.h5'
    >>> beside(Path("runs/data.latents.h5"), ".decoded.h5").as_posix()
    'runs/data.decoded.h5'
    """
    stem = data.stem
    for ours in _OURS:
        stem = stem.removesuffix(ours)
    return data.with_name(stem + suffix)


def find_model(given: Path | None, data: Path) -> Path:
    """The model to use for `data`: the one named, or the one that `latentflow fit` puts beside it.

    Raises
    ------
    ModelFileError
        If there is no such file.
    DataError
        If the data are not there either.
    """
    if given is not None:
        if not given.is_file():
            raise ModelFileError(f"{given}: there is no such model file")
        return given
    model = beside(data, MODEL_SUFFIX)
    if not model.is_file():
        if not data.exists():
            raise DataError(f"{data} does not exist")
        raise ModelFileError(
            f"{model}: no model there; run `latentflow fit` on the data first, or name a model with --model"
        )
    return model


def check_output(output: Path, *inputs: Path) -> None:
    """Say before the work, not after it, that `output` cannot be written.

    Raises
    ------
    DataError
        If its folder does not exist, or it is one of the files that the command reads.
    """
    if not output.parent.is_dir():
        raise DataError(f"{output}: the folder {output.parent} does not exist")
    if output.exists() and any(path.exists() and output.samefile(path) for path in inputs):
        raise DataError(f"{output}: is read by this very command; name another file with --output")


def check_carried(carried: Collection[str], taken: Collection[str], data: Path, file: str) -> None:
    """Say that a column of `data` cannot be carried along, where the written file has another of that name.

    Raises
    ------
    DataError
        If a name is taken.
    """
    both = sorted(set(carried) & set(taken))
    if both:
        raise DataError(f"{data}: cannot carry '{both[0]}': that name is taken in {file}")


def next_command(command: str, data: Path, model: Path) -> str:
    """What to type to run another command on the same data with this model."""
    words = ["latentflow", command, str(data)]
    if model != beside(data, MODEL_SUFFIX):
        words += ["--model", str(model)]
    return shlex.join(words)
