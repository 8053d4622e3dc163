"""The networks behind the score: the families there are, and the sum of networks.

A network is an ``nn.Module`` whose ``forward(y, log_sigma)`` gives F, shape (n, d), the v-prediction that
:class:`~latentflow.score.denoisers.NetworkDenoiser` preconditions. y has shape (n, d) and log σ shape (g,), where g
divides n: the rows come in g equal groups of neighbours, one noise level each. So g = 1 is one level for all rows and
g = n one for each; what depends on σ alone is computed once a group. Its ``settings`` are the plain values that rebuild
it without its weights, the name of its family as ``"kind"`` among them. No derivative has to be written
(:mod:`latentflow.score.fields`); a forward that takes a gradient does it by ``torch.func``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from latentflow.score.fields import FieldSum, field_at, push_forward, summed
from latentflow.score.residual import ResidualMLP
from latentflow.score.separable import SeparableNetwork

Settings: TypeAlias = Mapping[str, Any]


class NetworkSum(nn.Module):
    """F as the sum of networks.

    Parameters
    ----------
    parts : sequence of nn.Module
    """

    def __init__(self, parts: Sequence[nn.Module]):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.settings = {"kind": "sum", "parts": [part.settings for part in parts]}

    def forward(self, y: Tensor, log_sigma: Tensor) -> Tensor:
        """F of shape (n, d)."""
        total: Tensor = sum(part(y, log_sigma) for part in self.parts)
        return total

    def push_forward(self, y: Tensor, log_sigma: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F, shape (n, d), and its derivatives along directions, shape (k, n, d)."""
        return summed([push_forward(part, y, log_sigma, directions) for part in self.parts])

    def at(self, log_sigma: Tensor, dtype: torch.dtype) -> FieldSum:
        """F at one noise level, what depends on σ alone worked out; log σ of shape (1,)."""
        return FieldSum([field_at(part, log_sigma, dtype) for part in self.parts])


@dataclass(frozen=True)
class Family:
    """A family of networks: how its members are rebuilt, described and trained.

    Parameters
    ----------
    build : callable (settings) -> nn.Module
        The network that settings describe, its weights left for a state dict to fill.
    describe : callable (settings) -> str
        The same in a few words.
    fresh : callable (dimension, plan, generator) -> nn.Module, optional
        A network to train, of the size of a :class:`~latentflow.score.sizing.TrainingPlan`, its initial weights drawn,
        which begins as F = 0. A family without it is read from model files alone.
    separable : bool
        Whether F is a function of each coordinate along learned axes and no more, so that its flow is linear ICA.
    """

    build: Callable[[Settings], nn.Module]
    describe: Callable[[Settings], str]
    fresh: Callable[..., nn.Module] | None = None
    separable: bool = False


#: The family that is trained.
DEFAULT_FAMILY = "residual"
#: The families by the ``"kind"`` of their settings.
FAMILIES: dict[str, Family] = {
    "residual": Family(
        build=lambda s: ResidualMLP(s["dimension"], s["width"], s["depth"]),
        describe=lambda s: f"residual perceptron of {s['depth']} × {s['width']}",
        fresh=lambda d, plan, generator: ResidualMLP(d, plan.width, plan.depth, generator),
    ),
    "separable": Family(
        build=lambda s: SeparableNetwork(torch.eye(s["dimension"])),
        describe=lambda s: "separable along learned axes",
        separable=True,
    ),
    "sum": Family(
        build=lambda s: NetworkSum([build_network(part) for part in s["parts"]]),
        describe=lambda s: " + ".join(describe_network(part) for part in s["parts"]),
    ),
}


def build_network(settings: Settings) -> nn.Module:
    """The network that ``settings`` describes, its weights left for a state dict to fill.

    Raises
    ------
    KeyError
        If the kind is unknown, or a setting is missing.
    """
    return FAMILIES[settings["kind"]].build(settings)


def describe_network(settings: Settings) -> str:
    """The network that ``settings`` describes, in a few words."""
    return FAMILIES[settings["kind"]].describe(settings)


def is_separable(settings: Settings) -> bool:
    """Whether the network has learned axes and nothing else, so that its flow is linear ICA."""
    return bool(settings) and FAMILIES[settings["kind"]].separable


def has_axes(settings: Settings) -> bool:
    """Whether a part of the network has learned axes."""
    return is_separable(settings) or any(has_axes(part) for part in settings.get("parts", ()))
