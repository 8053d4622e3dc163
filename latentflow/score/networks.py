"""The networks behind the score: a residual perceptron, a separable part along given axes, and their sum.

All map (y, log σ) to F of shape (n, d), the v-prediction that
:class:`~latentflow.score.denoisers.NetworkDenoiser` preconditions. y has shape (n, d) and log σ shape (g,), where g
divides n: the rows come in g equal groups of neighbours, one noise level each. So g = 1 is one level for all rows and
g = n one for each; what depends on σ alone is computed once a group. All have ``push_forward``, which gives F and its
derivatives along given directions in one pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor, nn

from latentflow.score.frozen import FieldSum
from latentflow.score.layers import VelocityNetwork
from latentflow.score.residual import ResidualMLP
from latentflow.score.separable import SeparableNetwork


class NetworkSum(VelocityNetwork):
    """F as the sum of networks.

    Parameters
    ----------
    parts : sequence of VelocityNetwork
    """

    def __init__(self, parts: Sequence[VelocityNetwork]):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.settings = {"kind": "sum", "parts": [part.settings for part in parts]}

    def forward(self, y: Tensor, log_sigma: Tensor) -> Tensor:
        """F of shape (n, d)."""
        total: Tensor = sum(part(y, log_sigma) for part in self.parts)
        return total

    def push_forward(self, y: Tensor, log_sigma: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """F, shape (n, d), and its derivatives along directions, shape (k, n, d)."""
        pairs = [cast(VelocityNetwork, part).push_forward(y, log_sigma, directions) for part in self.parts]
        value: Tensor = reduce(torch.add, (pair[0] for pair in pairs))
        derivatives: Tensor = reduce(torch.add, (pair[1] for pair in pairs))
        return value, derivatives

    def at(self, log_sigma: Tensor, dtype: torch.dtype) -> FieldSum:
        """F at one noise level, what depends on σ alone worked out; log σ of shape (1,)."""
        return FieldSum([cast(VelocityNetwork, part).at(log_sigma, dtype) for part in self.parts])


def build_network(settings: dict[str, Any]) -> VelocityNetwork:
    """The network that ``settings`` describes, its weights left for a state dict to fill.

    Raises
    ------
    KeyError
        If the kind is unknown, or a setting is missing.
    """
    kinds = {
        "residual": lambda s: ResidualMLP(s["dimension"], s["width"], s["depth"]),
        "separable": lambda s: SeparableNetwork(torch.eye(s["dimension"])),
        "sum": lambda s: NetworkSum([build_network(part) for part in s["parts"]]),
    }
    return kinds[settings["kind"]](settings)


def describe_network(settings: dict[str, Any]) -> str:
    """The network that ``settings`` describes, in a few words."""
    if settings["kind"] == "sum":
        return " + ".join(describe_network(part) for part in settings["parts"])
    if settings["kind"] == "separable":
        return "separable along learned axes"
    return f"residual perceptron of {settings['depth']} × {settings['width']}"


def is_separable(settings: Mapping[str, Any]) -> bool:
    """Whether the network has learned axes and nothing else, so that its flow is linear ICA."""
    return settings.get("kind") == "separable"


def has_axes(settings: Mapping[str, Any]) -> bool:
    """Whether a part of the network has learned axes."""
    return is_separable(settings) or any(has_axes(part) for part in settings.get("parts", ()))
