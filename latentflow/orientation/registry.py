"""The methods of orientation, one record each: what it is called, what it goes by, needs and assumes.

Commands, docstrings, refusals, reports and the README's table are made from these records. Importing them loads
neither torch nor numpy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from latentflow.errors import LatentFlowError

if TYPE_CHECKING:
    from latentflow.orientation.methods import Material
    from latentflow.orientation.record import Orientation


@dataclass(frozen=True)
class Hint:
    """What a user can say of the rows beside their values.

    Attributes
    ----------
    given : str
        What it is.
    request : str
        What a method needs that goes by it, and how to give that.
    options : str
        Of the command line, any of which gives it.
    """

    given: str
    request: str
    options: str


ORDER = Hint(
    "the order of the rows in time",
    "rows in the order of time: say so with --time-order (time_order=True), or give --time COLUMN (time=)",
    "--time or --time-order",
)
GROUPS = Hint("the group of each row", "a label for each row: give --groups COLUMN (groups=)", "--groups")


@dataclass(frozen=True)
class OrientationMethod:
    """One method of orientation.

    Attributes
    ----------
    name : str
    find : str
        Its function, as ``module:function``, from :class:`~latentflow.orientation.methods.Material` to an
        :class:`~latentflow.orientation.record.Orientation`; loaded when it is called.
    origin : str
        What the rotation comes from, for a reader who comes to choose.
    label : str
        The same in technical terms.
    assumption : str
        The latents are the sources if this holds.
    needs : Hint, optional
        What it cannot do without. It also settles which rows of a large table are looked at
        (:mod:`latentflow.orientation.rows`), and ``auto`` takes the first method whose need is met.
    most_latents : int, optional
        Beyond as many it is refused.
    anchored : bool
        Whether it aligns the latents with ICA components, which their agreement with these can then not support.
    own_model : str
        The model of the mixture that it fits from FastICA's axes on, where it does, in a word.
    """

    name: str
    find: str
    origin: str
    label: str
    assumption: str
    needs: Hint | None = None
    most_latents: int | None = None
    anchored: bool = False
    own_model: str = ""

    def axes(self, material: Material) -> Orientation:
        """The orientation of these rows by this method."""
        orientation: Orientation = resolve_name(self.find)(material)
        return orientation


_METHODS = (
    OrientationMethod(
        "temporal",
        "latentflow.orientation.methods:temporal",
        origin="how the latents go on in time",
        label="joint diagonalisation of log-variograms, then the autoregressive likelihood",
        assumption="the sources are independent series, in their trends and their volatility too, no two of them of "
        "the same autocorrelation and both driven by Gaussian innovations, and the flow has undone their mixing up to "
        "a rotation",
        needs=ORDER,
    ),
    OrientationMethod(
        "groups",
        "latentflow.orientation.methods:groups",
        origin="how the latents vary within each group",
        label="joint diagonalisation of the covariances within groups",
        assumption="the sources are independent within groups, change their variances between groups each in its own "
        "way, and the flow has undone their mixing up to a rotation",
        needs=GROUPS,
    ),
    OrientationMethod(
        "jacobian",
        "latentflow.orientation.methods:jacobian",
        origin="the derivatives of the denoiser, jointly diagonalised",
        label="joint diagonalisation of the denoiser's Jacobians",
        assumption="the data are a mixture, linear or nearly so, of independent sources of which at most one is "
        "Gaussian",
    ),
    OrientationMethod(
        "metric",
        "latentflow.orientation.methods:metric",
        origin="the metric of the decoder, jointly diagonalised",
        label="joint diagonalisation of the decoder's metric",
        assumption="each source moves the data at right angles to the others, as in conformal mixtures, and at most "
        "one of them is Gaussian",
    ),
    OrientationMethod(
        "ica",
        "latentflow.orientation.methods:ica",
        origin="FastICA's components, as the nearest rotation to them",
        label="aligned with FastICA's components",
        assumption="FastICA's components, to which the latents were aligned, follow the sources",
        anchored=True,
    ),
    OrientationMethod(
        "gaussianization",
        "latentflow.orientation.methods:gaussianization",
        origin="two or three layers of linear ICA with increasing functions of each coordinate between them, as the "
        "nearest rotation",
        label="aligned with a few layers of linear ICA",
        assumption="the data are independent sources, of which at most one is Gaussian, behind a few layers of linear "
        "mixing with an increasing function of each coordinate between them, or nearly so",
        most_latents=32,  # its starts cost a Jacobian per row
        own_model="layers",
    ),
    OrientationMethod(
        "base",
        "latentflow.orientation.methods:base",
        origin="the coordinates of the base under the flow",
        label="the coordinates of the base, linear ICA or a few layers of it",
        assumption="the data are independent sources, of which at most one is Gaussian, behind linear mixing or as "
        "many layers of it as the base has",
        own_model="base",
    ),
    OrientationMethod(
        "none",
        "latentflow.orientation.methods:none",
        origin="nothing",
        label="the latents stand as the flow gives them",
        assumption="never: the axes mean nothing",
    ),
)
#: Every method by its name, in the order in which readers see them.
METHODS: Mapping[str, OrientationMethod] = {method.name: method for method in _METHODS}


def method_of(name: str) -> OrientationMethod:
    """The record of a method; one that says nothing for ``auto`` and for methods of another version."""
    unknown = "the assumptions of its method hold"
    return METHODS.get(name) or OrientationMethod(name, "", "", "not known to this version", unknown)


def choices() -> tuple[str, ...]:
    """What can be asked for."""
    return ("auto", *METHODS)


def in_words() -> str:
    """What can be asked for and what each means, as the help of an option."""
    methods = "; ".join(f"{method.name}: {method.origin}" for method in METHODS.values())
    hints = ", ".join(
        f"{method.name} where {method.needs.options} is given" for method in METHODS.values() if method.needs
    )
    return (
        f"What the rotation of the latents comes from. {methods}. auto: {hints}, else the simplest model that explains "
        "the rows: linear ICA, layers of it, or the flow."
    )


def method_for(asked: str, hints: Collection[Hint]) -> str:
    """The method that what is asked for stands for; ``auto`` where the rows themselves are to decide.

    Parameters
    ----------
    asked : str
    hints : collection of Hint
        What is known of the rows.

    Raises
    ------
    LatentFlowError
        If there is no such method, or it needs a hint that is not there.
    """
    if asked == "auto":
        return next((method.name for method in METHODS.values() if method.needs in hints), asked)
    if asked not in METHODS:
        raise LatentFlowError(f"orientation {asked!r} is not known: choose one of {', '.join(choices())}")
    needs = METHODS[asked].needs
    if needs is not None and needs not in hints:
        raise LatentFlowError(f"orientation {asked} needs {needs.request}")
    return asked
