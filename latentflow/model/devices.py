"""Where to compute, and in which precision."""

from __future__ import annotations

import torch

from latentflow.errors import LatentFlowError

#: In which the flow may be integrated.
PRECISIONS = ("float64", "float32")


def choose_device(name: str) -> torch.device:
    """The torch device of a name; ``auto`` is CUDA when there is one, else the CPU.

    Raises
    ------
    LatentFlowError
        If torch does not know the device, or it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise LatentFlowError(f"device {name!r} is not available here: try --device auto or cpu") from error
    return device
