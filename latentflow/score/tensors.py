"""Between numpy's arrays, which a user has, and torch's tensors, in which networks compute."""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn


def as_array(tensor: Tensor) -> NDArray[np.float64]:
    """Values of a tensor in double precision, on the CPU."""
    return tensor.detach().to("cpu", torch.float64).numpy()


def as_tensor(values: ArrayLike, module: nn.Module) -> Tensor:
    """Values in the precision and on the device of a module; in double precision where it holds no numbers."""
    held = chain(module.parameters(), module.buffers())
    return torch.as_tensor(values).to(next(held, torch.zeros(1, dtype=torch.float64)))
