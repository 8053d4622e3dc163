"""LatentFlow: the scikit-learn face of the library."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path as FilePath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, InvalidParameterError, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from latentflow.data.splits import HELD_OUT
from latentflow.data.tables import as_table, open_table
from latentflow.errors import LatentFlowError, LatentFlowWarning, ModelFileError
from latentflow.flow.solver_names import CALIBRATED
from latentflow.model.cleaning import Latents
from latentflow.model.fit import fit_table
from latentflow.model.fitted_flow import FittedFlow
from latentflow.model.settings import Facts, FitSettings, facts, parameters_section
from latentflow.model.tables import open_for
from latentflow.score.training import Progress

Floats = NDArray[np.float64]
Path = str | os.PathLike[str]

#: Names that scikit-learn has for settings of a fit.
PARAMETERS = {"components": "n_components", "seed": "random_state"}


class ParameterError(LatentFlowError, InvalidParameterError):
    """A parameter that is not allowed: LatentFlow's error and scikit-learn's in one."""


def constraints(settings: type = FitSettings) -> dict[str, list[Any]]:
    """What scikit-learn validates: for each parameter of the estimator the constraints of its setting."""
    return {
        PARAMETERS.get(name, name): [_constraint(name, about), *([None] if about.default is None else [])]
        for name, about in facts(settings).items()
    }


def _constraint(name: str, about: Facts) -> Any:
    if about.choices:
        return StrOptions(set(about.choices))
    if name == "seed" or about.kind in (str, bool):
        return "random_state" if name == "seed" else {str: str, bool: "boolean"}[about.kind]
    closed = {"left": not about.open_low, "right": about.high is not None and not about.open_high}
    sides = "both" if all(closed.values()) else next((side for side in closed if closed[side]), "neither")
    return Interval(Integral if about.kind is int else Real, about.low, about.high, closed=sides)


class LatentFlow(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Bijective Gaussian latents of a table, by the probability-flow ODE of a score model fitted to it.

    Parameters
    ----------
    {settings}
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

    _parameter_constraints: ClassVar[dict[str, Any]] = {**constraints(), "verbose": ["verbose"]}

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
        solver: str = CALIBRATED,
        base: str = "auto",
        flow: str = "auto",
        orientation: str = "auto",
        time_order: bool = False,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ):
        # the settings of a fit, under scikit-learn's names
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})

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
            If the table or a parameter cannot be used; a :class:`ParameterError` where that shows without the table.
        """
        self._validate_params()
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
        given = {name: getattr(self, PARAMETERS.get(name, name)) for name in facts(FitSettings)}
        self.model_ = fit_table(
            table,
            FitSettings(**{**given, "seed": self._seed()}),
            groups=groups,
            time=time,
            progress=_Printer() if self.verbose else None,
        )
        self._adopt()
        for message in self.model_.record["warnings"]:
            warnings.warn(message, LatentFlowWarning, stacklevel=2)
        return self

    def transform(self, X: ArrayLike | Path, scale: str = "latent") -> Floats:
        """Latents, shape (n, k), of rows in the user's units; a DataFrame after ``set_output``.

        Directions beyond ``n_components`` are left out.

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
        """Rows in the user's units, shape (n, D), of latents or sources Z, shape (n, k).

        Directions beyond ``n_components`` are taken as their mean.
        """
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
        if not isinstance(model.record.get("settings"), dict):
            raise ModelFileError(
                f"{path} does not say how it was fitted; load it with latentflow.FittedFlow.load"
            )
        settings = replace(FitSettings.from_record(model.record), device=device)
        estimator = cls(**{PARAMETERS.get(name, name): value for name, value in vars(settings).items()})
        estimator.model_ = model
        estimator.n_features_in_ = len(model.columns)
        estimator.feature_names_in_ = np.array(model.columns, dtype=object)
        estimator._adopt()
        return estimator

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the latents: ``latent00``, ``latent01``, …"""
        check_is_fitted(self)
        return np.array(self.model_.latent_names, dtype=object)

    def _validate_params(self) -> None:
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            raise ParameterError(str(error)) from None

    def _adopt(self) -> None:
        self.held_out_rows_ = np.flatnonzero(self.model_.roles == HELD_OUT)
        self.history_ = self.model_.record["history"]
        mean_jacobians = self.model_.mean_jacobians
        if mean_jacobians is not None:
            self.components_, self.mixing_, self.mean_ = (
                mean_jacobians.components,
                mean_jacobians.mixing,
                mean_jacobians.mean,
            )

    def _rows(self, X: ArrayLike | Path) -> Floats:
        check_is_fitted(self)
        if isinstance(X, str | os.PathLike):
            return open_for(self.model_, X).read()
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


# the docstring that users read says of each setting what the command line says
LatentFlow.__doc__ = (
    (LatentFlow.__doc__ or "")
    .replace("    {settings}", parameters_section(PARAMETERS))
    .replace(
        "random_state : int, default 0", "random_state : int, RandomState instance or None, default None"
    )
)


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
