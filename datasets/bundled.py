"""Two real sets that come with scikit-learn, as HDF5 files with column names.

breast_cancer
    569 tumours by 30 measures of their cell nuclei (UCI "Breast Cancer Wisconsin (Diagnostic)"): few
    rows, and nearly degenerate, since radius, perimeter and area say much the same. Most measures are
    positive and skewed; `--log` takes the logarithm of those that are positive in every row, and
    names them so.
digits
    1797 handwritten digits of 8 x 8 pixels (UCI "Optical Recognition of Handwritten Digits"): many
    columns, whole numbers 0 ... 16, and pixels at the rim that never change.

`X` holds the measures, `target` the class of each row.

    python -m datasets.bundled cancer.h5 --set breast_cancer --log
    python -m datasets.bundled digits.h5 --set digits
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

SETS = {"breast_cancer": load_breast_cancer, "digits": load_digits}


def write(path: str | Path, name: str = "breast_cancer", *, log: bool = False) -> None:
    """Write one set to an HDF5 file: `X` (n, d) with the attribute "columns", and `target` (n,).

    Parameters
    ----------
    path : the file to write
    name : "breast_cancer" or "digits"
    log : take logarithms of the columns that are positive in every row
    """
    bunch = SETS[name]()
    X = np.array(bunch.data, dtype=np.float64)
    columns = [str(column) for column in bunch.feature_names]
    if log:
        positive = X.min(axis=0) > 0
        X[:, positive] = np.log(X[:, positive])
        columns = [f"log {c}" if p else c for c, p in zip(columns, positive, strict=True)]
    with h5py.File(path, "w") as file:
        file.attrs["recipe"] = f"datasets.bundled --set {name}{' --log' if log else ''}"
        file["X"] = X
        file["X"].attrs["columns"] = np.array(columns, dtype=h5py.string_dtype())
        file["target"] = bunch.target
        file["target"].attrs["names"] = np.array(
            [str(label) for label in bunch.target_names], h5py.string_dtype()
        )


def main(arguments: list[str] | None = None) -> None:
    """Command line: OUT.h5 [--set NAME] [--log]."""
    parser = argparse.ArgumentParser(description="Write a real set that comes with scikit-learn to HDF5.")
    parser.add_argument("out", metavar="OUT.h5")
    parser.add_argument("--set", choices=sorted(SETS), default="breast_cancer", help="(default: %(default)s)")
    parser.add_argument(
        "--log", action="store_true", help="logarithms of the columns that are always positive"
    )
    options = parser.parse_args(arguments)
    write(options.out, options.set, log=options.log)


if __name__ == "__main__":
    main()
