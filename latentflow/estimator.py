"""LatentFlow: the scikit-learn face of the library."""

from __future__ import annotations

import os
import warnings
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from latentflow.data.splits import HELD_OUT
from latentflow.data.tables import as_table, open_table
from latentflow.errors import LatentFlowWarning, ModelFileError
from latentflow.model.cleaning import Latents
from latentflow.model.fit import fit_table
from latentflow.model.fitted_flow import FittedFlow
from latentflow.orientation.registry import with_methods
from latentflow.score.training import Progress

Floats = NDArray[np.float64]
Path = str | os.PathLike[str]


@with_methods
class LatentFlow(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Bijective Gaussian latents of a table, by the probability-flow ODE of a score model fitted to it.

    Parameters
    ----------
    n_components : int, optional
        Leading whitened directions that the flow lives on; all by default. The others are left out by
        ``transform`` and taken as their mean by ``inverse_transform``.
    preset : {"fast", "default", "best"}
        How much to spend; sizes and steps follow from it and from the table.
    tails : {"auto", "none", "asinh"}
        Bend heavy tails and spikes where the data call for it, never, or in every column.
    missing : {"error", "drop"}
        What ``fit`` does with rows that have missing values.
    split : {"auto", "random", "blocked"}
        How rows are held out; auto takes blocks with gaps where neighbouring rows are alike.
    held_out : float
        Share of the rows that the fit never sees, for an honest report; 0 keeps none back.
    width, depth, steps, batch_size : int, optional
        Sizes, instead of those of the preset.
    time_budget : float, optional
        Seconds to train for, in place of the steps of the preset; with ``steps``, whichever comes first. Calibration
        and orientation come on top.
    accuracy : float
        Between 0 and 1: mean error of a latent against the converged flow, for which the grid of the encoder is found
        and frozen; log|det| is off by about ten times as much.
    orientation : str
        How the latents are turned: ``auto`` takes what the rows speak for, see
        :func:`latentflow.model.orient.orient`; or one of

        ORIENTATIONS

    time_order : bool
        Rows follow each other in time at equal steps, which orients even non-linear mixtures.
    device : str
        ``auto`` takes CUDA when there is one.
    random_state : int, RandomState instance or None
        Of everything random in ``fit``.
    verbose : bool
        Print the losses now and then.

    Attributes
    ----------
    model_ : FittedFlow
        What was fitted; it has ``encode`` and ``decode`` with everything that this class leaves out.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where the columns of X had names.
    held_out_rows_ : ndarray of int
        Positions of the rows that the fit never saw.
    history_ : dict
        Losses by step.
    components_ : ndarray, shape (k, D)
        Which columns each latent reads: the mean derivative of its source by each column, in the user's units. Of a
        linear mixture it is the unmixing matrix of an ICA with sources of unit variance.
    mixing_ : ndarray, shape (D, k)
        Which columns each latent moves: the mean derivative of each column by its source, in the user's units.
    mean_ : ndarray, shape (D,)
        Of the training rows.

    References
    ----------
    Song et al. 2021, arXiv 2011.13456, eq. 13; Karras et al. 2022, arXiv 2206.00364.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).laplace(size=(300, 2)) @ [[1.0, 0.5], [0.0, 1.0]]
    >>> flow = LatentFlow(steps=50, width=16, random_state=0).fit(X)
    >>> Z = flow.transform(X)
    >>> bool(np.allclose(flow.inverse_transform(Z), X))
    True
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        preset: str = "default",
        tails: str = "auto",
        missing: str = "error",
        split: str = "auto",
        held_out: float = 0.2,
        width: int | None = None,
        depth: int | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        time_budget: float | None = None,
        accuracy: float = 1e-4,
        orientation: str = "auto",
        time_order: bool = False,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ):
        self.n_components = n_components
        self.preset = preset
        self.tails = tails
        self.missing = missing
        self.split = split
        self.held_out = held_out
        self.width = width
        self.depth = depth
        self.steps = steps
        self.batch_size = batch_size
        self.time_budget = time_budget
        self.accuracy = accuracy
        self.orientation = orientation
        self.time_order = time_order
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike | Path,
        y: Any = None,
        *,
        groups: str | ArrayLike | None = None,
        time: str | ArrayLike | None = None,
    ) -> LatentFlow:
        """Fit preprocessor and score model, and orient the latents.

        Parameters
        ----------
        X : array_like or DataFrame, shape (n, D), or path of a table
        y : ignored
        groups : array_like, shape (n,), optional
            A label for each row, such as its segment or subject; or the name of a column, where X is a path.
        time : array_like, shape (n,), optional
            When each row was taken; likewise.

        Returns
        -------
        self

        Raises
        ------
        LatentFlowError
            If the table or a parameter cannot be used.
        """
        if isinstance(X, str | os.PathLike):
            aside = [name for name in (groups, time) if isinstance(name, str)]
            table = open_table(FilePath(X), aside=aside)
            self.n_features_in_ = len(table.columns)
            self.feature_names_in_ = np.array(table.columns, dtype=object)
        else:
            stored = getattr(X, "dtype", np.dtype(np.float64))
            checked = self._check(X, reset=True)
            names = list(getattr(self, "feature_names_in_", ())) or None
            single = stored == np.float32
            table = as_table(checked.astype(np.float32) if single else checked, names)
        self.model_ = fit_table(
            table,
            missing=self.missing,
            preset=self.preset,
            components=self.n_components,
            tails=self.tails,
            split=self.split,
            held_out=self.held_out,
            width=self.width,
            depth=self.depth,
            steps=self.steps,
            batch_size=self.batch_size,
            time_budget=self.time_budget,
            accuracy=self.accuracy,
            orientation=self.orientation,
            groups=groups,
            time=time,
            time_order=self.time_order,
            device=self.device,
            seed=self._seed(),
            progress=_Printer() if self.verbose else None,
        )
        self._adopt()
        for message in self.model_.record["warnings"]:
            warnings.warn(message, LatentFlowWarning, stacklevel=2)
        return self

    def transform(self, X: ArrayLike | Path, scale: str = "latent") -> Floats:
        """Latents, shape (n, k), of rows in the user's units; a DataFrame after ``set_output``.

        Parameters
        ----------
        X : array_like or DataFrame, shape (n, D), or path of a table
        scale : {"latent", "source"}
            Gaussian latents, or each at the scale of the source behind it: the source itself, in units of its
            standard deviation, where the mixture is linear.

        Raises
        ------
        LatentFlowError
            If a row holds a value that could not be restored.
        """
        return self.model_.encode(self._rows(X), scale=scale).latents

    def inverse_transform(self, Z: ArrayLike, scale: str = "latent") -> Floats:
        """Rows in the user's units, shape (n, D), of latents or sources Z, shape (n, k)."""
        check_is_fitted(self)
        return self.model_.decode(np.asarray(Z, dtype=np.float64), scale=scale)

    def clean(
        self, X: ArrayLike | Path, *, remove: Latents | None = None, keep: Latents | None = None
    ) -> Floats:
        """Rows with some latents set to their median, in the user's units, shape (n, D).

        Parameters
        ----------
        X : array_like or DataFrame, shape (n, D), or path of a table
        remove, keep : name, position or sequence of them, optional
            The latents to set to their median, or those to leave as they are; one of the two.

        Raises
        ------
        LatentFlowError
            If a latent does not exist, or a row holds a value that could not be restored.
        """
        return self.model_.clean(self._rows(X), remove=remove, keep=keep)

    def score_samples(self, X: ArrayLike | Path, *, log_det: str = "continuous") -> Floats:
        """log p of each row in nats, in the user's units, shape (n,).

        Parameters
        ----------
        X : array_like or DataFrame, shape (n, D), or path of a table
        log_det : {"continuous", "discrete"}
            The change of variables of the flow, or that of the discrete map which ``transform`` is; they differ by
            about ten times the accuracy. With the discrete one, rows where the map folds have NaN.

        Raises
        ------
        LatentFlowError
            If there is no such log-determinant, or a row holds a value that could not be restored.
        """
        return self.model_.log_prob(self._rows(X), log_det=log_det)

    def score(self, X: ArrayLike | Path, y: Any = None) -> float:
        """Mean log p in nats, in the user's units; higher is better."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Floats:
        """Rows decoded from N(0, I), shape (n_samples, D), in the user's units."""
        check_is_fitted(self)
        seed = check_random_state(random_state).randint(2**31 - 1)
        return self.model_.sample(n_samples, np.random.default_rng(seed))

    def save(self, path: Path) -> None:
        """Write the model file; ``LatentFlow.load`` and the commands read it."""
        check_is_fitted(self)
        self.model_.save(path)

    @classmethod
    def load(cls, path: Path, *, device: str = "auto") -> LatentFlow:
        """An estimator around a model file.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, or of an unknown version.
        """
        model = FittedFlow.load(path, device=device)
        settings = model.record.get("settings")
        if not isinstance(settings, dict):
            raise ModelFileError(
                f"{path} does not say how it was fitted; load it with latentflow.FittedFlow.load"
            )
        own = {name: value for name, value in settings.items() if name != "components"}
        estimator = cls(n_components=settings["components"], random_state=model.record["seed"], **own)
        estimator.set_params(device=device)
        estimator.model_ = model
        estimator.n_features_in_ = len(model.columns)
        estimator.feature_names_in_ = np.array(model.columns, dtype=object)
        estimator._adopt()
        return estimator

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the latents: ``latent00``, ``latent01``, …"""
        check_is_fitted(self)
        return np.array(self.model_.latent_names, dtype=object)

    def _adopt(self) -> None:
        self.held_out_rows_ = np.flatnonzero(self.model_.roles == HELD_OUT)
        self.history_ = self.model_.record["history"]
        found = self.model_.mean_jacobians
        if found is not None:
            self.components_, self.mixing_, self.mean_ = found.components, found.mixing, found.mean

    def _rows(self, X: ArrayLike | Path) -> Floats:
        check_is_fitted(self)
        if isinstance(X, str | os.PathLike):
            return open_table(FilePath(X), columns=self.model_.columns).read()
        return self._check(X, reset=False)

    def _check(self, X: ArrayLike, *, reset: bool) -> Floats:
        # fit_table counts missing values by column and may drop their rows; nothing else can take them
        finite = "allow-nan" if reset and self.missing == "drop" else True
        checked: Floats = validate_data(
            self,
            X,
            reset=reset,
            dtype=np.float64,
            ensure_all_finite=finite,
            ensure_min_samples=2 if reset else 1,
        )
        return checked

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags


class _Printer:
    """Losses on standard output, at every tenth of the training."""

    def __init__(self) -> None:
        self.next = 0.0

    def __call__(self, event: Progress) -> None:
        if event.step >= self.next * event.steps:
            self.next += 0.1
            print(
                f"step {event.step}/{event.steps}: loss {event.train_loss:.4f}, "
                f"validation {event.validation_loss:.4f}, {event.seconds_left:.0f} s left"
            )
