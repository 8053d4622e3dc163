"""The settings of a fit, each said once: its default, its range, and what it is for.

The options of ``latentflow fit``, the parameters of :class:`latentflow.LatentFlow` and the record in the model file are
made from :class:`FitSettings`. This module must not import torch: the help of a command reads it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any

from latentflow.errors import LatentFlowError
from latentflow.flow.solver_names import CALIBRATED, solver_names
from latentflow.orientation import registry
from latentflow.score.sizing import PRESETS


@dataclass(frozen=True)
class Facts:
    """What there is to know of a setting beside its name.

    Attributes
    ----------
    default : value
        Where it is None, None is allowed.
    help : str
        For the command line and for Python alike.
    kind : type
        ``str``, ``int``, ``float`` or ``bool``.
    choices : tuple of str
        The texts that are allowed; any where it is empty.
    low, high, open_low, open_high
        Range of a number, and which of its ends are left out.
    shown : str
        The default in help, where the value does not say it.
    metavar : str
        What stands for the value in the help of the command.
    recorded : bool
        Whether it is in ``record["settings"]`` of a model; the others have a key of their own.
    """

    default: Any
    help: str
    kind: type
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    shown: str = ""
    metavar: str = ""
    recorded: bool = True

    def allows(self, value: Any) -> bool:
        """Whether a value has the right type and lies in the range."""
        if value is None:
            return self.default is None
        if self.kind is bool:
            return value in (True, False)
        if self.kind is str:
            return isinstance(value, str) and (not self.choices or value in self.choices)
        number: Any = Integral if self.kind is int else Real
        return (
            isinstance(value, number)
            and (self.low is None or (value > self.low if self.open_low else value >= self.low))
            and (self.high is None or (value < self.high if self.open_high else value <= self.high))
        )

    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kinds = {str: "a text", bool: "True or False", int: "a whole number", float: "a number"}
        low, high = "above" if self.open_low else "at least", "below" if self.open_high else "at most"
        ends = [f"{word} {end:g}" for word, end in ((low, self.low), (high, self.high)) if end is not None]
        return " ".join([kinds[self.kind], " and ".join(ends)]).strip()


def setting(default: Any, help: str, kind: type | None = None, **more: Any) -> Any:
    """A field of :class:`FitSettings`, of the kind of its default; the parameters are those of :class:`Facts`."""
    return field(default=default, metadata={"facts": Facts(default, help, kind or type(default), **more)})


def facts(settings: type) -> dict[str, Facts]:
    """What there is to know of each setting of a dataclass, by name, in the order of the command line."""
    return {each.name: each.metadata["facts"] for each in fields(settings)}


def size(help: str) -> Any:
    """A count that follows from preset and table where it is not given."""
    return setting(None, help, int, low=1, shown="by preset and table")


@dataclass(frozen=True)
class FitSettings:
    """What a user may say of a fit; :func:`facts` has the meaning and the range of each field."""

    missing: str = setting(
        "error",
        "What to do with rows that have a missing or infinite value: refuse the table, or leave them out.",
        choices=("error", "drop"),
        recorded=False,
    )
    tails: str = setting(
        "auto",
        "Bend heavy tails and spikes: where the data call for it, never, or in every column.",
        choices=("auto", "none", "asinh"),
    )
    split: str = setting(
        "auto",
        "How rows are held out: auto takes blocks with gaps where neighbouring rows are alike.",
        choices=("auto", "random", "blocked"),
    )
    held_out: float = setting(
        0.2,
        "Share of the rows that the fit never sees and the report is made on; 0 keeps none back.",
        low=0.0,
        high=0.9,
        open_high=True,
    )
    components: int | None = setting(
        None,
        "Leading whitened directions that the flow lives on; the rest is carried.",
        int,
        low=1,
        shown="all",
    )
    preset: str = setting(
        "default",
        "How much to spend; sizes and steps follow from it and from the table.",
        choices=tuple(PRESETS),
    )
    width: int | None = size("Units in a layer.")
    depth: int | None = size("Residual blocks.")
    steps: int | None = size("Training steps.")
    batch_size: int | None = size("Rows in a training step.")
    time_budget: float | None = setting(
        None,
        "Train for this long, in seconds, unless over-fitting ends it sooner: it takes the place of the steps of the "
        "preset; with a number of steps as well, whichever comes first. Calibration and orientation come on top.",
        float,
        low=0,
        open_low=True,
        shown="no limit",
        metavar="SECONDS",
    )
    accuracy: float = setting(
        1e-4,
        "Mean error of the latents, usually 1e-2, 1e-3, 1e-4 or 1e-6; finer takes more evaluations. It is that of the "
        "latents: log|det| is off by about ten times as much. Decoding is exact whatever it is, but where a coarse "
        "encoder folds (1e-2, 1e-3: see `latentflow verify`).",
        low=1e-8,
        high=0.1,
        shown="1e-4",
    )
    solver: str = setting(
        CALIBRATED,
        f"How the flow is integrated. Of {CALIBRATED} grid and blend of orders are found together, and it needs the "
        "fewest evaluations; of the others as many steps are taken as the accuracy asks for, and adaptive ones "
        "(dopri5) are frozen at the steps that they take for training rows.",
        choices=solver_names(),
        metavar="NAME",
    )
    base: str = setting(
        "auto",
        "What goes before the flow: nothing, linear ICA with free densities, or a few layers of it. auto takes what "
        "the validation rows speak for.",
        choices=("auto", "none", "ica", "layers"),
    )
    flow: str = setting(
        "auto",
        "Whether the flow stays where the validation rows show no gain from it over the base: auto leaves it out then.",
        choices=("auto", "always"),
    )
    orientation: str = setting("auto", registry.in_words(), choices=registry.choices())
    time_order: bool = setting(False, "Say that rows follow each other in time, at equal steps.")
    device: str = setting(
        "auto", "Where to compute: cpu, cuda, or auto: a GPU if there is one.", recorded=False
    )
    seed: int = setting(0, "The seed of the split, the network and the noise.", low=0, recorded=False)

    @classmethod
    def of(cls, settings: FitSettings | None = None, /, **changes: Any) -> FitSettings:
        """Settings, by default the defaults, with some of them changed, and all of them checked.

        Raises
        ------
        LatentFlowError
            If there is no setting of a name, or a value is not allowed.
        """
        settings = settings or cls()
        known = facts(type(settings))
        if unknown := [name for name in changes if name not in known]:
            raise LatentFlowError(f"{unknown[0]!r} is no setting of a fit: there are {', '.join(known)}")
        values = {name: changes.get(name, getattr(settings, name)) for name in known}
        for name, about in known.items():
            if not about.allows(values[name]):
                raise LatentFlowError(f"{name} must be {about.allowed()}, not {values[name]!r}")
        # a model file holds plain numbers, not numpy's
        plain = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
        return replace(settings, **plain)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> FitSettings:
        """The settings by which a model was fitted; what its version did not record has its default."""
        recorded = {
            **record["settings"],
            **{name: record[name] for name in ("missing", "seed") if name in record},
        }
        return cls(**{name: recorded[name] for name in facts(cls) if name in recorded})

    def recorded(self) -> dict[str, Any]:
        """Those that the ``settings`` of a model's record keep."""
        return {name: getattr(self, name) for name, about in facts(type(self)).items() if about.recorded}


def parameters_section(names: Mapping[str, str], settings: type = FitSettings) -> str:
    """Settings as parameters in the numpy docstring of a class, under other names where ``names`` has them."""
    lines = []
    for name, about in facts(settings).items():
        kind = (
            "{" + ", ".join(f'"{each}"' for each in about.choices) + "}"
            if about.choices
            else about.kind.__name__
        )
        optional = about.default is None
        end = ", optional" if optional else f", default {about.shown or about.default}"
        text = f"{about.help} Default: {about.shown}." if optional else about.help
        lines += [f"    {names.get(name, name)} : {kind}{end}"]
        lines += textwrap.wrap(text, 118, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)
