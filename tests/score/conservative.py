"""A network that is the gradient of a scalar, with no derivative written: what a new family has to bring."""

from __future__ import annotations

from torch import Generator, Tensor, nn
from torch.func import grad
from torch.nn import functional

from latentflow.score.layers import EMBEDDING, NoiseEmbedding, initialise, linear
from latentflow.score.networks import Family


class ConservativeNetwork(nn.Module):
    """F = ∇E with E(y, σ) = Σ rᵢ softplus(8 wᵢᵀy + 8 bᵢ(σ)), whose Jacobian is symmetric."""

    def __init__(self, dimension: int, width: int, generator: Generator | None = None):
        super().__init__()
        self.settings = {"kind": "conservative", "dimension": dimension, "width": width}
        self.embed = NoiseEmbedding()
        self.inner, self.shift = linear(dimension, width), linear(EMBEDDING, width)
        self.readout = linear(width, 1, bias=False)
        if generator is not None:
            for layer in (self.embed.layer, self.inner, self.shift, self.readout):
                initialise(layer, generator)

    def forward(self, y: Tensor, log_sigma: Tensor) -> Tensor:
        """F of shape (n, d)."""
        gradient: Tensor = grad(self._energies)(y, log_sigma)
        return gradient

    def _energies(self, y: Tensor, log_sigma: Tensor) -> Tensor:
        hidden = self.inner(y).reshape(len(log_sigma), -1, self.inner.out_features)
        hidden = functional.softplus(8 * (hidden + self.shift(self.embed(log_sigma))[:, None]))
        total: Tensor = self.readout(hidden).sum()
        return total


FAMILY = Family(
    build=lambda s: ConservativeNetwork(s["dimension"], s["width"]),
    describe=lambda s: f"gradient of {s['width']} units",
    fresh=lambda d, plan, generator: ConservativeNetwork(d, plan.width, generator),
)
