"""The networks behind the score: a residual perceptron, a separable part along given axes, and their sum.

All map (y, log σ) to F of shape (n, d), the angular velocity that
:class:`~latentflow.score.denoisers.NetworkDenoiser` preconditions. y has shape (n, d) and log σ shape (g,), where g
divides n: the rows come in g equal groups of neighbours, one noise level each. So g = 1 is one level for all rows and
g = n one for each; what depends on σ alone is computed once a group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

#: Size of the noise-level embedding.
EMBEDDING = 64
#: Hidden units for each coordinate of the separable network.
UNITS = 32


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer without initial weights: torch would draw them from its global generator."""
    layer: nn.Linear = skip_init(nn.Linear, inputs, outputs)
    return layer


@torch.no_grad()
def _initialise(layer: nn.Linear, generator: Generator, *, zero: bool = False) -> None:
    """LeCun-uniform weights from the given generator, or zeros for the last map of a branch."""
    bound = 0.0 if zero else 1 / math.sqrt(layer.in_features)
    layer.weight.uniform_(-bound, bound, generator=generator)
    layer.bias.uniform_(-bound, bound, generator=generator)


class NoiseEmbedding(nn.Module):
    """Features of the noise level: sines and cosines of ¼ log σ and of θ = arctan σ, and one layer.

    log σ resolves the small noise levels, θ the large ones.
    """

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.linspace(0.4, 6.3, EMBEDDING // 4))
        self.layer = _linear(EMBEDDING, EMBEDDING)

    def forward(self, log_sigma: Tensor) -> Tensor:
        """Embedding of shape (g, EMBEDDING) for log σ of shape (g,)."""
        column = log_sigma[:, None]
        phases = torch.cat([column / 4 * self.frequencies, column.exp().atan() * self.frequencies], dim=1)
        return functional.silu(self.layer(torch.cat([phases.sin(), phases.cos()], dim=1)))


class ResidualBlock(nn.Module):
    """h ↦ h + W₂ SiLU((1 + a(σ)) ⊙ W₁ h + b(σ)), the identity at initialisation.

    The noise level enters as a scale a and a shift b of the hidden units (FiLM; Perez et al. 2018,
    arXiv 1709.07871). There is no normalisation layer: the score must grow with its argument in the tails.

    Parameters
    ----------
    width : int
        Size of h.
    """

    def __init__(self, width: int):
        super().__init__()
        self.inner = _linear(width, width)
        self.outer = _linear(width, width)
        self.modulation = _linear(EMBEDDING, 2 * width)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Next hidden state, shape (g, n/g, width)."""
        scale, shift = self.modulation(embedding)[:, None].chunk(2, -1)
        return h + self.outer(functional.silu(torch.addcmul(shift, self.inner(h), 1 + scale)))


class ResidualMLP(nn.Module):
    """A residual perceptron on all coordinates at once.

    Parameters
    ----------
    dimension : int
        d, the number of whitened coordinates.
    width, depth : int
        Hidden size and number of residual blocks.
    generator : torch.Generator, optional
        Source of the initial weights; without one they are left for a state dict to fill.
    """

    def __init__(self, dimension: int, width: int, depth: int, generator: Generator | None = None):
        super().__init__()
        self.settings = {"kind": "residual", "dimension": dimension, "width": width, "depth": depth}
        self.embed = NoiseEmbedding()
        self.inlet = _linear(dimension, width)
        self.blocks = nn.ModuleList([ResidualBlock(width) for _ in range(depth)])
        self.outlet = _linear(width, dimension)
        if generator is not None:
            last = [self.outlet] + [b.outer for b in self.blocks] + [b.modulation for b in self.blocks]
            for layer in (m for m in self.modules() if isinstance(m, nn.Linear)):
                _initialise(layer, generator, zero=any(layer is other for other in last))

    def forward(self, y: Tensor, log_sigma: Tensor) -> Tensor:
        """F of shape (n, d)."""
        embedding = self.embed(log_sigma)
        h = self.inlet(y.reshape(len(log_sigma), -1, y.shape[-1]))
        for block in self.blocks:
            h = block(h, embedding)
        return self.outlet(h).reshape(y.shape)


class SeparableNetwork(nn.Module):
    """F = R f(Rᵀy), one small perceptron fᵢ for each axis: the score of independent sources along the columns of R.

    If the table is a linear mixture, the exact F has this form with R the ICA rotation, at every noise level.

    Parameters
    ----------
    axes : Tensor, shape (d, d)
        R, orthogonal, to start from. It is learned with the rest: where sources have sharp edges, the likelihood
        knows the axes better than FastICA's contrast does.
    generator : torch.Generator, optional
        Source of the initial weights.
    """

    def __init__(self, axes: Tensor, generator: Generator | None = None):
        super().__init__()
        d = len(axes)
        self.settings = {"kind": "separable", "dimension": d}
        self.axes = nn.Parameter(axes.clone())
        self.embed = NoiseEmbedding()
        self.slopes, self.offsets = (nn.Parameter(torch.zeros(d, UNITS)) for _ in range(2))
        self.mixing = nn.Parameter(torch.zeros(d, UNITS, UNITS))
        self.mixing_offsets, self.readout = (nn.Parameter(torch.zeros(d, UNITS)) for _ in range(2))
        self.modulation = _linear(EMBEDDING, 4 * d * UNITS)
        self.bias = _linear(EMBEDDING, d)
        if generator is not None:
            with torch.no_grad():
                # bends all over the range of a coordinate, from gentle to steep
                kinks = 1.2 * torch.randn(d, UNITS, generator=generator)
                signs = torch.randint(2, (d, UNITS), generator=generator) * 2 - 1
                slopes = torch.logspace(0, 1, UNITS)
                self.slopes.copy_(slopes * signs)
                self.offsets.copy_(-self.slopes * kinks)
                self.mixing.normal_(0, UNITS**-0.5, generator=generator)
                self.mixing.div_(slopes[:, None])
            _initialise(self.embed.layer, generator)
            _initialise(self.modulation, generator, zero=True)
            _initialise(self.bias, generator, zero=True)

    def forward(self, y: Tensor, log_sigma: Tensor) -> Tensor:
        """F of shape (n, d)."""
        embedding = self.embed(log_sigma)
        film = self.modulation(embedding).reshape(len(embedding), 1, 4, *self.slopes.shape)
        s = (y @ self.axes).reshape(len(log_sigma), -1, y.shape[-1], 1)
        h = torch.addcmul(self.offsets, s, self.slopes)
        h = functional.silu(torch.addcmul(film[:, :, 1], h, 1 + film[:, :, 0]))
        h = torch.einsum("grdh,dhk->grdk", h, self.mixing) + self.mixing_offsets
        h = functional.silu(torch.addcmul(film[:, :, 3], h, 1 + film[:, :, 2]))
        along = (h * self.readout).sum(-1) + self.bias(embedding)[:, None]
        return along.reshape(y.shape) @ self.axes.T


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
        total: Tensor = self.parts[0](y, log_sigma)
        for part in list(self.parts)[1:]:
            total = total + part(y, log_sigma)
        return total


def build_network(settings: dict[str, Any]) -> nn.Module:
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
